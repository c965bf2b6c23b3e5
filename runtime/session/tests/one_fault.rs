//! Every call that a request makes on its device fails once, in every way that a run can be told
//! from one that did not happen: the request is answered rightly or with an error, and the next
//! ones are answered rightly.
//!
//! What is not tried here is what the proof of a run does not see: bytes of input, weights or
//! program that are lost or changed on their way to the accelerator. That is in `memory.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fqbert_contract::address::{Bytes, RegisterOffset};
use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError, MemoryInfo};
use fqbert_contract::registers as regs;
use fqbert_host::{HeadOutput, Tokens};
use fqbert_model::QuantizedModel;
use fqbert_model::testing::{Shape, random_model};
use fqbert_random::Random;
use fqbert_session::{Session, SessionOptions};

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It fails and does nothing.
    Refused,
    /// It does what it should, and is told to have failed.
    DoneAndRefused,
    /// A register write, an allocation's release, a sync to the CPU, a reset or a wait does nothing
    /// and is told to have worked; a wait is told to have timed out.
    Lost,
    /// A wait returns at once with an interrupt that never was; a register write is repeated.
    Stray,
}

const FAULTS: [Fault; 4] = [
    Fault::Refused,
    Fault::DoneAndRefused,
    Fault::Lost,
    Fault::Stray,
];

/// Calls until the fault, in the low half, and calls seen, shared with the test.
#[derive(Default)]
struct Plan {
    /// Calls made since the plan was armed.
    calls: AtomicU64,
    /// The calls that meet the fault, as bits; none at 0.
    at: [AtomicU64; 2],
}

impl Plan {
    fn arm(&self, calls: &[u64]) {
        self.calls.store(0, Ordering::Relaxed);
        for (slot, i) in self.at.iter().zip(0..) {
            let at = calls.get(i).map_or(u64::MAX, |call| *call);
            slot.store(at, Ordering::Relaxed);
        }
    }

    fn disarm(&self) -> u64 {
        self.at
            .iter()
            .for_each(|s| s.store(u64::MAX, Ordering::Relaxed));
        self.calls.load(Ordering::Relaxed)
    }

    fn meets(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.at.iter().any(|s| s.load(Ordering::Relaxed) == call)
    }
}

/// A device whose calls meet a fault by plan.
struct Faulty {
    inner: Box<dyn Device>,
    fault: Fault,
    plan: Arc<Plan>,
    interrupts: u32,
    /// Loses one doorbell in eight, besides what is planned.
    lost_doorbells: Option<Random>,
}

fn refused() -> DeviceError {
    DeviceError::Backend {
        context: "the fault of the test".to_owned(),
        source: "planned".into(),
    }
}

impl Faulty {
    /// The call, with the fault if it is its turn; `lost` is what a lost call gives, if it can be.
    fn call<T>(
        &mut self,
        lost: Option<Result<T, DeviceError>>,
        mut call: impl FnMut(&mut dyn Device) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        if !self.plan.meets() {
            return call(self.inner.as_mut());
        }
        match (self.fault, lost) {
            (Fault::Refused, _) => Err(refused()),
            (Fault::DoneAndRefused, _) => call(self.inner.as_mut()).and(Err(refused())),
            (Fault::Lost, Some(lost)) => lost,
            (Fault::Stray, Some(_)) => {
                call(self.inner.as_mut())?;
                call(self.inner.as_mut())
            }
            (Fault::Lost | Fault::Stray, None) => call(self.inner.as_mut()),
        }
    }
}

impl Device for Faulty {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn memory(&self) -> MemoryInfo {
        self.inner.memory()
    }
    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        // An allocation that is made and told to have failed is the device's own leak.
        match self.fault {
            Fault::Refused => self.call(None, |d| d.allocate(size)),
            _ => self.inner.allocate(size),
        }
    }
    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        self.inner.free(buffer)
    }
    fn write(&mut self, buffer: BufferId, at: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        self.call(None, |d| d.write(buffer, at, data))
    }
    fn read(&mut self, buffer: BufferId, at: Bytes, data: &mut [u8]) -> Result<(), DeviceError> {
        self.call(None, |d| d.read(buffer, at, data))
    }
    fn sync_to_device(&mut self, b: BufferId, at: Bytes, n: Bytes) -> Result<(), DeviceError> {
        self.call(None, |d| d.sync_to_device(b, at, n))
    }
    fn sync_to_cpu(&mut self, b: BufferId, at: Bytes, n: Bytes) -> Result<(), DeviceError> {
        self.call(Some(Ok(())), |d| d.sync_to_cpu(b, at, n))
    }
    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        self.call(None, |d| d.read32(register))
    }
    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        let deaf = self.lost_doorbells.as_mut();
        if register == regs::DOORBELL && deaf.is_some_and(|random| random.one_in(8)) {
            return Ok(());
        }
        // A second doorbell is a second run, if the first has ended.
        self.call(Some(Ok(())), |d| d.write32(register, value))
    }
    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        if self.fault == Fault::Stray && self.plan.meets() {
            self.interrupts = self.interrupts.wrapping_add(1);
            return Ok(self.interrupts);
        }
        let timeout = Err(DeviceError::Timeout { waited_ms: 0 });
        let lost = (self.fault == Fault::Lost).then_some(timeout);
        let count = self.call(lost, |d| d.wait_interrupt(deadline))?;
        self.interrupts = count;
        Ok(count)
    }
    fn reset(&mut self) -> Result<(), DeviceError> {
        self.call(Some(Ok(())), |d| d.reset())
    }
}

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
    Arc::new(random_model(shape, 11))
}

fn open() -> Box<dyn Device> {
    fqbert_open::open_device("emu:tiny?threads=1").unwrap()
}

fn options() -> SessionOptions {
    SessionOptions {
        deadline: Duration::from_millis(250),
        retries: 1,
        pack: None,
        ..SessionOptions::default()
    }
}

fn tokens(length: u32, salt: u32) -> Tokens {
    Tokens::from_ids((0..length).map(|i| (i * 7 + salt) % 100).collect())
}

fn bits(output: &HeadOutput) -> Vec<u32> {
    output.values().iter().map(|v| v.to_bits()).collect()
}

struct Bench {
    /// Without faults. Sessions of a history take their programs from it, compiled.
    session: Session,
    /// A request, one in the same bucket, one in another, and their right answers.
    requests: [(Tokens, Vec<u32>); 3],
    /// Free memory once all of them have been answered.
    free: u64,
}

impl Bench {
    fn new() -> Self {
        let model = model();
        let device = open();
        let mut session = Session::new(model, device, options()).unwrap();
        let requests = [tokens(5, 1), tokens(7, 2), tokens(40, 3)].map(|t| {
            let answer = bits(&session.run(&t).unwrap());
            (t, answer)
        });
        assert!(
            requests[0].1 != requests[1].1,
            "answers that can be told apart"
        );
        let free = session.device().memory().free.0;
        Self {
            session,
            requests,
            free,
        }
    }

    /// A good request, then `second` under the faults, then all three again. How many calls the
    /// faulty request made.
    fn history(&self, fault: Fault, at: &[u64], second: usize) -> u64 {
        let told = format!("{fault:?} at {at:?}, request {second}");
        let plan = Arc::new(Plan::default());
        plan.disarm();
        let device = Faulty {
            inner: open(),
            fault,
            plan: plan.clone(),
            interrupts: 0,
            lost_doorbells: None,
        };
        let mut session = self.session.another(Box::new(device), options()).unwrap();
        let (request, answer) = &self.requests[0];
        assert_eq!(&bits(&session.run(request).unwrap()), answer, "{told}");

        plan.arm(at);
        let (request, answer) = &self.requests[second];
        // Right or an error; the error is the device's or says what is missing.
        if let Ok(output) = session.run(request) {
            assert_eq!(&bits(&output), answer, "{told}: a wrong answer");
        }
        let calls = plan.disarm();
        for (request, answer) in &self.requests {
            let output = session
                .run(request)
                .unwrap_or_else(|e| panic!("{told}: {e}"));
            assert_eq!(&bits(&output), answer, "{told}: a wrong answer afterwards");
        }
        let free = session.device().memory().free.0;
        assert_eq!(free, self.free, "{told}: device memory is lost");
        calls
    }
}

#[test]
fn one_fault_at_every_call_of_a_request() {
    let bench = Bench::new();
    for fault in FAULTS {
        // In a bucket whose program is there, and in one whose program is made and copied first.
        for second in [1, 2] {
            let mut call = 0;
            while bench.history(fault, &[call], second) > call {
                call += 1;
            }
            assert!(call > 15, "a request makes more calls than {call}");
        }
    }
}

#[test]
fn two_faults_in_one_request() {
    let bench = Bench::new();
    for fault in [Fault::Refused, Fault::Lost, Fault::Stray] {
        for first in (0..26).step_by(3) {
            for gap in [1, 2, 5, 11, 23] {
                bench.history(fault, &[first, first + gap], 1);
            }
        }
    }
}

/// The campaign that found wrong answers: doorbells lost at random.
#[test]
fn doorbells_lost_at_random_are_found_at_once_and_replayed() {
    let bench = Bench::new();
    let plan = Arc::new(Plan::default());
    plan.disarm();
    let device = Faulty {
        inner: open(),
        fault: Fault::Refused,
        plan,
        interrupts: 0,
        lost_doorbells: Some(Random::new(1)),
    };
    let options = SessionOptions {
        deadline: Duration::from_secs(60),
        // It would be taken out, as it should be.
        breaker: None,
        ..options()
    };
    let began = Instant::now();
    let mut session = bench.session.another(Box::new(device), options).unwrap();
    let mut answered = 0;
    for i in 0..100 {
        let (request, answer) = &bench.requests[i % 3];
        if let Ok(output) = session.run(request) {
            assert_eq!(&bits(&output), answer, "request {i}");
            answered += 1;
        }
    }
    assert!((95..=100).contains(&answered), "{answered} of 100 answered");
    assert!(session.statistics().recoveries > 5);
    let seconds = began.elapsed().as_secs();
    assert!(
        seconds < 30,
        "{seconds} s: the deadline of 60 s was waited for"
    );
}
