//! Compiled programs in device memory, one for each extent, made when first needed.

use std::collections::BTreeMap;

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
    pub program: Program,
    pub code: DeviceBuffer,
    pub input: DeviceBuffer,
    pub output: DeviceBuffer,
}

pub(crate) struct Programs {
    constants: DeviceBuffer,
    loaded: BTreeMap<Extent, Loaded>,
}

impl Programs {
    /// Packs a model's constants and copies them to the accelerator, one matrix after the other.
    pub fn new(
        device: &mut dyn Device,
        model: &QuantizedModel,
        geometry: &Geometry,
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
            None => load(device, model, geometry, extent, self.constants.allocation())?,
        };
        Ok(self.loaded.entry(extent).or_insert(loaded))
    }

    /// Gives all memory back.
    pub fn free(self, device: &mut dyn Device) -> Result<(), SessionError> {
        for loaded in self.loaded.into_values() {
            for buffer in [loaded.code, loaded.input, loaded.output] {
                buffer.free(device).doing("freeing a program's buffers")?;
            }
        }
        self.constants
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
    Extent {
        tokens: rows,
        block,
    }: Extent,
    constants: Allocation,
) -> Result<Loaded, SessionError> {
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
    let missing = device.capabilities().differences(&program.requirements);
    if !missing.is_empty() {
        return Err(SessionError::Incompatible(missing));
    }
    let mut allocate = |size, doing| -> Result<DeviceBuffer, SessionError> {
        CpuBuffer::allocate(device, size)
            .and_then(|b| b.into_device(device))
            .doing(doing)
    };
    let input = allocate(program.sizes.input, "allocating an input buffer")?;
    let output = allocate(program.sizes.output, "allocating an output buffer")?;
    let mut code = allocate(program.code_bytes(), "allocating a program")?;
    let placement = PerRegion {
        constants: place(constants),
        input: place(input.allocation()),
        output: place(output.allocation()),
    };
    let bytes = program.bind(&placement)?;
    code.refill(device, &[(Bytes(0), &bytes)])
        .doing("copying a program")?;
    Ok(Loaded {
        program,
        code,
        input,
        output,
    })
}
