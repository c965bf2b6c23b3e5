//! What can go wrong, by name.

use std::fmt;

/// How a fault can be noticed by who drives the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A call fails, or the registers say so, or nothing happens by the deadline.
    Loud,
    /// The registers lie: noticed by what contradicts them.
    Lying,
    /// Data change and nothing says so. Only a check of the data finds it.
    Silent,
}

/// A fault. Its doc is what happens; [`Fault::opportunity`] is when it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// An interrupt that never arrives.
    LostInterrupt,
    /// An interrupt that arrives up to two seconds late.
    LateInterrupt,
    /// An interrupt that arrives again.
    DuplicateInterrupt,
    /// An interrupt without a cause, or a count that went on by two.
    SpuriousInterrupt,
    /// A write to DOORBELL that never arrives.
    LostDoorbell,
    /// The engine takes the doorbell and is BUSY until a reset.
    StuckEngine,
    /// The run ends with FAULT, the memory having answered SLVERR or DECERR.
    AxiError,
    /// A call that fails and has done nothing.
    FailedBefore,
    /// A call that has done its work and says that it failed.
    FailedAfter,
    /// An allocation that fails.
    OutOfMemory,
    /// Every call fails, for 1 to 100 calls; then the device is back as after power-on, its
    /// memory as it was.
    Vanished,
    /// Every call fails from now on.
    Gone,
    /// A reset that does nothing and says that it did.
    LostReset,
    /// A sync to the CPU that does nothing and says that it did.
    SkippedSyncToCpu,
    /// STATUS reads as any of its bits.
    WrongStatus,
    /// A register reads with one bit flipped.
    FlippedRegister,
    /// A sync to the device that does nothing and says that it did.
    SkippedSyncToDevice,
    /// One bit of the program flips in device memory.
    FlippedCode,
    /// One bit of the first buffer that the program loads from flips in device memory: the weights.
    FlippedConstants,
    /// One bit of another buffer that the program loads from flips in device memory: activations
    /// on their way in.
    FlippedInput,
    /// One bit of what the program stored flips when it is read: activations on their way out.
    FlippedOutput,
}

/// A fault's name, class and opportunity.
type Entry = (Fault, &'static str, Class, &'static str);

/// In the order of the enumeration.
const TABLE: [Entry; 21] = [
    (
        Fault::LostInterrupt,
        "lost-interrupt",
        Class::Loud,
        "interrupt",
    ),
    (
        Fault::LateInterrupt,
        "late-interrupt",
        Class::Loud,
        "interrupt",
    ),
    (
        Fault::DuplicateInterrupt,
        "duplicate-interrupt",
        Class::Loud,
        "interrupt",
    ),
    (
        Fault::SpuriousInterrupt,
        "spurious-interrupt",
        Class::Loud,
        "wait",
    ),
    (
        Fault::LostDoorbell,
        "lost-doorbell",
        Class::Loud,
        "doorbell",
    ),
    (Fault::StuckEngine, "stuck-engine", Class::Loud, "doorbell"),
    (Fault::AxiError, "axi-error", Class::Loud, "doorbell"),
    (
        Fault::FailedBefore,
        "failed-before",
        Class::Loud,
        "call but allocations",
    ),
    (
        Fault::FailedAfter,
        "failed-after",
        Class::Loud,
        "call but allocations",
    ),
    (
        Fault::OutOfMemory,
        "out-of-memory",
        Class::Loud,
        "allocation",
    ),
    (Fault::Vanished, "vanished", Class::Loud, "call"),
    (Fault::Gone, "gone", Class::Loud, "call"),
    (Fault::LostReset, "lost-reset", Class::Loud, "reset"),
    (
        Fault::SkippedSyncToCpu,
        "skipped-sync-to-cpu",
        Class::Loud,
        "sync to the CPU",
    ),
    (
        Fault::WrongStatus,
        "wrong-status",
        Class::Lying,
        "read of STATUS",
    ),
    (
        Fault::FlippedRegister,
        "flipped-register",
        Class::Lying,
        "read of a register",
    ),
    (
        Fault::SkippedSyncToDevice,
        "skipped-sync-to-device",
        Class::Silent,
        "sync to the device",
    ),
    (
        Fault::FlippedCode,
        "flipped-code",
        Class::Silent,
        "doorbell",
    ),
    (
        Fault::FlippedConstants,
        "flipped-constants",
        Class::Silent,
        "doorbell",
    ),
    (
        Fault::FlippedInput,
        "flipped-input",
        Class::Silent,
        "doorbell",
    ),
    (
        Fault::FlippedOutput,
        "flipped-output",
        Class::Silent,
        "read of the output",
    ),
];

impl Fault {
    /// How many there are.
    pub(crate) const COUNT: usize = TABLE.len();

    /// All of them.
    pub fn all() -> impl Iterator<Item = Fault> {
        TABLE.iter().map(|entry| entry.0)
    }

    /// The fault of a name.
    pub fn by_name(name: &str) -> Option<Fault> {
        Self::all().find(|fault| fault.name() == name)
    }

    fn entry(self) -> &'static Entry {
        &TABLE[self as usize]
    }

    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// How it can be noticed.
    pub fn class(self) -> Class {
        self.entry().2
    }

    /// What it may happen at, each time.
    pub fn opportunity(self) -> &'static str {
        self.entry().3
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enumeration_and_names_are_unique() {
        for (at, fault) in Fault::all().enumerate() {
            assert_eq!(fault as usize, at);
            assert_eq!(Fault::by_name(fault.name()), Some(fault));
        }
    }
}
