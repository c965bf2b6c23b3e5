//! The cases, in the order they run: what a later one relies on is checked by an earlier one.

mod compute;
mod faults;
mod memory;
mod registers;
mod runs;
mod transfers;

use crate::bench::Bench;
use crate::report::Failure;

/// One case.
pub struct Case {
    pub name: &'static str,
    pub body: fn(&mut Bench<'_>) -> Result<(), Failure>,
    /// Meaningful only where the views of memory differ.
    pub needs_staleness: bool,
}

const fn case(name: &'static str, body: fn(&mut Bench<'_>) -> Result<(), Failure>) -> Case {
    Case {
        name,
        body,
        needs_staleness: false,
    }
}

const fn stale(name: &'static str, body: fn(&mut Bench<'_>) -> Result<(), Failure>) -> Case {
    Case {
        name,
        body,
        needs_staleness: true,
    }
}

pub const ALL: &[Case] = &[
    case("registers/identity", registers::identity),
    case("registers/reset_values", registers::reset_values),
    case(
        "registers/read_only_and_unmapped",
        registers::read_only_and_unmapped,
    ),
    case("registers/offsets", registers::offsets),
    case("registers/configuration", registers::configuration),
    case("memory/allocation", memory::allocation),
    case("memory/exhaustion", memory::exhaustion),
    case("memory/bounds", memory::bounds),
    case("memory/contents", memory::contents),
    case("runs/end_only", runs::end_only),
    case("runs/interrupts", runs::interrupts),
    case("runs/masked_interrupt", runs::masked_interrupt),
    case("runs/counters", runs::counters),
    case("transfers/round_trip", transfers::round_trip),
    case("transfers/every_memory", transfers::every_memory),
    stale(
        "memory/missing_sync_to_device",
        memory::missing_sync_to_device,
    ),
    stale("memory/missing_sync_to_cpu", memory::missing_sync_to_cpu),
    case("compute/matmul_8x4", compute::matmul_8x4),
    case("compute/matmul_8x8", compute::matmul_8x8),
    case("compute/gelu", compute::gelu),
    case("compute/longest_dot", compute::longest_dot),
    case("compute/attention", compute::attention),
    case("compute/layer_norm", compute::layer_norm),
    case("faults/window", faults::window),
    case("faults/window_keeps_memory", faults::window_keeps_memory),
    case("faults/program_window", faults::program_window),
    case("faults/illegal_opcode", faults::illegal_opcode),
    case("faults/illegal_field", faults::illegal_field),
    case("faults/no_end", faults::no_end),
    case("faults/semaphore", faults::semaphore),
    case("faults/doorbell_needs_reset", faults::doorbell_needs_reset),
    case("runs/busy_and_reset", runs::busy_and_reset),
    case("random/programs", crate::random::case),
];
