//! The sequence lengths that programs are compiled for.

use fqbert_contract::Geometry;
use fqbert_model::QuantizedModel;

use crate::plan::{Plan, sequence_unit};

/// Lengths before rounding to a geometry's unit: padding is at most half of a short sequence and a
/// third of a longer one.
const LENGTHS: [u32; 13] = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512];

/// The buckets of a model on a geometry, shortest first: multiples of the row tile up to the
/// longest that the geometry holds and the position table covers. Empty if the model does not fit
/// at any length.
pub fn buckets(g: &Geometry, model: &QuantizedModel) -> Vec<u32> {
    let unit = sequence_unit(g);
    let most = u32::try_from(model.config.max_sequence()).unwrap_or(u32::MAX);
    let mut lengths: Vec<u32> = LENGTHS
        .into_iter()
        .chain([most])
        .filter_map(|length| length.min(most).checked_next_multiple_of(unit))
        .collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths.retain(|length| Plan::new(model, g, *length).is_ok());
    lengths
}

/// How many blocks of `block` tokens a program of at most `tokens` tokens can have
/// ([`crate::CompileOptions::block`]); 0 if not even one fits.
pub fn most_blocks(g: &Geometry, model: &QuantizedModel, block: u32, tokens: u32) -> u32 {
    let most = tokens.checked_div(block).unwrap_or(0);
    let fits = |count: &u32| Plan::with_block(model, g, count * block, block).is_ok();
    (1..=most).rev().find(fits).unwrap_or(0)
}

/// The shortest of `buckets` that holds `tokens`, or `None` if the text must be cut.
pub fn choose_bucket(buckets: &[u32], tokens: usize) -> Option<u32> {
    buckets
        .iter()
        .copied()
        .filter(|bucket| *bucket as usize >= tokens)
        .min()
}
