//! Compiled programs in device memory, one for each extent, made when first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fqbert_compiler::{CompileOptions, ConstantsLayout, pack_constants_in_parts};
use fqbert_contract::Bytes;
use fqbert_contract::device::{Allocation, BufferId, CpuBuffer, Device, DeviceBuffer, DeviceError};
use fqbert_contract::geometry::Geometry;
use fqbert_contract::program::{PerRegion, Placement, Program};
use fqbert_contract::verify::verify;
use fqbert_model::QuantizedModel;
use tracing::{debug, info_span};

use crate::batch::Extent;
use crate::error::{Doing, SessionError};

/// A program with the buffers it is bound to.
pub(crate) struct Loaded {
    pub program: Arc<Program>,
    pub code: DeviceBuffer,
    pub input: DeviceBuffer,
    pub output: DeviceBuffer,
}

impl Loaded {
    /// Puts the addresses of its buffers into the code and copies that.
    fn bind(&mut self, device: &mut dyn Device, constants: Allocation) -> Result<(), SessionError> {
        let placement = PerRegion {
            constants: place(constants),
            input: place(self.input.allocation()),
            output: place(self.output.allocation()),
        };
        let bytes = self.program.bind(&placement)?;
        self.code
            .refill(device, &[(Bytes(0), &bytes)])
            .doing("copying a program")
    }
}

/// Programs that were compiled and verified, for all sessions of one model on one geometry.
#[derive(Clone, Default)]
pub(crate) struct Compiled(Arc<Mutex<BTreeMap<Extent, Arc<Program>>>>);

impl Compiled {
    /// The program for an extent, compiled and verified the first time.
    fn get(
        &self,
        model: &QuantizedModel,
        geometry: &Geometry,
        extent: Extent,
    ) -> Result<Arc<Program>, SessionError> {
        // What is inside is whole whenever the lock is free: a panic elsewhere spoils nothing.
        let mut programs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = programs.get(&extent) {
            return Ok(program.clone());
        }
        let program = Arc::new(compile(model, geometry, extent)?);
        programs.insert(extent, program.clone());
        Ok(program)
    }
}

pub(crate) struct Programs {
    compiled: Compiled,
    constants: DeviceBuffer,
    loaded: BTreeMap<Extent, Loaded>,
    /// Buffers of loads that failed, until the device has taken them back.
    owed: Vec<BufferId>,
}

impl Programs {
    /// Packs a model's constants and copies them to the accelerator, one matrix after the other.
    pub fn new(
        device: &mut dyn Device,
        model: &QuantizedModel,
        geometry: &Geometry,
        compiled: Compiled,
    ) -> Result<Self, SessionError> {
        let size = ConstantsLayout::new(model, geometry).bytes;
        let _span = info_span!("constants", bytes = size).entered();
        let mut buffer =
            CpuBuffer::allocate(device, Bytes(size)).doing("allocating the model's constants")?;
        let packed = pack_constants_in_parts(model, geometry, |offset, part| {
            buffer
                .write(device, Bytes(offset), part)
                .doing("copying the model's constants")
        });
        if let Err(e) = packed {
            // The error that matters is the first.
            let _ = buffer.free(device);
            return Err(e);
        }
        let constants = buffer
            .into_device(device)
            .doing("syncing the model's constants")?;
        Ok(Self {
            compiled,
            constants,
            loaded: BTreeMap::new(),
            owed: Vec::new(),
        })
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
                let program = self.compiled.get(model, geometry, extent)?;
                repay(device, &mut self.owed);
                let constants = self.constants.allocation();
                let loaded = load(device, program, constants, &mut self.owed);
                if loaded.is_err() {
                    repay(device, &mut self.owed);
                }
                loaded?
            }
        };
        Ok(self.loaded.entry(extent).or_insert(loaded))
    }

    /// What was compiled, for a further session.
    pub fn compiled(&self) -> Compiled {
        self.compiled.clone()
    }

    /// Gives all memory back.
    pub fn free(mut self, device: &mut dyn Device) -> Result<(), SessionError> {
        let programs = self.loaded.into_values();
        let buffers = programs.flat_map(|loaded| [loaded.code, loaded.input, loaded.output]);
        // All are tried, whatever becomes of one.
        let freed: Vec<_> = buffers
            .chain([self.constants])
            .map(|buffer| buffer.free(device))
            .collect();
        repay(device, &mut self.owed);
        freed
            .into_iter()
            .collect::<Result<(), _>>()
            .doing("freeing device memory")
    }
}

fn place(a: Allocation) -> Placement {
    Placement {
        address: a.address,
        size: a.size,
    }
}

fn compile(
    model: &QuantizedModel,
    geometry: &Geometry,
    Extent {
        tokens: rows,
        block,
    }: Extent,
) -> Result<Program, SessionError> {
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
    Ok(program)
}

fn load(
    device: &mut dyn Device,
    program: Arc<Program>,
    constants: Allocation,
    owed: &mut Vec<BufferId>,
) -> Result<Loaded, SessionError> {
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
        owed,
    )?;
    let mut loaded = Loaded {
        program,
        code,
        input,
        output,
    };
    match loaded.bind(device, constants) {
        Ok(()) => Ok(loaded),
        Err(error) => {
            let Loaded {
                code,
                input,
                output,
                ..
            } = loaded;
            owed.extend([code, input, output].map(|b| b.allocation().id));
            Err(error)
        }
    }
}

/// All of these buffers, or none: then those that were there are owed to the device.
fn allocate<const N: usize>(
    device: &mut dyn Device,
    wanted: [(Bytes, &'static str); N],
    owed: &mut Vec<BufferId>,
) -> Result<[DeviceBuffer; N], SessionError> {
    let before = owed.len();
    let mut buffers = Vec::with_capacity(N);
    for (size, doing) in wanted {
        let buffer = CpuBuffer::allocate(device, size).doing(doing)?;
        owed.push(buffer.allocation().id);
        buffers.push(buffer.into_device(device).doing(doing)?);
    }
    let Ok(buffers) = <[DeviceBuffer; N]>::try_from(buffers) else {
        unreachable!("one buffer was made for each of {N} sizes")
    };
    owed.truncate(before);
    Ok(buffers)
}

/// Gives back what is owed. A device that does not take it now is asked again later.
fn repay(device: &mut dyn Device, owed: &mut Vec<BufferId>) {
    owed.retain(|buffer| {
        let freed = device.free(*buffer);
        !matches!(freed, Ok(()) | Err(DeviceError::UnknownBuffer(_)))
    });
}
