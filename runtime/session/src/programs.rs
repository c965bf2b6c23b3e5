//! Compiled programs in device memory, one for each extent, made when first needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use fqbert_compiler::{CompileOptions, ConstantsLayout, pack_constants_in_parts, program_sha256};
use fqbert_contract::Bytes;
use fqbert_contract::device::{Allocation, CpuBuffer, Device, DeviceBuffer};
use fqbert_contract::geometry::Geometry;
use fqbert_contract::program::{PerRegion, Placement, Program};
use fqbert_contract::verify::verify;
use fqbert_model::QuantizedModel;
use tracing::{debug, info_span};

use crate::batch::Extent;
use crate::damage::{Content, Damage};
use crate::error::{Doing, SessionError};
use crate::integrity::{Digests, Kept};

/// A program with the buffers it is bound to.
pub(crate) struct Loaded {
    pub program: Program,
    /// SHA-256 of the program.
    pub sha256: Arc<str>,
    pub code: Kept,
    pub input: DeviceBuffer,
    pub output: DeviceBuffer,
}

impl Loaded {
    /// Puts the addresses of its buffers into the code and copies that.
    fn bind(&mut self, device: &mut dyn Device, constants: Allocation) -> Result<(), SessionError> {
        let bytes = self.program.bind(&self.placement(constants))?;
        self.code.digests.add(0, &bytes);
        self.code
            .buffer
            .refill(device, &[(Bytes(0), &bytes)])
            .doing("copying a program")
    }

    /// Reads the code back and writes again what differs.
    fn repair(
        &mut self,
        device: &mut dyn Device,
        constants: Allocation,
    ) -> Result<Vec<Damage>, SessionError> {
        let placement = self.placement(constants);
        let program = &self.program;
        self.code
            .repair(device, |write| write(0, &program.bind(&placement)?))
    }

    fn placement(&self, constants: Allocation) -> PerRegion<Placement> {
        PerRegion {
            constants: place(constants),
            input: place(self.input.allocation()),
            output: place(self.output.allocation()),
        }
    }

    fn free(self, device: &mut dyn Device) -> Result<(), SessionError> {
        free(device, [self.code.buffer, self.input, self.output])
    }
}

pub(crate) struct Programs {
    constants: Kept,
    loaded: BTreeMap<Extent, Loaded>,
    /// Code is read back when it has been written.
    check: bool,
    /// Blocks that were written again.
    repaired: u64,
}

impl Programs {
    /// Packs a model's constants and copies them to the accelerator, one matrix after the other;
    /// with `check` they are read back, and so will be the programs.
    pub fn new(
        device: &mut dyn Device,
        model: &QuantizedModel,
        geometry: &Geometry,
        check: bool,
    ) -> Result<Self, SessionError> {
        let size = ConstantsLayout::new(model, geometry).bytes;
        let _span = info_span!("constants", bytes = size).entered();
        let mut buffer =
            CpuBuffer::allocate(device, Bytes(size)).doing("allocating the model's constants")?;
        let mut digests = Digests::default();
        let packed = pack_constants_in_parts(model, geometry, |offset, part| {
            digests.add(offset, part);
            buffer
                .write(device, Bytes(offset), part)
                .doing("copying the model's constants")
        });
        if let Err(e) = packed {
            buffer.free(device).doing("freeing the model's constants")?;
            return Err(e);
        }
        let buffer = buffer
            .into_device(device)
            .doing("syncing the model's constants")?;
        let mut programs = Self {
            constants: Kept {
                buffer,
                digests,
                content: Content::Constants,
            },
            loaded: BTreeMap::new(),
            check,
            repaired: 0,
        };
        if check && let Err(error) = programs.scrub(device, model, geometry) {
            // The error that matters is the first.
            let _ = programs.free(device);
            return Err(error);
        }
        Ok(programs)
    }

    /// Reads code and constants back and writes again what differs. How many bytes, and what
    /// differed.
    pub fn scrub(
        &mut self,
        device: &mut dyn Device,
        model: &QuantizedModel,
        geometry: &Geometry,
    ) -> Result<(Bytes, Vec<Damage>), SessionError> {
        let _span = info_span!("read back").entered();
        let mut bytes = self.constants.bytes();
        let mut damage = self.constants.repair(device, |write| {
            pack_constants_in_parts(model, geometry, write).map(|_| ())
        })?;
        let constants = self.constants.allocation();
        for loaded in self.loaded.values_mut() {
            bytes += loaded.code.bytes();
            damage.extend(loaded.repair(device, constants)?);
        }
        self.repaired += damage.len() as u64;
        Ok((Bytes(bytes), damage))
    }

    /// Blocks that were written again.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// The program for an extent, compiled, verified and copied if it is not there yet.
    pub fn get(
        &mut self,
        device: &mut dyn Device,
        model: &QuantizedModel,
        geometry: &Geometry,
        extent: Extent,
    ) -> Result<&mut Loaded, SessionError> {
        let loaded = match self.loaded.remove(&extent) {
            Some(loaded) => loaded,
            None => {
                let constants = self.constants.allocation();
                let mut loaded = load(device, model, geometry, extent, constants)?;
                if self.check {
                    match loaded.repair(device, constants) {
                        Ok(damage) => self.repaired += damage.len() as u64,
                        Err(error) => {
                            let _ = loaded.free(device);
                            return Err(error);
                        }
                    }
                }
                loaded
            }
        };
        Ok(self.loaded.entry(extent).or_insert(loaded))
    }

    /// Gives all memory back.
    pub fn free(self, device: &mut dyn Device) -> Result<(), SessionError> {
        for loaded in self.loaded.into_values() {
            loaded.free(device)?;
        }
        self.constants
            .buffer
            .free(device)
            .doing("freeing the model's constants")
    }
}

fn place(a: Allocation) -> Placement {
    Placement {
        address: a.address,
        size: a.size,
    }
}

fn load(
    device: &mut dyn Device,
    model: &QuantizedModel,
    geometry: &Geometry,
    extent: Extent,
    constants: Allocation,
) -> Result<Loaded, SessionError> {
    let Extent {
        tokens: rows,
        block,
    } = extent;
    let _span = info_span!("compile", rows, block).entered();
    let options = CompileOptions {
        block: Some(block),
        ..CompileOptions::default()
    };
    let program = fqbert_compiler::compile(model, geometry, rows, &options)?;
    let report = verify(&program, geometry).map_err(|violations| SessionError::Verify {
        sequence: rows,
        violations,
    })?;
    debug!(
        instructions = report.instructions,
        cycles = report.cycles,
        "verified"
    );
    let sha256 = program_sha256(&program)?.into();
    let missing = device.capabilities().differences(&program.requirements);
    if !missing.is_empty() {
        return Err(SessionError::Incompatible(missing));
    }
    let [input, output, code] = allocate(
        device,
        [
            (program.sizes.input, "allocating an input buffer"),
            (program.sizes.output, "allocating an output buffer"),
            (program.code_bytes(), "allocating a program"),
        ],
    )?;
    let mut loaded = Loaded {
        program,
        sha256,
        code: Kept {
            buffer: code,
            digests: Digests::default(),
            content: Content::Code(extent),
        },
        input,
        output,
    };
    match loaded.bind(device, constants) {
        Ok(()) => Ok(loaded),
        Err(error) => {
            // The error that matters is the first.
            let _ = loaded.free(device);
            Err(error)
        }
    }
}

/// All of these buffers, or none.
fn allocate<const N: usize>(
    device: &mut dyn Device,
    wanted: [(Bytes, &'static str); N],
) -> Result<[DeviceBuffer; N], SessionError> {
    let mut buffers = Vec::with_capacity(N);
    for (size, doing) in wanted {
        let buffer = CpuBuffer::allocate(device, size).and_then(|b| b.into_device(device));
        match buffer.doing(doing) {
            Ok(buffer) => buffers.push(buffer),
            Err(error) => {
                free(device, buffers)?;
                return Err(error);
            }
        }
    }
    let Ok(buffers) = <[DeviceBuffer; N]>::try_from(buffers) else {
        unreachable!("one buffer was made for each of {N} sizes")
    };
    Ok(buffers)
}

fn free(
    device: &mut dyn Device,
    buffers: impl IntoIterator<Item = DeviceBuffer>,
) -> Result<(), SessionError> {
    // All are tried, whatever becomes of one.
    let freed: Vec<_> = buffers.into_iter().map(|b| b.free(device)).collect();
    freed
        .into_iter()
        .collect::<Result<(), _>>()
        .doing("freeing a program's buffers")
}
