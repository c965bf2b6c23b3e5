//! The identity and geometry that a device reports in its registers, and what a program or model
//! asks of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use crate::address::RegisterOffset;
use crate::generated::registers as regs;
use crate::geometry::{Fit, Geometry, PARAMETERS};
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
        "ID register reads {found:#010x}, not {expected:#010x}: another design is loaded; \
         load an fqbert bitstream"
    )]
    NotOurs {
        /// What was read.
        found: u32,
        /// The magic number.
        expected: u32,
    },
    /// A capability register holds a value that no device can have.
    #[error(
        "capability register {register} reads {value}, which no device can have ({limit}); \
         reload the bitstream"
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
        let version = u32::from(self.minor) << regs::version::MINOR_SHIFT
            | u32::from(self.major) << regs::version::MAJOR_SHIFT;
        let mut values = BTreeMap::from([
            (regs::ID, isa::MAGIC),
            (regs::VERSION, version),
            (regs::FEATURES, self.features),
            (regs::BUILD, self.build),
        ]);
        for parameter in &PARAMETERS {
            let value = (parameter.get)(&self.geometry) << parameter.shift;
            *values.entry(parameter.register).or_default() |= value;
        }
        values.into_iter().collect()
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
        let mut values = BTreeMap::new();
        for offset in PARAMETERS.iter().map(|parameter| parameter.register) {
            if let Entry::Vacant(place) = values.entry(offset) {
                place.insert(read(offset)?);
            }
        }
        let mut geometry = Geometry {
            name: "custom",
            doc: "read from the accelerator",
            part: "unknown",
            ..Geometry::presets()[0].clone()
        };
        for parameter in &PARAMETERS {
            let value = values[&parameter.register] & parameter.mask;
            (parameter.set)(&mut geometry, value >> parameter.shift);
        }
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
            major: (version >> regs::version::MAJOR_SHIFT) as u16,
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
        for parameter in &PARAMETERS {
            let need = (parameter.get)(&needs.geometry);
            let have = (parameter.get)(&self.geometry);
            match parameter.fit {
                // The instruction stream and the weight images are laid out for the shape.
                Fit::Equal if need != have => {
                    differ(parameter.label, need.to_string(), have.to_string());
                }
                // A memory may be larger than the program was compiled for.
                Fit::Least if need > have => {
                    differ(
                        parameter.label,
                        format!("at least {need}"),
                        have.to_string(),
                    );
                }
                _ => {}
            }
        }
        found
    }
}

fn same_numbers(a: &Geometry, b: &Geometry) -> bool {
    PARAMETERS.iter().all(|p| (p.get)(a) == (p.get)(b))
}

fn check_possible(g: &Geometry) -> Result<(), IdentityError> {
    for parameter in &PARAMETERS {
        let value = (parameter.get)(g);
        if !(parameter.is_possible)(value) {
            return Err(IdentityError::Impossible {
                register: parameter.name,
                value,
                limit: parameter.limit,
            });
        }
    }
    Ok(())
}
