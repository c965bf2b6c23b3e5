//! One run of the accelerator: input laid out, one doorbell, one wait, output taken apart.

use std::time::Instant;

use fqbert_contract::Bytes;
use fqbert_contract::device::{Device, DeviceError};
use fqbert_contract::isa::{FaultCause, Instruction};
use fqbert_contract::layout;
use fqbert_contract::registers as regs;
use fqbert_host::Tokens;
use tracing::{info_span, warn};

use super::Session;
use crate::batch::{Extent, Run};
use crate::error::{Doing, SessionError};
use crate::post_mortem::PostMortem;
use crate::programs::Loaded;

impl Session {
    /// One run: y16 of each of its sequences, `[tokens][hidden]`. Sequences are at least one token
    /// and fit the bucket together.
    pub(super) fn execute(
        &mut self,
        run: &Run,
        sequences: &[Tokens],
    ) -> Result<Vec<Vec<i16>>, SessionError> {
        let Extent {
            tokens: rows,
            block,
        } = run.extent;
        let span = info_span!("run", rows, block, sequences = run.sequences.len());
        let _span = span.enter();
        let hidden = self.host.hidden();
        let rows = rows as usize;
        let (mut x8, mut x16) = (vec![0; rows * hidden], vec![0; rows * hidden]);
        // Rows of no sequence see no key.
        let mut ranges = vec![(0, 0); rows];
        let mut places = Vec::with_capacity(run.sequences.len());
        {
            let _span = info_span!("embed").entered();
            for (index, row) in &run.sequences {
                let Some(tokens) = sequences.get(*index) else {
                    continue;
                };
                let input = self.host.embed(tokens)?;
                let start = row % block;
                let keys = (start as u16, (start as usize + tokens.len()) as u16);
                let own = *row as usize..*row as usize + tokens.len();
                ranges[own.clone()].fill(keys);
                x8[own.start * hidden..own.end * hidden].copy_from_slice(&input.x8);
                x16[own.start * hidden..own.end * hidden].copy_from_slice(&input.x16);
                places.push(own);
            }
        }
        let images = [
            layout::pack_act(&self.geometry, &x8, rows, hidden)?,
            layout::pack_res(&self.geometry, &x16, rows, hidden)?,
            layout::pack_ranges(&ranges, rows)?,
        ];
        let mut attempt = 0;
        let output = loop {
            attempt += 1;
            match self.attempt(run.extent, &images) {
                Err(Failed::Again(post_mortem)) if attempt <= self.options.retries => {
                    warn!(
                        %post_mortem,
                        attempt, "no interrupt before the deadline: reset and replay"
                    );
                    self.statistics.recoveries += 1;
                    self.recover()?;
                }
                Err(Failed::Again(post_mortem)) => {
                    self.recover()?;
                    let deadline_ms = self.options.deadline.as_millis() as u64;
                    return Err(SessionError::Hang {
                        deadline_ms,
                        attempts: attempt,
                        post_mortem,
                    });
                }
                Err(Failed::Final(e)) => return Err(e),
                Ok(bytes) => break bytes,
            }
        };
        let y16 = layout::unpack_res(&self.geometry, &output, rows, hidden)?;
        let results = places.into_iter().map(|own| {
            self.statistics.sequences += 1;
            self.statistics.tokens += own.len() as u64;
            y16[own.start * hidden..own.end * hidden].to_vec()
        });
        Ok(results.collect())
    }

    /// Writes the input, rings once, waits once, reads the output.
    fn attempt(&mut self, extent: Extent, images: &[Vec<u8>; 3]) -> Result<Vec<u8>, Failed> {
        let device = self.device.as_mut();
        let loaded = self
            .programs
            .get(device, &self.model, &self.geometry, extent)?;
        let program = &loaded.program;
        let spans = [program.input_x8, program.input_x16, program.input_ranges];
        let parts: Vec<(Bytes, &[u8])> = spans
            .iter()
            .zip(images)
            .map(|(s, image)| (Bytes(s.offset), image.as_slice()))
            .collect();
        loaded
            .input
            .refill(device, &parts)
            .doing("writing the input")?;
        let address = loaded.code.allocation().address;
        let length = program.instructions.len() as u32;
        for (register, value) in [
            (regs::PROGRAM_ADDRESS_LOW, address.low()),
            (regs::PROGRAM_ADDRESS_HIGH, address.high()),
            (regs::PROGRAM_LENGTH, length),
            (regs::DOORBELL, 1),
        ] {
            device
                .write32(register, value)
                .doing("ringing the doorbell")?;
        }
        self.statistics.runs += 1;
        let waited = {
            let _span = info_span!("wait").entered();
            device.wait_interrupt(Instant::now() + self.options.deadline)
        };
        let instructions = &loaded.program.instructions;
        match waited {
            Ok(count) => self.interrupts = count,
            // One lost or spurious interrupt does not make the run invalid: STATUS decides.
            Err(DeviceError::InterruptCount { after, .. }) => {
                warn!(
                    before = self.interrupts,
                    after, "interrupts were lost or spurious"
                );
                self.interrupts = after;
            }
            Err(DeviceError::Timeout { .. }) => {}
            Err(source) => {
                return Err(Failed::Final(SessionError::Device {
                    doing: "waiting for the accelerator",
                    source,
                }));
            }
        }
        let status = device.read32(regs::STATUS).doing("reading STATUS")?;
        device
            .write32(regs::IRQ_STATUS, regs::irq::DONE | regs::irq::FAULT)
            .doing("clearing the interrupt")?;
        if status & regs::status::FAULT != 0 {
            let post_mortem = Box::new(autopsy(device, instructions, self.interrupts)?);
            let cause = post_mortem.cause.unwrap_or(FaultCause::None);
            self.recover()?;
            return Err(Failed::Final(SessionError::Fault { cause, post_mortem }));
        }
        if status & regs::status::DONE == 0 {
            return Err(Failed::Again(Box::new(autopsy(
                device,
                instructions,
                self.interrupts,
            )?)));
        }
        let low = device.read32(regs::CYCLES_LOW).doing("reading CYCLES")?;
        let high = device.read32(regs::CYCLES_HIGH).doing("reading CYCLES")?;
        self.statistics.last_cycles = u64::from(low) | u64::from(high) << 32;
        self.statistics.cycles += self.statistics.last_cycles;
        Ok(read_output(device, loaded)?)
    }
}

/// How an attempt failed.
enum Failed {
    /// The accelerator gave no answer: worth a reset and another attempt.
    Again(Box<PostMortem>),
    Final(SessionError),
}

impl<E: Into<SessionError>> From<E> for Failed {
    fn from(e: E) -> Self {
        Failed::Final(e.into())
    }
}

/// The registers of a device that failed.
fn autopsy(
    device: &mut dyn Device,
    instructions: &[Instruction],
    interrupts: u32,
) -> Result<PostMortem, SessionError> {
    PostMortem::read(device, instructions, interrupts).doing("reading registers after a failure")
}

fn read_output(device: &mut dyn Device, loaded: &Loaded) -> Result<Vec<u8>, SessionError> {
    let span = loaded.program.output_y16;
    let mut bytes = vec![0; span.length as usize];
    loaded
        .output
        .fetch(device, Bytes(span.offset), &mut bytes)
        .doing("reading the output")?;
    Ok(bytes)
}
