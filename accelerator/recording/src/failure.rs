//! Errors of a device as they are recorded and given again.

use std::error::Error;

use fqbert_contract::device::{BufferId, DeviceError};
use fqbert_contract::{Bytes, RegisterOffset};
use serde::{Deserialize, Serialize};

/// Most bytes of a text of an error or a name.
const MOST_TEXT: usize = 4096;

/// A [`DeviceError`] as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// [`DeviceError::OutOfMemory`].
    OutOfMemory {
        /// Bytes asked for.
        wanted: u64,
        /// The largest block that was free.
        largest_free: u64,
        /// Size of the memory.
        total: u64,
    },
    /// [`DeviceError::UnknownBuffer`].
    UnknownBuffer(u32),
    /// [`DeviceError::OutOfBounds`].
    OutOfBounds {
        /// The buffer.
        buffer: u32,
        /// Its size.
        size: u64,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// [`DeviceError::BadRegister`].
    BadRegister(u32),
    /// [`DeviceError::Timeout`].
    Timeout {
        /// Milliseconds that were waited.
        waited_ms: u64,
    },
    /// [`DeviceError::InterruptCount`].
    InterruptCount {
        /// Count before.
        before: u32,
        /// Count after.
        after: u32,
        /// Difference from what was expected.
        missed: u32,
    },
    /// [`DeviceError::Unavailable`].
    Unavailable {
        /// What was wrong.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// [`DeviceError::Backend`], or an error that this version does not know.
    Backend {
        /// What was being done.
        context: String,
        /// The causes, outermost first.
        causes: Vec<String>,
    },
}

/// The cause of a recorded error.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Cause {
    text: String,
    #[source]
    source: Option<Box<Cause>>,
}

/// At most [`MOST_TEXT`] bytes of a text.
pub(crate) fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(MOST_TEXT)].to_owned()
}

/// Causes of an error that are recorded at most.
const MOST_CAUSES: usize = 16;

fn causes(error: &dyn Error) -> Vec<String> {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause.filter(|_| texts.len() < MOST_CAUSES) {
        texts.push(bounded(&error.to_string()));
        cause = error.source();
    }
    texts
}

impl From<&DeviceError> for Failure {
    fn from(error: &DeviceError) -> Self {
        match error {
            DeviceError::OutOfMemory {
                wanted,
                largest_free,
                total,
                ..
            } => Self::OutOfMemory {
                wanted: wanted.0,
                largest_free: largest_free.0,
                total: total.0,
            },
            DeviceError::UnknownBuffer(buffer) => Self::UnknownBuffer(buffer.0),
            DeviceError::OutOfBounds {
                buffer,
                size,
                offset,
                length,
            } => Self::OutOfBounds {
                buffer: buffer.0,
                size: size.0,
                offset: offset.0,
                length: length.0,
            },
            DeviceError::BadRegister(register) => Self::BadRegister(register.0),
            DeviceError::Timeout { waited_ms } => Self::Timeout {
                waited_ms: *waited_ms,
            },
            DeviceError::InterruptCount {
                before,
                after,
                missed,
            } => Self::InterruptCount {
                before: *before,
                after: *after,
                missed: *missed,
            },
            DeviceError::Unavailable { what, remedy } => Self::Unavailable {
                what: bounded(what),
                remedy: bounded(remedy),
            },
            other => Self::Backend {
                context: bounded(&other.to_string()),
                causes: causes(other),
            },
        }
    }
}

impl From<Failure> for DeviceError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OutOfMemory {
                wanted,
                largest_free,
                total,
            } => Self::OutOfMemory {
                wanted: Bytes(wanted),
                largest_free: Bytes(largest_free),
                total: Bytes(total),
                remedy: "so it was recorded: free buffers, or record a device with more memory",
            },
            Failure::UnknownBuffer(buffer) => Self::UnknownBuffer(BufferId(buffer)),
            Failure::OutOfBounds {
                buffer,
                size,
                offset,
                length,
            } => Self::OutOfBounds {
                buffer: BufferId(buffer),
                size: Bytes(size),
                offset: Bytes(offset),
                length: Bytes(length),
            },
            Failure::BadRegister(register) => Self::BadRegister(RegisterOffset(register)),
            Failure::Timeout { waited_ms } => Self::Timeout { waited_ms },
            Failure::InterruptCount {
                before,
                after,
                missed,
            } => Self::InterruptCount {
                before,
                after,
                missed,
            },
            Failure::Unavailable { what, remedy } => Self::Unavailable { what, remedy },
            Failure::Backend { context, causes } => {
                let chain = causes.into_iter().take(MOST_CAUSES).rev();
                let cause = chain.fold(None, |source, text| Some(Box::new(Cause { text, source })));
                match cause {
                    Some(source) => Self::Backend { context, source },
                    None => Self::Unavailable {
                        what: context,
                        remedy: "so it was recorded".to_owned(),
                    },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of error says after a recording what it said before.
    #[test]
    fn errors_come_back_as_they_were() {
        let disk = std::io::Error::other("the bus is gone");
        let cause = Cause {
            text: "reading a word".to_owned(),
            source: Some(Box::new(Cause {
                text: "deeper".to_owned(),
                source: None,
            })),
        };
        let errors = [
            DeviceError::UnknownBuffer(BufferId(3)),
            DeviceError::OutOfBounds {
                buffer: BufferId(1),
                size: Bytes(2),
                offset: Bytes(3),
                length: Bytes(4),
            },
            DeviceError::BadRegister(RegisterOffset(5)),
            DeviceError::Timeout { waited_ms: 6 },
            DeviceError::InterruptCount {
                before: 7,
                after: 9,
                missed: 1,
            },
            DeviceError::Unavailable {
                what: "no device".to_owned(),
                remedy: "plug it in".to_owned(),
            },
            DeviceError::Backend {
                context: "accessing a register".to_owned(),
                source: Box::new(disk),
            },
            DeviceError::Backend {
                context: "syncing".to_owned(),
                source: Box::new(cause),
            },
        ];
        let chain = |e: &DeviceError| (e.to_string(), causes(e));
        for error in errors {
            let again = DeviceError::from(Failure::from(&error));
            assert_eq!(chain(&again), chain(&error));
        }
        let full = Failure::OutOfMemory {
            wanted: 8,
            largest_free: 4,
            total: 16,
        };
        assert_eq!(Failure::from(&DeviceError::from(full.clone())), full);
        assert_eq!(bounded(&"ä".repeat(MOST_TEXT)).len(), MOST_TEXT);
    }
}
