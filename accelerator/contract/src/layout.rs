//! How matrices lie in the on-chip memories, and the byte images that DMA copies there.
//!
//! An image is the memory's words one after the other, so a LOAD or STORE is a plain copy. Tokens
//! are padded to a whole number of row tiles (R tokens); the padding is zero.

mod parameters;

pub use parameters::{
    decode_requant, encode_requant, pack_exp_table, pack_gelu_table, pack_layer_norm, pack_params,
    unpack_layer_norm,
};

use crate::geometry::{Geometry, Mode};

/// A matrix does not fit the layout.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    /// The slice is not `tokens * channels` long.
    #[error("{what}: {found} values, expected {expected}")]
    Length {
        /// Which argument.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },
    /// A count that must be a multiple is not.
    #[error("{what} is {value}, not a multiple of {of}")]
    Multiple {
        /// Which count.
        what: &'static str,
        /// Its value.
        value: usize,
        /// What it must divide by.
        of: usize,
    },
    /// A weight code outside 4 bits.
    #[error("weight code {code} of channel {channel}, term {term} does not fit 4 bits")]
    Code {
        /// The code.
        code: i8,
        /// Output channel in the tile.
        channel: usize,
        /// Index along K.
        term: usize,
    },
}

/// Row tiles that hold `tokens` tokens.
pub fn row_tiles(g: &Geometry, tokens: usize) -> usize {
    tokens.div_ceil(g.rows as usize)
}

/// Words of ACT for `tokens` x `channels`.
pub fn act_words(g: &Geometry, tokens: usize, channels: usize) -> usize {
    row_tiles(g, tokens) * (channels / g.lanes as usize)
}

/// Words of RESX or RESB for `tokens` x `channels`.
pub fn res_words(g: &Geometry, tokens: usize, channels: usize) -> usize {
    row_tiles(g, tokens) * (channels / 2)
}

fn check(
    what: &'static str,
    found: usize,
    tokens: usize,
    channels: usize,
    of: usize,
) -> Result<(), LayoutError> {
    let expected = tokens.saturating_mul(channels);
    if found != expected {
        return Err(LayoutError::Length {
            what,
            found,
            expected,
        });
    }
    if !channels.is_multiple_of(of) || channels == 0 {
        return Err(LayoutError::Multiple {
            what: "channels",
            value: channels,
            of,
        });
    }
    Ok(())
}

/// The ACT image of `values` (`[tokens][channels]`, row-major).
pub fn pack_act(
    g: &Geometry,
    values: &[i8],
    tokens: usize,
    channels: usize,
) -> Result<Vec<u8>, LayoutError> {
    let (rows, lanes) = (g.rows as usize, g.lanes as usize);
    check("activations", values.len(), tokens, channels, lanes)?;
    let tile_bytes = channels * rows;
    let mut image = vec![0u8; row_tiles(g, tokens) * tile_bytes];
    let bytes: Vec<u8> = values.iter().map(|value| *value as u8).collect();
    let tiles = image.chunks_exact_mut(tile_bytes);
    for (tile, tokens) in tiles.zip(bytes.chunks(rows * channels)) {
        for (row, token) in tokens.chunks_exact(channels).enumerate() {
            let slots = tile.chunks_exact_mut(rows * lanes);
            for (slot, chunk) in slots.zip(token.chunks_exact(lanes)) {
                slot[row * lanes..][..lanes].copy_from_slice(chunk);
            }
        }
    }
    Ok(image)
}

/// The matrix in an ACT image: inverse of [`pack_act`].
pub fn unpack_act(
    g: &Geometry,
    image: &[u8],
    tokens: usize,
    channels: usize,
) -> Result<Vec<i8>, LayoutError> {
    let (rows, lanes) = (g.rows as usize, g.lanes as usize);
    check(
        "image",
        image.len(),
        row_tiles(g, tokens) * rows,
        channels,
        lanes,
    )?;
    let chunks = channels / lanes;
    let mut values = Vec::with_capacity(tokens * channels);
    for token in 0..tokens {
        for chunk in 0..chunks {
            let at = ((token / rows * chunks + chunk) * rows + token % rows) * lanes;
            values.extend(image[at..at + lanes].iter().map(|b| *b as i8));
        }
    }
    Ok(values)
}

/// The RESX image of `values` (`[tokens][channels]`, row-major).
pub fn pack_res(
    g: &Geometry,
    values: &[i16],
    tokens: usize,
    channels: usize,
) -> Result<Vec<u8>, LayoutError> {
    let rows = g.rows as usize;
    check("residuals", values.len(), tokens, channels, 2)?;
    let tile_bytes = channels * rows * 2;
    let mut image = vec![0u8; row_tiles(g, tokens) * tile_bytes];
    let tiles = image.chunks_exact_mut(tile_bytes);
    for (tile, tokens) in tiles.zip(values.chunks(rows * channels)) {
        for (row, token) in tokens.chunks_exact(channels).enumerate() {
            let slots = tile.chunks_exact_mut(rows * 4);
            for (slot, [first, second]) in slots.zip(token.as_chunks().0) {
                let ([a, b], [c, d]) = (first.to_le_bytes(), second.to_le_bytes());
                slot[row * 4..][..4].copy_from_slice(&[a, b, c, d]);
            }
        }
    }
    Ok(image)
}

/// The matrix in a RESX image: inverse of [`pack_res`].
pub fn unpack_res(
    g: &Geometry,
    image: &[u8],
    tokens: usize,
    channels: usize,
) -> Result<Vec<i16>, LayoutError> {
    let rows = g.rows as usize;
    check(
        "image",
        image.len() / 2,
        row_tiles(g, tokens) * rows,
        channels,
        2,
    )?;
    let mut values = vec![0i16; tokens * channels];
    let tiles = image.chunks_exact(channels * rows * 2);
    for (tile, tokens) in tiles.zip(values.chunks_mut(rows * channels)) {
        for (row, token) in tokens.chunks_exact_mut(channels).enumerate() {
            let slots = tile.chunks_exact(rows * 4);
            for (slot, pair) in slots.zip(token.as_chunks_mut().0) {
                if let Some(&[a, b, c, d]) = slot[row * 4..].first_chunk() {
                    *pair = [i16::from_le_bytes([a, b]), i16::from_le_bytes([c, d])];
                }
            }
        }
    }
    Ok(values)
}

/// The RNG image of column ranges `lo..hi`, one per row, padded with empty ranges to `rows` rows (a
/// multiple of 4).
pub fn pack_ranges(ranges: &[(u16, u16)], rows: usize) -> Result<Vec<u8>, LayoutError> {
    if !rows.is_multiple_of(4) {
        return Err(LayoutError::Multiple {
            what: "rows",
            value: rows,
            of: 4,
        });
    }
    if ranges.len() > rows {
        return Err(LayoutError::Length {
            what: "ranges",
            found: ranges.len(),
            expected: rows,
        });
    }
    let mut image = vec![0u8; rows * 4];
    for (bytes, (lo, hi)) in image.chunks_exact_mut(4).zip(ranges) {
        bytes[..2].copy_from_slice(&lo.to_le_bytes());
        bytes[2..].copy_from_slice(&hi.to_le_bytes());
    }
    Ok(image)
}

/// The weight-slot image of one column tile. `codes` is `[channels][k]`, row-major, `channels` at
/// most a tile; missing channels are zero.
pub fn pack_weight_tile(
    g: &Geometry,
    mode: Mode,
    codes: &[i8],
    channels: usize,
    k: usize,
) -> Result<Vec<u8>, LayoutError> {
    let (pairs, lanes) = (g.pairs as usize, g.lanes as usize);
    check("weights", codes.len(), channels, k, lanes)?;
    if channels > g.tile_channels(mode) as usize {
        return Err(LayoutError::Length {
            what: "channels of a tile",
            found: channels,
            expected: g.tile_channels(mode) as usize,
        });
    }
    let mut image = vec![0u8; k / lanes * pairs * lanes];
    for (channel, row) in codes.chunks_exact(k).enumerate() {
        for (term, &code) in row.iter().enumerate() {
            let (chunk, lane) = (term / lanes, term % lanes);
            match mode {
                Mode::W8 => image[(chunk * pairs + channel) * lanes + lane] = code as u8,
                Mode::W4 => {
                    if !(-8..=7).contains(&code) {
                        return Err(LayoutError::Code {
                            code,
                            channel,
                            term,
                        });
                    }
                    let nibble = (code as u8 & 0xf) << (4 * (channel % 2));
                    image[(chunk * pairs + channel / 2) * lanes + lane] |= nibble;
                }
            }
        }
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Each value is where the memory's word and the place in it say, and everything else is
        /// zero.
        #[test]
        fn images_follow_the_words(preset in 0..4usize, tokens in 0..70usize, eights in 1..5usize) {
            let g = Geometry::presets()[preset];
            let (rows, lanes, channels) = (g.rows as usize, g.lanes as usize, eights * 8);
            let count = tokens * channels;
            let eight: Vec<i8> = (0..count).map(|i| (i % 255 + 1) as u8 as i8).collect();
            let sixteen: Vec<i16> = (0..count).map(|i| (i % 65535 + 1) as u16 as i16).collect();
            let act = pack_act(g, &eight, tokens, channels).unwrap();
            let res = pack_res(g, &sixteen, tokens, channels).unwrap();
            prop_assert_eq!(act.len(), act_words(g, tokens, channels) * rows * lanes);
            prop_assert_eq!(res.len(), res_words(g, tokens, channels) * rows * 4);
            for token in 0..tokens {
                let (tile, row) = (token / rows, token % rows);
                for channel in 0..channels {
                    let word = tile * (channels / lanes) + channel / lanes;
                    let at = (word * rows + row) * lanes + channel % lanes;
                    let index = token * channels + channel;
                    prop_assert_eq!(act[at] as i8, eight[index]);
                    let word = tile * (channels / 2) + channel / 2;
                    let at = (word * rows + row) * 4 + channel % 2 * 2;
                    prop_assert_eq!(i16::from_le_bytes([res[at], res[at + 1]]), sixteen[index]);
                }
            }
            prop_assert_eq!(act.iter().filter(|b| **b != 0).count(), count);
            prop_assert_eq!(unpack_act(g, &act, tokens, channels).unwrap(), eight);
            prop_assert_eq!(unpack_res(g, &res, tokens, channels).unwrap(), sixteen);
        }
    }
}
