//! Compiled programs in device memory, one for each extent, made when first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fqbert_compiler::{CompileOptions, ConstantsLayout, pack_constants_in_parts};
use fqbert_contract::Bytes;
use fqbert_contract::device::{Allocation, CpuBuffer, Device, DeviceBuffer};
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

    fn free(self, device: &mut dyn Device) -> Result<(), SessionError> {
        free(device, [self.code, self.input, self.output])
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
            buffer.free(device).doing("freeing the model's constants")?;
            return Err(e);
        }
        let constants = buffer
            .into_device(device)
            .doing("syncing the model's constants")?;
        Ok(Self {
            compiled,
            constants,
            loaded: BTreeMap::new(),
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
                load(device, program, self.constants.allocation())?
            }
        };
        Ok(self.loaded.entry(extent).or_insert(loaded))
    }

    /// What was compiled, for a further session.
    pub fn compiled(&self) -> Compiled {
        self.compiled.clone()
    }

    /// Gives all memory back.
    pub fn free(self, device: &mut dyn Device) -> Result<(), SessionError> {
        let programs = self.loaded.into_values();
        let buffers = programs.flat_map(|loaded| [loaded.code, loaded.input, loaded.output]);
        free(device, buffers.chain([self.constants]))
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
        .doing("freeing device memory")
}
