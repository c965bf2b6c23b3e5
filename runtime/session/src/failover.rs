//! A session and the one that answers in its place, if one was asked for.
//!
//! What goes to the fallback: a request that the first device did not answer by a fault of its own
//! ([`SessionError::is_device_fault`]): a hang, a fault, memory that does not hold, an accelerator
//! that is gone or taken out. What does not: a request that is wrong, a model that does not fit.
//! The next request goes to the first device again, unless that is taken out. The answers are the
//! same bits, whichever geometry computes them.

use std::sync::Arc;

use fqbert_host::{HeadOutput, HostError, Tokens};
use tracing::warn;

use crate::error::{SessionError, with_causes};
use crate::record::RunRecord;
use crate::session::{RunStatistics, Session};

/// Makes the fallback's session when it is first needed.
type Open = Box<dyn FnOnce() -> Result<Session, SessionError> + Send>;

enum Fallback {
    None,
    /// Not needed yet.
    Closed(Open),
    Open(Box<Session>),
    /// The session is the fallback's: the first device could not be opened, for this reason.
    Instead(Arc<str>),
}

/// A session, with another in its place where its device fails.
pub struct Failover {
    session: Session,
    fallback: Fallback,
    record: RunRecord,
    warned: bool,
}

impl From<Session> for Failover {
    /// Without a fallback.
    fn from(session: Session) -> Self {
        Self {
            session,
            fallback: Fallback::None,
            record: RunRecord::default(),
            warned: false,
        }
    }
}

impl Failover {
    /// A session, and what makes the fallback's when a request needs it.
    pub fn with_fallback(
        session: Session,
        fallback: impl FnOnce() -> Result<Session, SessionError> + Send + 'static,
    ) -> Self {
        Self {
            fallback: Fallback::Closed(Box::new(fallback)),
            ..Self::from(session)
        }
    }

    /// The fallback's session, because the first device could not be opened.
    pub fn instead(fallback: Session, why: &dyn std::error::Error) -> Self {
        let why = with_causes(why);
        warn!("{why}; the fallback device answers");
        Self {
            fallback: Fallback::Instead(why.into()),
            warned: true,
            ..Self::from(fallback)
        }
    }

    /// The session that requests go to first, alone.
    pub fn into_session(self) -> Session {
        self.session
    }

    /// The session that requests go to first.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session that requests go to first, to use without the fallback.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// What the last call of this value was computed by.
    pub fn last_run(&self) -> &RunRecord {
        &self.record
    }

    /// Of both sessions together; the cycles of the last run are the first's.
    pub fn statistics(&self) -> RunStatistics {
        let first = self.session.statistics();
        match &self.fallback {
            Fallback::Instead(_) => RunStatistics {
                by_fallback: first.sequences,
                ..first
            },
            Fallback::Open(session) => {
                let second = session.statistics();
                RunStatistics {
                    runs: first.runs + second.runs,
                    sequences: first.sequences + second.sequences,
                    tokens: first.tokens + second.tokens,
                    cycles: first.cycles + second.cycles,
                    last_cycles: first.last_cycles,
                    recoveries: first.recoveries + second.recoveries,
                    scrubs: first.scrubs + second.scrubs,
                    damaged: first.damaged + second.damaged,
                    taken_out: first.taken_out + second.taken_out,
                    by_fallback: second.sequences,
                }
            }
            Fallback::None | Fallback::Closed(_) => first,
        }
    }

    /// As [`Session::run`].
    pub fn run(&mut self, tokens: &Tokens) -> Result<HeadOutput, SessionError> {
        self.call(|session| session.run(tokens))
    }

    /// As [`Session::run_batch`].
    pub fn run_batch(&mut self, sequences: &[Tokens]) -> Result<Vec<HeadOutput>, SessionError> {
        self.run_batch_with(sequences, |_| ())
    }

    /// As [`Session::run_batch_with`]; where the device fails among the runs, the fallback answers
    /// all sequences, so that a batch comes from one device.
    pub fn run_batch_with(
        &mut self,
        sequences: &[Tokens],
        mut done: impl FnMut(usize),
    ) -> Result<Vec<HeadOutput>, SessionError> {
        self.call(|session| session.run_batch_with(sequences, &mut done))
    }

    /// As [`Session::run_each_with`], with the fallback as in [`Failover::run_batch_with`].
    pub fn run_each_with(
        &mut self,
        sequences: &[Tokens],
        mut done: impl FnMut(usize),
    ) -> Result<Vec<Result<HeadOutput, HostError>>, SessionError> {
        self.call(|session| session.run_each_with(sequences, &mut done))
    }

    fn call<T>(
        &mut self,
        mut call: impl FnMut(&mut Session) -> Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        let result = call(&mut self.session);
        self.record = self.session.last_run().clone();
        if let Fallback::Instead(why) = &self.fallback {
            self.record.fallback = Some(why.clone());
        }
        match result {
            Err(error) if error.is_device_fault() && self.has_another() => {
                let first = with_causes(&error);
                self.call_fallback(&first, call)
                    .map_err(|second| SessionError::Fallback {
                        first,
                        second: Box::new(second),
                    })
            }
            result => result,
        }
    }

    fn has_another(&self) -> bool {
        matches!(self.fallback, Fallback::Closed(_) | Fallback::Open(_))
    }

    fn call_fallback<T>(
        &mut self,
        why: &str,
        mut call: impl FnMut(&mut Session) -> Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        if !self.warned {
            warn!("{why}; the fallback device answers");
            self.warned = true;
        }
        self.fallback = match std::mem::replace(&mut self.fallback, Fallback::None) {
            Fallback::Closed(open) => Fallback::Open(Box::new(open()?)),
            other => other,
        };
        let Fallback::Open(session) = &mut self.fallback else {
            return Err(SessionError::Closed);
        };
        let result = call(session);
        self.record = RunRecord {
            fallback: Some(why.into()),
            ..session.last_run().clone()
        };
        result
    }
}
