//! A pool's threads that stay awake while a program runs.
//!
//! An instruction takes tens of microseconds and splits its work two or three times. A thread that
//! went to sleep each time it found none would be woken thousands of times in an inference, and
//! every wake-up costs what it should have computed. So the other threads look for work without a
//! pause as long as the program runs, and go to sleep when it has ended, or when none came for a
//! while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rayon::{ThreadPool, Yield};

use super::clock;

/// How long a thread looks for work in vain before it sleeps like any other of the pool. No
/// instruction keeps one thread alone for so long.
const PATIENCE: Duration = Duration::from_micros(200);

/// Looks in vain between two at the clock: some microseconds.
const LOOKS: u32 = 64;

/// Runs `work` on a thread of `pool`, the others awake.
pub fn install<R: Send>(pool: &ThreadPool, work: impl FnOnce() -> R + Send) -> R {
    if pool.current_num_threads() == 1 {
        return pool.install(work);
    }
    pool.install(|| {
        let running = &Running(AtomicBool::new(true));
        let here = rayon::current_thread_index();
        rayon::scope(|scope| {
            scope.spawn_broadcast(move |_, context| {
                // This thread has work, and its own copy comes up while it waits for others.
                if Some(context.index()) != here {
                    running.stay_awake();
                }
            });
            // Also on the way out of a panic: nobody waits for threads that wait for work.
            let _end = End(running);
            work()
        })
    })
}

struct Running(AtomicBool);

struct End<'a>(&'a Running);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

impl Running {
    /// Does the pool's work as it comes, until the program has ended or none came for a while.
    fn stay_awake(&self) {
        // When it began to look in vain. The clock is read once in many looks: they are what the
        // other threads' work waits for.
        let (mut since, mut looks) = (None, 0u32);
        while self.0.load(Ordering::Acquire) {
            if rayon::yield_now() == Some(Yield::Executed) {
                (since, looks) = (None, 0);
                continue;
            }
            std::hint::spin_loop();
            looks += 1;
            if looks.is_multiple_of(LOOKS) {
                let now = clock::now();
                if now.saturating_duration_since(*since.get_or_insert(now)) >= PATIENCE {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    fn pool(threads: usize) -> ThreadPool {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads")
    }

    #[test]
    fn work_is_done_and_its_result_comes_back() {
        for threads in 1..=4 {
            let pool = pool(threads);
            for round in 0..50u32 {
                let sum = install(&pool, || {
                    (0..20u32)
                        .map(|_| (0..64u32).into_par_iter().with_max_len(1).sum::<u32>())
                        .sum::<u32>()
                        + round
                });
                assert_eq!(sum, 20 * 2016 + round);
            }
        }
    }

    #[test]
    fn a_panic_ends_the_wait_too() {
        let pool = pool(3);
        let panics = || -> u32 { panic!("as asked") };
        let caught =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| install(&pool, panics)));
        assert!(caught.is_err());
        assert_eq!(install(&pool, || 7), 7);
    }
}
