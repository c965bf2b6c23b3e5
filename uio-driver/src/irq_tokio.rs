//! The same interrupt as a future.

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::{Deadline, Error, Interrupt, IrqStats, Result, Stale, Wake};

/// An [`Interrupt`] that a tokio task waits on. Same counting, same deadlines.
#[derive(Debug)]
pub struct AsyncInterrupt {
    fd: AsyncFd<Interrupt>,
}

impl AsyncInterrupt {
    /// Registers the interrupt with the reactor of the running runtime.
    ///
    /// # Errors
    /// [`Error::Io`] when the descriptor cannot be polled, [`Error::BadRequest`] outside a runtime.
    ///
    /// # Panics
    /// As all of tokio's I/O, in a runtime that was built without `enable_io`.
    #[allow(unsafe_code)]
    pub fn new(interrupt: Interrupt) -> Result<Self> {
        let name = interrupt.name().to_owned();
        if tokio::runtime::Handle::try_current().is_err() {
            let reason = format!("the interrupt of `{name}` needs a running tokio runtime");
            return Err(Error::BadRequest { reason });
        }
        // SAFETY: `Interrupt` owns its descriptor from `from_fd` to its drop, never replaces it,
        // and `as_raw_fd` returns that one; `AsyncFd` owns the `Interrupt`.
        let registered = unsafe { AsyncFd::register_with_interest(interrupt, Interest::READABLE) };
        match registered {
            Ok(fd) => Ok(Self { fd }),
            Err(error) => Err(Error::io("register", name, error.into_parts().1)),
        }
    }

    /// As [`Interrupt::arm`]; does not wait.
    ///
    /// # Errors
    /// As [`Interrupt::arm`].
    pub fn arm(&mut self) -> Result<Stale> {
        self.fd.get_mut().arm()
    }

    /// As [`Interrupt::wait`]. Dropping the future loses no interrupt: one that came is taken by
    /// the next wait, or by the next arm as stale.
    ///
    /// # Errors
    /// As [`Interrupt::wait`].
    pub async fn wait(&mut self, deadline: Deadline) -> Result<Wake> {
        let end = tokio::time::Instant::from_std(deadline.instant());
        loop {
            if let Some(wake) = self.fd.get_mut().take()?
                && wake.new > 0
            {
                return Ok(self.fd.get_mut().note(wake));
            }
            if deadline.expired() {
                return Err(self.fd.get_mut().note_timeout(deadline));
            }
            match tokio::time::timeout_at(end, self.fd.readable_mut()).await {
                Err(_elapsed) => return Err(self.fd.get_mut().note_timeout(deadline)),
                Ok(Err(source)) => {
                    let name = self.fd.get_ref().name().to_owned();
                    return Err(Error::io("poll", name, source));
                }
                // Ready by the reactor's memory: forget it only when a read finds nothing, else
                // an interrupt between read and forgetting would be slept through.
                Ok(Ok(mut guard)) => match guard.get_inner_mut().take()? {
                    Some(wake) if wake.new > 0 => return Ok(self.fd.get_mut().note(wake)),
                    Some(_) => {}
                    None => guard.clear_ready(),
                },
            }
        }
    }

    /// What has been seen so far.
    pub fn stats(&self) -> IrqStats {
        self.fd.get_ref().stats()
    }

    /// Back to the blocking form.
    pub fn into_inner(self) -> Interrupt {
        self.fd.into_inner()
    }
}
