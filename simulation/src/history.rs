//! One history: a scenario happens, and its properties are checked.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fqbert_contract::device::Device;
use fqbert_faults::{Class, Event, Fault, FaultyDevice, Switch};
use fqbert_runtime::{Classifier, HeadOutput, Session, SessionError, TaskError};

use crate::awaited;
use crate::device::{Clock, VirtualDevice};
use crate::scenario::{Scenario, Step};
use crate::world::{Question, World, bits, geometry};

/// What the calls of a run take at most, besides waiting.
const CALLS: Duration = Duration::from_millis(20);

/// What a request without faults takes at most, with the time of its program.
const PROMPT: Duration = Duration::from_millis(50);

/// Faults that cost no attempt: interrupts only say when to look.
const ASTRAY: [Fault; 4] = [
    Fault::LostInterrupt,
    Fault::LateInterrupt,
    Fault::DuplicateInterrupt,
    Fault::SpuriousInterrupt,
];

/// Faults that cost an attempt, and are made good by the next.
const REPLAYED: [Fault; 5] = [
    Fault::LostDoorbell,
    Fault::StuckEngine,
    Fault::SkippedSyncToCpu,
    Fault::SkippedSyncToDevice,
    Fault::LostReset,
];

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// What happened instead.
    pub told: String,
}

/// What must hold in every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// An answer is right, or an error.
    Right,
    /// Every accepted request is answered.
    Answered,
    /// An error has a cause: interrupts gone astray are none, nor are as many failed attempts as
    /// there are retries.
    ErrorsHaveCauses,
    /// A request takes no longer than its attempts' deadlines.
    InTime,
    /// After the faults every request is answered rightly.
    UsableAfterwards,
    /// When a session is closed, all device memory is free.
    NothingLeaked,
    /// Nothing panics.
    NoPanic,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::Right => "an answer is right or an error",
            Property::Answered => "an accepted request is answered once",
            Property::ErrorsHaveCauses => "an error has a cause",
            Property::InTime => "no wait past its deadline",
            Property::UsableAfterwards => "the device is usable afterwards",
            Property::NothingLeaked => "nothing is leaked",
            Property::NoPanic => "nothing panics",
        })
    }
}

/// What came of a history.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The first property that did not hold.
    pub violation: Option<Violation>,
    /// Faults that happened.
    pub events: Vec<Event>,
    /// Requests that were accepted and not given up.
    pub requests: u64,
    /// Of these, answered with an error.
    pub errors: u64,
    /// Of these, answered wrongly after data changed silently.
    pub silently_wrong: u64,
    /// A digest of all that happened: equal for equal histories.
    pub digest: u64,
    /// What happened, line by line, if asked for.
    pub lines: Vec<String>,
    /// Time that passed for the session.
    pub time: Duration,
}

/// A history under way.
pub struct History<'a> {
    pub world: &'a World,
    pub scenario: &'a Scenario,
    switch: Switch,
    clock: Clock,
    outcome: Outcome,
    digest: DefaultHasher,
    verbose: bool,
    /// Faults told.
    seen: usize,
}

/// Lets a scenario happen; `verbose` keeps a line for each thing that happens.
pub fn run(world: &World, scenario: &Scenario, verbose: bool) -> Outcome {
    let device = VirtualDevice::new(geometry(), scenario.seed);
    let clock = device.clock();
    let device = FaultyDevice::new(Box::new(device), scenario.seed, scenario.plan.clone());
    let mut history = History {
        world,
        scenario,
        switch: device.switch(),
        clock,
        outcome: Outcome::default(),
        digest: DefaultHasher::new(),
        verbose,
        seen: 0,
    };
    let caught = catch_unwind(AssertUnwindSafe(|| history.happen(Box::new(device))));
    if let Err(panic) = caught {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        history.violate(Property::NoPanic, text.unwrap_or("a panic").to_owned());
    }
    history.tell_events();
    history.outcome.events = history.switch.events();
    history.outcome.digest = history.digest.finish();
    history.outcome.time = history.clock.elapsed();
    history.outcome
}

/// What a request of a history got.
pub type Answer = Result<Vec<u32>, String>;

/// A head's output or an error, as an answer.
pub fn answer(output: Result<HeadOutput, SessionError>) -> Answer {
    output.map(|o| bits(o.values())).map_err(|e| in_full(&e))
}

/// An error with its causes.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

impl History<'_> {
    fn happen(&mut self, device: Box<dyn Device>) {
        self.tell(|h| h.scenario.to_string());
        self.switch.arm(self.scenario.faults_at_opening);
        let session = match self.world.open(device, &self.scenario.options) {
            Ok(session) => session,
            Err(error) => {
                self.tell(|_| format!("not opened: {}", in_full(&error)));
                in_full(&error).hash(&mut self.digest);
                return self.afresh();
            }
        };
        self.switch.arm(true);
        let session = if self.scenario.awaited {
            awaited::happen(self, session)
        } else {
            self.in_turn(session)
        };
        let Some(mut session) = session else {
            return;
        };
        if !self.is_tainted() {
            self.check_usable(&mut session);
        }
        self.close(session);
        if self.is_tainted() {
            self.afresh();
        }
    }

    /// Turns all faults off, and what they had begun goes on.
    pub fn heal(&mut self) {
        self.switch.arm(false);
        self.clock.calm();
        self.tell(|_| "faults are off".to_owned());
    }

    /// Callers that wait for each answer, from text to classes.
    fn in_turn(&mut self, session: Session) -> Option<Session> {
        let mut classifier = match Classifier::new(session) {
            Ok(classifier) => classifier,
            Err(error) => {
                self.violate(Property::Answered, in_full(&error));
                return None;
            }
        };
        for step in &self.scenario.steps {
            self.tell(|_| step.to_string());
            let began = self.clock.elapsed();
            let texts = match step {
                Step::Classify(text) => {
                    let answer = classifier.classify(self.question(*text).text);
                    self.judge_task(*text, answer.map(|a| a.logits));
                    1
                }
                Step::ClassifyBatch(texts) => {
                    let all: Vec<&str> = texts.iter().map(|t| self.question(*t).text).collect();
                    match classifier.classify_batch(&all) {
                        Ok(answers) if answers.len() == texts.len() => {
                            for (text, answer) in texts.iter().zip(answers) {
                                self.judge_task(*text, Ok(answer.logits));
                            }
                        }
                        Ok(answers) => {
                            let told = format!("{} answers to {}", answers.len(), texts.len());
                            self.violate(Property::Answered, told);
                        }
                        Err(error) => self.judge_task(0, Err(error)),
                    }
                    texts.len() as u32
                }
                _ => 0,
            };
            self.check_time(began, texts);
        }
        self.heal();
        Some(classifier.into_session())
    }

    pub fn question(&self, text: usize) -> &Question {
        &self.world.questions[text]
    }

    fn judge_task(&mut self, text: usize, answer: Result<Vec<f32>, TaskError>) {
        let answer = answer.map(|logits| bits(&logits)).map_err(|e| in_full(&e));
        self.judge(text, answer);
    }

    /// An accepted request got this.
    pub fn judge(&mut self, text: usize, answer: Answer) {
        self.outcome.requests += 1;
        answer.hash(&mut self.digest);
        match answer {
            Ok(answer) if answer == self.question(text).answer => {
                self.tell(|_| format!("  text {text}: right"));
            }
            Ok(_) if self.is_tainted() => {
                self.outcome.silently_wrong += 1;
                self.tell(|_| format!("  text {text}: wrong, as data changed silently"));
            }
            Ok(answer) => {
                let mut questions = self.world.questions.iter();
                let of = questions.position(|q| q.answer == answer);
                let of = of.map_or(String::new(), |of| format!(": it is that of text {of}"));
                self.violate(
                    Property::Right,
                    format!("text {text} got a wrong answer{of}"),
                );
            }
            Err(error) if self.should_answer() => {
                let told = format!("text {text}: {error}");
                self.violate(Property::ErrorsHaveCauses, told);
            }
            Err(error) => {
                self.outcome.errors += 1;
                self.tell(|_| format!("  text {text}: {error}"));
            }
        }
    }

    /// The time since `began` is within the bound of so many runs.
    pub fn check_time(&mut self, began: Duration, runs: u32) {
        let took = self.clock.elapsed() - began;
        let options = &self.scenario.options;
        let bound = (options.deadline + CALLS) * (options.retries + 1) * runs;
        if took > bound {
            let told = format!("{took:?} for at most {runs} runs, the bound is {bound:?}");
            self.violate(Property::InTime, told);
        }
    }

    pub fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Every text, without faults, gets the right answer.
    fn check_usable(&mut self, session: &mut Session) {
        for (text, question) in self.world.questions.iter().enumerate() {
            let began = self.clock.elapsed();
            let answer = answer(session.run(&question.tokens));
            self.check_time(began, 1);
            answer.hash(&mut self.digest);
            match answer {
                Ok(answer) if answer == question.answer => {
                    let took = self.clock.elapsed() - began;
                    if took > PROMPT {
                        let told = format!("text {text} took {took:?} without faults");
                        self.violate(Property::UsableAfterwards, told);
                    }
                }
                Ok(_) => {
                    let told = format!("text {text} got a wrong answer without faults");
                    return self.violate(Property::UsableAfterwards, told);
                }
                Err(error) => {
                    let told = format!("text {text} without faults: {error}");
                    return self.violate(Property::UsableAfterwards, told);
                }
            }
        }
    }

    /// Closes a session, after which all memory is free.
    fn close(&mut self, session: Session) {
        match session.close() {
            Ok(device) => {
                let memory = device.memory();
                let lost = memory.total.0 - memory.free.0;
                if lost > 0 {
                    let told = format!("{lost} bytes are allocated after closing");
                    self.violate(Property::NothingLeaked, told);
                }
            }
            Err(error) => {
                let told = format!("closing: {}", in_full(&error));
                self.violate(Property::NothingLeaked, told);
            }
        }
    }

    /// The way back where a session could not be opened, or data in its memory changed silently: a
    /// session on the device opened again.
    fn afresh(&mut self) {
        self.heal();
        let device = VirtualDevice::new(geometry(), self.scenario.seed);
        self.clock = device.clock();
        self.clock.calm();
        match self.world.open(Box::new(device), &self.scenario.options) {
            Ok(mut session) => {
                self.check_usable(&mut session);
                self.close(session);
            }
            Err(error) => {
                let told = format!("opening again: {}", in_full(&error));
                self.violate(Property::UsableAfterwards, told);
            }
        }
    }

    /// Whether data changed and nothing can say so.
    fn is_tainted(&self) -> bool {
        let events = self.switch.events();
        let has = |fault| events.iter().any(|e| e.fault == fault);
        events.iter().any(|e| e.class == Class::Silent)
            // The look at what was delivered is itself led astray.
            || has(Fault::SkippedSyncToDevice) && has(Fault::SkippedSyncToCpu)
    }

    /// Whether what went wrong until now is no reason for an error: no program took too long, and
    /// faults that cost an attempt are not more than the retries.
    fn should_answer(&self) -> bool {
        let options = &self.scenario.options;
        let quick = self.clock.longest_run() + CALLS < options.deadline;
        let events = self.switch.events();
        let lost = events.iter().filter(|e| !ASTRAY.contains(&e.fault)).count();
        let replayed = |e: &Event| ASTRAY.contains(&e.fault) || REPLAYED.contains(&e.fault);
        quick
            && !self.is_tainted()
            && events.iter().all(replayed)
            && lost <= options.retries as usize
    }

    pub fn violate(&mut self, property: Property, told: String) {
        self.tell(|_| format!("VIOLATION: {property}: {told}"));
        let violation = Violation { property, told };
        self.outcome.violation.get_or_insert(violation);
    }

    /// Whether there is no reason to go on.
    pub fn is_violated(&self) -> bool {
        self.outcome.violation.is_some()
    }

    /// Tells a line, after the faults before it.
    pub fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if !self.verbose {
            return;
        }
        self.tell_events();
        let line = format!("{:>12.3?}  {}", self.clock.elapsed(), line(self));
        self.outcome.lines.push(line);
    }

    fn tell_events(&mut self) {
        if !self.verbose {
            return;
        }
        let events = self.switch.events();
        for event in events.iter().skip(self.seen) {
            let silent = if event.class == Class::Silent {
                " (silent)"
            } else {
                ""
            };
            let line = format!("              fault {event}{silent}");
            self.outcome.lines.push(line);
        }
        self.seen = events.len();
    }
}
