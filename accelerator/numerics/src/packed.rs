//! How a DSP48E2 computes two exact dot products at once (`docs/numerics.md`, section 2).
//!
//! The pre-adder forms `w1 * 2^23 + w0` (D port plus A port, Xilinx UG579), the multiplier takes
//! it times one activation, and P accumulates 48 bits. Read back, the lower 23 bits of P are the
//! dot product of `w0` and the upper 25, corrected by the borrow of the lower lane, that of `w1`,
//! as long as the lower one stays inside 23 bits signed; hence the sums are drained in parts.
//!
//! The model here is not used to compute anything: it is the proof, run as tests, that the packed
//! lanes equal the plain dot product for every operand and every length the contract allows.

/// Longest dot product, in terms.
pub const K_MAX: usize = 4096;
/// Terms summed in P before a drain, 8x4 mode.
pub const PART_8X4: usize = 2048;
/// Terms summed in P before a drain, 8x8 mode.
pub const PART_8X8: usize = 1024;
/// Distance of the two lanes in P, in bits.
const LANE_BITS: u32 = 23;

/// One DSP48E2 of the packed array: its P register.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackedLane {
    p: i64,
}

impl PackedLane {
    /// Adds `a * w0` to the lower lane and `a * w1` to the upper one, as the slice does: through a
    /// 27-bit pre-adder, a 27 x 18 multiplier and a 48-bit accumulator, each wrapping.
    ///
    /// `a` is an activation, -128..=255; `w0` and `w1` are 4-bit codes, or the unsigned low and
    /// signed high nibble of an 8-bit operand.
    pub fn multiply_add(&mut self, a: i16, w0: i8, w1: i8) {
        let ad = wrap((i64::from(w1) << LANE_BITS) + i64::from(w0), 27);
        self.p = wrap(self.p + ad * i64::from(a), 48);
    }

    /// The two lanes: `(lower, upper)`.
    pub fn lanes(self) -> (i32, i32) {
        let lower = wrap(self.p, LANE_BITS);
        let borrow = i64::from(lower < 0);
        (lower as i32, ((self.p >> LANE_BITS) + borrow) as i32)
    }
}

/// The low `bits` of `v` as a signed number.
fn wrap(v: i64, bits: u32) -> i64 {
    (v << (64 - bits)) >> (64 - bits)
}

/// The two 4-bit codes of a stored weight byte of 8x4 mode: channel 2j in the low nibble, channel
/// 2j + 1 in the high one, as the packed product uses them.
///
/// Codes are -7..=7 and -8 is exact too, but for one case: -8 in the high nibble beside a negative
/// low one (bytes `0x88..=0x8f`) leaves the 27-bit pre-adder at the bottom and comes back as +8.
/// Model readers refuse -8; this says what the accelerator makes of it.
pub fn unpack_pair(byte: u8) -> (i8, i8) {
    let low = ((byte << 4) as i8) >> 4;
    let high = (byte as i8) >> 4;
    (low, if high == -8 && low < 0 { 8 } else { high })
}

/// Unsigned low nibble and signed high nibble of an 8-bit operand: `w = 16 * high + low`.
pub fn split_nibbles(w: i8) -> (i8, i8) {
    (w & 15, w >> 4)
}

/// Two dot products with 4-bit codes, drained every [`PART_8X4`] terms.
///
/// # Panics
/// If the three lengths differ.
pub fn dot_8x4(a: &[i16], w0: &[i8], w1: &[i8]) -> (i32, i32) {
    drained(a, w0, w1, PART_8X4)
}

/// One dot product with 8-bit operands, drained every [`PART_8X8`] terms; the lanes are joined by
/// the shift-add at the output (the paper's type A).
///
/// # Panics
/// If the lengths differ.
pub fn dot_8x8(a: &[i16], w: &[i8]) -> i32 {
    let (low, high): (Vec<i8>, Vec<i8>) = w.iter().map(|&w| split_nibbles(w)).unzip();
    let (low, high) = drained(a, &low, &high, PART_8X8);
    16 * high + low
}

fn drained(a: &[i16], w0: &[i8], w1: &[i8], part: usize) -> (i32, i32) {
    assert!(
        a.len() == w0.len() && a.len() == w1.len(),
        "operands of one length"
    );
    let mut sums = (0, 0);
    for ((a, w0), w1) in a.chunks(part).zip(w0.chunks(part)).zip(w1.chunks(part)) {
        let mut lane = PackedLane::default();
        for ((&a, &w0), &w1) in a.iter().zip(w0).zip(w1) {
            lane.multiply_add(a, w0, w1);
        }
        let (lower, upper) = lane.lanes();
        sums.0 += lower;
        sums.1 += upper;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(a: &[i16], w: &[i8]) -> i32 {
        a.iter()
            .zip(w)
            .map(|(&a, &w)| i32::from(a) * i32::from(w))
            .sum()
    }

    /// Every activation (i8 and u8) with every pair of lane operands of both modes.
    #[test]
    fn one_product_exhaustively() {
        for a in -128i16..=255 {
            for w1 in -8i8..=7 {
                for w0 in -8i8..=15 {
                    let mut lane = PackedLane::default();
                    lane.multiply_add(a, w0, w1);
                    // The one pair of codes the pre-adder does not hold.
                    let upper = if w1 == -8 && w0 < 0 { 8 } else { w1 };
                    let want = (
                        i32::from(a) * i32::from(w0),
                        i32::from(a) * i32::from(upper),
                    );
                    assert_eq!(lane.lanes(), want, "{a} * ({w0}, {w1})");
                }
            }
        }
    }

    #[test]
    fn stored_pairs_are_what_the_lane_multiplies() {
        for byte in 0..=255u8 {
            let nibble = |n: u8| if n > 7 { n as i8 - 16 } else { n as i8 };
            let (low, high) = (nibble(byte & 15), nibble(byte >> 4));
            let mut lane = PackedLane::default();
            lane.multiply_add(1, low, high);
            let (w0, w1) = unpack_pair(byte);
            assert_eq!(lane.lanes(), (w0.into(), w1.into()), "byte {byte:#04x}");
            assert_eq!(w0, low);
            assert_eq!(w1 == high, !(0x88..=0x8f).contains(&byte));
        }
    }

    #[test]
    fn every_8_bit_operand_splits_and_fits_the_pre_adder() {
        for w in i8::MIN..=i8::MAX {
            let (low, high) = split_nibbles(w);
            assert!((0..=15).contains(&low) && (-8..=7).contains(&high));
            assert_eq!(16 * i32::from(high) + i32::from(low), i32::from(w));
            let ad = (i64::from(high) << LANE_BITS) + i64::from(low);
            assert_eq!(wrap(ad, 27), ad);
        }
        // Balanced nibbles would not do: 120 = 16 * 8 - 8.
        assert_ne!(wrap(8 << LANE_BITS, 27), 8 << LANE_BITS);
    }

    /// The part limits hold at the operands that fill a lane fastest, in all sign combinations.
    #[test]
    fn full_parts_of_extremes() {
        let extremes = [-128i16, -127, 127, 255];
        for a in extremes {
            for w0 in [-8i8, 7] {
                for w1 in [-7i8, 7] {
                    let n = PART_8X4;
                    let got = dot_8x4(&vec![a; n], &vec![w0; n], &vec![w1; n]);
                    let full = |w: i8| i32::from(a) * i32::from(w) * n as i32;
                    assert_eq!(got, (full(w0), full(w1)));
                    assert!(full(w0).abs() < 1 << 22);
                }
            }
            for w in i8::MIN..=i8::MAX {
                let n = PART_8X8;
                let got = dot_8x8(&vec![a; n], &vec![w; n]);
                assert_eq!(got, i32::from(a) * i32::from(w) * n as i32);
            }
        }
        const { assert!(255 * 15 * PART_8X8 < 1 << 22) };
        const { assert!(128 * 8 * PART_8X4 <= 1 << 21) };
    }

    /// The limit is a real one: beyond it the lanes mix.
    #[test]
    fn an_undrained_sum_of_8x8_is_wrong() {
        let n = 2 * PART_8X8;
        let mut lane = PackedLane::default();
        for _ in 0..n {
            lane.multiply_add(255, 15, 7);
        }
        assert_ne!(lane.lanes(), (255 * 15 * n as i32, 255 * 7 * n as i32));
    }

    fn activations() -> impl Strategy<Value = i16> {
        prop_oneof![-128i16..=127, 0i16..=255, Just(-128i16), Just(255i16)]
    }

    proptest! {
        #[test]
        fn sums_of_any_length_are_exact(
            terms in proptest::collection::vec(
                (activations(), -8i8..=7, -7i8..=7, any::<i8>()), 0..=K_MAX)
        ) {
            let a: Vec<i16> = terms.iter().map(|t| t.0).collect();
            let w0: Vec<i8> = terms.iter().map(|t| t.1).collect();
            let w1: Vec<i8> = terms.iter().map(|t| t.2).collect();
            let w8: Vec<i8> = terms.iter().map(|t| t.3).collect();
            prop_assert_eq!(dot_8x4(&a, &w0, &w1), (plain(&a, &w0), plain(&a, &w1)));
            prop_assert_eq!(dot_8x8(&a, &w8), plain(&a, &w8));
        }

        /// Runs of one sign, which random sums never make: the lanes reach their ends.
        #[test]
        fn sums_of_extremes_are_exact(
            runs in proptest::collection::vec(
                (1usize..1500, prop_oneof![Just(-128i16), Just(127), Just(255)],
                 prop_oneof![Just(-8i8), Just(7)], prop_oneof![Just(-7i8), Just(7)],
                 prop_oneof![Just(-128i8), Just(127), Just(15), Just(-1)]), 1..8)
        ) {
            let (mut a, mut w0, mut w1, mut w8) = (vec![], vec![], vec![], vec![]);
            for (n, x, p, q, w) in runs {
                let n = n.min(K_MAX - a.len());
                a.extend(std::iter::repeat_n(x, n));
                w0.extend(std::iter::repeat_n(p, n));
                w1.extend(std::iter::repeat_n(q, n));
                w8.extend(std::iter::repeat_n(w, n));
            }
            prop_assert_eq!(dot_8x4(&a, &w0, &w1), (plain(&a, &w0), plain(&a, &w1)));
            prop_assert_eq!(dot_8x8(&a, &w8), plain(&a, &w8));
        }
    }
}
