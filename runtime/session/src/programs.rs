//! Compiled programs in device memory, one for each extent, made when first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fqbert_compiler::{CompileOptions, ConstantsLayout, pack_constants_in_parts, program_sha256};
use fqbert_contract::Bytes;
use fqbert_contract::device::{Allocation, BufferId, CpuBuffer, Device, DeviceBuffer, DeviceError};
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
    pub program: Arc<Program>,
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

    fn buffers(self) -> [DeviceBuffer; 3] {
        [self.code.buffer, self.input, self.output]
    }
}

/// A program that was compiled and verified.
#[derive(Clone)]
struct Ready {
    program: Arc<Program>,
    sha256: Arc<str>,
}

/// Programs that were compiled and verified, for all sessions of one model on one geometry.
#[derive(Clone, Default)]
pub(crate) struct Compiled(Arc<Mutex<BTreeMap<Extent, Ready>>>);

impl Compiled {
    /// The program for an extent, compiled and verified the first time.
    fn get(
        &self,
        model: &QuantizedModel,
        geometry: &Geometry,
        extent: Extent,
    ) -> Result<Ready, SessionError> {
        // What is inside is whole whenever the lock is free: a panic elsewhere spoils nothing.
        let mut programs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = programs.get(&extent) {
            return Ok(ready.clone());
        }
        let program = Arc::new(compile(model, geometry, extent)?);
        let sha256 = program_sha256(&program)?.into();
        let ready = Ready { program, sha256 };
        programs.insert(extent, ready.clone());
        Ok(ready)
    }
}

pub(crate) struct Programs {
    compiled: Compiled,
    constants: Kept,
    loaded: BTreeMap<Extent, Loaded>,
    /// Buffers of loads that failed, until the device has taken them back.
    owed: Vec<BufferId>,
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
        compiled: Compiled,
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
            // The error that matters is the first.
            let _ = buffer.free(device);
            return Err(e);
        }
        let buffer = buffer
            .into_device(device)
            .doing("syncing the model's constants")?;
        let mut programs = Self {
            compiled,
            constants: Kept {
                buffer,
                digests,
                content: Content::Constants,
            },
            loaded: BTreeMap::new(),
            owed: Vec::new(),
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
                let ready = self.compiled.get(model, geometry, extent)?;
                repay(device, &mut self.owed);
                let loaded = self.load(device, ready, extent);
                if loaded.is_err() {
                    repay(device, &mut self.owed);
                }
                loaded?
            }
        };
        Ok(self.loaded.entry(extent).or_insert(loaded))
    }

    /// A program's buffers, with the program inside and looked at.
    fn load(
        &mut self,
        device: &mut dyn Device,
        ready: Ready,
        extent: Extent,
    ) -> Result<Loaded, SessionError> {
        let constants = self.constants.allocation();
        let mut loaded = load(device, ready, extent, &mut self.owed)?;
        let mut fill = || {
            loaded.bind(device, constants)?;
            if self.check {
                self.repaired += loaded.repair(device, constants)?.len() as u64;
            }
            Ok(())
        };
        match fill() {
            Ok(()) => Ok(loaded),
            Err(error) => {
                let buffers = loaded.buffers().map(|b| b.allocation().id);
                self.owed.extend(buffers);
                Err(error)
            }
        }
    }

    /// What was compiled, for a further session.
    pub fn compiled(&self) -> Compiled {
        self.compiled.clone()
    }

    /// Gives all memory back.
    pub fn free(mut self, device: &mut dyn Device) -> Result<(), SessionError> {
        let buffers = self.loaded.into_values().flat_map(Loaded::buffers);
        // All are tried, whatever becomes of one.
        let freed: Vec<_> = buffers
            .chain([self.constants.buffer])
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

/// A program with its buffers, which hold nothing yet.
fn load(
    device: &mut dyn Device,
    Ready { program, sha256 }: Ready,
    extent: Extent,
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
    Ok(Loaded {
        program,
        sha256,
        code: Kept {
            buffer: code,
            digests: Digests::default(),
            content: Content::Code(extent),
        },
        input,
        output,
    })
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
