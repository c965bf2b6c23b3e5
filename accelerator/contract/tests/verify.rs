//! What the verifier lets through, and each thing it stops.

mod support;

use fqbert_contract::isa::{Instruction, Layernorm, Matmul, MemoryId, Nop, Operation, Store};
use fqbert_contract::program::BindError;
use fqbert_contract::timing::{self, Policy, Stuck};
use fqbert_contract::verify::{Place, Violation, verify};

use support::{end, instruction, load, program, tiny};

/// One 4 x 8 by 8 x 8 product: activations, a weight tile, parameters, MATMUL into ACT word 4,
/// STORE of it.
fn product() -> Vec<Instruction> {
    let matmul = Matmul {
        k_chunks: 1,
        row_tiles: 1,
        col_tiles: 1,
        channels: 8,
        dst_base: 4,
        ..Matmul::default()
    };
    let store = Store {
        memory: MemoryId::Act.code(),
        address: 0,
        word_offset: 4,
        beats: 2,
    };
    vec![
        instruction(load(MemoryId::Act, 0, 1, 0), &[], &[]),
        instruction(load(MemoryId::Wgt0, 0, 1, 32), &[], &[]),
        instruction(load(MemoryId::Par, 0, 4, 64), &[], &[1]),
        instruction(Operation::Matmul(matmul), &[1], &[2]),
        instruction(Operation::Store(store), &[2], &[]),
        instruction(end(), &[], &[]),
    ]
}

fn violations(instructions: Vec<Instruction>) -> Vec<Violation> {
    verify(&program(instructions), tiny()).unwrap_err()
}

#[test]
fn a_legal_program_passes_with_the_cycles_of_its_critical_path() {
    let report = verify(&program(product()), tiny()).unwrap();
    assert_eq!(report.semaphores, 2);
    // FETCH dispatches the third LOAD after 60 + 10 + 3 * 2 cycles; by then the queue has been busy
    // with the first two: 2 loads of 2 + 2 cycles from cycle 72. It starts at 80, takes 2 + 4 and
    // 60; then the product 3 + 4 + 27, the store 2 + 2 + 40, END 1.
    let g = tiny();
    let matmul = timing::cost(g, &product()[3].operation).latency;
    assert_eq!(matmul, 2 + 4 + 8 + 6 + 4 + 9);
    assert_eq!(report.cycles, 80 + 66 + matmul + 44 + 1);
}

#[test]
fn every_order_of_ready_queues_gives_the_same_times() {
    let expected = timing::simulate(tiny(), &product(), Policy::Earliest).unwrap();
    for seed in 0..50 {
        let other = timing::simulate(tiny(), &product(), Policy::Seeded(seed)).unwrap();
        assert_eq!(
            (other.timeline, other.cycles),
            (expected.timeline.clone(), expected.cycles)
        );
    }
}

#[test]
fn a_missing_semaphore_is_a_race() {
    let mut code = product();
    code[2].header.signal = [0; 3];
    code[3].header.wait = [0; 3];
    let found = violations(code);
    assert!(
        found.iter().any(|v| matches!(
            v,
            Violation::Race {
                first: 0,
                second: 3,
                place: Place::Word(MemoryId::Act, 0),
                hazard: "read after write"
            }
        )),
        "{found:?}"
    );
}

#[test]
fn overlapping_matmuls_need_a_semaphore_of_their_own_queue() {
    let mut code = product();
    // A second product reads what the first writes.
    let again = Matmul {
        k_chunks: 1,
        row_tiles: 1,
        col_tiles: 1,
        channels: 8,
        a_base: 4,
        dst_base: 8,
        ..Matmul::default()
    };
    code.insert(4, instruction(Operation::Matmul(again), &[], &[]));
    let found = violations(code.clone());
    assert!(
        matches!(
            found[0],
            Violation::Race {
                first: 3,
                second: 4,
                hazard: "read after write",
                ..
            }
        ),
        "{found:?}"
    );
    code[3].header.signal = [2, 3, 0];
    code[4].header.wait = [3, 0, 0];
    verify(&program(code), tiny()).unwrap();
}

#[test]
fn words_nobody_wrote_are_not_read() {
    let mut code = product();
    code.remove(1);
    let found = violations(code);
    assert!(
        matches!(
            found[0],
            Violation::Uninitialised {
                index: 2,
                place: Place::Word(MemoryId::Wgt0, 0)
            }
        ),
        "{found:?}"
    );
}

#[test]
fn deadlock_shared_and_unbalanced_semaphores_are_found() {
    let nop = |engine: u8, wait: &[u8], signal: &[u8]| {
        instruction(Operation::Nop(Nop { engine, port: 0 }), wait, signal)
    };
    // Each of two queues waits for the other.
    let circle = vec![
        nop(1, &[1], &[2]),
        nop(2, &[2], &[1]),
        instruction(end(), &[], &[]),
    ];
    let found = violations(circle);
    assert!(
        matches!(&found[0], Violation::Stuck(Stuck::Deadlock { heads, .. }) if heads.len() >= 2),
        "{found:?}"
    );

    let shared = vec![
        nop(1, &[], &[1]),
        nop(2, &[], &[1]),
        nop(3, &[1, 1], &[]),
        instruction(end(), &[], &[]),
    ];
    let found = violations(shared);
    assert!(
        matches!(
            found[0],
            Violation::Shared {
                semaphore: 1,
                role: "raised",
                ..
            }
        ),
        "{found:?}"
    );

    let unbalanced = vec![nop(1, &[], &[1]), instruction(end(), &[], &[])];
    let found = violations(unbalanced);
    assert!(
        matches!(
            found[0],
            Violation::Unbalanced {
                semaphore: 1,
                raised: 1,
                taken: 0
            }
        ),
        "{found:?}"
    );
}

#[test]
fn too_many_signals_overflow_the_semaphore() {
    let mut code =
        vec![instruction(Operation::Nop(Nop { engine: 1, port: 0 }), &[], &[1, 1, 1]); 86];
    code.push(instruction(end(), &[], &[]));
    let stuck = timing::simulate(tiny(), &code, Policy::Earliest).unwrap_err();
    assert!(
        matches!(
            stuck,
            Stuck::Overflow {
                instruction: 85,
                semaphore: 1,
                ..
            }
        ),
        "{stuck:?}"
    );
}

#[test]
fn addresses_outside_their_region_are_refused() {
    let mut code = product();
    code[0].operation = load(MemoryId::Act, 0, 1, 4096 - 16);
    let found = violations(code);
    assert!(
        matches!(
            found[0],
            Violation::Binding(BindError::OutOfRegion {
                index: 0,
                start: 4080,
                end: 4112,
                ..
            })
        ),
        "{found:?}"
    );
    let mut unrelocated = program(product());
    unrelocated.relocations.pop();
    let found = verify(&unrelocated, tiny()).unwrap_err();
    assert!(
        matches!(
            found[0],
            Violation::Binding(BindError::Relocation { index: 4, .. })
        ),
        "{found:?}"
    );
}

#[test]
fn shape_and_fields_are_checked() {
    let mut no_end = product();
    no_end.pop();
    assert!(matches!(violations(no_end)[0], Violation::Shape(_)));
    assert!(matches!(violations(Vec::new())[0], Violation::Shape(_)));

    type Spoil = Box<dyn Fn(&mut Matmul)>;
    let bad: Vec<Spoil> = vec![
        Box::new(|m| m.k_chunks = 0),
        Box::new(|m| m.k_chunks = 513),
        Box::new(|m| m.channels = 7),
        Box::new(|m| m.channels = 10),
        Box::new(|m| m.dest = 5),
        Box::new(|m| m.row_tiles = 0),
        Box::new(|m| m.a_probs = true),
        Box::new(|m| m.b_opd = true),
        Box::new(|m| m.table = 1),
        Box::new(|m| m.head_dim = 8),
        Box::new(|m| m.dst_base = 49152),
        Box::new(|m| m.a_base = 49152),
        Box::new(|m| m.par_base = 4095),
    ];
    for (i, spoil) in bad.iter().enumerate() {
        let mut code = product();
        if let Operation::Matmul(m) = &mut code[3].operation {
            spoil(m);
        }
        let found = violations(code);
        assert!(
            matches!(found[0], Violation::Field { index: 3, .. }),
            "case {i}: {found:?}"
        );
    }
    let wide = Layernorm {
        channels: 776,
        row_tiles: 1,
        ..Layernorm::default()
    };
    let code = vec![
        instruction(Operation::Layernorm(wide), &[], &[]),
        instruction(end(), &[], &[]),
    ];
    assert!(matches!(
        violations(code)[0],
        Violation::Field { index: 0, .. }
    ));
}

#[test]
fn a_layer_norm_may_not_write_over_what_it_has_yet_to_read() {
    let norm = |y16_base, stride, row_tiles| Layernorm {
        y8_stride: 2,
        y16_base,
        channels: 16,
        stride,
        row_tiles,
        ..Layernorm::default()
    };
    let overlaps = |l: Layernorm| {
        let code = vec![
            instruction(Operation::Layernorm(l), &[], &[]),
            instruction(end(), &[], &[]),
        ];
        violations(code).contains(&Violation::Overlap { index: 0 })
    };
    // In place, apart, and behind; over the next tile, over a part of the third, in place with
    // tiles that overlap.
    assert!(
        ![norm(0, 8, 3), norm(24, 8, 3), norm(8, 8, 1)]
            .map(overlaps)
            .contains(&true)
    );
    assert!(
        [norm(8, 8, 2), norm(23, 8, 3), norm(0, 4, 2)]
            .map(overlaps)
            .iter()
            .all(|o| *o)
    );
}
