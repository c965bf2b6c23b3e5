//! A relocatable instruction stream and its binding to device addresses.

use crate::address::{Bytes, DeviceAddress};
use crate::capability::Requirements;
use crate::isa::{INSTRUCTION_BYTES, Instruction, Operation};

/// A buffer of device memory that a program refers to. The address of a LOAD or STORE is an offset
/// into one of them until bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// Weights, parameters and tables of a model: shared by all its programs.
    Constants,
    /// What the host writes for each run: embedded tokens and softmax ranges.
    Input,
    /// What the accelerator writes.
    Output,
}

impl Region {
    /// All regions.
    pub const ALL: [Region; 3] = [Region::Constants, Region::Input, Region::Output];

    /// Name for messages and listings.
    pub fn name(self) -> &'static str {
        match self {
            Region::Constants => "constants",
            Region::Input => "input",
            Region::Output => "output",
        }
    }
}

/// One value for each region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerRegion<T> {
    /// For [`Region::Constants`].
    pub constants: T,
    /// For [`Region::Input`].
    pub input: T,
    /// For [`Region::Output`].
    pub output: T,
}

impl<T> PerRegion<T> {
    /// The value of a region.
    pub fn get(&self, region: Region) -> &T {
        match region {
            Region::Constants => &self.constants,
            Region::Input => &self.input,
            Region::Output => &self.output,
        }
    }
}

/// A part of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

impl Span {
    /// One past the last byte.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// A LOAD or STORE whose address is an offset into a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Index of the instruction.
    pub instruction: u32,
    /// The region its address counts from.
    pub region: Region,
}

/// A compiled program: static, for one model, sequence bucket and geometry; any addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What it needs of a device.
    pub requirements: Requirements,
    /// Tokens of the sequence bucket, padding included.
    pub sequence: u32,
    /// Hidden size: channels of the input and output matrices.
    pub hidden: u32,
    /// The instructions; addresses of LOAD and STORE are offsets into their regions.
    pub instructions: Vec<Instruction>,
    /// One for each LOAD and STORE, in order of instruction.
    pub relocations: Vec<Relocation>,
    /// Size of each region.
    pub sizes: PerRegion<Bytes>,
    /// Where the host writes the 8-bit input (ACT image) in the input region.
    pub input_x8: Span,
    /// Where the host writes the 16-bit input (RESX image) in the input region.
    pub input_x16: Span,
    /// Where the host writes the softmax ranges (RNG image) in the input region.
    pub input_ranges: Span,
    /// Where the accelerator writes the last layer's y16 (RESX image) in the output region.
    pub output_y16: Span,
}

/// Why a program cannot be bound.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BindError {
    /// A buffer is smaller than its region.
    #[error("the {region} buffer has {found}, the program needs {needed}")]
    TooSmall {
        /// Name of the region.
        region: &'static str,
        /// Size of the buffer.
        found: Bytes,
        /// Size of the region.
        needed: Bytes,
    },
    /// A buffer is not aligned for DMA.
    #[error("the {region} buffer at {address} is not aligned to {alignment} bytes")]
    Misaligned {
        /// Name of the region.
        region: &'static str,
        /// Address of the buffer.
        address: DeviceAddress,
        /// Alignment a beat needs.
        alignment: u64,
    },
    /// A buffer ends past the last address.
    #[error("the {region} buffer of {size} at {address} does not fit the address space")]
    Beyond {
        /// Name of the region.
        region: &'static str,
        /// Address of the buffer.
        address: DeviceAddress,
        /// Size of the buffer.
        size: Bytes,
    },
    /// Two buffers share bytes.
    #[error("the {first} and {second} buffers overlap")]
    Overlap {
        /// Name of one region.
        first: &'static str,
        /// Name of the other.
        second: &'static str,
    },
    /// An instruction would leave its buffer.
    #[error(
        "instruction {index} ({mnemonic}) touches bytes {start}..{end} \
         of the {region} region of {size}"
    )]
    OutOfRegion {
        /// Index of the instruction.
        index: u32,
        /// Its mnemonic.
        mnemonic: &'static str,
        /// Name of the region.
        region: &'static str,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
        /// Size of the region.
        size: Bytes,
    },
    /// An instruction's address is not one of a beat.
    #[error(
        "instruction {index} ({mnemonic}) begins at byte {start} of the {region} region, \
         which is not a multiple of {DMA_ALIGNMENT}"
    )]
    Unaligned {
        /// Index of the instruction.
        index: u32,
        /// Its mnemonic.
        mnemonic: &'static str,
        /// Name of the region.
        region: &'static str,
        /// First byte.
        start: u64,
    },
    /// A LOAD or STORE without relocation, or a relocation of something else.
    #[error("instruction {index} ({mnemonic}): relocations do not match the loads and stores")]
    Relocation {
        /// Index of the instruction.
        index: u32,
        /// Its mnemonic.
        mnemonic: &'static str,
    },
    /// An instruction has a value that its field cannot hold.
    #[error("instruction {index} ({mnemonic}) cannot be encoded: {reason}")]
    Encode {
        /// Index of the instruction.
        index: u32,
        /// Its mnemonic.
        mnemonic: &'static str,
        /// The codec's reason.
        reason: String,
    },
}

impl BindError {
    /// The instruction it is about.
    pub fn instruction(&self) -> Option<u32> {
        match self {
            Self::TooSmall { .. } | Self::Misaligned { .. } | Self::Overlap { .. } => None,
            Self::Beyond { .. } => None,
            Self::OutOfRegion { index, .. }
            | Self::Unaligned { index, .. }
            | Self::Relocation { index, .. }
            | Self::Encode { index, .. } => Some(*index),
        }
    }
}

/// Alignment of every DMA address.
pub const DMA_ALIGNMENT: u64 = 16;

/// A buffer for a region: where it is and how large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// First byte.
    pub address: DeviceAddress,
    /// Size.
    pub size: Bytes,
}

impl Program {
    /// Bytes of the instruction stream.
    pub fn code_bytes(&self) -> Bytes {
        Bytes((self.instructions.len() * INSTRUCTION_BYTES) as u64)
    }

    /// The region and byte range that a LOAD or STORE touches; `None` for other instructions.
    pub fn memory_access(operation: &Operation) -> Option<(u64, u64)> {
        let (address, beats) = match operation {
            Operation::Load(l) => (l.address, l.beats),
            Operation::Store(s) => (s.address, s.beats),
            _ => return None,
        };
        Some((
            address,
            address.saturating_add(u64::from(beats) * DMA_ALIGNMENT),
        ))
    }

    /// Patches every address and encodes the stream, checking that each access begins at a multiple
    /// of [`DMA_ALIGNMENT`] and lies inside its buffer.
    pub fn bind(&self, placement: &PerRegion<Placement>) -> Result<Vec<u8>, BindError> {
        self.check_placement(placement)?;
        let mut relocations = self.relocations.iter().peekable();
        let mut code = Vec::with_capacity(self.instructions.len() * INSTRUCTION_BYTES);
        for (index, instruction) in self.instructions.iter().enumerate() {
            let index = index as u32;
            let mnemonic = instruction.operation.mnemonic();
            let mut bound = *instruction;
            let here = relocations.next_if(|r| r.instruction == index);
            match (Self::memory_access(&instruction.operation), here) {
                (None, None) => {}
                (Some(bytes), Some(relocation)) => {
                    self.check_access(relocation, mnemonic, bytes)?;
                    let base = placement.get(relocation.region).address.0;
                    match &mut bound.operation {
                        Operation::Load(l) => l.address = base.saturating_add(l.address),
                        Operation::Store(s) => s.address = base.saturating_add(s.address),
                        _ => return Err(BindError::Relocation { index, mnemonic }),
                    }
                }
                _ => return Err(BindError::Relocation { index, mnemonic }),
            }
            let words = bound.encode().map_err(|e| BindError::Encode {
                index,
                mnemonic,
                reason: e.to_string(),
            })?;
            code.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        }
        if let Some(left) = relocations.next() {
            return Err(BindError::Relocation {
                index: left.instruction,
                mnemonic: "beyond the program",
            });
        }
        Ok(code)
    }

    /// Large enough, aligned, within the address space, apart.
    fn check_placement(&self, placement: &PerRegion<Placement>) -> Result<(), BindError> {
        for name in Region::ALL {
            let (p, needed) = (placement.get(name), *self.sizes.get(name));
            let region = name.name();
            if p.size < needed {
                return Err(BindError::TooSmall {
                    region,
                    found: p.size,
                    needed,
                });
            }
            if p.address.0 % DMA_ALIGNMENT != 0 {
                return Err(BindError::Misaligned {
                    region,
                    address: p.address,
                    alignment: DMA_ALIGNMENT,
                });
            }
            if p.address.checked_add(p.size).is_none() {
                return Err(BindError::Beyond {
                    region,
                    address: p.address,
                    size: p.size,
                });
            }
        }
        for (i, first) in Region::ALL.into_iter().enumerate() {
            for second in Region::ALL.into_iter().skip(i + 1) {
                let (a, b) = (placement.get(first), placement.get(second));
                let disjoint =
                    a.address.0 + a.size.0 <= b.address.0 || b.address.0 + b.size.0 <= a.address.0;
                if !disjoint && a.size.0 > 0 && b.size.0 > 0 {
                    return Err(BindError::Overlap {
                        first: first.name(),
                        second: second.name(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether the bytes that an instruction touches are beats of its region.
    fn check_access(
        &self,
        relocation: &Relocation,
        mnemonic: &'static str,
        (start, end): (u64, u64),
    ) -> Result<(), BindError> {
        let (index, region) = (relocation.instruction, relocation.region.name());
        let size = *self.sizes.get(relocation.region);
        if end > size.0 {
            return Err(BindError::OutOfRegion {
                index,
                mnemonic,
                region,
                start,
                end,
                size,
            });
        }
        if !start.is_multiple_of(DMA_ALIGNMENT) {
            return Err(BindError::Unaligned {
                index,
                mnemonic,
                region,
                start,
            });
        }
        Ok(())
    }
}
