//! One history under way: what happened, and whether the properties hold.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use fqbert_faults::{Class, Event, Fault, Switch};
use fqbert_runtime::{HeadOutput, Scrub, Session, SessionError};

use crate::device::{Clock, VirtualDevice};
use crate::property::{Property, Violation};
use crate::scenario::Scenario;
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

/// What a request of a history got.
pub type Answer = Result<Vec<u32>, String>;

/// A head's output or an error, as an answer.
pub fn answer(output: Result<HeadOutput, SessionError>) -> Answer {
    output.map(|o| bits(o.values())).map_err(|e| in_full(&e))
}

/// An error with its causes.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

impl<'a> History<'a> {
    /// A history of a scenario, on a device with its faults.
    pub fn new(
        world: &'a World,
        scenario: &'a Scenario,
        switch: Switch,
        clock: Clock,
        verbose: bool,
    ) -> Self {
        Self {
            world,
            scenario,
            switch,
            clock,
            outcome: Outcome::default(),
            digest: DefaultHasher::new(),
            verbose,
            seen: 0,
        }
    }

    /// What came of it.
    pub fn end(mut self) -> Outcome {
        self.tell_events();
        self.outcome.events = self.switch.events();
        self.outcome.digest = self.digest.finish();
        self.outcome.time = self.clock.elapsed();
        self.outcome
    }

    /// Turns the faults on, or keeps them off until the session is there.
    pub fn arm(&mut self, on: bool) {
        self.switch.arm(on);
    }

    /// Turns all faults off, and what they had begun goes on.
    pub fn heal(&mut self) {
        self.switch.arm(false);
        self.clock.calm();
        self.tell(|_| "faults are off".to_owned());
    }

    pub fn question(&self, text: usize) -> &Question {
        &self.world.questions[text]
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
    pub fn check_usable(&mut self, session: &mut Session) {
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
    pub fn close(&mut self, session: Session) {
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
    pub fn afresh(&mut self) {
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
    pub fn is_tainted(&self) -> bool {
        let events = self.switch.events();
        let has = |fault| events.iter().any(|e| e.fault == fault);
        let blind = has(Fault::SkippedSyncToCpu);
        // A scrub after each run reads back all that the run was computed from.
        let scrubbed = |e: &Event| {
            self.scenario.options.scrub != Scrub::Never && e.fault != Fault::FlippedOutput && !blind
        };
        events
            .iter()
            .any(|e| e.class == Class::Silent && !scrubbed(e))
            // The look at what was delivered is itself led astray.
            || has(Fault::SkippedSyncToDevice) && blind
    }

    /// Whether what went wrong until now is no reason for an error: no program took too long, and
    /// faults that cost an attempt are not more than the retries.
    fn should_answer(&self) -> bool {
        let options = &self.scenario.options;
        let quick = self.clock.longest_run() + CALLS < options.deadline;
        let events = self.switch.events();
        let lost = events.iter().filter(|e| !ASTRAY.contains(&e.fault)).count();
        let replayed = |e: &Event| ASTRAY.contains(&e.fault) || REPLAYED.contains(&e.fault);
        // Bytes that did not arrive are written again, once: memory that does not hold them then
        // either is an error, however many attempts are left.
        let skipped = events
            .iter()
            .filter(|e| e.fault == Fault::SkippedSyncToDevice);
        quick
            && skipped.count() < 2
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
