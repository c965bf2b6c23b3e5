//! The dot products on a model of `vpdpbusd` in plain integers, on any CPU with AVX2; the
//! instruction itself where the CPU has it.

use std::arch::x86_64::*;

use proptest::prelude::*;

use super::registers::Lanes;
use super::*;
use crate::kernels::vector::octet::{MOST_ROWS, QUAD};

/// Bytes and an instruction in plain integers; as many rows at once as `WIDE` registers would hold.
struct Model<const WIDE: bool>;

// SAFETY: nothing but AVX loads and plain code.
unsafe impl<const WIDE: bool> Lanes for Model<WIDE> {
    type Register = [u8; 64];
    const QUADS: usize = if WIDE { 4 } else { 1 };

    unsafe fn zero() -> [u8; 64] {
        [0; 64]
    }

    unsafe fn line(from: *const Line) -> [u8; 64] {
        // SAFETY: as the trait says.
        unsafe { (*from).0 }
    }

    unsafe fn terms(from: *const u8) -> [u8; 64] {
        // SAFETY: as the trait says.
        let eight = unsafe { from.cast::<[u8; 8]>().read() };
        std::array::from_fn(|i| eight[i % 8])
    }

    unsafe fn flip(v: [u8; 64]) -> [u8; 64] {
        v.map(|b| b ^ 0x80)
    }

    /// Intel SDM, VPDPBUSD: without saturation, wrapping.
    unsafe fn multiply(sums: [u8; 64], unsigned: [u8; 64], signed: [u8; 64]) -> [u8; 64] {
        let mut out = [0; 64];
        for (lane, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let four = lane * 4..lane * 4 + 4;
            let before = i32::from_le_bytes(*sums[four.clone()].as_array().expect("four"));
            let products = unsigned[four.clone()].iter().zip(&signed[four]);
            let sum = products.fold(before, |sum, (u, s)| {
                sum.wrapping_add(i32::from(*u) * i32::from(*s as i8))
            });
            *out = sum.to_le_bytes();
        }
        out
    }

    unsafe fn halves(v: [u8; 64]) -> [__m256i; 2] {
        // SAFETY: two halves of 32 bytes; the loads need no alignment.
        unsafe {
            let from = v.as_ptr().cast::<__m256i>();
            [_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))]
        }
    }
}

/// A dot product on the model.
macro_rules! model {
    ($name:ident, $inner:ident, $wide:literal) => {
        fn $name(d: &Dot<'_>, sums: &mut [RowSums]) {
            #[target_feature(enable = "avx2")]
            unsafe fn inner(d: &Dot<'_>, sums: &mut [RowSums]) {
                // SAFETY: as for the dot products of the instruction.
                unsafe { dot::$inner::<Model<$wide>>(d, sums) }
            }
            detect::assert_avx2();
            d.check(1, sums);
            // SAFETY: AVX2 was detected, and the operands checked, above.
            unsafe { inner(d, sums) }
        }
    };
}

model!(dot4_model, dot4, false);
model!(dot8_model, dot8, false);
model!(dot4_wide_model, dot4, true);
model!(dot8_wide_model, dot8, true);

/// Instruction sets of the model, for the comparison of whole MATMULs too.
pub static MODELS: [InstructionSet; 2] = [
    with(dot4_model, dot8_model),
    with(dot4_wide_model, dot8_wide_model),
];

/// The instruction against its model; false where the CPU lacks it.
fn instruction_agrees(
    detected: bool,
    name: &str,
    real: &InstructionSet,
    model: &InstructionSet,
) -> bool {
    if !detected {
        eprintln!("SKIPPED: this CPU has no {name}; only the model of its instruction was tested");
        return false;
    }
    for rows in [4, 16, 20, MOST_ROWS] {
        for unsigned in [false, true] {
            let bytes = |seed: usize, count: usize| -> Vec<u8> {
                (0..count)
                    .map(|i| (((i * 167 + seed) * 89) >> 3) as u8)
                    .collect()
            };
            let chunks = 37;
            let a = bytes(rows, chunks * rows * 8);
            let mut b = vec![Line([0; 64]); chunks];
            for (i, line) in b.iter_mut().enumerate() {
                line.0.copy_from_slice(&bytes(i, 64));
            }
            let (by_row, by_channel) = (vec![3; rows], RowSums([7; 8]));
            let d = Dot {
                a: &a,
                stride: rows * 8,
                rows,
                chunks,
                a_unsigned: unsigned,
                b: &b,
                row_corrections: &by_row,
                channel_corrections: &by_channel,
            };
            for (real, model) in [(real.dot4, model.dot4), (real.dot8, model.dot8)] {
                let mut sums = [
                    vec![RowSums::default(); rows],
                    vec![RowSums::default(); rows],
                ];
                real(&d, &mut sums[0]);
                model(&d, &mut sums[1]);
                assert_eq!(
                    sums[0], sums[1],
                    "{name} on {rows} rows, unsigned {unsigned}"
                );
            }
        }
    }
    true
}

#[test]
fn the_instruction_is_its_model() {
    if !detect::avx2() {
        eprintln!("SKIPPED: this CPU has no AVX2");
        return;
    }
    instruction_agrees(detect::avx_vnni(), "AVX-VNNI", &AVX, &MODELS[0]);
    instruction_agrees(detect::avx512_vnni(), "AVX-512 VNNI", &AVX512, &MODELS[1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The dot products over the model against sums in plain integers.
    #[test]
    fn sums_on_the_model(
        (quads, chunks, spare) in (1usize..=MOST_ROWS / QUAD, 1usize..40, 0usize..3),
        unsigned: bool,
        seed: u64,
    ) {
        prop_assume!(detect::avx2());
        let mut state = seed;
        let mut byte = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let rows = quads * QUAD;
        let stride = (rows + spare) * 8;
        let a: Vec<u8> = (0..chunks * stride).map(|_| byte()).collect();
        let b: Vec<Line> = (0..chunks).map(|_| Line(std::array::from_fn(|_| byte()))).collect();
        let by_row: Vec<i32> = (0..rows).map(|_| i32::from(byte())).collect();
        let by_channel = RowSums(std::array::from_fn(|_| i32::from(byte())));
        let d = Dot {
            a: &a,
            stride,
            rows,
            chunks,
            a_unsigned: unsigned,
            b: &b,
            row_corrections: &by_row,
            channel_corrections: &by_channel,
        };
        for path in &MODELS {
            let mut sums = [vec![RowSums::default(); rows], vec![RowSums::default(); rows]];
            (path.dot4)(&d, &mut sums[0]);
            (path.dot8)(&d, &mut sums[1]);
            for row in 0..rows {
                for channel in 0..8 {
                    let (mut four, mut eight) = (0, 0);
                    for (chunk, Line(line)) in b.iter().enumerate() {
                        for term in 0..8 {
                            let code = a[chunk * stride + row * 8 + term];
                            // Even channels have terms 0..4 in the first half of the line and 4..8
                            // in the second, odd ones the other way.
                            let half = (channel % 2 + term / 4) % 2;
                            let weight = line[half * 32 + channel / 2 * 8 + term];
                            four += i32::from(weight) * i32::from(code as i8);
                            let code = if unsigned {
                                i32::from(code)
                            } else {
                                i32::from(code as i8) + 128
                            };
                            eight += i32::from(weight as i8) * code;
                        }
                    }
                    let off = by_row[row] + by_channel.0[channel];
                    prop_assert_eq!(sums[0][row].0[channel], four - off);
                    prop_assert_eq!(sums[1][row].0[channel], eight - off);
                }
            }
        }
    }
}
