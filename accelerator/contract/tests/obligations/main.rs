//! Each of the verifier's obligations, broken alone: a small program of every kind of instruction
//! passes, and a change of it that breaks one obligation is refused for that one and no other.

#[path = "../support/mod.rs"]
mod support;
mod whole;

use fqbert_contract::isa::{Load, Matmul, MemoryId, Operation};
use fqbert_contract::program::{Program, Region};
use fqbert_contract::verify::{Obligation, Place, Violation, verify};
use fqbert_contract::{Bytes, Geometry};

use support::{end, instruction, load, tiny};
use whole::{
    BRANCH, KEYS, LOAD_LNP, LOAD_PAR, LOAD_X8, NORM, ROWS, SCORES, STORE, X16, append, matmul_at,
    nop, norm, store, whole,
};

type Change = fn(&mut Program);

/// Refuses each change for `obligation` alone.
fn breaks(obligation: Obligation, changes: &[Change]) {
    for (at, change) in changes.iter().enumerate() {
        let mut p = whole();
        change(&mut p);
        let found = verify(&p, tiny()).expect_err(&format!("{obligation:?}, change {at}: passes"));
        for violation in &found {
            let name = format!("{obligation:?}, change {at}: {violation}");
            assert_eq!(violation.obligation(), obligation, "{name}");
            let indexed = violation.instruction().map_or(0, |i| i as usize);
            assert!(indexed < p.instructions.len(), "{name}");
        }
    }
}

#[test]
fn the_whole_program_passes() {
    verify(&whole(), tiny()).unwrap();
    let numbers: Vec<u8> = Obligation::ALL.iter().map(|o| o.number()).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<u8>>());
}

#[test]
fn requirements() {
    breaks(
        Obligation::Requirements,
        &[
            |p| p.requirements.geometry = Geometry::by_name("paper").unwrap().clone(),
            |p| p.requirements.geometry.act_words -= 1,
            |p| p.requirements.geometry.clock_hz += 1,
            |p| p.requirements.major += 1,
            |p| p.requirements.minor += 1,
            |p| p.requirements.features = 0,
            |p| p.requirements.features &= !1,
            |p| p.requirements.features |= 1 << 31,
        ],
    );
}

#[test]
fn shape() {
    breaks(
        Obligation::Shape,
        &[
            |p| p.instructions.truncate(11),
            |p| p.instructions.push(instruction(end(), &[], &[])),
            |p| append(p, instruction(end(), &[], &[]), None),
            |p| (0..65536).for_each(|_| append(p, nop(3, &[], &[]), None)),
        ],
    );
}

#[test]
fn fields() {
    breaks(
        Obligation::Fields,
        &[
            |p| matmul_at(p, ROWS).k_chunks = 0,
            |p| matmul_at(p, KEYS).dst_base = u16::MAX,
            |p| matmul_at(p, SCORES).mode8 = false,
            |p| matmul_at(p, ROWS).dst_channel = 65530,
            |p| norm(p).channels = 12,
            |p| norm(p).y8_base = 49152,
            |p| store(p).memory = MemoryId::Resb.code(),
            |p| p.instructions[LOAD_PAR].operation = load(MemoryId::Par, 4094, 4, 32),
        ],
    );
}

#[test]
fn regions() {
    breaks(
        Obligation::Regions,
        &[
            |p| p.relocations.retain(|r| r.instruction != LOAD_PAR as u32),
            |p| p.relocations.swap(1, 2),
            |p| p.relocations.push(p.relocations[0]),
            |p| p.relocations.push(p.relocations[5]),
            |p| p.relocations[LOAD_PAR].instruction = ROWS as u32,
            |p| p.sizes.constants = Bytes(191),
            |p| p.sizes.constants = Bytes(u64::MAX),
            |p| p.instructions[LOAD_PAR].operation = load(MemoryId::Par, 0, 4, 4096),
            |p| p.input_x8.length = 16,
            |p| p.input_ranges.offset = 256,
            |p| p.input_ranges.offset = X16.offset,
            |p| p.output_y16.offset = 4096,
            |p| p.sequence = 8,
            |p| p.hidden = 16,
        ],
    );
}

#[test]
fn alignment() {
    breaks(
        Obligation::Alignment,
        &[
            |p| p.instructions[LOAD_PAR].operation = load(MemoryId::Par, 0, 4, 40),
            |p| p.instructions[LOAD_LNP].operation = load(MemoryId::Lnp, 0, 6, 97),
            |p| {
                store_again(p, Region::Output);
                if let Operation::Store(s) = &mut p.instructions[STORE + 1].operation {
                    s.address = 72;
                }
            },
        ],
    );
}

#[test]
fn direction() {
    breaks(
        Obligation::Direction,
        &[
            |p| store_again(p, Region::Constants),
            |p| store_again(p, Region::Input),
        ],
    );
}

fn store_again(p: &mut Program, region: Region) {
    let again = instruction(p.instructions[STORE].operation, &[], &[]);
    append(p, again, Some(region));
}

#[test]
fn semaphores() {
    breaks(
        Obligation::Semaphores,
        &[
            |p| p.instructions[NORM].header.signal = [6, 7, 0],
            |p| p.instructions[NORM].header.signal = [0; 3],
            |p| p.instructions[SCORES].header.signal = [5, 0, 0],
            |p| {
                append(p, nop(1, &[], &[7]), None);
                append(p, nop(2, &[], &[7]), None);
                append(p, nop(3, &[7, 7], &[]), None);
            },
            |p| {
                append(p, nop(1, &[], &[7, 7]), None);
                append(p, nop(2, &[7], &[]), None);
                append(p, nop(3, &[7], &[]), None);
            },
            slow_consumer,
        ],
    );
    let mut p = whole();
    tokens(&mut p, 255);
    verify(&p, tiny()).unwrap();
    let mut p = whole();
    tokens(&mut p, 256);
    let found = verify(&p, tiny()).unwrap_err();
    assert!(
        found
            .iter()
            .all(|v| v.obligation() == Obligation::Semaphores),
        "{found:?}"
    );
}

/// `count` tokens from MATRIX to STORE, raised before any is taken.
fn tokens(p: &mut Program, count: usize) {
    for _ in 0..count {
        append(p, nop(1, &[], &[7]), None);
    }
    for _ in 0..count {
        append(p, nop(3, &[7], &[]), None);
    }
}

/// LOADs raise at their end, 60 cycles after they have left the queue: with the timing model's
/// memory the consumer takes in time, with a faster one it does not.
fn slow_consumer(p: &mut Program) {
    let again = p.instructions[LOAD_PAR].operation;
    for _ in 0..103 {
        let spare = Operation::Load(match again {
            Operation::Load(l) => Load {
                word_offset: 100,
                ..l
            },
            other => panic!("{other:?}"),
        });
        append(
            p,
            instruction(spare, &[], &[7, 7, 7]),
            Some(Region::Constants),
        );
    }
    for _ in 0..103 {
        append(p, nop(3, &[7, 7, 7], &[]), None);
    }
}

#[test]
fn a_count_is_bounded_for_every_timing() {
    let mut p = whole();
    slow_consumer(&mut p);
    let by_the_model =
        fqbert_contract::timing::simulate(tiny(), &p.instructions, Default::default());
    assert!(
        by_the_model.is_ok(),
        "the case is one that some timing passes"
    );
    let found = verify(&p, tiny()).unwrap_err();
    assert!(
        found.iter().any(|v| matches!(
            v,
            Violation::Unbounded {
                semaphore: 7,
                count: 258,
                ..
            }
        )),
        "{found:?}"
    );
}

#[test]
fn progress() {
    breaks(
        Obligation::Progress,
        &[
            |p| {
                append(p, nop(1, &[7], &[8]), None);
                append(p, nop(2, &[8], &[7]), None);
            },
            // The consumer fills its queue before FETCH comes to the producer.
            |p| {
                (0..17).for_each(|_| append(p, nop(1, &[7], &[]), None));
                (0..17).for_each(|_| append(p, nop(2, &[], &[7]), None));
            },
        ],
    );
}

#[test]
fn order() {
    let mut changed: Vec<Program> = (1..=6).map(|id| changed(|p| without(p, id))).collect();
    let others: &[Change] = &[
        // A write after a read: LOAD over what MATRIX still reads.
        |p| {
            let x8 = p.instructions[LOAD_X8].operation;
            append(p, instruction(x8, &[], &[]), Some(Region::Input));
        },
        // A write after a write of another queue.
        |p| {
            append(
                p,
                instruction(load(MemoryId::Act, 8, 1, 0), &[], &[]),
                Some(Region::Input),
            )
        },
        // A LOAD of what is stored, unordered.
        |p| {
            let back = load(MemoryId::Act, 16, 1, 0);
            append(p, instruction(back, &[], &[]), Some(Region::Output));
        },
    ];
    changed.extend(others.iter().map(|change| self::changed(change)));
    for (at, p) in changed.iter().enumerate() {
        let found = verify(p, tiny()).expect_err(&format!("change {at}"));
        let of = |o| found.iter().filter(|v| v.obligation() == o).count();
        // Where the reader comes first it reads what is not there yet too.
        let (order, early) = (of(Obligation::Order), of(Obligation::Initialisation));
        assert!(order > 0 && order + early == found.len(), "{at}: {found:?}");
    }
}

fn changed(change: impl Fn(&mut Program)) -> Program {
    let mut p = whole();
    change(&mut p);
    p
}

/// Takes a semaphore out of the program.
fn without(p: &mut Program, id: u8) {
    for instruction in &mut p.instructions {
        let header = &mut instruction.header;
        for ids in [&mut header.wait, &mut header.signal] {
            *ids = ids.map(|i| if i == id { 0 } else { i });
        }
    }
}

#[test]
fn a_load_of_what_was_stored_may_follow_it() {
    let mut p = whole();
    p.instructions[STORE].header.signal = [7, 0, 0];
    let back = load(MemoryId::Act, 16, 1, 0);
    append(&mut p, instruction(back, &[7], &[]), Some(Region::Output));
    verify(&p, tiny()).unwrap();
    // Beyond what was stored there is nothing.
    p.instructions[STORE + 1].operation = load(MemoryId::Act, 16, 1, 48);
    let found = verify(&p, tiny()).unwrap_err();
    assert_eq!(
        found,
        [Violation::Uninitialised {
            index: STORE as u32 + 1,
            place: Place::Output(64)
        }]
    );
}

#[test]
fn initialisation() {
    breaks(
        Obligation::Initialisation,
        &[
            // Words nobody wrote.
            |p| matmul_at(p, SCORES).b_base = 1,
            |p| matmul_at(p, KEYS).a_base = 5,
            |p| matmul_at(p, BRANCH).par_base = 1,
            |p| norm(p).par_base = 1,
            // Words written in part: six channels of eight in ACT, and in OPD.
            |p| matmul_at(p, ROWS).channels = 6,
            |p| matmul_at(p, KEYS).channels = 6,
            |p| matmul_at(p, KEYS).row_tile0 = 1,
            // Between the parts of the input.
            |p| p.instructions[LOAD_X8].operation = load(MemoryId::Act, 0, 1, 32),
            |p| p.instructions[LOAD_X8].operation = load(MemoryId::Act, 0, 1, 16),
            |p| {
                append(
                    p,
                    instruction(load(MemoryId::Act, 9, 1, 144), &[], &[]),
                    Some(Region::Input),
                )
            },
            // Output that nothing stores.
            |p| {
                let back = load(MemoryId::Act, 16, 1, 64);
                append(p, instruction(back, &[], &[]), Some(Region::Output));
            },
        ],
    );
}

#[test]
fn operands_that_no_channel_uses_need_not_be_there() {
    let mut p = whole();
    // Two keys of four are in use.
    matmul_at(&mut p, SCORES).channels = 2;
    verify(&p, tiny()).unwrap();
    // Values: two channels of a head for four tokens are half of a word's lanes.
    let m = matmul_at(&mut p, KEYS);
    (m.dest, m.head_dim) = (Matmul::DEST_VALUES, 8);
    let found = verify(&p, tiny()).unwrap_err();
    assert_eq!(
        found,
        [Violation::Uninitialised {
            index: SCORES as u32,
            place: Place::Word(MemoryId::Opd, 0)
        }]
    );
}

#[test]
fn self_overlap() {
    breaks(
        Obligation::SelfOverlap,
        &[
            |p| matmul_at(p, ROWS).dst_base = 0,
            |p| {
                let m = matmul_at(p, KEYS);
                (m.dest, m.dst_base) = (Matmul::DEST_ACT, 4);
            },
            |p| {
                let m = matmul_at(p, SCORES);
                (m.dest, m.dst_stride) = (Matmul::DEST_KEYS, 1);
            },
            |p| (norm(p).row_tiles, norm(p).y16_base) = (2, 4),
            |p| (norm(p).row_tiles, norm(p).y16_base) = (3, 9),
            |p| (norm(p).row_tiles, norm(p).stride) = (2, 0),
            // Two row tiles in the same words.
            |p| (norm(p).row_tiles, norm(p).stride) = (2, 4),
            |p| matmul_at(p, BRANCH).row_tiles = 2,
            |p| {
                (
                    matmul_at(p, BRANCH).row_tiles,
                    matmul_at(p, BRANCH).dst_stride,
                ) = (2, 3)
            },
            |p| {
                let m = matmul_at(p, KEYS);
                (m.row_tiles, m.dst_stride) = (2, 0);
            },
        ],
    );
}

#[test]
fn output() {
    breaks(
        Obligation::Output,
        &[
            |p| store(p).beats = 3,
            |p| store(p).address = 16,
            |p| p.output_y16.offset = 16,
            |p| p.output_y16.offset = 8,
        ],
    );
}
