//! Random legal instructions of the vector engine.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Layernorm, Operation, Softmax};
use fqbert_contract::verify::check_operation;
use fqbert_random::Random;

/// A legal SOFTMAX.
pub fn softmax(g: &Geometry, random: &mut Random) -> Softmax {
    let lanes = u64::from(g.lanes);
    let longest = u64::from(g.max_seq) / lanes;
    loop {
        let chunks = match random.within(0, 7) {
            0 => longest,
            1 => random.within(1, longest),
            2 => 1,
            _ => random.within(1, longest.min(8)),
        };
        let s = Softmax {
            table: random.within(0, 1) as u8,
            src_base: random.within(0, u64::from(g.scr_words) - 1) as u16,
            src_stride: random.within(0, 50) as u16,
            dst_base: random.within(0, u64::from(g.prb_words) - 1) as u16,
            dst_stride: random.within(0, 50) as u16,
            columns: (chunks * lanes) as u16,
            row_tiles: random.within(1, 4) as u8,
            row0: (random.within(0, u64::from(g.max_seq / g.rows)) * u64::from(g.rows)) as u16,
        };
        if check_operation(g, &Operation::Softmax(s)).is_ok() {
            return s;
        }
    }
}

/// A legal LAYERNORM that reads the lower half of RESX and writes the upper one, so that
/// instructions in flight do not race.
pub fn layer_norm(g: &Geometry, random: &mut Random) -> Layernorm {
    let half = u64::from(g.resx_words) / 2;
    loop {
        let widest = u64::from(g.max_hidden) / 8;
        let eights = match random.within(0, 7) {
            0 => random.within(1, widest),
            1 => 1,
            _ => random.within(1, widest.min(16)),
        };
        let words = eights * 4;
        let row_tiles = random.within(1, 4);
        let stride = random.within(0, 80);
        let reach = words + (row_tiles - 1) * stride;
        let l = Layernorm {
            x_base: random.within(0, half - 1) as u16,
            b_base: random.within(0, u64::from(g.resb_words) - 1) as u16,
            y16_base: random.within(half, 2 * half - 1) as u16,
            y8_base: random.within(0, u64::from(g.act_words) - 1) as u16,
            stride: stride as u16,
            y8_stride: random.within(0, 40) as u16,
            channels: (eights * 8) as u16,
            row_tiles: row_tiles as u8,
            par_base: random.within(0, u64::from(g.lnp_words) - 1) as u16,
        };
        if u64::from(l.x_base) + reach <= half
            && check_operation(g, &Operation::Layernorm(l)).is_ok()
        {
            return l;
        }
    }
}
