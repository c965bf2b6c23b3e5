//! Work shared by the threads of the pool, piece by piece.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::prelude::*;

/// How long a thread without work looks for the others' end before it sleeps until then: longer
/// than a piece takes, where no other program has the CPUs.
const PATIENCE: Duration = Duration::from_micros(200);
/// Looks between two at the clock.
const LOOKS: usize = 64;

/// Computes pieces on all threads, each taking the next one when it has time.
///
/// A thread that finds no piece left does not go to sleep at once: another's last piece takes some
/// microseconds, and to be woken up takes more.
pub fn share<P: Send>(pieces: impl ExactSizeIterator<Item = P> + Send, compute: impl Fn(P) + Sync) {
    if pieces.len() < 2 || rayon::current_num_threads() == 1 {
        pieces.for_each(compute);
        return;
    }
    let threads = rayon::current_num_threads().min(pieces.len());
    let pieces = Mutex::new(pieces);
    let next = || {
        let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.next()
    };
    let computing = AtomicUsize::new(0);
    (0..threads).into_par_iter().with_max_len(1).for_each(|_| {
        let busy = Busy::new(&computing);
        while let Some(piece) = next() {
            compute(piece);
        }
        drop(busy);
        wait(&computing);
    });
}

/// A thread that computes, for as long as it lives: also on the way out of a panic.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(computing: &'a AtomicUsize) -> Self {
        computing.fetch_add(1, Ordering::Relaxed);
        Self(computing)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Until none computes, or for a while. Whoever called rayon waits for the end in any case.
fn wait(computing: &AtomicUsize) {
    if computing.load(Ordering::Relaxed) == 0 {
        return;
    }
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        for _ in 0..LOOKS {
            if computing.load(Ordering::Relaxed) == 0 {
                return;
            }
            std::hint::spin_loop();
        }
    }
}
