//! The identity and geometry that a device reports in its registers, and what a program or model
//! asks of it.

use std::fmt;

use crate::address::RegisterOffset;
use crate::generated::registers as regs;
use crate::geometry::Geometry;
use crate::isa;

/// What a device says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Major contract version: must be equal.
    pub major: u16,
    /// Minor contract version: a device of a higher minor version runs programs of a lower one.
    pub minor: u16,
    /// Feature bits, see [`isa::feature`].
    pub features: u32,
    /// Build number of the bitstream, 0 for emulation.
    pub build: u32,
    /// Its geometry.
    pub geometry: Geometry,
}

/// What a program needs of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// Major contract version.
    pub major: u16,
    /// Lowest minor version.
    pub minor: u16,
    /// Feature bits that must be present.
    pub features: u32,
    /// The geometry it was compiled for.
    pub geometry: Geometry,
}

/// One field in which a device and a program differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the field.
    pub field: &'static str,
    /// What the program needs.
    pub needed: String,
    /// What the accelerator has.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: needs {}, device has {}",
            self.field, self.needed, self.found
        )
    }
}

/// Why the registers do not describe a device of this contract.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentityError {
    /// The ID register holds something else.
    #[error(
        "ID register reads {found:#010x}, not {expected:#010x}: another design is loaded; load an fqbert bitstream"
    )]
    NotOurs {
        /// What was read.
        found: u32,
        /// The magic number.
        expected: u32,
    },
    /// A capability register holds a value that no device can have.
    #[error(
        "capability register {register} reads {value}, which no device can have ({limit}); reload the bitstream"
    )]
    Impossible {
        /// Name of the field.
        register: &'static str,
        /// Its value.
        value: u32,
        /// What would be possible.
        limit: &'static str,
    },
}

impl Capabilities {
    /// What an emulation of `geometry` reports.
    pub fn of(geometry: &Geometry) -> Self {
        Self {
            major: isa::CONTRACT_MAJOR,
            minor: isa::CONTRACT_MINOR,
            features: isa::feature::ALL,
            build: 0,
            geometry: geometry.clone(),
        }
    }

    /// The capability registers and their values, in order of offset: what a device must answer.
    pub fn registers(&self) -> Vec<(RegisterOffset, u32)> {
        let g = &self.geometry;
        let array = g.rows | g.pairs << 8 | g.lanes << 16 | g.ports << 24 | g.ln_channels << 28;
        vec![
            (regs::ID, isa::MAGIC),
            (
                regs::VERSION,
                u32::from(self.minor) | u32::from(self.major) << 16,
            ),
            (regs::FEATURES, self.features),
            (regs::BUILD, self.build),
            (regs::GEOMETRY_ARRAY, array),
            (regs::GEOMETRY_LIMITS, g.max_seq | g.max_hidden << 16),
            (regs::CLOCK_HZ, g.clock_hz),
            (regs::ACT_WORDS, g.act_words),
            (regs::OPD_WORDS, g.opd_words),
            (regs::RESX_WORDS, g.resx_words),
            (regs::RESB_WORDS, g.resb_words),
            (regs::SCR_WORDS, g.scr_words),
            (regs::PRB_WORDS, g.prb_words),
            (regs::WGT_WORDS, g.wgt_words),
            (regs::PAR_WORDS, g.par_words),
            (regs::LNP_WORDS, g.lnp_words),
        ]
    }

    /// Reads and checks the capability registers through `read`. A geometry equal to a preset takes
    /// the preset's name.
    pub fn read<E>(
        mut read: impl FnMut(RegisterOffset) -> Result<u32, E>,
    ) -> Result<Result<Self, IdentityError>, E> {
        let id = read(regs::ID)?;
        if id != isa::MAGIC {
            return Ok(Err(IdentityError::NotOurs {
                found: id,
                expected: isa::MAGIC,
            }));
        }
        let version = read(regs::VERSION)?;
        let features = read(regs::FEATURES)?;
        let build = read(regs::BUILD)?;
        let array = read(regs::GEOMETRY_ARRAY)?;
        let limits = read(regs::GEOMETRY_LIMITS)?;
        let mut geometry = Geometry {
            name: "custom",
            doc: "read from the accelerator",
            part: "unknown",
            rows: array & 0xff,
            pairs: array >> 8 & 0xff,
            lanes: array >> 16 & 0xff,
            ports: array >> 24 & 0xf,
            ln_channels: array >> 28,
            clock_hz: read(regs::CLOCK_HZ)?,
            max_seq: limits & 0xffff,
            max_hidden: limits >> 16,
            act_words: read(regs::ACT_WORDS)?,
            opd_words: read(regs::OPD_WORDS)?,
            resx_words: read(regs::RESX_WORDS)?,
            resb_words: read(regs::RESB_WORDS)?,
            scr_words: read(regs::SCR_WORDS)?,
            prb_words: read(regs::PRB_WORDS)?,
            wgt_words: read(regs::WGT_WORDS)?,
            par_words: read(regs::PAR_WORDS)?,
            lnp_words: read(regs::LNP_WORDS)?,
        };
        if let Err(e) = check_possible(&geometry) {
            return Ok(Err(e));
        }
        if let Some(preset) = Geometry::presets()
            .iter()
            .find(|p| same_numbers(p, &geometry))
        {
            geometry = (*preset).clone();
        }
        Ok(Ok(Self {
            major: (version >> 16) as u16,
            minor: version as u16,
            features,
            build,
            geometry,
        }))
    }

    /// Everything in which this device falls short of `needs`; empty when the program runs on it.
    pub fn differences(&self, needs: &Requirements) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut differ = |field, needed: String, have: String| {
            found.push(Difference {
                field,
                needed,
                found: have,
            })
        };
        if self.major != needs.major || self.minor < needs.minor {
            differ(
                "contract version",
                format!("{}.{} or later {}.x", needs.major, needs.minor, needs.major),
                format!("{}.{}", self.major, self.minor),
            );
        }
        for &(bit, name, doc) in isa::feature::NAMES {
            if needs.features & bit != 0 && self.features & bit == 0 {
                differ("feature", format!("{name} ({doc})"), "not present".into());
            }
        }
        let (g, n) = (&self.geometry, &needs.geometry);
        // Shapes must be equal: the instruction stream and the weight images are laid out for them.
        for (field, need, have) in [
            ("rows", n.rows, g.rows),
            ("channel pairs", n.pairs, g.pairs),
            ("lanes", n.lanes, g.lanes),
            ("read ports", n.ports, g.ports),
        ] {
            if need != have {
                differ(field, need.to_string(), have.to_string());
            }
        }
        // Depths may be larger than the program was compiled for.
        for (field, need, have) in [
            ("longest sequence", n.max_seq, g.max_seq),
            ("widest layer norm", n.max_hidden, g.max_hidden),
            ("ACT words", n.act_words, g.act_words),
            ("OPD words", n.opd_words, g.opd_words),
            ("RESX words", n.resx_words, g.resx_words),
            ("RESB words", n.resb_words, g.resb_words),
            ("SCR words", n.scr_words, g.scr_words),
            ("PRB words", n.prb_words, g.prb_words),
            ("WGT words", n.wgt_words, g.wgt_words),
            ("PAR words", n.par_words, g.par_words),
            ("LNP words", n.lnp_words, g.lnp_words),
        ] {
            if need > have {
                differ(field, format!("at least {need}"), have.to_string());
            }
        }
        found
    }
}

fn same_numbers(preset: &Geometry, read: &Geometry) -> bool {
    let named = Geometry {
        name: preset.name,
        doc: preset.doc,
        part: preset.part,
        ..read.clone()
    };
    named == *preset
}

fn check_possible(g: &Geometry) -> Result<(), IdentityError> {
    let power_of_two = |v: u32| v.is_power_of_two();
    let checks = [
        (
            "rows",
            g.rows,
            power_of_two(g.rows) && g.rows >= 4 && g.rows <= 64,
            "a power of two, 4..=64",
        ),
        (
            "pairs",
            g.pairs,
            g.pairs >= 2 && g.pairs <= 64 && g.pairs.is_multiple_of(2),
            "even, 2..=64",
        ),
        ("lanes", g.lanes, g.lanes == 8, "8"),
        ("ports", g.ports, matches!(g.ports, 1 | 2 | 4), "1, 2 or 4"),
        (
            "ln_channels",
            g.ln_channels,
            matches!(g.ln_channels, 1 | 2),
            "1 or 2",
        ),
        (
            "max_seq",
            g.max_seq,
            g.max_seq >= 8 && g.max_seq <= 4096,
            "8..=4096",
        ),
        (
            "max_hidden",
            g.max_hidden,
            g.max_hidden >= 8 && g.max_hidden <= 4096,
            "8..=4096",
        ),
        (
            "clock_hz",
            g.clock_hz,
            g.clock_hz >= 1_000_000,
            "at least 1 MHz",
        ),
    ];
    for (register, value, ok, limit) in checks {
        if !ok {
            return Err(IdentityError::Impossible {
                register,
                value,
                limit,
            });
        }
    }
    for (register, value) in [
        ("act_words", g.act_words),
        ("opd_words", g.opd_words),
        ("resx_words", g.resx_words),
        ("resb_words", g.resb_words),
        ("scr_words", g.scr_words),
        ("prb_words", g.prb_words),
        ("wgt_words", g.wgt_words),
        ("par_words", g.par_words),
        ("lnp_words", g.lnp_words),
    ] {
        if !(1..=65536).contains(&value) {
            return Err(IdentityError::Impossible {
                register,
                value,
                limit: "1..=65536",
            });
        }
    }
    Ok(())
}
