//! Many histories, on all processors.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::Result;

use crate::play;
use crate::property::Violation;
use crate::scenario::Scenario;
use crate::world::World;

/// Seeds that a thread takes at once.
const CHUNK: u64 = 64;

/// Sums over histories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Histories.
    pub histories: u64,
    /// Requests that were accepted and not given up.
    pub requests: u64,
    /// Of these, answered with an error.
    pub errors: u64,
    /// Of these, answered wrongly after data changed silently.
    pub silently_wrong: u64,
    /// Faults.
    pub faults: u64,
    /// Seconds that passed for the sessions.
    pub seconds: u64,
    /// The digests of all histories, together.
    pub digest: u64,
}

/// What came of a campaign.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The sums.
    pub tally: Tally,
    /// Of the histories that were run, the lowest seed with a violation.
    pub violated: Option<(u64, Violation)>,
}

/// Runs the histories of some seeds on `threads` threads, until one violates a property.
///
/// # Errors
/// The world could not be made.
pub fn run(seeds: Range<u64>, threads: usize) -> Result<Campaign> {
    // Panics are violations, told by their seeds.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let parts: Vec<Result<Campaign>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| part(&seeds, &next, &stop)))
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Result<Campaign>>| match worker.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().map(join).collect()
    });
    drop(std::panic::take_hook());
    let mut all = Campaign {
        tally: Tally::default(),
        violated: None,
    };
    for part in parts {
        let part = part?;
        all.tally.add(part.tally);
        let violated = all.violated.into_iter().chain(part.violated);
        all.violated = violated.min_by_key(|(seed, _)| *seed);
    }
    Ok(all)
}

fn part(seeds: &Range<u64>, next: &AtomicU64, stop: &AtomicBool) -> Result<Campaign> {
    alone_in_its_pool();
    let world = World::new()?;
    let mut tally = Tally::default();
    loop {
        let first = next.fetch_add(CHUNK, Ordering::Relaxed);
        if first >= seeds.end {
            return Ok(Campaign {
                tally,
                violated: None,
            });
        }
        for seed in first..seeds.end.min(first + CHUNK) {
            let outcome = play::run(&world, &Scenario::draw(seed, world.questions.len()), false);
            tally.add(Tally {
                histories: 1,
                requests: outcome.requests,
                errors: outcome.errors,
                silently_wrong: outcome.silently_wrong,
                faults: outcome.events.len() as u64,
                seconds: outcome.time.as_secs(),
                digest: outcome.digest,
            });
            if let Some(violation) = outcome.violation {
                stop.store(true, Ordering::Relaxed);
                return Ok(Campaign {
                    tally,
                    violated: Some((seed, violation)),
                });
            }
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(Campaign {
                tally,
                violated: None,
            });
        }
    }
}

/// The emulator's kernels run on the thread that calls them.
pub fn alone_in_its_pool() {
    // Fails where the thread has its pool already.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build();
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.histories += other.histories;
        self.requests += other.requests;
        self.errors += other.errors;
        self.silently_wrong += other.silently_wrong;
        self.faults += other.faults;
        self.seconds += other.seconds;
        self.digest = self.digest.wrapping_add(other.digest);
    }
}
