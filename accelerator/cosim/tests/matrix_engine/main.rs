//! The matrix engine against the scalar reference: whole MATMULs, in every mode and to every
//! destination, in the cycles of the timing model. `FQBERT_RTL_SEEDS=n` runs n times as many random
//! instructions.

mod bench;
mod random;

use bench::{Bench, Times};
use fqbert_contract::Geometry;
use fqbert_contract::generated::geometry::TINY;
use fqbert_contract::isa::{Matmul, MemoryId, Operation};
use fqbert_contract::timing::{Matrix, Ports};
use fqbert_contract::verify::check_operation;
use fqbert_cosim::open_or_skip;
use fqbert_random::Random;

/// Tops of build/tops.rs with their shapes.
const SHAPES: [(&str, u32, u32, u32); 4] = [
    ("matrix_tiny", 4, 4, 8),
    // Large: FQBERT_COSIM_TOPS=matrix,matrix_paper builds it.
    ("matrix_paper", 8, 12, 8),
    // Several writes a column to OPD, and key tiles that are no multiple of them.
    ("matrix_groups", 16, 6, 4),
    // Pairs that are no power of two and more than the rows, as in the geometries of the board.
    ("matrix_narrow", 4, 6, 4),
];

/// Memories just deep enough for the random instructions.
fn geometry(rows: u32, pairs: u32, lanes: u32) -> Geometry {
    Geometry {
        rows,
        pairs,
        lanes,
        act_words: 2048,
        opd_words: 4096,
        resb_words: 1024,
        scr_words: 1024,
        prb_words: 1024,
        ..TINY.clone()
    }
}

fn seeds() -> u64 {
    std::env::var("FQBERT_RTL_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1)
}

/// Start and retire times by the timing model, for instructions offered at the given cycles. It
/// must also know every cycle in which the engine took a port of ACT.
fn expected_times(bench: &Bench, instructions: &[Matmul], offers: &[u64]) -> Vec<Times> {
    let (mut matrix, mut ports) = (Matrix::default(), Ports::default());
    let mut times = Vec::new();
    for (m, offer) in instructions.iter().zip(offers) {
        let start = matrix.free().max(*offer);
        let retire = matrix.start(&bench.g, m, start, &mut ports).retire;
        times.push(Times { start, retire });
    }
    let end = times.iter().map(|t| t.retire).max().unwrap_or(0);
    let taken = [&ports.matrix_act_read, &ports.matrix_act_write].map(|calendar| {
        (0..=end)
            .filter(|t| calendar.takes(*t))
            .collect::<Vec<u64>>()
    });
    assert_eq!(
        bench.act_accesses, taken,
        "{instructions:#?} offered at {offers:?}"
    );
    times
}

fn check(bench: &mut Bench, instructions: &[Matmul], offers: &[u64]) {
    let mut expected = bench.memories.clone();
    for m in instructions {
        check_operation(&bench.g, &Operation::Matmul(*m)).expect("a legal instruction");
        expected.execute(&Operation::Matmul(*m));
    }
    let times = bench.run(instructions, offers);
    if let Some(difference) = bench.memories.difference(&expected) {
        panic!("{difference} after {instructions:#?}");
    }
    assert_eq!(
        times,
        expected_times(bench, instructions, offers),
        "{instructions:#?}"
    );
}

fn random_instructions(shape: (&str, u32, u32, u32), count: u64, longest: u64) {
    let (name, rows, pairs, lanes) = shape;
    let g = geometry(rows, pairs, lanes);
    let mut random = Random::new(u64::from(rows));
    let mut bench = Bench::new(g.clone(), open_or_skip!(name, rows), 1);
    for _ in 0..count * seeds() {
        let length = random.within(1, 6) as usize;
        let instructions: Vec<Matmul> = (0..length)
            .map(|_| random::matmul(&g, &mut random, longest))
            .collect();
        let mut offer = 0;
        let offers: Vec<u64> = (0..length)
            .map(|_| {
                offer += if random.one_in(2) {
                    0
                } else {
                    random.within(0, 90)
                };
                offer
            })
            .collect();
        check(&mut bench, &instructions, &offers);
    }
    bench.idle(100);
}

#[test]
fn random_instructions_tiny() {
    random_instructions(SHAPES[0], 60, 60);
}

#[test]
fn random_instructions_paper() {
    random_instructions(SHAPES[1], 12, 40);
}

#[test]
fn random_instructions_groups() {
    random_instructions(SHAPES[2], 20, 60);
}

#[test]
fn random_instructions_narrow() {
    random_instructions(SHAPES[3], 40, 60);
}

/// Sums that need several parts, at operands that fill the lanes fastest.
#[test]
fn long_sums_are_drained_in_parts() {
    let g = geometry(4, 4, 8);
    let mut bench = Bench::new(g, open_or_skip!("matrix_tiny", 3), 3);
    let fills: [(u8, u8); 5] = [
        (0x80, 0x88), // -128 * (-8, +8): the pair that the pre-adder wraps
        (0x80, 0x78), // -128 * (-8, 7)
        (0xff, 0x7f), // 255 or -1, times 127 or (-1, 7)
        (0x7f, 0x8f), // 127 times -113
        (0xff, 0x0f), // 255 * 15: the fastest lower lane of 8x8
    ];
    for (index, k_chunks) in [512, 511, 257, 256, 255, 192, 129, 128, 127, 65]
        .into_iter()
        .enumerate()
    {
        let (a, w) = fills[index % fills.len()];
        for memory in [MemoryId::Act, MemoryId::Prb] {
            let half = bench.memories.all_mut(memory).len() / 2;
            bench.memories.all_mut(memory)[..half].fill(a);
        }
        bench.memories.all_mut(MemoryId::Wgt0).fill(w);
        for (mode8, a_probs) in [(false, false), (true, false), (true, true)] {
            for dest in [Matmul::DEST_RESB, Matmul::DEST_KEYS] {
                let tile = if mode8 { 4 } else { 8 };
                let m = Matmul {
                    mode8,
                    a_probs,
                    dest,
                    k_chunks,
                    a_stride: 5,
                    row_tiles: 2,
                    col_tiles: 2,
                    b_stride: 0,
                    channels: 2 * tile,
                    dst_base: if dest == Matmul::DEST_KEYS { 2048 } else { 0 },
                    dst_stride: 8,
                    par_base: 7 * index as u16,
                    ..Matmul::default()
                };
                check(&mut bench, &[m, m], &[0, 0]);
            }
        }
    }
}

/// Random bytes in place of the constant fills above.
#[test]
fn long_sums_of_random_operands() {
    let g = geometry(4, 4, 8);
    let mut bench = Bench::new(g.clone(), open_or_skip!("matrix_tiny", 4), 4);
    let mut random = Random::new(4);
    for _ in 0..4 * seeds() {
        let mut m = random::matmul(&g, &mut random, 24);
        m.k_chunks = random.within(130, 512) as u16;
        m.b_base = 0;
        m.b_stride = 0;
        check(&mut bench, &[m], &[0]);
    }
}

/// Parameters at the corners of requantization, through to RESB and SCR.
#[test]
fn requantization_corners() {
    let g = geometry(4, 4, 8);
    let mut bench = Bench::new(g, open_or_skip!("matrix_tiny", 5), 5);
    let biases = [
        0,
        1,
        -1,
        i32::MAX,
        i32::MIN,
        (1 << 26) - 1,
        1 << 26,
        -(1 << 26),
        12345,
    ];
    let multipliers = [0u16, 1, 32768, 65535];
    let mut records = Vec::new();
    for shift in [0u8, 1, 2, 15, 16, 26, 27, 39, 40, 41, 63, 64, 104, 255] {
        for bias in biases {
            for multiplier in multipliers {
                records.extend(bias.to_le_bytes());
                records.extend(multiplier.to_le_bytes());
                records.extend([shift, 0xa5]);
            }
        }
    }
    let words = records.len() / 16;
    bench.memories.all_mut(MemoryId::Par)[..records.len()].copy_from_slice(&records);
    for base in (0..words - 12).step_by(12) {
        for dest in [Matmul::DEST_RESB, Matmul::DEST_SCR] {
            let m = Matmul {
                dest,
                k_chunks: 3,
                row_tiles: 1,
                col_tiles: 3,
                b_stride: 3,
                channels: 24,
                par_base: base as u16,
                ..Matmul::default()
            };
            check(&mut bench, &[m], &[0]);
        }
    }
}

/// A short instruction behind one with a long drain: the shadow is not overwritten, and both retire
/// in order.
#[test]
fn a_short_instruction_waits_for_the_drain_before_it() {
    let (name, rows, pairs, lanes) = SHAPES[2];
    let g = geometry(rows, pairs, lanes);
    let mut bench = Bench::new(g, open_or_skip!(name, 6), 6);
    let long = Matmul {
        dest: Matmul::DEST_VALUES,
        k_chunks: 1,
        row_tiles: 1,
        col_tiles: 1,
        channels: 12,
        head_dim: 12,
        dst_base: 3000,
        dst_stride: 40,
        ..Matmul::default()
    };
    let short = Matmul {
        mode8: true,
        dest: Matmul::DEST_SCR,
        channels: 6,
        dst_stride: 3,
        head_dim: 0,
        dst_base: 100,
        ..long
    };
    for gap in 0..30 {
        check(&mut bench, &[long, short, short], &[0, gap, 0]);
    }
}

/// Reset in any cycle of an instruction: nothing is written after it, and the next instruction is
/// exact.
#[test]
fn reset_at_any_moment() {
    let g = geometry(4, 4, 8);
    let mut bench = Bench::new(g.clone(), open_or_skip!("matrix_tiny", 7), 7);
    let mut random = Random::new(7);
    for cycles in 1..90 {
        let m = random::matmul(&g, &mut random, 8);
        bench.abort(&m, cycles);
        bench.idle(40);
        check(&mut bench, &[random::matmul(&g, &mut random, 8)], &[0]);
    }
}
