//! The host's part of runs beside the device's: it happens, changes no answer and no call on the
//! device, and leaves each error where it belongs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fqbert_contract::address::{Bytes, RegisterOffset};
use fqbert_contract::device::{BufferId, Device, DeviceError, Wrapper};
use fqbert_contract::registers as regs;
use fqbert_host::{HeadOutput, Tokens};
use fqbert_model::QuantizedModel;
use fqbert_model::testing::{Shape, random_model};
use fqbert_session::{Session, SessionError, SessionOptions};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Runs of the batches below.
const RUNS: usize = 6;

fn model() -> Arc<QuantizedModel> {
    let shape = Shape {
        layers: 1,
        hidden: 48,
        heads: 3,
        intermediate: 96,
        vocab: 100,
        max_positions: 64,
        wide: 0,
    };
    Arc::new(random_model(shape, 1))
}

fn sequences(count: usize) -> Vec<Tokens> {
    let ids = |n: usize| (0..3 + n as u32 * 5).map(move |i| (i * 7 + n as u32) % 100);
    (0..count)
        .map(|n| Tokens::from_ids(ids(n).collect()))
        .collect()
}

fn options(overlap: bool) -> SessionOptions {
    SessionOptions {
        overlap,
        pack: None,
        ..SessionOptions::default()
    }
}

fn emulator(uri: &str) -> Box<dyn Device> {
    fqbert_open::open_device(uri).unwrap()
}

fn bits(outputs: &[HeadOutput]) -> Vec<Vec<u32>> {
    let bits = |o: &HeadOutput| o.values().iter().map(|v| v.to_bits()).collect();
    outputs.iter().map(bits).collect()
}

/// What was called, with what went in.
type Calls = Arc<Mutex<Vec<String>>>;

/// A device that writes down what is done with it, and fails at a doorbell.
struct Observed {
    inner: Box<dyn Device>,
    calls: Calls,
    doorbells: usize,
    /// The doorbell that fails, from 1.
    fails: usize,
}

impl Observed {
    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

impl Wrapper for Observed {
    fn inner(&self) -> &dyn Device {
        self.inner.as_ref()
    }

    fn inner_mut(&mut self) -> &mut dyn Device {
        self.inner.as_mut()
    }

    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        self.note(format!("write {buffer:?} {offset:?} {data:?}"));
        self.inner.write(buffer, offset, data)
    }

    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.note(format!("take over {buffer:?} {offset:?} {length:?}"));
        self.inner.sync_to_cpu(buffer, offset, length)
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        self.note(format!("read {register:?}"));
        self.inner.read32(register)
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        self.note(format!("write {register:?} {value:#x}"));
        if register == regs::DOORBELL {
            self.doorbells += 1;
            if self.doorbells == self.fails {
                return Err(DeviceError::Unavailable {
                    what: "the test's doorbell".to_owned(),
                    remedy: "none".to_owned(),
                });
            }
        }
        self.inner.write32(register, value)
    }

    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        self.note("wait".to_owned());
        self.inner.wait_interrupt(deadline)
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        self.note("reset".to_owned());
        self.inner.reset()
    }
}

fn observed(overlap: bool, fails: usize) -> (Session, Calls) {
    let calls = Calls::default();
    let device = Observed {
        inner: emulator("emu:tiny?threads=1"),
        calls: calls.clone(),
        doorbells: 0,
        fails,
    };
    let session = Session::new(model(), Box::new(device), options(overlap)).unwrap();
    (session, calls)
}

#[test]
fn answers_and_calls_on_the_device_are_those_without_overlap() {
    let sequences = sequences(RUNS);
    let run = |overlap| {
        let (mut session, calls) = observed(overlap, 0);
        let mut done = Vec::new();
        let outputs = session
            .run_batch_with(&sequences, |n| done.push(n))
            .unwrap();
        assert_eq!(done, (1..=RUNS).collect::<Vec<_>>());
        assert_eq!(session.statistics().runs, RUNS as u64);
        let calls = calls.lock().unwrap().clone();
        (bits(&outputs), calls, session.statistics())
    };
    let (with, without) = (run(true), run(false));
    assert_eq!(with.0, without.0);
    assert!(with.1.len() > 10 * RUNS);
    assert!(with.1 == without.1, "the calls differ");
    assert_eq!(with.2, without.2);
}

#[test]
fn a_run_that_fails_ends_the_batch_and_the_session_goes_on() {
    let sequences = sequences(RUNS);
    for fails in 1..=RUNS {
        let run = |overlap| {
            let (mut session, calls) = observed(overlap, fails);
            let error = session.run_batch(&sequences).unwrap_err();
            assert!(error.to_string().contains("doorbell"), "{error}");
            let outputs = session.run_batch(&sequences).unwrap();
            let calls = calls.lock().unwrap().clone();
            (bits(&outputs), calls)
        };
        assert!(run(true) == run(false), "doorbell {fails}");
    }
}

#[test]
fn an_input_that_cannot_be_made_is_the_error_after_the_runs_before_it() {
    let mut sequences = sequences(RUNS);
    sequences[3] = Tokens::from_ids(vec![1, 100, 2]);
    for overlap in [true, false] {
        let (mut session, _) = observed(overlap, 0);
        let error = session.run_batch(&sequences).unwrap_err();
        assert!(matches!(error, SessionError::Host(_)), "{error}");
        assert_eq!(session.statistics().runs, 3, "overlap {overlap}");
        session.run_batch(&sequences[..3]).unwrap();
    }
}

/// Counts the inputs that were embedded, by the spans that say so.
struct Embeds(Arc<AtomicUsize>);

impl Subscriber for Embeds {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "embed"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A device whose first run does not end before another input has been embedded.
struct Patient {
    inner: Box<dyn Device>,
    embedded: Arc<AtomicUsize>,
    waits: usize,
    most: Arc<AtomicUsize>,
}

impl Wrapper for Patient {
    fn inner(&self) -> &dyn Device {
        self.inner.as_ref()
    }

    fn inner_mut(&mut self) -> &mut dyn Device {
        self.inner.as_mut()
    }

    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        self.waits += 1;
        let wanted = (self.waits + 1).min(RUNS);
        let began = Instant::now();
        while self.embedded.load(Ordering::SeqCst) < wanted {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "nothing is embedded while run {} is waited for",
                self.waits
            );
            std::thread::yield_now();
        }
        // No further ahead than one that waits: give it the time to do wrong.
        std::thread::sleep(Duration::from_millis(5));
        let ahead = self.embedded.load(Ordering::SeqCst) - self.waits;
        self.most.fetch_max(ahead, Ordering::SeqCst);
        self.inner.wait_interrupt(deadline)
    }
}

#[test]
fn the_next_input_is_embedded_while_a_run_is_waited_for_and_no_more() {
    let embedded = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let device = Patient {
        inner: emulator("emu:tiny?threads=1"),
        embedded: embedded.clone(),
        waits: 0,
        most: most.clone(),
    };
    let mut session = Session::new(model(), Box::new(device), options(true)).unwrap();
    tracing::subscriber::with_default(Embeds(embedded), || {
        session.run_batch(&sequences(RUNS)).unwrap();
    });
    assert_eq!(most.load(Ordering::SeqCst), 1, "inputs that waited");
}
