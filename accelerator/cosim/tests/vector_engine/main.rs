//! The vector engine against the scalar reference: whole SOFTMAX and LAYERNORM instructions in the
//! cycles of the timing model, with both cores at work and with another writer at ACT.
//! `FQBERT_RTL_SEEDS=n` runs n times as many random instructions.

mod bench;
mod data;
mod golden;
mod random;

use bench::{Access, Bench, Rival, Times};
use fqbert_contract::Geometry;
use fqbert_contract::generated::geometry::TINY;
use fqbert_contract::isa::{Layernorm, MemoryId, Operation, Softmax};
use fqbert_contract::timing::{self, Ports, Vector};
use fqbert_contract::verify::check_operation;
use fqbert_cosim::open_or_skip;
use fqbert_random::Random;

/// A top of build/tops.rs with its shape.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    rows: u32,
    lanes: u32,
    ln_channels: u32,
    max_seq: u32,
    max_hidden: u32,
}

const TINY_SHAPE: Shape = Shape {
    name: "vector_tiny",
    rows: 4,
    lanes: 8,
    ln_channels: 1,
    max_seq: 512,
    max_hidden: 768,
};
const PAPER: Shape = Shape {
    name: "vector_paper",
    rows: 8,
    ln_channels: 2,
    max_hidden: 1024,
    ..TINY_SHAPE
};
const ROWS: Shape = Shape {
    name: "vector_rows",
    rows: 32,
    lanes: 4,
    ln_channels: 1,
    max_seq: 64,
    max_hidden: 64,
};
const SHAPES: [Shape; 3] = [TINY_SHAPE, PAPER, ROWS];

/// Memories just deep enough for the random instructions.
fn geometry(shape: Shape) -> Geometry {
    Geometry {
        rows: shape.rows,
        lanes: shape.lanes,
        ln_channels: shape.ln_channels,
        // RNG has a word for four rows of the longest sequence.
        max_seq: shape.max_seq,
        max_hidden: shape.max_hidden,
        act_words: 512,
        resx_words: 2048,
        resb_words: 1024,
        scr_words: 512,
        prb_words: 512,
        lnp_words: 1024,
        ..TINY.clone()
    }
}

fn seeds() -> u64 {
    std::env::var("FQBERT_RTL_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1)
}

/// Start and retire times by the timing model, for instructions offered at the given cycles while a
/// rival took ACT as it did. The model must also know every cycle in which the engine took a port.
fn expected_times(bench: &Bench, operations: &[Operation], offers: &[u64]) -> Vec<Times> {
    let (mut vector, mut ports) = (Vector::default(), Ports::default());
    for (cycle, access) in bench.accesses.iter().enumerate() {
        if access.rival {
            ports.matrix_act_write.push_cycle(cycle as u64);
        }
    }
    ports.matrix_act_write.settle();
    let mut started = Vec::new();
    for (operation, offer) in operations.iter().zip(offers) {
        let start = vector.free().max(*offer);
        let fixed = match operation {
            Operation::Softmax(s) => Some(vector.start_softmax(s, start)),
            Operation::Layernorm(l) => {
                vector.start_layer_norm(&bench.g, l, start, &mut ports);
                None
            }
            other => panic!("not of the vector engine: {other:?}"),
        };
        started.push((start, fixed));
    }
    let end = bench.accesses.len() as u64;
    let mut last = 0;
    let times = started.into_iter().map(|(start, fixed)| {
        let times = fixed.unwrap_or_else(|| {
            let times = vector.front().expect("a layer norm");
            vector.take(&mut ports, end);
            times
        });
        // In order, one a cycle.
        last = times.retire.max(last + 1);
        Times {
            start,
            retire: last,
        }
    });
    let times = times.collect();
    for (cycle, access) in bench.accesses.iter().enumerate() {
        let t = cycle as u64;
        let expected = Access {
            rival: access.rival,
            resx_read: ports.vector_resx_read.takes(t),
            resx_write: ports.vector_resx_write.takes(t),
            act_write: ports.vector_act_write.takes(t),
        };
        assert_eq!(
            *access, expected,
            "cycle {t} of {operations:#?} offered at {offers:?}"
        );
    }
    times
}

/// Runs `operations` and compares memories; returns the times.
fn run(bench: &mut Bench, operations: &[Operation], offers: &[u64]) -> Vec<Times> {
    let mut expected = bench.memories.clone();
    for operation in operations {
        check_operation(&bench.g, operation).expect("a legal instruction");
        expected.execute(operation);
    }
    let times = bench.run(operations, offers);
    if let Some(difference) = bench.memories.difference(&expected) {
        panic!("{difference} after {operations:#?}");
    }
    bench.idle(2);
    times
}

fn random_operations(g: &Geometry, random: &mut Random) -> Vec<Operation> {
    let length = random.within(1, 6);
    let kinds = random.within(0, 2);
    (0..length)
        .map(|_| {
            if kinds == 0 || (kinds == 2 && random.one_in(2)) {
                Operation::Softmax(random::softmax(g, random))
            } else {
                Operation::Layernorm(random::layer_norm(g, random))
            }
        })
        .collect()
}

fn random_offers(count: usize, random: &mut Random) -> Vec<u64> {
    let mut offer = 0;
    (0..count)
        .map(|_| {
            if random.one_in(2) {
                offer += random.within(0, 300);
            }
            offer
        })
        .collect()
}

fn random_programs(shape: Shape, count: u64) {
    let g = geometry(shape);
    let mut random = Random::new(u64::from(shape.rows));
    let mut bench = Bench::new(g.clone(), open_or_skip!(shape.name, shape.rows), 1);
    for _ in 0..count * seeds() {
        data::refill(&mut bench, &mut random);
        let operations = random_operations(&g, &mut random);
        let offers = random_offers(operations.len(), &mut random);
        let times = run(&mut bench, &operations, &offers);
        assert_eq!(
            times,
            expected_times(&bench, &operations, &offers),
            "{operations:#?} offered at {offers:?}"
        );
    }
    bench.idle(400);
}

#[test]
fn random_programs_tiny() {
    random_programs(TINY_SHAPE, 120);
}

#[test]
fn random_programs_paper() {
    random_programs(PAPER, 60);
}

#[test]
fn random_programs_rows() {
    random_programs(ROWS, 30);
}

/// The formulas of the timing model with nothing added: instructions of one shape, back to back and
/// apart.
#[test]
fn cycles_of_one_shape() {
    for shape in SHAPES {
        let g = geometry(shape);
        let mut random = Random::new(3);
        let mut bench = Bench::new(g.clone(), open_or_skip!(shape.name, 3), 3);
        data::refill(&mut bench, &mut random);
        for wide in [false, true] {
            let columns = if wide { g.max_seq } else { g.lanes } as u16;
            let channels = if wide { g.max_hidden } else { 8 } as u16;
            let tiles = if wide { 1 } else { 3 };
            let softmax = Operation::Softmax(Softmax {
                columns,
                src_stride: 3,
                dst_stride: columns / g.lanes as u16,
                row_tiles: tiles.min((g.max_seq / g.rows) as u8),
                ..Softmax::default()
            });
            let norm = Operation::Layernorm(Layernorm {
                y16_base: g.resx_words as u16 / 2,
                stride: channels / 2,
                y8_stride: channels / g.lanes as u16,
                channels,
                row_tiles: tiles,
                ..Layernorm::default()
            });
            for operation in [softmax, norm] {
                let cost = timing::cost(&g, &operation);
                let times = run(&mut bench, &[operation; 4], &[0; 4]);
                for (i, t) in times.iter().enumerate() {
                    assert_eq!(t.start, i as u64 * cost.issue, "{operation:?}");
                    assert_eq!(t.retire, t.start + cost.latency, "{operation:?}");
                }
                let apart: Vec<u64> = (0..4).map(|i| i * (cost.issue + 7) + 5).collect();
                let times = run(&mut bench, &[operation; 4], &apart);
                for (t, offer) in times.iter().zip(apart) {
                    assert_eq!((t.start, t.retire), (offer, offer + cost.latency));
                }
            }
        }
    }
}

/// y16 over x, as programs use it.
#[test]
fn in_place() {
    for shape in SHAPES {
        let g = geometry(shape);
        let mut random = Random::new(4);
        let mut bench = Bench::new(g.clone(), open_or_skip!(shape.name, 4), 4);
        for channels in [8, 24, 64] {
            data::refill(&mut bench, &mut random);
            let l = Layernorm {
                stride: channels / 2,
                y8_stride: channels / g.lanes as u16,
                channels,
                row_tiles: 5,
                ..Layernorm::default()
            };
            run(&mut bench, &[Operation::Layernorm(l)], &[0]);
        }
    }
}

/// Another engine writes to ACT, and for longer than the engine can wait without stopping.
#[test]
fn held_up_at_act() {
    for shape in SHAPES {
        let g = geometry(shape);
        let mut random = Random::new(7);
        let mut bench = Bench::new(g.clone(), open_or_skip!(shape.name, 7), 7);
        for longest in [1, 20, 300] {
            for _ in 0..4 * seeds() {
                data::refill(&mut bench, &mut random);
                bench.set_rival(Rival::Bursts(longest));
                let operations = random_operations(&g, &mut random);
                let offers = random_offers(operations.len(), &mut random);
                let times = run(&mut bench, &operations, &offers);
                let expected = expected_times(&bench, &operations, &offers);
                assert_eq!(times, expected, "{operations:#?} offered at {offers:?}");
            }
        }
    }
}

/// A reset at any moment leaves an engine that works.
#[test]
fn reset_at_any_moment() {
    let g = geometry(TINY_SHAPE);
    let mut random = Random::new(9);
    let mut bench = Bench::new(g.clone(), open_or_skip!(TINY_SHAPE.name, 9), 9);
    for round in 0..40 {
        data::refill(&mut bench, &mut random);
        let operations = random_operations(&g, &mut random);
        let cycles = random.within(0, 400);
        bench.set_rival(if round % 2 == 0 {
            Rival::Never
        } else {
            Rival::Bursts(30)
        });
        bench.abort(&operations[0], cycles);
        bench.set_rival(Rival::Never);
        bench.idle(20);
        let offers = vec![0; operations.len()];
        let times = run(&mut bench, &operations, &offers);
        assert_eq!(times, expected_times(&bench, &operations, &offers));
    }
}

/// Memory ids whose contents are checked by the benches, so that an engine that writes nothing
/// cannot pass.
#[test]
fn results_differ_from_what_was_there() {
    let g = geometry(TINY_SHAPE);
    let mut random = Random::new(11);
    let mut bench = Bench::new(g.clone(), open_or_skip!(TINY_SHAPE.name, 11), 11);
    data::refill(&mut bench, &mut random);
    let before = bench.memories.clone();
    let operations = [
        Operation::Softmax(Softmax {
            columns: 64,
            row_tiles: 2,
            src_stride: 32,
            dst_stride: 8,
            ..Softmax::default()
        }),
        Operation::Layernorm(Layernorm {
            y16_base: 1024,
            stride: 32,
            y8_stride: 8,
            channels: 64,
            row_tiles: 2,
            ..Layernorm::default()
        }),
    ];
    run(&mut bench, &operations, &[0, 0]);
    for memory in [MemoryId::Prb, MemoryId::Resx, MemoryId::Act] {
        assert!(
            before.all(memory) != bench.memories.all(memory),
            "{}",
            memory.name()
        );
    }
}
