//! How matrices lie in the on-chip memories, and the byte images that DMA copies there.
//!
//! An image is the memory's words one after the other, so a LOAD or STORE is a plain copy. Tokens
//! are padded to a whole number of row tiles (R tokens); the padding is zero.

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

/// Requantization parameters of one output channel, as PAR holds them (`docs/numerics.md`, section
/// 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelParams {
    /// Bias at the scale of the accumulator.
    pub bias: i32,
    /// Multiplier.
    pub multiplier: u16,
    /// Right shift, 1..=40.
    pub shift: u8,
}

impl ChannelParams {
    /// The 8-byte record.
    pub fn to_bytes(self) -> [u8; 8] {
        let (b, m) = (self.bias.to_le_bytes(), self.multiplier.to_le_bytes());
        [b[0], b[1], b[2], b[3], m[0], m[1], self.shift, 0]
    }

    /// Reads a record. The last byte is ignored, as the accelerator does.
    pub fn from_bytes(r: [u8; 8]) -> Self {
        Self {
            bias: i32::from_le_bytes([r[0], r[1], r[2], r[3]]),
            multiplier: u16::from_le_bytes([r[4], r[5]]),
            shift: r[6],
        }
    }
}

/// The PAR image of channel records, padded to a whole word with zero.
pub fn pack_params(params: &[ChannelParams]) -> Vec<u8> {
    let mut image: Vec<u8> = params.iter().flat_map(|p| p.to_bytes()).collect();
    image.resize(image.len().next_multiple_of(16), 0);
    image
}

/// Constants of one layer norm, as the two header words of LNP hold them (`docs/numerics.md`,
/// section 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerNormHeader {
    /// Reciprocal of N times 16, 17 bits.
    pub inv: u32,
    /// Added to N^2 times the variance, at least 1.
    pub eps: u32,
    /// Multiplier of the 16-bit output.
    pub m16: u16,
    /// Multiplier of the 8-bit output.
    pub m8: u16,
    /// Shift of the 16-bit output.
    pub s16: u8,
    /// Shift of the 8-bit output.
    pub s8: u8,
    /// Shift of the mean.
    pub q: u8,
}

impl LayerNormHeader {
    /// The two header words.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut b = [0u8; 32];
        b[0..4].copy_from_slice(&self.inv.to_le_bytes());
        b[4..8].copy_from_slice(&self.eps.to_le_bytes());
        b[8..10].copy_from_slice(&self.m16.to_le_bytes());
        b[10..12].copy_from_slice(&self.m8.to_le_bytes());
        b[12] = self.s16;
        b[13] = self.s8;
        b[14] = self.q;
        b
    }

    /// Reads the two header words; the bytes that must be zero are ignored, as the accelerator
    /// does.
    pub fn from_bytes(b: [u8; 32]) -> Self {
        Self {
            inv: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            eps: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
            m16: u16::from_le_bytes([b[8], b[9]]),
            m8: u16::from_le_bytes([b[10], b[11]]),
            s16: b[12],
            s8: b[13],
            q: b[14],
        }
    }
}

/// The LNP image: header, then beta and gamma of each channel. `gamma` and `beta` have one value
/// per channel.
pub fn pack_layer_norm(
    header: LayerNormHeader,
    gamma: &[i8],
    beta: &[i32],
) -> Result<Vec<u8>, LayoutError> {
    if gamma.len() != beta.len() {
        return Err(LayoutError::Length {
            what: "beta",
            found: beta.len(),
            expected: gamma.len(),
        });
    }
    let mut image = header.to_bytes().to_vec();
    for (g, b) in gamma.iter().zip(beta) {
        image.extend_from_slice(&b.to_le_bytes());
        image.extend_from_slice(&[*g as u8, 0, 0, 0]);
    }
    image.resize(image.len().next_multiple_of(16), 0);
    Ok(image)
}

/// The image of one softmax table.
pub fn pack_exp_table(table: &[u16; 256]) -> Vec<u8> {
    table.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The image of one GELU table.
pub fn pack_gelu_table(table: &[i8; 256]) -> Vec<u8> {
    table.iter().map(|v| *v as u8).collect()
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
