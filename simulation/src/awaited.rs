//! Callers that put requests in and await them, in one thread and in the order of the scenario.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use fqbert_runtime::{AsyncSession, HeadOutput, Server, Session, SessionError};

use crate::history::{History, answer};
use crate::property::Property;
use crate::scenario::Step;

type Awaited = Pin<Box<dyn Future<Output = Result<HeadOutput, SessionError>>>>;

/// A request under way.
struct Caller {
    text: usize,
    future: Awaited,
}

/// The callers of a history and what serves them.
struct Callers<'h, 'a> {
    history: &'h mut History<'a>,
    requests: AsyncSession,
    server: Server,
    waiting: Vec<Caller>,
}

/// Lets the steps happen, answers what still waits, and gives the session back.
pub fn happen(history: &mut History<'_>, session: Session) -> Option<Session> {
    let (requests, server) = AsyncSession::with_server(session);
    let steps = &history.scenario.steps;
    let mut callers = Callers {
        history,
        requests,
        server,
        waiting: Vec::new(),
    };
    for step in steps {
        callers.history.tell(|_| step.to_string());
        callers.step(step);
    }
    callers.history.heal();
    // A caller that had no place gets one when others are answered.
    while callers.serve() {}
    if let Some(caller) = callers.waiting.first() {
        let told = format!(
            "text {} still waits when nothing is left to answer",
            caller.text
        );
        callers.history.violate(Property::Answered, told);
    }
    Some(callers.server.into_session())
}

impl Callers<'_, '_> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Submit(text) => {
                self.submit(*text);
                self.poll();
            }
            Step::Abandon(count) => {
                for _ in 0..*count {
                    self.submit(0);
                    if let Some(mut caller) = self.waiting.pop()
                        && let Poll::Ready(output) = poll(&mut caller.future)
                    {
                        self.history.judge(caller.text, answer(output));
                    }
                }
            }
            Step::GiveUp => {
                if !self.waiting.is_empty() {
                    self.waiting.remove(0);
                }
            }
            Step::Serve => {
                self.serve();
            }
            Step::Classify(_) | Step::ClassifyBatch(_) => {}
        }
    }

    fn submit(&mut self, text: usize) {
        let requests = self.requests.clone();
        let tokens = self.history.question(text).tokens.clone();
        let future = Box::pin(async move { requests.run(tokens).await });
        self.waiting.push(Caller { text, future });
    }

    /// One batch; whether there was one.
    fn serve(&mut self) -> bool {
        let began = self.history.now();
        // Together, and each again if they fail.
        let most = 2 * self.waiting.len() as u32;
        let served = self.server.serve_waiting();
        self.history.check_time(began, most);
        self.poll();
        served && !self.history.is_violated()
    }

    /// Callers look for their answers.
    fn poll(&mut self) {
        let history = &mut *self.history;
        self.waiting
            .retain_mut(|caller| match poll(&mut caller.future) {
                Poll::Pending => true,
                Poll::Ready(Err(SessionError::Closed)) => {
                    let told = format!("text {} is told that the session was closed", caller.text);
                    history.violate(Property::Answered, told);
                    false
                }
                Poll::Ready(output) => {
                    history.judge(caller.text, answer(output));
                    false
                }
            });
    }
}

fn poll(future: &mut Awaited) -> Poll<Result<HeadOutput, SessionError>> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}
