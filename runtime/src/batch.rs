//! Sequences to runs: which bucket, and which short sequences share one run.
//!
//! Softmax takes a column range for each row, so several sequences can lie one after another in one run, each attending to itself alone. The weights
//! then stream once for all of them, and the results are the same bit for bit: a masked probability is exactly zero, and everything else works on
//! rows.

/// The token ids of one sequence, special tokens included, without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Token types, one for each id.
    pub type_ids: Vec<u32>,
}

impl Tokens {
    /// A sequence whose token types are all 0.
    pub fn from_ids(ids: Vec<u32>) -> Self {
        let type_ids = vec![0; ids.len()];
        Self { ids, type_ids }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl From<fqbert_checkpoint::Encoding> for Tokens {
    fn from(encoding: fqbert_checkpoint::Encoding) -> Self {
        Self {
            ids: encoding.ids,
            type_ids: encoding.type_ids,
        }
    }
}

/// One ring of the doorbell: sequences by index, one after another, in a bucket that holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Tokens of the bucket.
    pub bucket: u32,
    /// Indices of the sequences, in the order in which they lie in the run.
    pub sequences: Vec<usize>,
}

/// Plans runs for sequences of `lengths` tokens. `buckets` are ascending; a length above the last is the caller's error and
/// goes alone into a run of the last bucket. With `pack`, sequences fill the bucket `pack` tokens large (or the smallest above it) first fit,
/// longest first; without, each has a run of its own in the smallest bucket that holds it.
pub fn plan(lengths: &[usize], buckets: &[u32], pack: Option<u32>) -> Vec<Run> {
    let smallest = |tokens: usize| {
        buckets
            .iter()
            .copied()
            .find(|b| *b as usize >= tokens)
            .or(buckets.last().copied())
            .unwrap_or(0)
    };
    let Some(pack) = pack.map(|p| smallest(p as usize)) else {
        return lengths
            .iter()
            .enumerate()
            .map(|(i, len)| Run {
                bucket: smallest(*len),
                sequences: vec![i],
            })
            .collect();
    };
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(lengths[*i]), *i));
    let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
    for i in order {
        let length = lengths[i];
        match open
            .iter_mut()
            .find(|(used, _)| used + length <= pack as usize)
        {
            Some((used, sequences)) => {
                *used += length;
                sequences.push(i);
            }
            None => open.push((length, vec![i])),
        }
    }
    open.into_iter()
        .map(|(used, sequences)| Run {
            bucket: smallest(used),
            sequences,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn alone_each_takes_the_smallest_bucket() {
        let runs = plan(&[5, 16, 17, 64], &[16, 32, 64], None);
        assert_eq!(
            runs.iter().map(|r| r.bucket).collect::<Vec<_>>(),
            [16, 16, 32, 64]
        );
    }

    #[test]
    fn packing_fills_runs() {
        let runs = plan(&[10, 50, 20, 40, 4], &[16, 32, 64], Some(64));
        assert_eq!(runs.len(), 2, "124 tokens in two runs of 64: {runs:?}");
    }

    proptest! {
        #[test]
        fn every_sequence_once_and_inside(lengths in prop::collection::vec(1usize..=64, 0..40), pack in prop::option::of(1u32..100)) {
            let runs = plan(&lengths, &[16, 32, 64], pack);
            let mut seen: Vec<usize> = runs.iter().flat_map(|r| r.sequences.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for run in &runs {
                let tokens: usize = run.sequences.iter().map(|i| lengths[*i]).sum();
                prop_assert!(tokens <= run.bucket as usize);
            }
        }
    }
}
