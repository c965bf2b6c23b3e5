//! What the units of the accelerator wait for, by the timing model.

use std::fmt::Write;

use fqbert_contract::timing::{Schedule, UNITS, unit_name};
use serde::Serialize;

/// Cycles that a unit waits for another.
#[derive(Serialize)]
struct Wait {
    unit: &'static str,
    cycles: u64,
}

/// Where a unit's cycles go. `busy`, the waits and `idle` add up to the run's.
#[derive(Serialize)]
pub struct UnitStalls {
    #[serde(skip)]
    unit: &'static str,
    #[serde(skip)]
    busy: u64,
    /// Of its stalled cycles, those for a semaphore that another unit was the last to raise, most
    /// first; FETCH's are for a place in the other's queue.
    waits: Vec<Wait>,
    /// Cycles without an instruction.
    idle: u64,
    /// Cycles, mostly among the busy ones, in which an access stood before a port of an on-chip
    /// memory that another unit took.
    ports: u64,
}

impl UnitStalls {
    pub fn of(schedule: &Schedule, unit: usize) -> Self {
        let (counters, waits) = (&schedule.counters, &schedule.waits);
        let used = counters.busy[unit] + counters.stall[unit];
        let mut waits: Vec<Wait> = (0..UNITS)
            .map(|other| Wait {
                unit: unit_name(other),
                cycles: waits.stall[unit][other],
            })
            .filter(|wait| wait.cycles > 0)
            .collect();
        waits.sort_by_key(|wait| std::cmp::Reverse(wait.cycles));
        Self {
            unit: unit_name(unit),
            busy: counters.busy[unit],
            waits,
            idle: schedule.cycles.saturating_sub(used),
            ports: schedule.waits.ports[unit],
        }
    }
}

/// A line for each unit.
pub fn table<'a>(
    units: impl Iterator<Item = &'a UnitStalls>,
    cycles: u64,
) -> Result<String, std::fmt::Error> {
    let share = |part: u64| 100.0 * part as f64 / cycles.max(1) as f64;
    let mut out = String::new();
    writeln!(
        out,
        "{:8} {:>9} {:>7} {:>9} {:>7} {:>7}  waits for",
        "unit", "busy", "", "idle", "", "ports"
    )?;
    for u in units {
        let waits: Vec<String> = u
            .waits
            .iter()
            .map(|w| format!("{} {} ({:.1}%)", w.unit, w.cycles, share(w.cycles)))
            .collect();
        writeln!(
            out,
            "{:8} {:>9} {:>6.1}% {:>9} {:>6.1}% {:>7}  {}",
            u.unit,
            u.busy,
            share(u.busy),
            u.idle,
            share(u.idle),
            u.ports,
            if waits.is_empty() {
                "-".to_owned()
            } else {
                waits.join(", ")
            }
        )?;
    }
    Ok(out)
}
