//! The byte images of the parameter memories: requantization records (PAR), layer norms (LNP) and
//! tables (EXP, GEL). The records themselves are those of `fqbert-numerics`.

use fqbert_numerics::layernorm::LayerNormParams;
use fqbert_numerics::requant::Requant;

use super::LayoutError;

/// Bytes of the two header words of a layer norm.
const NORM_HEADER: usize = 32;

/// The 8-byte record of one output channel in PAR.
pub fn encode_requant(record: Requant) -> [u8; 8] {
    let (b, m) = (record.bias.to_le_bytes(), record.multiplier.to_le_bytes());
    [b[0], b[1], b[2], b[3], m[0], m[1], record.shift, 0]
}

/// The record that PAR holds. The last byte is ignored, as the accelerator does.
pub fn decode_requant(r: [u8; 8]) -> Requant {
    Requant {
        bias: i32::from_le_bytes([r[0], r[1], r[2], r[3]]),
        multiplier: u16::from_le_bytes([r[4], r[5]]),
        shift: r[6],
    }
}

/// The PAR image of channel records, padded to a whole word with zero.
pub fn pack_params(params: &[Requant]) -> Vec<u8> {
    let mut image: Vec<u8> = params.iter().flat_map(|p| encode_requant(*p)).collect();
    image.resize(image.len().next_multiple_of(16), 0);
    image
}

/// The LNP image: two header words, then beta and gamma of each channel.
///
/// # Errors
/// Gamma and beta of different lengths.
pub fn pack_layer_norm(params: &LayerNormParams) -> Result<Vec<u8>, LayoutError> {
    let (gamma, beta) = (&params.gamma, &params.beta);
    if gamma.len() != beta.len() {
        return Err(LayoutError::Length {
            what: "beta",
            found: beta.len(),
            expected: gamma.len(),
        });
    }
    let mut image = norm_header(params).to_vec();
    for (g, b) in gamma.iter().zip(beta) {
        image.extend_from_slice(&b.to_le_bytes());
        image.extend_from_slice(&[*g as u8, 0, 0, 0]);
    }
    image.resize(image.len().next_multiple_of(16), 0);
    Ok(image)
}

fn norm_header(p: &LayerNormParams) -> [u8; NORM_HEADER] {
    let mut b = [0u8; NORM_HEADER];
    b[0..4].copy_from_slice(&p.inv.to_le_bytes());
    b[4..8].copy_from_slice(&p.eps.to_le_bytes());
    b[8..10].copy_from_slice(&p.m16.to_le_bytes());
    b[10..12].copy_from_slice(&p.m8.to_le_bytes());
    b[12] = p.s16;
    b[13] = p.s8;
    b[14] = p.q;
    b
}

/// The layer norm of `channels` channels that an LNP image holds: inverse of [`pack_layer_norm`].
///
/// Bytes that must be zero are ignored, as the accelerator does. What lies past the end of the
/// image reads as zero in the header; channels there are left out.
pub fn unpack_layer_norm(image: &[u8], channels: usize) -> LayerNormParams {
    let b = image.first_chunk().copied().unwrap_or([0; NORM_HEADER]);
    let records = image.get(NORM_HEADER..).unwrap_or(&[]).as_chunks::<8>().0;
    let records = records.get(..channels).unwrap_or(records);
    LayerNormParams {
        gamma: records.iter().map(|r| r[4] as i8).collect(),
        beta: records
            .iter()
            .map(|r| i32::from_le_bytes([r[0], r[1], r[2], r[3]]))
            .collect(),
        inv: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        eps: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        m16: u16::from_le_bytes([b[8], b[9]]),
        m8: u16::from_le_bytes([b[10], b[11]]),
        s16: b[12],
        s8: b[13],
        q: b[14],
    }
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
        #[test]
        fn records_survive_their_bytes(
            record: (i32, u16, u8),
            header: (u32, u32, u16, u16),
            shifts: (u8, u8, u8),
            channels in proptest::collection::vec(any::<(i8, i32)>(), 0..20),
        ) {
            let (bias, multiplier, shift) = record;
            let record = Requant { bias, multiplier, shift };
            prop_assert_eq!(decode_requant(encode_requant(record)), record);

            let ((inv, eps, m16, m8), (s16, s8, q)) = (header, shifts);
            let (gamma, beta) = channels.iter().copied().unzip();
            let params = LayerNormParams { gamma, beta, inv, q, eps, m16, s16, m8, s8 };
            let image = pack_layer_norm(&params).unwrap();
            prop_assert_eq!(image.len(), (32 + 8 * channels.len()).next_multiple_of(16));
            prop_assert_eq!(unpack_layer_norm(&image, channels.len()), params);
        }
    }

    /// The places of the bytes, which a round trip alone would not notice.
    #[test]
    fn bytes_lie_where_the_contract_says() {
        let record = Requant {
            bias: 0x0403_0201,
            multiplier: 0x0605,
            shift: 7,
        };
        assert_eq!(pack_params(&[record])[..9], [1, 2, 3, 4, 5, 6, 7, 0, 0]);
        let params = LayerNormParams {
            gamma: vec![-1],
            beta: vec![0x1413_1211],
            inv: 0x0403_0201,
            q: 15,
            eps: 0x0807_0605,
            m16: 0x0a09,
            s16: 13,
            m8: 0x0c0b,
            s8: 14,
        };
        let image = pack_layer_norm(&params).unwrap();
        assert_eq!(
            image[..16],
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0]
        );
        assert_eq!(image[16..32], [0; 16]);
        assert_eq!(
            image[32..],
            [
                0x11, 0x12, 0x13, 0x14, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
            ]
        );
        let uneven = LayerNormParams {
            beta: vec![],
            ..params
        };
        assert!(pack_layer_norm(&uneven).is_err());
    }
}
