//! A session whose requests are awaited.

use std::sync::mpsc;
use std::thread;

use fqbert_host::{HeadOutput, Tokens};
use tokio::sync::oneshot;

use crate::error::SessionError;
use crate::session::Session;

struct Request {
    tokens: Tokens,
    answer: oneshot::Sender<Result<HeadOutput, SessionError>>,
}

/// Requests that may wait together for the next batch.
const BATCH_MAX: usize = 64;
/// Requests accepted and not yet taken by the session; a further one waits.
const QUEUE_MAX: usize = 256;

/// A [`Session`] on a thread of its own. Requests that arrive while it works form the next batch
/// and share runs.
///
/// Clones share the session. When the last one is dropped, what was accepted is still answered,
/// then the session ends.
#[derive(Clone)]
pub struct AsyncSession {
    requests: mpsc::SyncSender<Request>,
    places: std::sync::Arc<tokio::sync::Semaphore>,
}

impl AsyncSession {
    /// Moves a session to its thread.
    ///
    /// # Errors
    /// [`SessionError::Closed`] if the system gives no thread.
    pub fn new(session: Session) -> Result<Self, SessionError> {
        let (requests, queue) = mpsc::sync_channel(QUEUE_MAX);
        let places = std::sync::Arc::new(tokio::sync::Semaphore::new(QUEUE_MAX));
        thread::Builder::new()
            .name("fqbert-session".into())
            .spawn(move || serve(session, &queue))
            .map_err(|_| SessionError::Closed)?;
        Ok(Self { requests, places })
    }

    /// One sequence to its head's output. Dropping the future gives up the answer, not the place of
    /// others.
    pub async fn run(&self, tokens: Tokens) -> Result<HeadOutput, SessionError> {
        let (answer, answered) = oneshot::channel();
        // The permit keeps the channel below its bound, so that sending never blocks the executor.
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|_| SessionError::Closed)?;
        self.requests
            .try_send(Request { tokens, answer })
            .map_err(|_| SessionError::Closed)?;
        answered.await.map_err(|_| SessionError::Closed)?
    }
}

/// Answers requests until the last sender is gone and the queue is empty.
fn serve(mut session: Session, queue: &mpsc::Receiver<Request>) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        let sequences: Vec<Tokens> = batch.iter().map(|r| r.tokens.clone()).collect();
        match session.run_batch(&sequences) {
            Ok(outputs) => {
                for (request, output) in batch.into_iter().zip(outputs) {
                    // The requester may have given up: nobody is left to tell.
                    let _ = request.answer.send(Ok(output));
                }
            }
            // One bad request must not take the others with it: each again, alone.
            Err(_) => {
                for request in batch {
                    let output = session.run(&request.tokens);
                    let _ = request.answer.send(output);
                }
            }
        }
    }
}
