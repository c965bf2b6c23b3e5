//! The next part of a stream, made while the present one is worked on.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::Context;

/// Parts of a stream in their order; an empty one is the end, after which there is none.
pub enum Chunks<T> {
    /// Made when it is asked for.
    Here(Box<dyn FnMut() -> anyhow::Result<Vec<T>>>),
    /// Made by a thread, which waits with one until it is taken.
    Ahead(Receiver<anyhow::Result<Vec<T>>>),
}

impl<T: Send + 'static> Chunks<T> {
    /// Parts that `make` gives, with `ahead` on a thread of its own. That ends with the stream, or
    /// with the process: nobody waits for a thread that waits for input.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new(
        ahead: bool,
        mut make: impl FnMut() -> anyhow::Result<Vec<T>> + Send + 'static,
    ) -> anyhow::Result<Self> {
        if !ahead {
            return Ok(Self::Here(Box::new(make)));
        }
        let (made, chunks) = sync_channel(0);
        let work = move || {
            loop {
                let chunk = make();
                let last = chunk.as_ref().map_or(true, Vec::is_empty);
                if made.send(chunk).is_err() || last {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("fqbert-texts".to_owned());
        thread
            .spawn(work)
            .context("no thread to read texts ahead can be started; use --no-overlap")?;
        Ok(Self::Ahead(chunks))
    }

    /// The next part.
    ///
    /// # Errors
    /// Of what makes it.
    pub fn next(&mut self) -> anyhow::Result<Vec<T>> {
        match self {
            Self::Here(make) => make(),
            Self::Ahead(chunks) => chunks.recv().context("the stream of texts has ended")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use anyhow::bail;

    use super::*;

    /// Numbers in parts of two, up to `end`, where it fails or ends; with a count of the parts.
    fn numbers(ahead: bool, end: usize, fails: bool) -> (Chunks<usize>, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let chunks = Chunks::new(ahead, move || {
            let part = count.fetch_add(1, Ordering::SeqCst);
            match (part < end, fails) {
                (true, _) => Ok(vec![2 * part, 2 * part + 1]),
                (false, true) => bail!("part {part}"),
                (false, false) => Ok(Vec::new()),
            }
        });
        (chunks.unwrap(), made)
    }

    #[test]
    fn parts_come_in_order_and_errors_in_their_place() {
        for ahead in [true, false] {
            for fails in [true, false] {
                let (mut chunks, _) = numbers(ahead, 3, fails);
                let all: Vec<usize> = (0..3).flat_map(|_| chunks.next().unwrap()).collect();
                assert_eq!(all, [0, 1, 2, 3, 4, 5]);
                match chunks.next() {
                    Ok(end) => assert!(end.is_empty() && !fails),
                    Err(error) => assert!(fails && error.to_string() == "part 3", "{error}"),
                }
            }
        }
    }

    #[test]
    fn one_part_is_made_ahead_and_no_more() {
        let (mut chunks, made) = numbers(true, 100, false);
        for taken in 1..=5 {
            chunks.next().unwrap();
            let began = Instant::now();
            while made.load(Ordering::SeqCst) <= taken {
                assert!(
                    began.elapsed() < Duration::from_secs(30),
                    "nothing is made ahead"
                );
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(2));
            assert_eq!(made.load(Ordering::SeqCst), taken + 1);
        }
        let (mut chunks, made) = numbers(false, 100, false);
        chunks.next().unwrap();
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }
}
