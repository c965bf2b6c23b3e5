//! Interrupts through a descriptor that speaks UIO's protocol.
//!
//! A read gives the 32-bit number of interrupts since the driver was bound and blocks while that
//! equals the number last read through the same open file; a write of 1 unmasks the interrupt,
//! which the kernel's handler masked when it fired (`uio_pdrv_genirq`). Hence at most one
//! interrupt comes for each [`Interrupt::arm`], and every deviation can be seen in the count.
//!
//! The type is made from any descriptor: a socket pair in a test plays the kernel.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::unistd;

use crate::{Deadline, Error, Result};

/// Interrupts without a cause that one [`Interrupt::wait_until`] bears before it calls it a storm.
const STORM: u32 = 1000;
/// Reads that [`Interrupt::arm`] makes at most to empty the descriptor.
const DRAIN: u32 = 64;

/// An interrupt that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The kernel's count with this interrupt.
    pub count: u32,
    /// Interrupts since the last one seen. More than 1: others came that nobody saw.
    pub new: u32,
    /// Whether it was armed. An interrupt that was not is none of ours.
    pub armed: bool,
}

/// Interrupts that [`Interrupt::arm`] found waiting: they came after the last wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// How many.
    pub count: u32,
    /// Whether the last wait had timed out: then the first of them is that one, come late.
    pub late: bool,
}

/// How [`Interrupt::wait_until`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// By an interrupt, with the condition true.
    Interrupt(Wake),
    /// The condition was true at the deadline and no interrupt had come: it was lost. The work is
    /// done, the interrupt path is broken.
    Lost,
}

/// Failure of [`Interrupt::wait_until`]: of the interrupt, or of the caller's condition.
#[derive(Debug, thiserror::Error)]
pub enum WaitError<E> {
    /// Of the interrupt.
    #[error(transparent)]
    Irq(#[from] Error),
    /// Of the condition.
    #[error("the condition waited for could not be read")]
    Condition(#[source] E),
}

/// What has been seen so far; all count up from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IrqStats {
    /// Times armed.
    pub armed: u64,
    /// Interrupts taken by a wait.
    pub taken: u64,
    /// Interrupts that the count shows and no wait saw.
    pub missed: u64,
    /// Wakes with an unchanged count.
    pub duplicate: u64,
    /// Interrupts that came without having been armed, or without a cause in the device.
    pub spurious: u64,
    /// Interrupts that came after their wait had timed out.
    pub late: u64,
    /// Waits that ended with the condition true and no interrupt.
    pub lost: u64,
    /// Waits that timed out.
    pub timeouts: u64,
}

/// The interrupt of one device: arm, start the work, wait.
#[derive(Debug)]
pub struct Interrupt {
    fd: OwnedFd,
    name: String,
    last: u32,
    armed: bool,
    timed_out: bool,
    stats: IrqStats,
}

impl Interrupt {
    /// Takes a descriptor that speaks UIO's protocol and sets it non-blocking. `count` is the count
    /// already seen; an interrupt between reading it and this call shows as one new.
    ///
    /// # Errors
    /// [`Error::Io`] for a descriptor that cannot be set non-blocking.
    pub fn from_fd(name: impl Into<String>, fd: OwnedFd, count: u32) -> Result<Self> {
        let name = name.into();
        let flags = fcntl(&fd, FcntlArg::F_GETFL)
            .map(|bits| OFlag::from_bits_retain(bits) | OFlag::O_NONBLOCK)
            .and_then(|flags| fcntl(&fd, FcntlArg::F_SETFL(flags)));
        flags.map_err(|errno| Error::io("set non-blocking", &name, errno.into()))?;
        let stats = IrqStats::default();
        Ok(Self {
            fd,
            name,
            last: count,
            armed: false,
            timed_out: false,
            stats,
        })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The count of the last interrupt seen.
    pub fn count(&self) -> u32 {
        self.last
    }

    /// Whether it was armed and no interrupt has been taken since.
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// What has been seen so far.
    pub fn stats(&self) -> IrqStats {
        self.stats
    }

    /// Unmasks the interrupt, to be called before the work starts. Interrupts that came since the
    /// last wait are taken first and reported: they must not end the wait that follows.
    ///
    /// # Errors
    /// [`Error::NoInterrupt`], [`Error::DeviceGone`], [`Error::IrqShort`],
    /// [`Error::IrqCountBackwards`].
    pub fn arm(&mut self) -> Result<Stale> {
        let mut stale = Stale::default();
        let mut reads = 0;
        while let Some(wake) = self.take()? {
            stale.count = stale.count.saturating_add(wake.new);
            reads += 1;
            if reads == DRAIN {
                return Err(Error::IrqStorm {
                    name: self.name.clone(),
                    count: stale.count,
                });
            }
        }
        if stale.count > 0 {
            stale.late = self.timed_out;
            let late = u32::from(stale.late);
            self.stats.late += u64::from(late);
            self.stats.spurious += u64::from(stale.count - late);
            tracing::warn!(
                device = self.name,
                count = stale.count,
                late = stale.late,
                "stale interrupts"
            );
        }
        self.timed_out = false;
        self.control(1)?;
        self.armed = true;
        self.stats.armed += 1;
        Ok(stale)
    }

    /// Masks the interrupt.
    ///
    /// # Errors
    /// As [`Interrupt::arm`].
    pub fn disarm(&mut self) -> Result<()> {
        self.control(0)?;
        self.armed = false;
        Ok(())
    }

    /// Waits for the next interrupt. One that was never armed is reported as such; a wake without a
    /// new count does not end the wait.
    ///
    /// # Errors
    /// [`Error::IrqTimeout`], else as [`Interrupt::arm`].
    pub fn wait(&mut self, deadline: Deadline) -> Result<Wake> {
        loop {
            // Take first: what has come already is there even if the deadline is past.
            if let Some(wake) = self.take()? {
                if wake.new > 0 {
                    return Ok(self.note(wake));
                }
                // A count read again ends no wait, and must not make an endless loop of one.
                if !deadline.expired() {
                    continue;
                }
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return Err(self.note_timeout(deadline));
            }
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut fds, Some(TimeSpec::from_duration(left)), None) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::io("poll", &self.name, errno.into())),
            }
        }
    }

    /// Waits until an interrupt comes *and* `done` says that the device has what was waited for.
    /// An interrupt without that is spurious: counted, re-armed, waited on. At the deadline `done`
    /// is asked once more, so that a lost interrupt is told from work that is not finished.
    ///
    /// # Errors
    /// [`Error::IrqTimeout`] when not done at the deadline, [`Error::IrqStorm`] when the interrupts
    /// have no end, else as [`Interrupt::arm`]; the error of `done`.
    pub fn wait_until<E>(
        &mut self,
        deadline: Deadline,
        mut done: impl FnMut() -> Result<bool, E>,
    ) -> Result<Completion, WaitError<E>> {
        let mut causeless = 0;
        loop {
            let wake = match self.wait(deadline) {
                Ok(wake) => wake,
                Err(timeout @ Error::IrqTimeout { .. }) => {
                    if !done().map_err(WaitError::Condition)? {
                        return Err(timeout.into());
                    }
                    self.stats.lost += 1;
                    tracing::warn!(
                        device = self.name,
                        count = self.last,
                        "work is done and its interrupt never came: every wait will last to its \
                         deadline"
                    );
                    return Ok(Completion::Lost);
                }
                Err(other) => return Err(other.into()),
            };
            if done().map_err(WaitError::Condition)? {
                return Ok(Completion::Interrupt(wake));
            }
            causeless += 1;
            self.stats.spurious += 1;
            tracing::warn!(
                device = self.name,
                count = wake.count,
                "interrupt without a cause"
            );
            if causeless == STORM {
                return Err(Error::IrqStorm {
                    name: self.name.clone(),
                    count: causeless,
                }
                .into());
            }
            // The real one may have come between the question and this: then it was drained here.
            if self.arm()?.count > 0 && done().map_err(WaitError::Condition)? {
                return Ok(Completion::Interrupt(wake));
            }
        }
    }

    /// Accounts for an interrupt that ends a wait.
    pub(crate) fn note(&mut self, wake: Wake) -> Wake {
        self.stats.taken += 1;
        self.stats.missed += u64::from(wake.new.saturating_sub(1));
        self.stats.spurious += u64::from(!wake.armed);
        if wake.new > 1 || !wake.armed {
            tracing::warn!(
                device = self.name,
                count = wake.count,
                new = wake.new,
                armed = wake.armed,
                "interrupt count does not match what was armed"
            );
        }
        self.armed = false;
        self.timed_out = false;
        wake
    }

    /// Accounts for a wait that timed out.
    pub(crate) fn note_timeout(&mut self, deadline: Deadline) -> Error {
        self.stats.timeouts += 1;
        self.timed_out = true;
        Error::IrqTimeout {
            name: self.name.clone(),
            waited: deadline.elapsed(),
            count: self.last,
        }
    }

    /// Reads the count if there is one to read, without waiting.
    pub(crate) fn take(&mut self) -> Result<Option<Wake>> {
        let mut bytes = [0u8; 4];
        let got = loop {
            match unistd::read(&self.fd, &mut bytes) {
                Ok(got) => break got,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(errno) => return Err(self.sort(errno, "read")),
            }
        };
        if got != bytes.len() {
            return Err(Error::IrqShort {
                name: self.name.clone(),
                op: "read",
                got,
            });
        }
        let count = u32::from_ne_bytes(bytes);
        let new = count.wrapping_sub(self.last);
        // A step of more than half the range is a step back: the count started again.
        if new > u32::MAX / 2 {
            let name = self.name.clone();
            return Err(Error::IrqCountBackwards {
                name,
                last: self.last,
                now: count,
            });
        }
        if new == 0 {
            self.stats.duplicate += 1;
        }
        self.last = count;
        Ok(Some(Wake {
            count,
            new,
            armed: self.armed,
        }))
    }

    /// Writes the mask word: 1 unmasks, 0 masks.
    fn control(&mut self, value: u32) -> Result<()> {
        loop {
            match unistd::write(&self.fd, &value.to_ne_bytes()) {
                Ok(4) => return Ok(()),
                Ok(got) => {
                    return Err(Error::IrqShort {
                        name: self.name.clone(),
                        op: "write",
                        got,
                    });
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.sort(errno, "write")),
            }
        }
    }

    /// `EIO` is UIO's answer without an interrupt or after unregistering; `ENOSYS` without a mask.
    fn sort(&self, errno: Errno, op: &'static str) -> Error {
        let name = self.name.clone();
        match errno {
            Errno::EIO if self.stats.taken > 0 => Error::DeviceGone { name },
            Errno::EIO | Errno::ENOSYS => Error::NoInterrupt { name },
            Errno::ENODEV | Errno::ENXIO | Errno::EPIPE | Errno::ECONNRESET => {
                Error::DeviceGone { name }
            }
            other => Error::io(op, name, io::Error::from(other)),
        }
    }
}

impl AsRawFd for Interrupt {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
