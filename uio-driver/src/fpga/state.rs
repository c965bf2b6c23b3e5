//! The states of an FPGA manager.

use std::fmt;

/// What the manager reports. The kernel has 14 words for it; what matters is which of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagerState {
    /// `operating`: a design is loaded and runs.
    Operating,
    /// Between `firmware request` and `write complete`: a load is under way.
    Loading(String),
    /// One of the `... error` states: the last load failed.
    Failed(String),
    /// Anything else, `unknown` and `power off` among them: no design that could be relied on.
    Idle(String),
}

impl ManagerState {
    /// From the text of the attribute.
    pub fn parse(text: &str) -> Self {
        let word = || text.chars().take(40).collect();
        match text {
            "operating" => Self::Operating,
            "firmware request" | "parse header" | "write init" | "write" | "write complete" => {
                Self::Loading(word())
            }
            _ if text.ends_with("error") => Self::Failed(word()),
            _ => Self::Idle(word()),
        }
    }
}

impl fmt::Display for ManagerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operating => f.write_str("operating"),
            Self::Loading(word) | Self::Failed(word) | Self::Idle(word) => f.write_str(word),
        }
    }
}
