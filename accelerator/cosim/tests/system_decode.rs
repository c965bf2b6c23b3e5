//! The field check of the RTL against `check_operation`, on legal, mutated and random instructions
//! of every geometry.

#[path = "support/mod.rs"]
mod support;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{
    DecodeError, FaultCause, INSTRUCTION_BYTES, Instruction, Layernorm, Load, Matmul, MemoryId,
    Nop, Operation, Softmax, Store,
};
use fqbert_contract::timing::Queue;
use fqbert_contract::verify::check_operation;
use fqbert_cosim::open_or_skip;
use fqbert_random::Random;
use support::{end, plain};

/// What FETCH must say of an instruction in the middle of a program, or as its last.
fn expected(g: &Geometry, bytes: &[u8; INSTRUCTION_BYTES], last: bool) -> (FaultCause, usize) {
    let cause = |cause| (cause, 0);
    let operation = match Instruction::from_bytes(bytes) {
        Ok(instruction) => instruction.operation,
        Err(DecodeError::IllegalOpcode { .. }) => return cause(FaultCause::IllegalOpcode),
        Err(DecodeError::ReservedBits { .. }) => return cause(FaultCause::IllegalField),
    };
    let ends = matches!(operation, Operation::End(_));
    if check_operation(g, &operation).is_err() || (ends && !last) {
        return cause(FaultCause::IllegalField);
    }
    if last && !ends {
        return cause(FaultCause::NoEnd);
    }
    (FaultCause::None, Queue::of(&operation).index())
}

/// A value at or around the edge `limit`, or small, or any.
fn around(rng: &mut Random, limit: u64) -> u64 {
    match rng.below(4) {
        0 => limit.saturating_sub(rng.below(3)),
        1 => limit + rng.below(3),
        2 => rng.below(limit.max(1)),
        _ => rng.below(64),
    }
}

/// Below the first bound once in `odds` times, else below the second.
fn below_either(rng: &mut Random, odds: u64, bounds: [u64; 2]) -> u64 {
    let bound = bounds[usize::from(rng.below(odds) != 0)];
    rng.below(bound)
}

/// An instruction whose areas end near the ends of their memories, often legal.
fn plausible(rng: &mut Random, g: &Geometry) -> Operation {
    match rng.below(8) {
        0 => Operation::Nop(Nop {
            engine: rng.below(4) as u8,
            port: rng.below(4) as u8,
        }),
        1 | 2 => transfer(rng, g),
        3 => Operation::Softmax(softmax(rng, g)),
        4 => Operation::Layernorm(layer_norm(rng, g)),
        _ => Operation::Matmul(matmul(rng, g)),
    }
}

fn transfer(rng: &mut Random, g: &Geometry) -> Operation {
    let memories = MemoryId::ALL;
    let memory = memories[rng.below(memories.len() as u64) as usize];
    let word = u64::from(g.word_bytes(memory)) / 16;
    let offset = around(rng, u64::from(g.depth(memory))).min(65535);
    let words = around(rng, u64::from(g.depth(memory)).saturating_sub(offset)).max(1);
    let beats = (words * word.max(1) + u64::from(rng.below(8) == 0)) as u32 & 0xff_ffff;
    let (memory, word_offset, address) = (memory.code(), offset as u16, rng.next_u64());
    if rng.below(2) == 0 {
        Operation::Store(Store {
            memory,
            address,
            word_offset,
            beats,
        })
    } else {
        let port = if memory & 12 == 8 {
            u32::from(memory & 3) % g.ports
        } else {
            0
        } as u8;
        let port = if rng.below(8) == 0 {
            rng.below(4) as u8
        } else {
            port
        };
        Operation::Load(Load {
            memory,
            port,
            address,
            word_offset,
            beats,
        })
    }
}

fn softmax(rng: &mut Random, g: &Geometry) -> Softmax {
    let lanes = u64::from(g.lanes);
    let columns = lanes * rng.below(u64::from(g.max_seq) / lanes + 2);
    let tiles = 1 + rng.below(8);
    let (src_stride, dst_stride) = (rng.below(300), rng.below(100));
    let scr = u64::from(g.scr_words).saturating_sub((tiles - 1) * src_stride + columns / 2);
    let prb = u64::from(g.prb_words).saturating_sub((tiles - 1) * dst_stride + columns / lanes);
    let rows = u64::from(g.rows);
    Softmax {
        table: rng.below(2) as u8,
        src_base: around(rng, scr) as u16,
        src_stride: src_stride as u16,
        dst_base: around(rng, prb) as u16,
        dst_stride: dst_stride as u16,
        columns: columns as u16,
        row_tiles: tiles as u8,
        row0: (rows * around(rng, (u64::from(g.max_seq) / rows).saturating_sub(tiles))
            + u64::from(rng.below(9) == 0)) as u16,
    }
}

fn layer_norm(rng: &mut Random, g: &Geometry) -> Layernorm {
    let lanes = u64::from(g.lanes);
    let n = 8 * around(rng, u64::from(g.max_hidden) / 8);
    let (tiles, stride, y8) = (1 + rng.below(6), rng.below(700), rng.below(200));
    let near = |rng: &mut Random, depth: u32, used: u64| {
        around(rng, u64::from(depth).saturating_sub(used)) as u16
    };
    Layernorm {
        x_base: near(rng, g.resx_words, (tiles - 1) * stride + n / 2),
        b_base: near(rng, g.resb_words, (tiles - 1) * stride + n / 2),
        y16_base: near(rng, g.resx_words, (tiles - 1) * stride + n / 2),
        y8_base: near(rng, g.act_words, (tiles - 1) * y8 + n / lanes),
        stride: stride as u16,
        y8_stride: y8 as u16,
        channels: n as u16,
        row_tiles: tiles as u8,
        par_base: near(rng, g.lnp_words, n / 2 + 2),
    }
}

fn matmul(rng: &mut Random, g: &Geometry) -> Matmul {
    let mode8 = rng.below(2) == 1;
    let tile = u64::from(if mode8 { g.pairs } else { 2 * g.pairs });
    let (rows, columns) = (1 + rng.below(10), 1 + below_either(rng, 4, [255, 6]));
    let k = if rng.below(6) == 0 {
        around(rng, 512)
    } else {
        1 + rng.below(60)
    };
    let (a_stride, b_stride) = (rng.below(600), rng.below(100));
    let dest = rng.below(5);
    let b_opd = mode8 && rng.below(2) == 0;
    let a_probs = mode8 && rng.below(2) == 0;
    let channels = tile * columns - 2 * rng.below(tile / 2);
    let head_dim = if dest == 4 {
        2 * (1 + below_either(rng, 2, [127, 40]))
    } else {
        0
    };
    let dst_channel = if dest == 4 {
        2 * rng.below(head_dim / 2) + ((2 * rng.below(u64::from(g.pairs) / 2)) << 8)
    } else {
        2 * rng.below(400)
    };
    let mut m = Matmul {
        mode8,
        a_probs,
        b_opd,
        b_slot: if b_opd { 0 } else { rng.below(4) as u8 },
        gelu: dest == 0 && rng.below(2) == 0,
        table: 0,
        uniform: rng.below(2) == 0,
        dest: dest as u8,
        a_base: 0,
        a_stride: a_stride as u16,
        b_base: 0,
        b_stride: b_stride as u16,
        k_chunks: k as u16,
        row_tiles: rows as u8,
        col_tiles: columns as u8,
        channels: channels as u16,
        dst_channel: dst_channel as u16,
        dst_base: 0,
        dst_stride: if rng.below(4) == 0 {
            rng.below(4000)
        } else {
            rng.below(40)
        } as u16,
        par_base: 0,
        head_dim: head_dim as u8,
        row_tile0: if dest >= 3 {
            below_either(rng, 4, [256, 20]) as u8
        } else {
            0
        },
    };
    let used = (rows - 1) * a_stride + k;
    let depth = if a_probs { g.prb_words } else { g.act_words };
    m.a_base = around(rng, u64::from(depth).saturating_sub(used)) as u16;
    let used = (columns - 1) * b_stride + k;
    let depth = if b_opd { g.opd_words } else { g.wgt_words };
    m.b_base = around(rng, u64::from(depth).saturating_sub(used)) as u16;
    let used = if m.uniform { 1 } else { channels / 2 };
    m.par_base = around(rng, u64::from(g.par_words).saturating_sub(used)) as u16;
    let low = first_misfit(g, m);
    m.dst_base = match rng.below(3) {
        0 => low.saturating_sub(1) as u16,
        1 => low.min(65535) as u16,
        _ => rng.next_u64() as u16,
    };
    m
}

/// The first base at which the destination does not fit, by bisection on the rule itself: the edge
/// is what matters.
fn first_misfit(g: &Geometry, m: Matmul) -> u32 {
    let fits = |base: u16| {
        check_operation(
            g,
            &Operation::Matmul(Matmul {
                dst_base: base,
                a_base: 0,
                b_base: 0,
                a_stride: 0,
                b_stride: 0,
                par_base: 0,
                uniform: true,
                ..m
            }),
        )
        .is_ok()
    };
    let (mut low, mut high) = (0u32, 65536u32);
    while low < high {
        let middle = (low + high) / 2;
        if fits(middle as u16) {
            low = middle + 1
        } else {
            high = middle
        }
    }
    low
}

fn check(top: &str, g: &Geometry, count: usize) {
    let mut model = open_or_skip!(top, 1);
    let [clear, advance, valid, entry, last] =
        ["clear_i", "advance_i", "valid_i", "entry_i", "last_i"].map(|n| model.port(n));
    let [valid_o, entry_o, queue, cause] =
        ["valid_o", "entry_o", "queue_o", "cause_o"].map(|n| model.port(n));
    model.set(clear, 1);
    model.tick();
    model.set(clear, 0);
    let mut rng = Random::new(0x00de_c0de);
    let mut waiting = std::collections::VecDeque::new();
    let (mut seen, mut legal) = (0, 0);
    for cycle in 0.. {
        if seen == count {
            break;
        }
        // A stalled pipeline holds everything.
        let go = rng.below(8) != 0;
        model.set(advance, u64::from(go));
        let give = cycle % 2 == 0 && rng.below(10) != 0;
        let mut bytes = match rng.below(30) {
            0 => end().to_bytes().unwrap(),
            1 => {
                let mut any = [0; INSTRUCTION_BYTES];
                any.copy_from_slice(&rng.bytes(INSTRUCTION_BYTES));
                any
            }
            _ => plain(plausible(&mut rng, g)).to_bytes().unwrap(),
        };
        if rng.below(6) == 0 {
            let bit = rng.below(256) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let is_last = rng.below(16) == 0;
        let mut with_index = bytes.to_vec();
        with_index.extend_from_slice(&(cycle as u16).to_le_bytes());
        model.set(valid, u64::from(give));
        model.set(last, u64::from(is_last));
        model.set_bytes(entry, &with_index);
        model.settle();
        if go && model.is_high(valid_o) {
            let (given, (fault, target)): (Vec<u8>, (FaultCause, usize)) =
                waiting.pop_front().expect("one went in");
            assert_eq!(model.bytes(entry_o), given);
            let text = || {
                format!(
                    "{} {:?}",
                    g.name,
                    Instruction::from_bytes(given[..32].as_array().unwrap())
                )
            };
            assert_eq!(model.get(cause), u64::from(fault.code()), "{}", text());
            if fault == FaultCause::None {
                assert_eq!(model.get(queue), target as u64, "{}", text());
                legal += 1;
            }
            seen += 1;
        }
        if go && give {
            waiting.push_back((with_index, expected(g, &bytes, is_last)));
        }
        model.tick();
    }
    // Both answers are common, or the test shows nothing.
    assert!(
        legal * 5 > count && legal * 5 < 4 * count,
        "{legal} legal of {count}"
    );
}

#[test]
fn tiny() {
    check("system_decode_tiny", support::tiny(), 200_000);
}

#[test]
fn paper() {
    check(
        "system_decode_paper",
        Geometry::by_name("paper").unwrap(),
        200_000,
    );
}

#[test]
fn zcu102() {
    check(
        "system_decode_zcu102",
        Geometry::by_name("zcu102").unwrap(),
        200_000,
    );
}

#[test]
fn zcu111() {
    check(
        "system_decode_zcu111",
        Geometry::by_name("zcu111").unwrap(),
        200_000,
    );
}
