//! What a seed says will be done: options, faults, and the steps of the callers.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use fqbert_faults::{Class, Fault, Plan};
use fqbert_random::Random;
use fqbert_runtime::{Scrub, SessionOptions};

/// What callers do, one step after the other. Numbers name texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One text, waited for.
    Classify(usize),
    /// Several texts at once, waited for.
    ClassifyBatch(Vec<usize>),
    /// A caller puts in a request and goes on.
    Submit(usize),
    /// As many callers put in a request and give it up.
    Abandon(usize),
    /// A caller that waits gives up.
    GiveUp,
    /// The session answers what waits.
    Serve,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Classify(text) => write!(f, "classify text {text}"),
            Step::ClassifyBatch(texts) => {
                let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
                write!(f, "classify texts {} at once", texts.join(", "))
            }
            Step::Submit(text) => write!(f, "submit text {text}"),
            Step::Abandon(count) => write!(f, "submit {count} requests and give them up"),
            Step::GiveUp => write!(f, "a caller gives up"),
            Step::Serve => write!(f, "the session answers what waits"),
        }
    }
}

/// A history before it happens.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Of the faults and of the device's times.
    pub seed: u64,
    /// Of the session.
    pub options: SessionOptions,
    /// Requests are awaited, and share the session.
    pub awaited: bool,
    /// Faults begin when the session is opened, not only after it.
    pub faults_at_opening: bool,
    /// Which faults there are.
    pub plan: Plan,
    /// What is done.
    pub steps: Vec<Step>,
}

/// A class of faults with how often it is chosen, in 32, and the chances it may have.
const RATES: [f64; 4] = [0.5, 0.2, 0.05, 0.02];
/// For faults whose opportunity is every call.
const CALL_RATES: [f64; 4] = [0.05, 0.02, 0.005, 0.002];

/// Draws a plan: mostly one to four faults, the silent ones in one history of eight.
fn plan(random: &mut Random) -> Plan {
    let silent = random.one_in(8);
    let faults: Vec<Fault> = Fault::all()
        .filter(|f| silent || f.class() != Class::Silent || *f == Fault::SkippedSyncToDevice)
        .collect();
    let count = random.below(5);
    (0..count).fold(Plan::none(), |plan, _| {
        let fault = faults[random.below(faults.len() as u64) as usize];
        let rates = match fault {
            Fault::FailedBefore
            | Fault::FailedAfter
            | Fault::Vanished
            | Fault::Gone
            | Fault::FlippedRegister => CALL_RATES,
            _ => RATES,
        };
        plan.rate(fault, rates[random.below(4) as usize])
    })
}

fn awaited_step(random: &mut Random, texts: u64) -> Step {
    match random.below(40) {
        0..=21 => Step::Submit(random.below(texts) as usize),
        22..=23 => Step::GiveUp,
        24 if random.one_in(8) => Step::Abandon(250 + random.below(30) as usize),
        _ => Step::Serve,
    }
}

fn step(random: &mut Random, texts: u64) -> Step {
    if random.one_in(4) {
        let count = 1 + random.below(4);
        Step::ClassifyBatch((0..count).map(|_| random.below(texts) as usize).collect())
    } else {
        Step::Classify(random.below(texts) as usize)
    }
}

impl Scenario {
    /// What a seed says, with that many texts.
    pub fn draw(seed: u64, texts: usize) -> Self {
        let random = &mut Random::new(seed);
        let awaited = random.one_in(2);
        let mut options = SessionOptions {
            deadline: Duration::from_millis([100, 1000, 5000][random.below(3) as usize]),
            retries: random.below(3) as u32,
            pack: random.one_in(2).then_some(64),
            // Not drawn: a seed stays the history that it was.
            overlap: seed % 2 == 1,
            // A device that is taken out would answer nothing of what is asked here.
            breaker: None,
            ..SessionOptions::default()
        };
        let plan = plan(random);
        let count = 2 + random.below(if awaited { 14 } else { 6 });
        let step = if awaited { awaited_step } else { step };
        let steps = (0..count).map(|_| step(random, texts as u64)).collect();
        let faults_at_opening = random.one_in(8);
        if random.one_in(4) {
            options.scrub = Scrub::Every(NonZeroU32::MIN);
        }
        Self {
            seed,
            options,
            awaited,
            faults_at_opening,
            plan,
            steps,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pack = self
            .options
            .pack
            .map_or("none".to_owned(), |p| format!("{p} tokens"));
        let plan = self.plan.to_string();
        write!(
            f,
            "seed {}: deadline {} ms, {} retries, packing {pack}{}; faults {}{}",
            self.seed,
            self.options.deadline.as_millis(),
            self.options.retries,
            match self.options.scrub {
                Scrub::Never => "",
                Scrub::Every(_) => ", a scrub after each run",
            },
            if plan.is_empty() { "none" } else { &plan },
            if self.faults_at_opening {
                ", from opening on"
            } else {
                ""
            },
        )
    }
}
