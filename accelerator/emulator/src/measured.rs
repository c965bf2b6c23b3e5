//! Which kernel a CPU takes by default: the fastest of what was measured on CPUs of its kind.
//!
//! [`MEASURED`] is the one place to change when a CPU was measured (`fqbert bench --kernels`).
//! docs/performance.md shows it; a test compares them.

use std::fmt;
use std::ops::RangeInclusive;

use crate::kernels::Kernel;

/// CPUs that a measurement stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpus {
    /// x86-64 CPUs by what `cpuid` says: the vendor, the family, and ranges of models.
    X86 {
        /// As `cpuid` spells it.
        vendor: &'static str,
        /// With the extended family.
        family: u32,
        /// With the extended model.
        models: &'static [RangeInclusive<u32>],
    },
    /// All that no other row names.
    Others,
}

/// Times of kernels on one kind of CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// What the CPUs are called.
    pub name: &'static str,
    /// Which they are.
    pub cpus: Cpus,
    /// Kernels, fastest first, with the median in milliseconds where it was measured.
    pub order: &'static [(Kernel, Option<f64>)],
    /// What was measured, when and how; or why the order is assumed.
    pub source: &'static str,
}

/// What was measured, and last what is assumed of all other CPUs.
pub const MEASURED: &[Measurement] = &[
    Measurement {
        name: "AMD Zen 4",
        cpus: Cpus::X86 {
            vendor: "AuthenticAMD",
            family: 0x19,
            models: &[0x10..=0x1f, 0x60..=0x7f, 0xa0..=0xaf],
        },
        order: &[(Kernel::Avx512Vnni, Some(37.6)), (Kernel::Avx2, Some(56.1))],
        source: "2026-12, EPYC, 2 threads, BERT-base's shape, 128 tokens",
    },
    Measurement {
        name: "AMD Zen 3",
        cpus: Cpus::X86 {
            vendor: "AuthenticAMD",
            family: 0x19,
            models: &[0x00..=0x0f, 0x20..=0x5f],
        },
        order: &[(Kernel::Avx2, Some(75.1))],
        source: "2026-11, EPYC, 2 threads, BERT-base's shape, 128 tokens",
    },
    Measurement {
        name: "any other",
        cpus: Cpus::Others,
        order: &[
            (Kernel::Avx512Vnni, None),
            (Kernel::AvxVnni, None),
            (Kernel::Avx2, None),
            (Kernel::NeonI8mm, None),
            (Kernel::NeonDot, None),
            (Kernel::Neon, None),
            (Kernel::Portable, None),
            (Kernel::Scalar, None),
        ],
        source: "not measured: by the multiply-accumulates of an instruction",
    },
];

/// What `cpuid` says of an x86-64 CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Twelve characters.
    pub vendor: String,
    /// With the extended family.
    pub family: u32,
    /// With the extended model.
    pub model: u32,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            vendor,
            family,
            model,
        } = self;
        write!(f, "{vendor} family {family} model {model}")
    }
}

impl Identity {
    /// Of this CPU; none on other architectures than x86-64.
    pub fn here() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::__cpuid;
            let name = __cpuid(0);
            let vendor = [name.ebx, name.edx, name.ecx]
                .map(u32::to_le_bytes)
                .concat();
            Some(Self::of(
                String::from_utf8_lossy(&vendor).into_owned(),
                __cpuid(1).eax,
            ))
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// Of the signature that `cpuid` gives: base family and model, and what extends them.
    #[cfg(any(target_arch = "x86_64", test))]
    fn of(vendor: String, signature: u32) -> Self {
        let base = signature >> 8 & 0xf;
        let extended_family = if base == 0xf {
            signature >> 20 & 0xff
        } else {
            0
        };
        let extended_model = if base == 0xf || base == 6 {
            signature >> 16 & 0xf
        } else {
            0
        };
        Self {
            vendor,
            family: base + extended_family,
            model: extended_model << 4 | signature >> 4 & 0xf,
        }
    }
}

impl Cpus {
    /// Whether a CPU is one of them.
    fn have(&self, cpu: Option<&Identity>) -> bool {
        match (self, cpu) {
            (Self::Others, _) => true,
            (Self::X86 { .. }, None) => false,
            (
                Self::X86 {
                    vendor,
                    family,
                    models,
                },
                Some(cpu),
            ) => {
                cpu.vendor == *vendor
                    && cpu.family == *family
                    && models.iter().any(|models| models.contains(&cpu.model))
            }
        }
    }
}

impl Kernel {
    /// The fastest kernel of this CPU, by what was measured on CPUs of its kind ([`MEASURED`]).
    pub fn detect() -> Self {
        Self::choice().0
    }

    /// As [`Kernel::detect`], with the row of the table that says so.
    pub fn choice() -> (Self, &'static Measurement) {
        choose(Identity::here().as_ref(), Self::is_supported)
    }
}

/// The kernel that a CPU takes, of those that it runs, and the row that says so.
fn choose(cpu: Option<&Identity>, runs: impl Fn(Kernel) -> bool) -> (Kernel, &'static Measurement) {
    let rows = MEASURED.iter().filter(|row| row.cpus.have(cpu));
    rows.flat_map(|row| row.order.iter().map(move |(kernel, _)| (*kernel, row)))
        .find(|(kernel, _)| runs(*kernel))
        // The last row has every kernel, and every CPU runs two of them.
        .unwrap_or((Kernel::Portable, &MEASURED[MEASURED.len() - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_fastest_first_and_the_last_has_every_kernel() {
        let (last, measured) = MEASURED.split_last().unwrap();
        for row in measured {
            let times: Vec<f64> = row.order.iter().map(|(_, ms)| ms.unwrap()).collect();
            assert!(!times.is_empty() && times.is_sorted(), "{}", row.name);
        }
        assert_eq!(last.cpus, Cpus::Others);
        for kernel in Kernel::ALL {
            let found = last.order.iter().filter(|(k, _)| *k == kernel);
            assert_eq!(found.count(), 1, "{kernel}");
        }
    }

    #[test]
    fn a_cpu_takes_the_first_of_its_row_that_it_runs() {
        let amd = |model| Identity {
            vendor: "AuthenticAMD".into(),
            family: 0x19,
            model,
        };
        let (zen4, zen3, others) = (&MEASURED[0], &MEASURED[1], &MEASURED[2]);
        // Genoa, Raphael, Phoenix and Bergamo; Milan, Vermeer, Rembrandt and Cezanne.
        for (row, models) in [
            (zen4, [0x11, 0x61, 0x74, 0xa0]),
            (zen3, [0x01, 0x21, 0x44, 0x50]),
        ] {
            for model in models {
                let chosen = choose(Some(&amd(model)), |_| true);
                assert_eq!(chosen, (row.order[0].0, row), "{model:#x}");
            }
        }
        // A hypervisor may hide what the CPU has.
        let hidden = choose(Some(&amd(0x11)), |k| k != zen4.order[0].0);
        assert_eq!(hidden, (zen4.order[1].0, zen4));
        // What the row does not have comes from the last.
        let portable = |k| matches!(k, Kernel::Scalar | Kernel::Portable);
        assert_eq!(
            choose(Some(&amd(0x11)), portable),
            (Kernel::Portable, others)
        );
        let intel = Identity {
            vendor: "GenuineIntel".into(),
            ..amd(0x11)
        };
        for cpu in [Some(&intel), None] {
            assert_eq!(choose(cpu, |_| true), (others.order[0].0, others));
        }
        assert_eq!(choose(None, |_| false).0, Kernel::Portable);
    }

    #[test]
    fn signatures_are_read_with_their_extensions() {
        for (signature, family, model) in [
            (0x00a1_0f11, 0x19, 0x11),
            (0x0006_06a6, 6, 0x6a),
            (0x0000_0542, 5, 4),
        ] {
            let id = Identity::of("x".into(), signature);
            assert_eq!((id.family, id.model), (family, model), "{signature:#x}");
        }
        if let Some(here) = Identity::here() {
            assert_eq!(here.vendor.len(), 12, "{here}");
        }
    }
}
