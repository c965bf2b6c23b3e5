//! What this CPU could do at most, measured: a kernel's share of it says how much is left to gain.
//!
//! The limit is that of a loop that keeps everything in registers and does nothing but the CPU's
//! best 8-bit dot product. No matrix product can be faster; a good one comes to 70 or 80 percent.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

mod comparison;
mod probes;

pub use comparison::{Comparison, Line};
pub use probes::{Probe, probes};

/// How long one window of a measurement lasts. The best of several counts, since other processes
/// can only slow it down.
const WINDOW: Duration = Duration::from_millis(10);
const WINDOWS: usize = 12;

/// Multiply-accumulates of 8-bit numbers that a CPU can do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limit {
    /// The instruction that reaches it.
    pub instruction: String,
    /// Threads that ran at once.
    pub threads: usize,
    /// Multiply-accumulates a second, all threads together.
    pub macs_per_second: f64,
}

/// The best of this CPU's instructions on `threads` threads at once; `None` on a CPU this crate has
/// no probe for.
pub fn int8_limit(threads: usize) -> Option<Limit> {
    probes()
        .map(|p| Limit {
            instruction: p.instruction.to_owned(),
            threads,
            macs_per_second: rate(&p, threads),
        })
        .max_by(|a, b| a.macs_per_second.total_cmp(&b.macs_per_second))
}

/// The clock of one busy core in Hz, from a chain of dependent additions (one a cycle); `None` on a
/// CPU this crate has no probe for.
pub fn clock_hz() -> Option<f64> {
    probes::cycles().map(|p| rate(&p, 1))
}

/// Units of work a second of a probe, the best window's.
fn rate(probe: &Probe, threads: usize) -> f64 {
    let threads = threads.max(1);
    // As many iterations as fill a window, found by doubling.
    let mut iterations = 1000;
    loop {
        let start = Instant::now();
        (probe.run)(iterations);
        if start.elapsed() >= WINDOW || iterations > u64::MAX / 4 {
            break;
        }
        iterations *= 2;
    }
    let barrier = Barrier::new(threads);
    let window = || {
        barrier.wait();
        let start = Instant::now();
        (probe.run)(iterations);
        start.elapsed().as_secs_f64()
    };
    let measure = || -> Vec<f64> { (0..WINDOWS).map(|_| window()).collect() };
    let times: Vec<Vec<f64>> = std::thread::scope(|s| {
        let others: Vec<_> = (1..threads).map(|_| s.spawn(measure)).collect();
        let mine = measure();
        let joined = others.into_iter().filter_map(|t| t.join().ok());
        std::iter::once(mine).chain(joined).collect()
    });
    // Of each thread its best window: what all together do when nothing disturbs them.
    times
        .iter()
        .map(|t| {
            let best = t.iter().copied().fold(f64::INFINITY, f64::min);
            iterations as f64 * probe.units as f64 / best
        })
        .sum()
}

/// Seconds of CPU that the threads of this process which still live have had, to the nanosecond:
/// other processes' load changes it far less than wall time. `None` where the kernel does not count
/// it.
pub fn cpu_seconds() -> Option<f64> {
    let mut nanoseconds = 0u64;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(nanoseconds as f64 * 1e-9)
}

/// The CPU's name as its kernel reports it, or the architecture's.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info
            .lines()
            .find(|l| l.split(':').next().is_some_and(|k| k.trim() == name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    match (field("cpu family"), field("model")) {
        // Clouds hide the number of the part, but not its family and model.
        (Some(family), Some(number)) => format!("{model} (family {family} model {number})"),
        _ => model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_plausible() {
        if let (Some(limit), Some(clock)) = (int8_limit(1), clock_hz()) {
            let per_cycle = limit.macs_per_second / clock;
            // From scalar NEON to two 512-bit VNNI units; the clock may change between the two
            // measurements.
            assert!((4.0..400.0).contains(&per_cycle), "{limit:?} at {clock} Hz");
            assert!((1e8..1e10).contains(&clock), "{clock} Hz");
        }
    }

    #[test]
    fn cpu_has_a_name() {
        assert!(!cpu_name().is_empty());
    }
}
