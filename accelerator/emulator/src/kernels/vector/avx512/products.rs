//! Dot products of rows with two octets of channels, in registers.

use std::arch::x86_64::*;
use std::hint::black_box;

use crate::kernels::vector::dot::Dot;

/// How activations and weights meet in `vpdpbusd`, which multiplies unsigned with signed bytes: a
/// parameter of functions, of which each value gets its own.
pub mod codes {
    /// 4-bit weights plus 8, unsigned; activations signed.
    pub const FOUR: u8 = 4;
    /// 8-bit codes; activations signed, made unsigned by adding 128 (their top bit flipped).
    pub const EIGHT: u8 = 8;
    /// 8-bit codes; activations unsigned.
    pub const EIGHT_UNSIGNED: u8 = 9;
}

/// The top bit of each of eight bytes.
const TOP_BITS: i64 = i64::from_ne_bytes([0x80; 8]);

/// Sums of `N` rows from row `first` on: of each row with both octets, their 8 channels side by
/// side, corrections subtracted.
///
/// Indices of constant range, not iterators: all of it must unroll for the sums to be registers.
///
/// # Safety
/// The CPU has AVX-512 F, BW, VL and VNNI; both of `dots` have passed their check with one line a
/// word, and differ in weights and corrections of channels only; `first + N <= rows`.
#[allow(clippy::needless_range_loop, reason = "see above")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn sums<const CODES: u8, const N: usize>(
    dots: &[Dot<'_>; 2],
    first: usize,
) -> [__m512i; N] {
    let [d, other] = dots;
    let mut sums = [[_mm512_setzero_si512(); N]; 2];
    // Not a constant to the compiler: LLVM 22 does not come to an end over this loop with one.
    let flip = _mm512_set1_epi64(black_box(TOP_BITS));
    // SAFETY: the check has found all words of all rows inside `a`, and a line for each in `b`.
    unsafe {
        let mut a = d.a.as_ptr().add(first * 8);
        let (mut b, mut b_other) = (d.b.as_ptr(), other.b.as_ptr());
        for _ in 0..d.chunks {
            let lines = [
                _mm512_load_si512(b.cast()),
                _mm512_load_si512(b_other.cast()),
            ];
            for row in 0..N {
                let terms = _mm512_set1_epi64(a.add(row * 8).cast::<i64>().read_unaligned());
                for octet in 0..2 {
                    sums[octet][row] = step::<CODES>(sums[octet][row], lines[octet], terms, flip);
                }
            }
            // Wrapping: behind the last word there may be nothing.
            a = a.wrapping_add(d.stride);
            (b, b_other) = (b.wrapping_add(1), b_other.wrapping_add(1));
        }
    }
    let channels = _mm512_inserti64x4::<1>(
        _mm512_castsi256_si512(eight(&d.channel_corrections.0)),
        eight(&other.channel_corrections.0),
    );
    let mut joined = [_mm512_setzero_si512(); N];
    for row in 0..N {
        let correction =
            _mm512_add_epi32(channels, _mm512_set1_epi32(d.row_corrections[first + row]));
        joined[row] = _mm512_sub_epi32(join(sums[0][row], sums[1][row]), correction);
    }
    joined
}

/// Four products and an addition in each 32-bit lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn step<const CODES: u8>(
    sums: __m512i,
    weights: __m512i,
    terms: __m512i,
    flip: __m512i,
) -> __m512i {
    match CODES {
        codes::FOUR => _mm512_dpbusd_epi32(sums, weights, terms),
        codes::EIGHT => {
            let terms = _mm512_xor_si512(terms, flip);
            _mm512_dpbusd_epi32(sums, terms, weights)
        }
        _ => _mm512_dpbusd_epi32(sums, terms, weights),
    }
}

/// The sums of two octets out of two lanes for each channel: lane `2 i` of the first half and lane
/// `2 i + 1` of the second one are channel `2 i`, the others channel `2 i + 1`, as weights are
/// unpacked.
#[inline]
#[target_feature(enable = "avx512f")]
fn join(octet: __m512i, other: __m512i) -> __m512i {
    let first = _mm512_shuffle_i64x2::<0b01_00_01_00>(octet, other);
    let second = _mm512_shuffle_i64x2::<0b11_10_11_10>(octet, other);
    _mm512_add_epi32(first, _mm512_shuffle_epi32::<0b10_11_00_01>(second))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn eight(from: &[i32; 8]) -> __m256i {
    // SAFETY: the array is 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}
