//! A session whose requests are awaited.

use std::sync::{Arc, mpsc};
use std::thread;

use fqbert_host::{HeadOutput, Tokens};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::SessionError;
use crate::failover::Failover;
use crate::record::RunRecord;
use crate::session::Session;

/// An output and what it was computed by.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The head's output.
    pub output: HeadOutput,
    /// Of the call that answered this request, and others that were waiting with it.
    pub record: RunRecord,
}

struct Request {
    tokens: Tokens,
    answer: oneshot::Sender<Result<Answer, SessionError>>,
    /// Its place in the queue, given back when the session takes it out and not before: a requester
    /// that gives up leaves its request in the channel.
    place: OwnedSemaphorePermit,
}

/// Requests that may wait together for the next batch.
const BATCH_MAX: usize = 64;
/// Requests accepted and not yet taken by the session; a further one waits.
const QUEUE_MAX: usize = 256;

/// A [`Session`] on a thread of its own. Requests that arrive while it works form
/// the next batch and share runs.
///
/// Clones share the session. When the last one is dropped, what was accepted is still answered,
/// then the session ends.
#[derive(Clone)]
pub struct AsyncSession {
    requests: mpsc::SyncSender<Request>,
    places: Arc<Semaphore>,
}

impl AsyncSession {
    /// Moves a session, or a [`Failover`], to a thread of its own.
    ///
    /// # Errors
    /// [`SessionError::Closed`] if the system gives no thread.
    pub fn new(session: impl Into<Failover>) -> Result<Self, SessionError> {
        let (requests, server) = Self::with_server(session);
        thread::Builder::new()
            .name("fqbert-session".into())
            .spawn(move || server.serve())
            .map_err(|_| SessionError::Closed)?;
        Ok(requests)
    }

    /// Where requests are put in, and what answers them when its owner says so: on a thread that
    /// the owner has, or one batch at a time.
    pub fn with_server(session: impl Into<Failover>) -> (Self, Server) {
        let session = session.into();
        let (requests, queue) = mpsc::sync_channel(QUEUE_MAX);
        let places = Arc::new(Semaphore::new(QUEUE_MAX));
        (Self { requests, places }, Server { session, queue })
    }

    /// One sequence to its head's output. Dropping the future gives up the answer, not the place of
    /// others.
    pub async fn run(&self, tokens: Tokens) -> Result<HeadOutput, SessionError> {
        Ok(self.answer(tokens).await?.output)
    }

    /// As [`AsyncSession::run`], with what the output was computed by.
    pub async fn answer(&self, tokens: Tokens) -> Result<Answer, SessionError> {
        let (answer, answered) = oneshot::channel();
        // The permit keeps the channel below its bound, so that sending never blocks the executor.
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| SessionError::Closed)?;
        self.requests
            .try_send(Request {
                tokens,
                answer,
                place,
            })
            .map_err(|_| SessionError::Closed)?;
        answered.await.map_err(|_| SessionError::Closed)?
    }
}

/// The session behind an [`AsyncSession`], and the queue that it answers.
pub struct Server {
    session: Failover,
    queue: mpsc::Receiver<Request>,
}

impl Server {
    /// Answers requests until the last sender is gone and the queue is empty.
    pub fn serve(mut self) {
        while let Ok(first) = self.queue.recv() {
            self.answer(first);
        }
    }

    /// Answers the requests that wait now, at most one batch of them; whether there were any.
    pub fn serve_waiting(&mut self) -> bool {
        let first = self.queue.try_recv();
        first.map(|first| self.answer(first)).is_ok()
    }

    /// Gives the session back that requests went to first. Requests that wait are told that it was
    /// closed.
    pub fn into_session(self) -> Session {
        self.session.into_session()
    }

    /// Answers a request and those that wait behind it, as one batch.
    fn answer(&mut self, first: Request) {
        let mut batch = Vec::new();
        let mut take = |request: Request| {
            drop(request.place);
            // A requester that gave up wants no answer, and the others should not wait for one.
            if !request.answer.is_closed() {
                batch.push((request.tokens, request.answer));
            }
            batch.len() < BATCH_MAX
        };
        let mut more = take(first);
        while more && let Ok(next) = self.queue.try_recv() {
            more = take(next);
        }
        let sequences: Vec<Tokens> = batch.iter().map(|(tokens, _)| tokens.clone()).collect();
        match self.session.run_batch(&sequences) {
            Ok(outputs) => {
                for ((_, answer), output) in batch.into_iter().zip(outputs) {
                    let record = self.session.last_run().clone();
                    // The requester may have given up: nobody is left to tell.
                    let _ = answer.send(Ok(Answer { output, record }));
                }
            }
            // One bad request must not take the others with it: each again, alone.
            Err(_) => {
                for (tokens, answer) in batch {
                    let output = self.session.run(&tokens);
                    let record = self.session.last_run().clone();
                    let _ = answer.send(output.map(|output| Answer { output, record }));
                }
            }
        }
    }
}
