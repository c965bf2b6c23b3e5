//! Loops of one instruction, in assembly so that nothing is optimised away and nothing is spilled.
#![allow(unsafe_code)]

use std::arch::asm;

/// A loop to be timed.
#[derive(Clone, Copy)]
pub struct Probe {
    /// What it repeats.
    pub instruction: &'static str,
    /// Units of work of one iteration: multiply-accumulates, or cycles.
    pub units: u64,
    /// Runs that many iterations.
    pub run: fn(u64),
}

/// Ten independent accumulators: more than latency times throughput of any of these instructions.
const CHAINS: u64 = 10;

/// A loop of lines on vector registers 0 to 13, with 14 and 15 as operands.
#[cfg(target_arch = "x86_64")]
macro_rules! x86_loop {
    ($($line:literal),+) => {
        |iterations: u64| {
            // SAFETY: the loop changes the counter and the vector registers named below, and
            // touches no memory. The caller has detected the instructions; the counter is at least
            // 1.
            unsafe {
                asm!("2:", $($line),+, "dec {n}", "jnz 2b", n = inout(reg) iterations.max(1) => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nomem, nostack));
            }
        }
    };
}

/// The 8-bit dot products this CPU has.
#[cfg(target_arch = "x86_64")]
pub fn probes() -> impl Iterator<Item = Probe> {
    let avx2 = Probe {
        instruction: "vpmaddubsw + vpaddw (AVX2)",
        units: 32 * CHAINS,
        run: x86_loop!(
            "vpmaddubsw ymm10, ymm14, ymm15",
            "vpaddw ymm0, ymm0, ymm10",
            "vpmaddubsw ymm11, ymm14, ymm15",
            "vpaddw ymm1, ymm1, ymm11",
            "vpmaddubsw ymm12, ymm14, ymm15",
            "vpaddw ymm2, ymm2, ymm12",
            "vpmaddubsw ymm13, ymm14, ymm15",
            "vpaddw ymm3, ymm3, ymm13",
            "vpmaddubsw ymm10, ymm14, ymm15",
            "vpaddw ymm4, ymm4, ymm10",
            "vpmaddubsw ymm11, ymm14, ymm15",
            "vpaddw ymm5, ymm5, ymm11",
            "vpmaddubsw ymm12, ymm14, ymm15",
            "vpaddw ymm6, ymm6, ymm12",
            "vpmaddubsw ymm13, ymm14, ymm15",
            "vpaddw ymm7, ymm7, ymm13",
            "vpmaddubsw ymm10, ymm14, ymm15",
            "vpaddw ymm8, ymm8, ymm10",
            "vpmaddubsw ymm11, ymm14, ymm15",
            "vpaddw ymm9, ymm9, ymm11"
        ),
    };
    let avx_vnni = Probe {
        instruction: "vpdpbusd ymm (AVX-VNNI)",
        units: 32 * CHAINS,
        run: x86_loop!(
            "{{vex}} vpdpbusd ymm0, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm1, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm2, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm3, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm4, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm5, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm6, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm7, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm8, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm9, ymm14, ymm15"
        ),
    };
    let avx512_vnni = Probe {
        instruction: "vpdpbusd zmm (AVX-512 VNNI)",
        units: 64 * CHAINS,
        run: x86_loop!(
            "vpdpbusd zmm0, zmm14, zmm15",
            "vpdpbusd zmm1, zmm14, zmm15",
            "vpdpbusd zmm2, zmm14, zmm15",
            "vpdpbusd zmm3, zmm14, zmm15",
            "vpdpbusd zmm4, zmm14, zmm15",
            "vpdpbusd zmm5, zmm14, zmm15",
            "vpdpbusd zmm6, zmm14, zmm15",
            "vpdpbusd zmm7, zmm14, zmm15",
            "vpdpbusd zmm8, zmm14, zmm15",
            "vpdpbusd zmm9, zmm14, zmm15"
        ),
    };
    [
        (std::arch::is_x86_feature_detected!("avx2"), avx2),
        (std::arch::is_x86_feature_detected!("avxvnni"), avx_vnni),
        (
            std::arch::is_x86_feature_detected!("avx512vnni"),
            avx512_vnni,
        ),
    ]
    .into_iter()
    .filter_map(|(detected, probe)| detected.then_some(probe))
}

/// A chain of dependent additions, one a cycle.
#[cfg(target_arch = "x86_64")]
pub fn cycles() -> Option<Probe> {
    Some(Probe {
        instruction: "add",
        units: 10,
        run: |iterations| {
            // SAFETY: the loop changes two registers given to it and touches no memory; the counter
            // is at least 1.
            unsafe {
                asm!("2:",
                    "add {x}, {n}", "add {x}, {n}", "add {x}, {n}", "add {x}, {n}", "add {x}, {n}",
                    "add {x}, {n}", "add {x}, {n}", "add {x}, {n}", "add {x}, {n}", "add {x}, {n}",
                    "dec {n}", "jnz 2b", n = inout(reg) iterations.max(1) => _,
                    x = inout(reg) 0u64 => _, options(nomem, nostack));
            }
        },
    })
}

/// A loop of lines on v0 to v9, with v14 and v15 as operands.
#[cfg(target_arch = "aarch64")]
macro_rules! neon_loop {
    ($feature:literal ; $($line:literal),+) => {
        |iterations: u64| {
            // SAFETY: the loop changes the counter and the vector registers named below, and
            // touches no memory. The caller has detected the instructions; the counter is at least
            // 1.
            unsafe {
                asm!(concat!(".arch_extension ", $feature), "2:", $($line),+,
                    "subs {n}, {n}, #1", "b.ne 2b", n = inout(reg) iterations.max(1) => _,
                    out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                    out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                    out("v8") _, out("v9") _, options(nomem, nostack));
            }
        }
    };
}

/// The 8-bit dot products this CPU has.
#[cfg(target_arch = "aarch64")]
pub fn probes() -> impl Iterator<Item = Probe> {
    let smlal = Probe {
        instruction: "smlal (NEON)",
        units: 8 * CHAINS,
        run: neon_loop!("simd";
            "smlal v0.8h, v14.8b, v15.8b", "smlal v1.8h, v14.8b, v15.8b",
            "smlal v2.8h, v14.8b, v15.8b", "smlal v3.8h, v14.8b, v15.8b",
            "smlal v4.8h, v14.8b, v15.8b", "smlal v5.8h, v14.8b, v15.8b",
            "smlal v6.8h, v14.8b, v15.8b", "smlal v7.8h, v14.8b, v15.8b",
            "smlal v8.8h, v14.8b, v15.8b", "smlal v9.8h, v14.8b, v15.8b"),
    };
    let sdot = Probe {
        instruction: "sdot (NEON dot product)",
        units: 16 * CHAINS,
        run: neon_loop!("dotprod";
            "sdot v0.4s, v14.16b, v15.16b", "sdot v1.4s, v14.16b, v15.16b",
            "sdot v2.4s, v14.16b, v15.16b", "sdot v3.4s, v14.16b, v15.16b",
            "sdot v4.4s, v14.16b, v15.16b", "sdot v5.4s, v14.16b, v15.16b",
            "sdot v6.4s, v14.16b, v15.16b", "sdot v7.4s, v14.16b, v15.16b",
            "sdot v8.4s, v14.16b, v15.16b", "sdot v9.4s, v14.16b, v15.16b"),
    };
    let smmla = Probe {
        instruction: "smmla (i8mm)",
        units: 32 * CHAINS,
        run: neon_loop!("i8mm";
            "smmla v0.4s, v14.16b, v15.16b", "smmla v1.4s, v14.16b, v15.16b",
            "smmla v2.4s, v14.16b, v15.16b", "smmla v3.4s, v14.16b, v15.16b",
            "smmla v4.4s, v14.16b, v15.16b", "smmla v5.4s, v14.16b, v15.16b",
            "smmla v6.4s, v14.16b, v15.16b", "smmla v7.4s, v14.16b, v15.16b",
            "smmla v8.4s, v14.16b, v15.16b", "smmla v9.4s, v14.16b, v15.16b"),
    };
    [
        (std::arch::is_aarch64_feature_detected!("neon"), smlal),
        (std::arch::is_aarch64_feature_detected!("dotprod"), sdot),
        (std::arch::is_aarch64_feature_detected!("i8mm"), smmla),
    ]
    .into_iter()
    .filter_map(|(detected, probe)| detected.then_some(probe))
}

/// A chain of dependent additions, one a cycle.
#[cfg(target_arch = "aarch64")]
pub fn cycles() -> Option<Probe> {
    Some(Probe {
        instruction: "add",
        units: 10,
        run: |iterations| {
            // SAFETY: the loop changes two registers given to it and touches no memory; the counter
            // is at least 1.
            unsafe {
                asm!("2:",
                    "add {x}, {x}, {n}", "add {x}, {x}, {n}", "add {x}, {x}, {n}",
                    "add {x}, {x}, {n}", "add {x}, {x}, {n}", "add {x}, {x}, {n}",
                    "add {x}, {x}, {n}", "add {x}, {x}, {n}", "add {x}, {x}, {n}",
                    "add {x}, {x}, {n}",
                    "subs {n}, {n}, #1", "b.ne 2b", n = inout(reg) iterations.max(1) => _,
                    x = inout(reg) 0u64 => _, options(nomem, nostack));
            }
        },
    })
}

/// None known.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn probes() -> impl Iterator<Item = Probe> {
    std::iter::empty()
}

/// None known.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn cycles() -> Option<Probe> {
    None
}
