//! A model bound to a fabric: token ids in, head outputs out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fqbert_checkpoint::HeadOutput;
use fqbert_compiler::{CompileError, CompileOptions};
use fqbert_contract::geometry::Geometry;
use fqbert_contract::isa::{FaultCause, Instruction};
use fqbert_contract::layout;
use fqbert_contract::registers as regs;
use fqbert_contract::seam::{Fabric, FabricError};
use fqbert_contract::{Bytes, DeviceAddress};
use fqbert_model::QuantizedModel;
use tracing::{info_span, warn};

use crate::batch::{self, Run, Tokens};
use crate::error::{Doing, SessionError};
use crate::host::Host;
use crate::post_mortem::PostMortem;
use crate::programs::{Loaded, Programs};

/// How a session behaves.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// How long one run may take before the fabric counts as hung.
    pub deadline: Duration,
    /// How often a run is tried again after a hang or a lost interrupt, each time after a reset.
    pub retries: u32,
    /// Pack short sequences of one batch into runs of this many tokens; `None` gives each a run of its own. The results are the same bit for bit.
    pub pack: Option<u32>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(60),
            retries: 1,
            pack: Some(128),
        }
    }
}

/// Counts of a session since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStatistics {
    /// Doorbells rung.
    pub runs: u64,
    /// Sequences answered.
    pub sequences: u64,
    /// Tokens of those sequences.
    pub tokens: u64,
    /// Cycles that the fabric counted, all runs together.
    pub cycles: u64,
    /// Cycles of the last run.
    pub last_cycles: u64,
    /// Resets after a hang or a lost interrupt.
    pub recoveries: u64,
}

/// The sequence buckets of a model on a geometry, ascending, at least one.
///
/// # Errors
/// The compiler's reason why not even the shortest fits.
pub fn fitting_buckets(
    geometry: &Geometry,
    model: &QuantizedModel,
) -> Result<Vec<u32>, CompileError> {
    let buckets = fqbert_compiler::buckets(geometry, model);
    if buckets.is_empty() {
        let shortest = geometry.rows.max(geometry.lanes);
        fqbert_compiler::compile(model, geometry, shortest, &CompileOptions::default())?;
    }
    Ok(buckets)
}

/// A model bound to a fabric.
pub struct Session {
    fabric: Box<dyn Fabric>,
    model: Arc<QuantizedModel>,
    host: Host,
    programs: Programs,
    geometry: Geometry,
    buckets: Vec<u32>,
    options: SessionOptions,
    statistics: RunStatistics,
    interrupts: u32,
}

impl Session {
    /// Binds a model to a fabric: checks that they fit, resets the fabric and copies the weights.
    pub fn new(
        model: Arc<QuantizedModel>,
        mut fabric: Box<dyn Fabric>,
        options: SessionOptions,
    ) -> Result<Self, SessionError> {
        let _span = info_span!("open session").entered();
        let host = Host::new(&model)?;
        let geometry = fabric.capabilities().geometry.clone();
        let buckets = fitting_buckets(&geometry, &model)?;
        fabric.reset().doing("resetting the fabric")?;
        let programs = Programs::new(fabric.as_mut(), &model, &geometry)?;
        let mut session = Self {
            fabric,
            model,
            host,
            programs,
            geometry,
            buckets,
            options,
            statistics: RunStatistics::default(),
            interrupts: 0,
        };
        session
            .configure()
            .doing("setting up the fabric's registers")?;
        Ok(session)
    }

    /// The model.
    pub fn model(&self) -> &QuantizedModel {
        &self.model
    }

    /// The fabric, to look at.
    pub fn fabric(&self) -> &dyn Fabric {
        self.fabric.as_ref()
    }

    /// Sequence buckets, ascending; the last is the longest sequence.
    pub fn buckets(&self) -> &[u32] {
        &self.buckets
    }

    /// The longest sequence in tokens: of the model's positions and of the programs that fit the fabric.
    pub fn longest(&self) -> usize {
        let bucket = self.buckets.last().copied().unwrap_or(0) as usize;
        bucket.min(self.model.config.max_sequence())
    }

    /// What has been run so far.
    pub fn statistics(&self) -> RunStatistics {
        self.statistics
    }

    /// Compiles and loads the program that sequences of this length take, so that the first answer does not wait for it.
    pub fn prepare(&mut self, tokens: usize) -> Result<(), SessionError> {
        let bucket = self.bucket_for(tokens)?;
        self.programs
            .get(self.fabric.as_mut(), &self.model, &self.geometry, bucket)?;
        Ok(())
    }

    /// One sequence to its head's output.
    pub fn run(&mut self, tokens: &Tokens) -> Result<HeadOutput, SessionError> {
        let states = self.hidden_states(tokens)?;
        Ok(self.host.head(&states)?)
    }

    /// One sequence to its hidden states after the last layer, `[tokens][hidden]`.
    pub fn hidden_states(&mut self, tokens: &Tokens) -> Result<Vec<f32>, SessionError> {
        let bucket = self.bucket_for(tokens.len())?;
        let run = Run {
            bucket,
            sequences: vec![0],
        };
        let y16 = self.execute(&run, std::slice::from_ref(tokens))?;
        Ok(self
            .host
            .hidden_states(y16.first().map(Vec::as_slice).unwrap_or_default()))
    }

    /// Many sequences, of any lengths, to their heads' outputs in the same order.
    pub fn run_batch(&mut self, sequences: &[Tokens]) -> Result<Vec<HeadOutput>, SessionError> {
        self.run_batch_with(sequences, |_| ())
    }

    /// As [`Session::run_batch`]; `done` is called with the number of sequences answered after each run.
    pub fn run_batch_with(
        &mut self,
        sequences: &[Tokens],
        mut done: impl FnMut(usize),
    ) -> Result<Vec<HeadOutput>, SessionError> {
        for tokens in sequences {
            self.bucket_for(tokens.len())?;
        }
        let lengths: Vec<usize> = sequences.iter().map(Tokens::len).collect();
        let mut outputs: Vec<Option<HeadOutput>> = vec![None; sequences.len()];
        let mut answered = 0;
        for run in batch::plan(&lengths, &self.buckets, self.options.pack) {
            let results = self.execute(&run, sequences)?;
            for (index, y16) in run.sequences.iter().zip(&results) {
                let states = self.host.hidden_states(y16);
                outputs[*index] = Some(self.host.head(&states)?);
            }
            answered += results.len();
            done(answered);
        }
        // The plan names every sequence once.
        Ok(outputs.into_iter().flatten().collect())
    }

    /// Frees the fabric's memory and returns the fabric.
    pub fn close(self) -> Result<Box<dyn Fabric>, SessionError> {
        let Self {
            mut fabric,
            programs,
            ..
        } = self;
        programs.free(fabric.as_mut())?;
        Ok(fabric)
    }

    fn bucket_for(&self, tokens: usize) -> Result<u32, SessionError> {
        if tokens == 0 {
            return Err(crate::error::HostError::from(fqbert_checkpoint::InputError::Empty).into());
        }
        let longest = self.longest();
        if tokens > longest {
            return Err(SessionError::TooLong { tokens, longest });
        }
        let fits = |b: &&u32| **b as usize >= tokens;
        self.buckets
            .iter()
            .find(fits)
            .copied()
            .ok_or(SessionError::TooLong { tokens, longest })
    }

    /// Registers that a reset clears.
    fn configure(&mut self) -> Result<(), FabricError> {
        let memory = self.fabric.memory();
        let base = memory.base;
        let limit = DeviceAddress(base.0.saturating_add(memory.total.0));
        for (register, value) in [
            (regs::WINDOW_BASE_LOW, base.low()),
            (regs::WINDOW_BASE_HIGH, base.high()),
            (regs::WINDOW_LIMIT_LOW, limit.low()),
            (regs::WINDOW_LIMIT_HIGH, limit.high()),
            (regs::IRQ_ENABLE, regs::irq::DONE | regs::irq::FAULT),
        ] {
            self.fabric.write32(register, value)?;
        }
        Ok(())
    }

    /// One run: y16 of each of its sequences, `[tokens][hidden]`. Sequences are at least one token and fit the bucket together.
    fn execute(&mut self, run: &Run, sequences: &[Tokens]) -> Result<Vec<Vec<i16>>, SessionError> {
        let span = info_span!("run", bucket = run.bucket, sequences = run.sequences.len());
        let _span = span.enter();
        let hidden = self.host.hidden();
        let rows = run.bucket as usize;
        let (mut x8, mut x16) = (
            Vec::with_capacity(rows * hidden),
            Vec::with_capacity(rows * hidden),
        );
        let mut ranges = Vec::with_capacity(rows);
        let mut lengths = Vec::with_capacity(run.sequences.len());
        {
            let _span = info_span!("embed").entered();
            for tokens in run.sequences.iter().filter_map(|i| sequences.get(*i)) {
                let input = self.host.embed(tokens)?;
                let start = ranges.len() as u16;
                let end = start + tokens.len() as u16;
                ranges.extend(std::iter::repeat_n((start, end), tokens.len()));
                x8.extend_from_slice(&input.x8);
                x16.extend_from_slice(&input.x16);
                lengths.push(tokens.len());
            }
        }
        x8.resize(rows * hidden, 0);
        x16.resize(rows * hidden, 0);
        let images = [
            layout::pack_act(&self.geometry, &x8, rows, hidden)?,
            layout::pack_res(&self.geometry, &x16, rows, hidden)?,
            layout::pack_ranges(&ranges, rows)?,
        ];
        let mut attempt = 0;
        let output = loop {
            attempt += 1;
            match self.attempt(run.bucket, &images) {
                Err(Failed::Again(post_mortem)) if attempt <= self.options.retries => {
                    warn!(%post_mortem, attempt, "no interrupt before the deadline: reset and replay");
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
        let mut rest = y16.as_slice();
        let mut results = Vec::with_capacity(lengths.len());
        for length in lengths {
            let (sequence, tail) = rest.split_at((length * hidden).min(rest.len()));
            results.push(sequence.to_vec());
            rest = tail;
            self.statistics.sequences += 1;
            self.statistics.tokens += length as u64;
        }
        Ok(results)
    }

    /// Writes the input, rings once, waits once, reads the output.
    fn attempt(&mut self, bucket: u32, images: &[Vec<u8>; 3]) -> Result<Vec<u8>, Failed> {
        let fabric = self.fabric.as_mut();
        let loaded = self
            .programs
            .get(fabric, &self.model, &self.geometry, bucket)?;
        let program = &loaded.program;
        let spans = [program.input_x8, program.input_x16, program.input_ranges];
        let parts: Vec<(Bytes, &[u8])> = spans
            .iter()
            .zip(images)
            .map(|(s, image)| (Bytes(s.offset), image.as_slice()))
            .collect();
        loaded
            .input
            .refill(fabric, &parts)
            .doing("writing the input")?;
        let address = loaded.code.allocation().address;
        let length = program.instructions.len() as u32;
        for (register, value) in [
            (regs::PROGRAM_ADDRESS_LOW, address.low()),
            (regs::PROGRAM_ADDRESS_HIGH, address.high()),
            (regs::PROGRAM_LENGTH, length),
            (regs::DOORBELL, 1),
        ] {
            fabric
                .write32(register, value)
                .doing("ringing the doorbell")?;
        }
        self.statistics.runs += 1;
        let waited = {
            let _span = info_span!("wait").entered();
            fabric.wait_interrupt(Instant::now() + self.options.deadline)
        };
        let instructions = &loaded.program.instructions;
        match waited {
            Ok(count) => self.interrupts = count,
            // One lost or spurious interrupt does not make the run invalid: STATUS decides.
            Err(FabricError::InterruptCount { after, .. }) => {
                warn!(
                    before = self.interrupts,
                    after, "interrupts were lost or spurious"
                );
                self.interrupts = after;
            }
            Err(FabricError::Timeout { .. }) => {}
            Err(source) => {
                return Err(Failed::Final(SessionError::Fabric {
                    doing: "waiting for the fabric",
                    source,
                }));
            }
        }
        let status = fabric.read32(regs::STATUS).doing("reading STATUS")?;
        fabric
            .write32(regs::IRQ_STATUS, regs::irq::DONE | regs::irq::FAULT)
            .doing("clearing the interrupt")?;
        if status & regs::status::FAULT != 0 {
            let post_mortem = Box::new(autopsy(fabric, instructions, self.interrupts)?);
            let cause = post_mortem.cause.unwrap_or(FaultCause::None);
            self.recover()?;
            return Err(Failed::Final(SessionError::Fault { cause, post_mortem }));
        }
        if status & regs::status::DONE == 0 {
            return Err(Failed::Again(Box::new(autopsy(
                fabric,
                instructions,
                self.interrupts,
            )?)));
        }
        let low = fabric.read32(regs::CYCLES_LOW).doing("reading CYCLES")?;
        let high = fabric.read32(regs::CYCLES_HIGH).doing("reading CYCLES")?;
        self.statistics.last_cycles = u64::from(low) | u64::from(high) << 32;
        self.statistics.cycles += self.statistics.last_cycles;
        Ok(read_output(fabric, loaded)?)
    }

    /// Resets a fabric that hangs or faulted, so that the next run finds it as after opening.
    fn recover(&mut self) -> Result<(), SessionError> {
        self.fabric
            .reset()
            .doing("resetting the fabric after a failure")?;
        self.configure()
            .doing("setting up the fabric's registers after a reset")
    }
}

/// How an attempt failed.
enum Failed {
    /// The fabric gave no answer: worth a reset and another attempt.
    Again(Box<PostMortem>),
    Final(SessionError),
}

impl<E: Into<SessionError>> From<E> for Failed {
    fn from(e: E) -> Self {
        Failed::Final(e.into())
    }
}

/// The registers of a fabric that failed.
fn autopsy(
    fabric: &mut dyn Fabric,
    instructions: &[Instruction],
    interrupts: u32,
) -> Result<PostMortem, SessionError> {
    PostMortem::read(fabric, instructions, interrupts).doing("reading registers after a failure")
}

fn read_output(fabric: &mut dyn Fabric, loaded: &Loaded) -> Result<Vec<u8>, SessionError> {
    let span = loaded.program.output_y16;
    let mut bytes = vec![0; span.length as usize];
    loaded
        .output
        .fetch(fabric, Bytes(span.offset), &mut bytes)
        .doing("reading the output")?;
    Ok(bytes)
}
