//! Sequences to runs: which bucket, and which short sequences share one run.
//!
//! A run's rows are cut into blocks of attention, and softmax takes a column range for each row, so
//! several sequences can lie one after another in a block, each attending to itself alone, and
//! several blocks in a run. The weights then stream once for all of them, and the results are the
//! same bit for bit: a masked probability is exactly zero, and everything else works on rows.

/// The program of a run: its rows, in tokens, and how many of them a block of attention has. A
/// bucket that one sequence takes is one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// Tokens of all blocks.
    pub tokens: u32,
    /// Tokens of a block; divides `tokens`.
    pub block: u32,
}

impl Extent {
    /// One block.
    pub fn whole(tokens: u32) -> Self {
        Self {
            tokens,
            block: tokens,
        }
    }
}

/// A block that sequences are packed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Tokens of a block.
    pub block: u32,
    /// Most blocks of a run, at least 1.
    pub most: u32,
}

/// One ring of the doorbell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The program.
    pub extent: Extent,
    /// Index and first row of each sequence, by row. None crosses a block's end.
    pub sequences: Vec<(usize, u32)>,
}

/// Plans runs for sequences of `lengths` tokens. `buckets` are ascending; a length above the last
/// is the caller's error and goes alone into a run of the last bucket. `packings` are ascending by
/// block. A sequence that none of their blocks holds, and every one if there are none, has a run of
/// its own in the smallest bucket that holds it; the others fill blocks first fit, longest first, a
/// new block being the smallest that holds its first.
pub fn plan(lengths: &[usize], buckets: &[u32], packings: &[Packing]) -> Vec<Run> {
    let alone = |index: usize| {
        let holds = |b: &&u32| **b as usize >= lengths[index];
        let bucket = buckets.iter().find(holds).or(buckets.last());
        Run {
            extent: Extent::whole(bucket.copied().unwrap_or(0)),
            sequences: vec![(index, 0)],
        }
    };
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    if packings.is_empty() {
        return order.into_iter().map(alone).collect();
    }
    order.sort_by_key(|i| (std::cmp::Reverse(lengths[*i]), *i));
    let mut runs = Vec::new();
    // Blocks by packing: tokens taken, and the sequences.
    let mut blocks: Vec<Vec<(usize, Vec<usize>)>> = vec![Vec::new(); packings.len()];
    for index in order {
        let length = lengths[index];
        let room = packings.iter().zip(&mut blocks).find_map(|(p, blocks)| {
            let left = (p.block as usize).checked_sub(length)?;
            blocks.iter_mut().find(|(used, _)| *used <= left)
        });
        let smallest = packings.iter().position(|p| p.block as usize >= length);
        match (room, smallest) {
            (Some((used, sequences)), _) => {
                *used += length;
                sequences.push(index);
            }
            (None, Some(at)) => blocks[at].push((length, vec![index])),
            (None, None) => runs.push(alone(index)),
        }
    }
    for (packing, blocks) in packings.iter().zip(blocks) {
        // As many blocks in each run, so that runs have one extent or two.
        let count = blocks.len().div_ceil(packing.most.max(1) as usize).max(1);
        let each = blocks.len().div_ceil(count).max(1);
        runs.extend(
            blocks
                .chunks(each)
                .map(|blocks| run_of(packing, blocks, lengths)),
        );
    }
    runs
}

/// The run of some blocks.
fn run_of(packing: &Packing, blocks: &[(usize, Vec<usize>)], lengths: &[usize]) -> Run {
    let mut sequences = Vec::new();
    for (block, (_, members)) in (0u32..).zip(blocks) {
        let mut row = block * packing.block;
        for index in members {
            sequences.push((*index, row));
            row += lengths[*index] as u32;
        }
    }
    Run {
        extent: Extent {
            tokens: blocks.len() as u32 * packing.block,
            block: packing.block,
        },
        sequences,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUCKETS: [u32; 3] = [16, 32, 64];

    #[test]
    fn alone_each_takes_the_smallest_bucket() {
        let runs = plan(&[5, 16, 17, 64], &BUCKETS, &[]);
        assert_eq!(
            runs.iter().map(|r| r.extent.tokens).collect::<Vec<_>>(),
            [16, 16, 32, 64]
        );
    }

    #[test]
    fn packing_fills_blocks_and_runs() {
        let packing = Packing { block: 32, most: 4 };
        let runs = plan(&[10, 40, 20, 30, 4, 20, 9], &BUCKETS, &[packing]);
        // The 40 tokens fit no block; the blocks are 30, 20 + 10, 20 + 9 and 4.
        let packed = Run {
            extent: Extent {
                tokens: 128,
                block: 32,
            },
            sequences: vec![(3, 0), (2, 32), (0, 52), (5, 64), (6, 84), (4, 96)],
        };
        let alone = Run {
            extent: Extent::whole(64),
            sequences: vec![(1, 0)],
        };
        assert_eq!(runs, [alone, packed]);
        let packing = Packing { most: 3, ..packing };
        let rows: Vec<u32> = plan(&[30; 4], &BUCKETS, &[packing])
            .iter()
            .map(|r| r.extent.tokens)
            .collect();
        assert_eq!(rows, [64, 64], "evenly");
    }

    proptest! {
        #[test]
        fn every_sequence_once_and_inside_its_block(
            lengths in prop::collection::vec(1usize..=64, 0..40),
            packings in prop::sample::subsequence(
                [(16, 5), (48, 2), (64, 1)].map(|(block, most)| Packing { block, most }).to_vec(),
                0..=3,
            ),
        ) {
            let runs = plan(&lengths, &BUCKETS, &packings);
            let sequences = runs.iter().flat_map(|r| &r.sequences);
            let mut seen: Vec<usize> = sequences.map(|s| s.0).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for run in &runs {
                let Extent { tokens, block } = run.extent;
                prop_assert!(tokens.is_multiple_of(block) && tokens > 0);
                let mut next = 0;
                for &(index, row) in &run.sequences {
                    let end = row + lengths[index] as u32;
                    prop_assert!(row >= next && end <= tokens);
                    prop_assert_eq!(row / block, (end - 1) / block);
                    next = end;
                }
            }
        }
    }
}
