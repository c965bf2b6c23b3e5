//! A model bound to a device: token ids in, head outputs out.

use std::sync::Arc;
use std::time::Duration;

use fqbert_compiler::{CompileError, CompileOptions};
use fqbert_contract::DeviceAddress;
use fqbert_contract::device::{Device, DeviceError};
use fqbert_contract::geometry::Geometry;
use fqbert_contract::registers as regs;
use fqbert_host::{HeadOutput, HostError, InputError, Tokens};
use fqbert_model::QuantizedModel;
use tracing::info_span;

use crate::batch::{self, Extent, Packing, Run};
use crate::breaker::{Breaker, BreakerOptions};
use crate::error::{Doing, SessionError};
use crate::programs::{Compiled, Programs};
use crate::record::RunRecord;

mod attempt;
mod ends;
mod overlap;
mod run;
mod scrub;

use ends::Ends;

pub use scrub::{Scrub, ScrubReport};

/// How a session behaves.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// How long one run may take before the accelerator counts as hung.
    pub deadline: Duration,
    /// How often a run is tried again after a hang or a lost interrupt, each time after a reset.
    pub retries: u32,
    /// Pack short sequences of one batch into runs of at most this many tokens; `None` gives each a
    /// run of its own. The results are the same bit for bit.
    pub pack: Option<u32>,
    /// Embed the input of a batch's next run, and read the answers of the one before, on a second
    /// thread while the device runs. The results are the same bit for bit, and so are the calls on
    /// the device.
    pub overlap: bool,
    /// Read code and constants back when they have been written, and write again what differs.
    pub check_on_load: bool,
    /// When code, constants and input are read back later.
    pub scrub: Scrub,
    /// When an accelerator that keeps failing is taken out; `None` never does.
    pub breaker: Option<BreakerOptions>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(60),
            retries: 1,
            pack: Some(512),
            overlap: true,
            check_on_load: true,
            scrub: Scrub::Never,
            breaker: Some(BreakerOptions::default()),
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
    /// Cycles that the accelerator counted, all runs together.
    pub cycles: u64,
    /// Cycles of the last run.
    pub last_cycles: u64,
    /// Resets after a hang or a lost interrupt.
    pub recoveries: u64,
    /// Times that all of code and constants was read back.
    pub scrubs: u64,
    /// Blocks of code and constants, and inputs, that were found damaged and written again.
    pub damaged: u64,
    /// Times that the accelerator was taken out.
    pub taken_out: u64,
    /// Of the sequences, those that a fallback device answered ([`crate::Failover`]).
    pub by_fallback: u64,
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

/// Shortest block that sequences are packed into: shorter ones save few scores and leave more rows
/// empty.
const SHORTEST_BLOCK: u32 = 64;

/// Blocks that sequences are packed into for runs of at most `tokens` tokens, ascending.
fn packings(
    geometry: &Geometry,
    model: &QuantizedModel,
    buckets: &[u32],
    tokens: u32,
) -> Vec<Packing> {
    let shortest = SHORTEST_BLOCK.min(buckets.last().copied().unwrap_or(0));
    let blocks = buckets.iter().copied().filter(|b| *b >= shortest);
    blocks
        .map(|block| Packing {
            block,
            most: fqbert_compiler::most_blocks(geometry, model, block, tokens),
        })
        .filter(|p| p.most > 0)
        .collect()
}

/// Resets that are tried until one has come.
const RESETS: u32 = 3;

/// Resets the accelerator, and believes it when the registers are those of one that was reset.
fn reset(device: &mut dyn Device) -> Result<(), DeviceError> {
    let mut found = (0, 0);
    for _ in 0..RESETS {
        device.reset()?;
        found = (
            device.read32(regs::STATUS)?,
            device.read32(regs::RUNS_COMPLETED)?,
        );
        if found == (regs::status::IDLE, 0) {
            return Ok(());
        }
    }
    let (status, runs) = found;
    Err(DeviceError::Unavailable {
        what: format!(
            "the accelerator does not reset: after {RESETS} resets STATUS is {status:#x} and \
             RUNS_COMPLETED {runs}"
        ),
        remedy: "load the bitstream again, or power the board off and on".to_owned(),
    })
}

/// A model bound to a device.
pub struct Session {
    device: Box<dyn Device>,
    model: Arc<QuantizedModel>,
    ends: Arc<Ends>,
    programs: Programs,
    geometry: Geometry,
    buckets: Vec<u32>,
    packings: Vec<Packing>,
    options: SessionOptions,
    statistics: RunStatistics,
    interrupts: u32,
    /// An attempt went beyond the point where a reset is needed, and was not proven.
    unsettled: bool,
    /// Code and constants have to be read back before the next run: an attempt failed, or a scrub
    /// did not come to its end.
    unchecked: bool,
    runs_since_scrub: u64,
    breaker: Breaker,
    record: RunRecord,
}

impl Session {
    /// Binds a model to a device: checks that they fit, resets the accelerator and copies the
    /// weights.
    pub fn new(
        model: Arc<QuantizedModel>,
        device: Box<dyn Device>,
        options: SessionOptions,
    ) -> Result<Self, SessionError> {
        Self::bind(model, device, options, Compiled::default())
    }

    /// Binds the same model to a further device. Where that has the same geometry, what was
    /// compiled and verified for this session is not compiled again: after a device was lost, a
    /// session on another is there as soon as the weights are.
    pub fn another(
        &self,
        device: Box<dyn Device>,
        options: SessionOptions,
    ) -> Result<Self, SessionError> {
        let compiled = if device.capabilities().geometry == self.geometry {
            self.programs.compiled()
        } else {
            Compiled::default()
        };
        Self::bind(self.model.clone(), device, options, compiled)
    }

    fn bind(
        model: Arc<QuantizedModel>,
        mut device: Box<dyn Device>,
        options: SessionOptions,
        compiled: Compiled,
    ) -> Result<Self, SessionError> {
        let _span = info_span!("open session").entered();
        let host = model.host()?;
        let geometry = device.capabilities().geometry.clone();
        let buckets = fitting_buckets(&geometry, &model)?;
        let packings = options.pack.map_or_else(Vec::new, |tokens| {
            packings(&geometry, &model, &buckets, tokens)
        });
        reset(device.as_mut()).doing("resetting the accelerator")?;
        let check = options.check_on_load;
        let programs = Programs::new(device.as_mut(), &model, &geometry, compiled, check)?;
        let breaker = Breaker::new(options.breaker);
        let mut session = Self {
            device,
            model,
            ends: Arc::new(Ends {
                host,
                geometry: geometry.clone(),
            }),
            programs,
            geometry,
            buckets,
            packings,
            options,
            statistics: RunStatistics::default(),
            interrupts: 0,
            unsettled: false,
            unchecked: false,
            runs_since_scrub: 0,
            breaker,
            record: RunRecord::default(),
        };
        session
            .configure()
            .doing("setting up the accelerator's registers")?;
        Ok(session)
    }

    /// The model.
    pub fn model(&self) -> &QuantizedModel {
        &self.model
    }

    /// The accelerator, to look at.
    pub fn device(&self) -> &dyn Device {
        self.device.as_ref()
    }

    /// Sequence buckets, ascending; the last is the longest sequence.
    pub fn buckets(&self) -> &[u32] {
        &self.buckets
    }

    /// The longest sequence in tokens: of the model's positions and of the programs that fit the
    /// accelerator.
    pub fn longest(&self) -> usize {
        let bucket = self.buckets.last().copied().unwrap_or(0) as usize;
        bucket.min(self.model.config.max_sequence())
    }

    /// What has been run so far.
    pub fn statistics(&self) -> RunStatistics {
        RunStatistics {
            damaged: self.statistics.damaged + self.programs.repaired(),
            taken_out: self.breaker.opened(),
            ..self.statistics
        }
    }

    /// What the last call that runs sequences was computed by.
    pub fn last_run(&self) -> &RunRecord {
        &self.record
    }

    /// Uses an accelerator again that was taken out, without waiting for the pause to end.
    pub fn rearm(&mut self) {
        self.breaker.rearm();
    }

    /// From now on: [`SessionOptions::overlap`].
    pub fn set_overlap(&mut self, overlap: bool) {
        self.options.overlap = overlap;
    }

    /// Compiles and loads the program that sequences of this length take, so that the first answer
    /// does not wait for it.
    pub fn prepare(&mut self, tokens: usize) -> Result<(), SessionError> {
        let extent = Extent::whole(self.bucket_for(tokens)?);
        let device = self.device.as_mut();
        let program = self
            .programs
            .get(device, &self.model, &self.geometry, extent);
        // A device that failed may have lost its registers.
        self.unsettled |= program.is_err();
        program.map(drop)
    }

    /// Checks that a sequence can be run: not empty nor too long, and of ids that the model has.
    pub fn check(&self, tokens: &Tokens) -> Result<(), SessionError> {
        self.bucket_for(tokens.len())?;
        Ok(self.ends.host.check(tokens)?)
    }

    /// One sequence to its head's output.
    pub fn run(&mut self, tokens: &Tokens) -> Result<HeadOutput, SessionError> {
        let states = self.hidden_states(tokens)?;
        Ok(self.ends.host.head(&states)?)
    }

    /// One sequence to its hidden states after the last layer, `[tokens][hidden]`.
    pub fn hidden_states(&mut self, tokens: &Tokens) -> Result<Vec<f32>, SessionError> {
        self.begin_record();
        let run = Run {
            extent: Extent::whole(self.bucket_for(tokens.len())?),
            sequences: vec![(0, 0)],
        };
        let input = self.ends.input(&run, std::slice::from_ref(tokens))?;
        let output = self.run_input(&run, &input)?;
        let mut states = self.ends.states(&input.places, &output)?;
        Ok(states.pop().map(|(_, states)| states).unwrap_or_default())
    }

    /// Many sequences, of any lengths, to their heads' outputs in the same order.
    pub fn run_batch(&mut self, sequences: &[Tokens]) -> Result<Vec<HeadOutput>, SessionError> {
        self.run_batch_with(sequences, |_| ())
    }

    /// As [`Session::run_batch`]; `done` is called with the number of sequences answered after each
    /// run.
    pub fn run_batch_with(
        &mut self,
        sequences: &[Tokens],
        done: impl FnMut(usize),
    ) -> Result<Vec<HeadOutput>, SessionError> {
        let outputs = self.run_each_with(sequences, done)?;
        Ok(outputs.into_iter().collect::<Result<_, _>>()?)
    }

    /// As [`Session::run_batch_with`], but what the head has no answer to is the error of that
    /// sequence alone.
    pub fn run_each_with(
        &mut self,
        sequences: &[Tokens],
        mut done: impl FnMut(usize),
    ) -> Result<Vec<Result<HeadOutput, HostError>>, SessionError> {
        self.begin_record();
        for tokens in sequences {
            self.bucket_for(tokens.len())?;
        }
        let lengths: Vec<usize> = sequences.iter().map(Tokens::len).collect();
        let mut outputs = vec![None; sequences.len()];
        let mut answered = 0;
        let runs = batch::plan(&lengths, &self.buckets, &self.packings);
        self.execute_all(&runs, sequences, |answers| {
            answered += answers.len();
            for (index, answer) in answers {
                outputs[index] = Some(answer);
            }
            done(answered);
        })?;
        // The plan names every sequence once.
        Ok(outputs.into_iter().flatten().collect())
    }

    /// Frees the session's buffers and returns the device.
    pub fn close(self) -> Result<Box<dyn Device>, SessionError> {
        let Self {
            mut device,
            programs,
            ..
        } = self;
        programs.free(device.as_mut())?;
        Ok(device)
    }

    fn bucket_for(&self, tokens: usize) -> Result<u32, SessionError> {
        if tokens == 0 {
            return Err(InputError::Empty.into());
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

    /// A new call: nothing has answered it yet.
    fn begin_record(&mut self) {
        self.record = RunRecord {
            geometry: self.geometry.name,
            build: self.device.capabilities().build,
            ..RunRecord::default()
        };
    }

    /// Registers that a reset clears.
    fn configure(&mut self) -> Result<(), DeviceError> {
        let memory = self.device.memory();
        let base = memory.base;
        let limit = DeviceAddress(base.0.saturating_add(memory.total.0));
        for (register, value) in [
            (regs::WINDOW_BASE_LOW, base.low()),
            (regs::WINDOW_BASE_HIGH, base.high()),
            (regs::WINDOW_LIMIT_LOW, limit.low()),
            (regs::WINDOW_LIMIT_HIGH, limit.high()),
            (regs::IRQ_ENABLE, regs::irq::DONE | regs::irq::FAULT),
        ] {
            self.device.write32(register, value)?;
        }
        Ok(())
    }

    /// Resets a device that hangs or faulted, so that the next run finds it as after opening.
    fn recover(&mut self) -> Result<(), SessionError> {
        reset(self.device.as_mut()).doing("resetting the accelerator after a failure")?;
        self.configure()
            .doing("setting up the accelerator's registers after a reset")?;
        self.unsettled = false;
        Ok(())
    }
}
