//! Random legal MATMULs.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, Operation};
use fqbert_contract::verify::check_operation;
use fqbert_random::Random;

/// A legal MATMUL that reads the lower halves of ACT and OPD and writes the upper ones, so that
/// instructions in flight do not race.
pub fn matmul(g: &Geometry, random: &mut Random, longest: u64) -> Matmul {
    loop {
        let m = candidate(g, random, longest);
        let separate = u64::from(m.dst_base) + 1
            > u64::from(match m.dest {
                0 => g.act_words,
                3 | 4 => g.opd_words,
                _ => 0,
            }) / 2;
        let reads = Matmul {
            dest: 2,
            head_dim: 0,
            row_tile0: 0,
            gelu: false,
            table: 0,
            dst_base: 0,
            dst_channel: 0,
            dst_stride: 0,
            ..m
        };
        let lower = Geometry {
            act_words: g.act_words / 2,
            opd_words: g.opd_words / 2,
            scr_words: u32::MAX,
            ..g.clone()
        };
        if separate
            && check_operation(g, &Operation::Matmul(m)).is_ok()
            && check_operation(&lower, &Operation::Matmul(reads)).is_ok()
        {
            return m;
        }
    }
}

fn candidate(g: &Geometry, random: &mut Random, longest: u64) -> Matmul {
    let mode8 = random.one_in(2);
    let dest = random.within(0, 4) as u8;
    let gelu = dest == 0 && random.one_in(2);
    let b_opd = mode8 && random.one_in(2);
    let k_chunks = match random.within(0, 9) {
        0 => random.within(1, longest),
        1..=3 => random.within(1, 2),
        _ => random.within(1, 24),
    };
    let tile = u64::from(if mode8 { g.pairs } else { 2 * g.pairs });
    let col_tiles = random.within(1, 3);
    let channels = col_tiles * tile - 2 * random.within(0, tile / 2 - 1);
    let head_dim = 2 * random.within(1, 20);
    let (dst_channel, head_dim) = if dest == 4 {
        let d0 = 2 * random.within(0, head_dim / 2 - 1);
        let slot0 = 2 * random.within(0, u64::from(g.pairs) / 2 - 1);
        (d0 | slot0 << 8, head_dim)
    } else {
        (2 * random.within(0, 30), 0)
    };
    let depth = u64::from(match dest {
        0 => g.act_words,
        1 => g.resb_words,
        2 => g.scr_words,
        _ => g.opd_words,
    });
    let b_depth = u64::from(if b_opd { g.opd_words / 2 } else { g.wgt_words });
    Matmul {
        mode8,
        a_probs: mode8 && random.one_in(2),
        b_opd,
        b_slot: if b_opd { 0 } else { random.within(0, 3) as u8 },
        gelu,
        table: if gelu { random.within(0, 1) as u8 } else { 0 },
        uniform: random.one_in(3),
        dest,
        a_base: random.within(0, 200) as u16,
        a_stride: random.within(0, 40) as u16,
        b_base: random.within(0, b_depth - k_chunks) as u16,
        b_stride: random.within(0, 60) as u16,
        k_chunks: k_chunks as u16,
        row_tiles: random.within(1, 4) as u8,
        col_tiles: col_tiles as u8,
        channels: channels as u16,
        dst_channel: dst_channel as u16,
        dst_base: random.within(depth / 2, depth - 1) as u16,
        dst_stride: random.within(0, 40) as u16,
        par_base: random.within(0, 2000) as u16,
        head_dim: head_dim as u8,
        row_tile0: if dest >= 3 {
            random.within(0, 40) as u8
        } else {
            0
        },
    }
}
