//! Dot products by the scalar reference, on plain matrices unpacked for it.

use fqbert_numerics::dot::{dot_i8_i8, dot_u8_i8};
use fqbert_numerics::packed::unpack_pair;

use super::operands::Operands;
use super::outputs::Outputs;

/// Phase one of a MATMUL.
pub fn matmul(x: &Operands<'_>, outputs: &mut Outputs) {
    outputs.shape(x, x.channels);
    let weights: Vec<Vec<i8>> = (0..x.channels).map(|channel| weights(x, channel)).collect();
    for tile in 0..x.row_tiles {
        for row in 0..x.rows {
            let a = activations(x, tile, row);
            let signed: Vec<i8> = a.iter().map(|v| *v as i8).collect();
            let at = tile * outputs.chunk() + row * outputs.width;
            let results = outputs.values[at..].iter_mut();
            for ((y, w), p) in results.zip(&weights).zip(x.params) {
                let sum = if x.a_unsigned {
                    dot_u8_i8(&a, w)
                } else {
                    dot_i8_i8(&signed, w)
                };
                *y = if x.wide {
                    p.apply_i16(sum)
                } else {
                    p.apply_i8(sum).into()
                };
            }
        }
    }
}

/// The codes of one output channel, in order of term.
fn weights(x: &Operands<'_>, channel: usize) -> Vec<i8> {
    let first = x.pair_offset(channel / x.channels_per_pair());
    let mut codes = Vec::with_capacity(x.chunks * x.lanes);
    for chunk in 0..x.chunks {
        let at = first + chunk * x.b_word();
        codes.extend(x.b[at..at + x.lanes].iter().map(|&byte| {
            if x.mode8 {
                byte as i8
            } else {
                let (even, odd) = unpack_pair(byte);
                if channel.is_multiple_of(2) { even } else { odd }
            }
        }));
    }
    codes
}

/// The activations of one row, in order of term.
fn activations(x: &Operands<'_>, tile: usize, row: usize) -> Vec<u8> {
    let words = x.a_tile(tile).chunks_exact(x.a_word());
    words
        .flat_map(|word| &word[row * x.lanes..][..x.lanes])
        .copied()
        .collect()
}
