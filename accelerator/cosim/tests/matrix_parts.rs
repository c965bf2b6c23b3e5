//! The parts of the matrix engine, each against the section of docs/numerics.md that it implements.

use fqbert_cosim::{Port, Verilated, open_or_skip};
use fqbert_numerics::packed::{
    PART_8X4, PART_8X8, PackedLane, dot_8x4, dot_8x8, split_nibbles, unpack_pair,
};
use fqbert_numerics::requant::{Requant, effective_shift, sat27};
use fqbert_random::Random;

/// The low `bits` of `v` as a signed number.
fn signed(v: u64, bits: u32) -> i64 {
    (v << (64 - bits)) as i64 >> (64 - bits)
}

/// Lower and upper lane of P.
fn lanes(p: u64) -> (i32, i32) {
    let low = signed(p, 23);
    let high = signed(p, 48) >> 23;
    (low as i32, (high + i64::from(low < 0)) as i32)
}

/// One product a cycle, every operand of both modes: what P holds four cycles later.
#[test]
fn every_product_of_a_slice() {
    let mut slice = open_or_skip!("matrix_slice", 1);
    let [a, lo, hi, accumulate, p] =
        ["a_i", "w_lo_i", "w_hi_i", "accumulate_i", "p_o"].map(|n| slice.port(n));
    slice.set(accumulate, 0);
    let mut expected = Vec::new();
    for activation in -128i16..=255 {
        for w1 in -8i8..=7 {
            for w0 in -8i8..=15 {
                expected.push((activation, w0, w1));
            }
        }
    }
    for cycle in 0..expected.len() + 4 {
        if let Some(&(activation, w0, w1)) = expected.get(cycle) {
            slice.set(a, activation as u64);
            slice.set(lo, w0 as u64);
            slice.set(hi, w1 as u64);
        }
        slice.settle();
        if cycle >= 4 {
            let (activation, w0, w1) = expected[cycle - 4];
            let mut lane = PackedLane::default();
            lane.multiply_add(activation, w0, w1);
            let got = lanes(slice.get(p));
            assert_eq!(got, lane.lanes(), "{activation} * ({w0}, {w1})");
        }
        slice.tick();
    }
}

/// Feeds chunks into a cascade of eight lanes, each lane one cycle later than its neighbour, and
/// returns P after the last.
fn cascade_sum(model: &mut Verilated, a: &[i16], w: &[(i8, i8)]) -> u64 {
    let [ai, lo, hi, accumulate, p] =
        ["a_i", "w_lo_i", "w_hi_i", "accumulate_i", "p_o"].map(|n| model.port(n));
    let chunks = a.len() / 8;
    // The last lane takes its last operands in cycle chunks - 1 + 7, and P holds them four cycles
    // later.
    for cycle in 0..chunks + 10 {
        let (mut packed_a, mut packed_lo, mut packed_hi) = (0u128, 0u64, 0u64);
        for lane in 0..8 {
            let term = (cycle >= lane && cycle - lane < chunks).then(|| (cycle - lane) * 8 + lane);
            // Garbage around the sum.
            let (a, (w0, w1)) = term.map_or((-77, (5, -3)), |t| (a[t], w[t]));
            packed_a |= u128::from(a as u16 & 0x1ff) << (9 * lane);
            packed_lo |= u64::from(w0 as u8 & 0x1f) << (5 * lane);
            packed_hi |= u64::from(w1 as u8 & 0xf) << (4 * lane);
        }
        model.set_bytes(ai, &packed_a.to_le_bytes()[..9]);
        model.set(lo, packed_lo);
        model.set(hi, packed_hi);
        model.set(accumulate, u64::from(cycle != 7 + 2));
        model.tick();
    }
    model.settle();
    model.get(p)
}

/// Full parts of the operands that fill the lanes fastest, of both modes.
#[test]
fn cascades_at_the_part_limits() {
    let mut cascade = open_or_skip!("matrix_cascade", 2);
    for a in [-128i16, -127, 127, 255] {
        for byte in [0x80u8, 0x7f, 0x77, 0x88, 0x8f, 0x78, 0x0f, 0xff, 0x99] {
            let n = PART_8X4;
            if a != 255 {
                let (w0, w1) = unpack_pair(byte);
                // The stored nibbles; the pair of codes that wraps is the pre-adder's doing.
                let stored = ((byte << 4) as i8 >> 4, byte as i8 >> 4);
                let p = cascade_sum(&mut cascade, &vec![a; n], &vec![stored; n]);
                let want = dot_8x4(&vec![a; n], &vec![w0; n], &vec![w1; n]);
                assert_eq!(lanes(p), want, "8x4: {a} * {byte:#04x}");
            }
            let n = PART_8X8;
            let w = byte as i8;
            let p = cascade_sum(&mut cascade, &vec![a; n], &vec![split_nibbles(w); n]);
            let (low, high) = lanes(p);
            assert_eq!(
                16 * high + low,
                dot_8x8(&vec![a; n], &vec![w; n]),
                "8x8: {a} * {w}"
            );
        }
    }
}

#[test]
fn cascades_of_random_operands() {
    let mut cascade = open_or_skip!("matrix_cascade", 3);
    let mut random = Random::new(3);
    for _ in 0..200 {
        let n = 8 * (1 + random.next_u64() as usize % 40);
        let a: Vec<i16> = (0..n)
            .map(|_| (random.next_u64() % 384) as i16 - 128)
            .collect();
        let w: Vec<i8> = (0..n).map(|_| random.next_u64() as i8).collect();
        let split: Vec<(i8, i8)> = w.iter().map(|w| split_nibbles(*w)).collect();
        let (low, high) = lanes(cascade_sum(&mut cascade, &a, &split));
        assert_eq!(16 * high + low, dot_8x8(&a, &w));
    }
}

/// Which P a step takes, and how it is read in either mode.
#[test]
fn join_of_every_column() {
    let mut join = open_or_skip!("matrix_join", 4);
    let [shadow, column, mode8, sums] =
        ["shadow_i", "column_i", "mode8_i", "sums_o"].map(|n| join.port(n));
    let mut random = Random::new(4);
    for step in 0..4000 {
        // Six pairs of one row: lanes of 23 and 25 bits, extremes among them.
        let pairs: Vec<(i64, i64)> = (0..6)
            .map(|_| match random.next_u64() % 4 {
                0 => (-(1 << 22), 1 << 24),
                1 => ((1 << 22) - 1, -(1 << 24)),
                _ => (signed(random.next_u64(), 23), signed(random.next_u64(), 24)),
            })
            .map(|(low, high)| (low, high.clamp(-(1 << 24) + 1, (1 << 24) - 1)))
            .collect();
        let mut bits = Vec::new();
        for (low, high) in &pairs {
            let p = ((high << 23) + low) as u64;
            bits.extend(&p.to_le_bytes()[..6]);
        }
        let eight = step % 2 == 1;
        let at = random.next_u64() as usize % if eight { 3 } else { 6 };
        join.set_bytes(shadow, &bits);
        join.set(column, at as u64);
        join.set(mode8, u64::from(eight));
        join.tick();
        // The shadow may change once the column is out.
        join.set_bytes(shadow, &vec![0; bits.len()]);
        join.set(mode8, u64::from(!eight));
        join.tick();
        let got = join.get(sums);
        let got = [signed(got, 30), signed(got >> 30, 30)];
        let want = if eight {
            [0, 1].map(|n| 16 * pairs[2 * at + n].1 + pairs[2 * at + n].0)
        } else {
            [pairs[at].0, pairs[at].1]
        };
        assert_eq!(got, want, "column {at} of {pairs:?}");
    }
}

/// First part: bias; later parts: what was kept of the same column; last: saturated to 27 bits.
#[test]
fn partial_sums_and_the_27_bit_port() {
    let mut adder = open_or_skip!("matrix_partial_sums", 5);
    let names = [
        "column_i", "store_i", "first_i", "bias_i", "sums_i", "values_o",
    ];
    let [column, store, first, bias, sums, values] = names.map(|n| adder.port(n));
    let biases = [i32::MIN, i32::MAX, 0, (1 << 26) - 1, -(1 << 26), 1 << 26];
    let edges = [(1i64 << 27), -(1 << 27), 1, -1, 0];
    let mut random = Random::new(5);
    let mut totals = [[0i64; 2]; 4];
    for part in 0..300 {
        let (is_first, is_last) = (part % 3 == 0, part % 3 == 2);
        for (at, total) in totals.iter_mut().enumerate() {
            adder.set(column, at as u64);
            adder.set(store, 0);
            adder.tick();
            let sum = [0, 1].map(|_| match random.next_u64() % 2 {
                0 => edges[random.next_u64() as usize % edges.len()],
                _ => signed(random.next_u64(), 27),
            });
            let b = [0, 1].map(|_| biases[random.next_u64() as usize % biases.len()]);
            adder.set(store, u64::from(!is_last));
            adder.set(first, u64::from(is_first));
            adder.set(bias, u64::from(b[0] as u32) | u64::from(b[1] as u32) << 32);
            let mask = (1 << 30) - 1;
            adder.set(sums, sum[0] as u64 & mask | (sum[1] as u64 & mask) << 30);
            adder.settle();
            for n in 0..2 {
                total[n] = sum[n] + if is_first { b[n].into() } else { total[n] };
            }
            if is_last {
                let v = adder.get(values);
                let got = [signed(v, 27), signed(v >> 27, 27)];
                assert_eq!(got, total.map(sat27), "part {part} column {at}");
            }
            adder.tick();
        }
    }
}

/// A case of one requantization lane.
struct Lane {
    value: i64,
    multiplier: u16,
    shift: u8,
    wide: bool,
}

#[test]
fn requantization_lane_at_its_corners() {
    let mut lane = open_or_skip!("matrix_requant", 6);
    let names = [
        "value_i",
        "multiplier_i",
        "rounding_i",
        "shift_i",
        "wide_i",
        "result_o",
    ];
    let ports = names.map(|n| lane.port(n));
    let mut random = Random::new(6);
    let mut cases = Vec::new();
    let limit = 1i64 << 26;
    for shift in 1..=40u8 {
        for wide in [false, true] {
            for multiplier in [0, 1, 2, 32767, 32768, 65535] {
                for value in [-limit, limit - 1, -1, 0, 1, -127, 128, 32767, -32768] {
                    cases.push(Lane {
                        value,
                        multiplier,
                        shift,
                        wide,
                    });
                }
            }
            for _ in 0..100 {
                // Around the ties of this shift, and anywhere.
                let value = match random.next_u64() % 2 {
                    0 => signed(random.next_u64(), 27),
                    _ => signed(random.next_u64(), 1 + u32::from(shift) % 26),
                };
                let multiplier = random.next_u64() as u16;
                cases.push(Lane {
                    value,
                    multiplier,
                    shift,
                    wide,
                });
            }
        }
    }
    let [value, multiplier, rounding, shift, wide, result] = ports;
    for cycle in 0..cases.len() + 5 {
        let set = |model: &mut Verilated, port: Port, late: usize, f: fn(&Lane) -> u64| {
            if let Some(case) = cycle.checked_sub(late).and_then(|at| cases.get(at)) {
                model.set(port, f(case));
            }
        };
        set(&mut lane, value, 0, |c| c.value as u64);
        set(&mut lane, multiplier, 0, |c| c.multiplier.into());
        set(&mut lane, rounding, 1, |c| 1 << (c.shift - 1));
        set(&mut lane, shift, 3, |c| c.shift.into());
        set(&mut lane, wide, 4, |c| c.wide.into());
        lane.settle();
        if let Some(c) = cycle.checked_sub(5).and_then(|at| cases.get(at)) {
            let record = Requant {
                bias: 0,
                multiplier: c.multiplier,
                shift: c.shift,
            };
            let want = if c.wide {
                record.apply_i16(c.value as i32)
            } else {
                record.apply_i8(c.value as i32).into()
            };
            let got = lane.get(result) as i16;
            assert_eq!(got, want, "{record:?} of {} to {}", c.value, c.wide);
        }
        lane.tick();
    }
}

#[test]
fn every_shift_byte_becomes_a_legal_shift() {
    let mut params = open_or_skip!("matrix_requant_params", 7);
    let names = [
        "uniform_i",
        "word_i",
        "bias_o",
        "multiplier_o",
        "rounding_o",
        "shift_o",
    ];
    let [uniform, word, bias, multiplier, rounding, shift] = names.map(|n| params.port(n));
    for byte in 0..=255u8 {
        for same in [false, true] {
            let record = |seed: u8, byte: u8| {
                let mut r = [seed, 0x80 | seed, 3, seed ^ 0xff, seed, 0xfe, byte, 0xee];
                r[2] = byte;
                r
            };
            let records = [record(byte, byte), record(!byte, byte ^ 0x15)];
            let used = if same { [records[0]; 2] } else { records };
            params.set(uniform, same.into());
            params.set_bytes(word, &records.concat());
            params.tick();
            params.set(uniform, (!same).into());
            params.set_bytes(word, &[0; 16]);
            let want_bias: Vec<u8> = used.iter().flat_map(|r| r[..4].to_vec()).collect();
            let want_multiplier: Vec<u8> = used.iter().flat_map(|r| r[4..6].to_vec()).collect();
            assert_eq!(params.bytes(bias), want_bias);
            assert_eq!(params.bytes(multiplier), want_multiplier);
            params.tick();
            let shifts = used.map(|r| effective_shift(r[6]));
            let rounds: Vec<u8> = shifts
                .iter()
                .flat_map(|s| (1u64 << (s - 1)).to_le_bytes()[..6].to_vec())
                .collect();
            assert_eq!(params.bytes(rounding), rounds);
            params.tick();
            params.tick();
            let got = params.get(shift);
            let want = u64::from(shifts[0]) | u64::from(shifts[1]) << 6;
            assert_eq!(got, want, "byte {byte}");
        }
    }
}

/// Where the first key of a row tile lies, for all 256 row tiles.
#[test]
fn origins_of_keys() {
    for (name, rows, pairs) in [
        ("matrix_key_origin_16_6", 16, 6),
        ("matrix_key_origin_16_18", 16, 18),
        ("matrix_key_origin_32_14", 32, 14),
    ] {
        let mut origin = open_or_skip!(name, 8);
        let [tile, base, stride, place] =
            ["row_tile0_i", "dst_base_i", "dst_stride_i", "place_o"].map(|n| origin.port(n));
        let mut random = Random::new(8);
        let case = |at: u64, random: &mut Random| {
            (
                at % 256,
                random.next_u64() & 0xffff,
                random.next_u64() & 0xffff,
            )
        };
        let cases: Vec<_> = (0..1024).map(|at| case(at, &mut random)).collect();
        for cycle in 0..cases.len() + 3 {
            if let Some(&(t, b, s)) = cases.get(cycle) {
                origin.set(tile, t);
                origin.set(base, b);
                origin.set(stride, s);
            }
            origin.settle();
            if cycle >= 3 {
                let (t, b, s) = cases[cycle - 3];
                let token = t * rows;
                let want = (((b + token / pairs * s) & 0xffff) << 8) | (token % pairs);
                assert_eq!(origin.get(place), want, "{name} row tile {t}");
            }
            origin.tick();
        }
    }
}
