//! MATMULs held back against the same ones executed one at a time, and against the scalar
//! reference, which holds nothing back.

use fqbert_contract::isa::{
    BEAT_BYTES, End, Header, INSTRUCTION_BYTES, Instruction, Layernorm, Load, Operation, Softmax,
};
use fqbert_contract::operands::weight_slot;
use fqbert_contract::registers::{self as regs, status};
use fqbert_contract::timing::{Policy, Queue};
use fqbert_contract::verify::check_operation;
use proptest::prelude::*;

use super::*;
use crate::accelerator::Accelerator;
use crate::accelerator::RunState;
use crate::accelerator::execute::slot_of;
use crate::kernels::Kernel;
use fqbert_simulated::{Ddr, Dram};

/// Bytes of the memory. The program is at the start, what LOADs read behind it.
const MEMORY: u64 = 1 << 20;
const DATA: u64 = 1 << 16;
/// From [`DATA`] on, the records that PAR gets, and how many bytes they are.
const RECORDS: u64 = 1 << 18;
const RECORDS_BYTES: u64 = 1 << 16;

fn large() -> &'static Geometry {
    Geometry::by_name("zcu102").expect("a preset")
}

/// Memory with `operations` as a program, each waiting for the one before, and random bytes behind
/// it; and the program's instructions.
fn memory(operations: &[Operation], seed: u64) -> (Dram, u32) {
    let mut state = seed | 1;
    let mut bytes: Vec<u8> = (0..MEMORY)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    // Parameters that spread results over their range, or a wrong sum would be clamped to the right
    // one.
    let records = (DATA + RECORDS) as usize;
    for record in bytes[records..][..RECORDS_BYTES as usize]
        .as_chunks_mut::<8>()
        .0
    {
        let [low, high, ..] = *record;
        let bias = i32::from(i16::from_le_bytes([low, high])) / 16;
        record[..4].copy_from_slice(&bias.to_le_bytes());
        (record[5], record[6], record[7]) = (record[5] & 0x3f | 0x40, 18 + record[6] % 4, 0);
    }
    let end = [Operation::End(End {})];
    let code = operations.iter().chain(&end).enumerate();
    for (at, operation) in code {
        // A semaphore for each queue, or another queue's instruction could go first.
        let turn = |operation: &Operation| 1 + Queue::of(operation).unit() as u8;
        let next = operations.iter().chain(&end).nth(at + 1);
        let header = Header {
            layer: 0,
            wait: [if at > 0 { turn(operation) } else { 0 }, 0, 0],
            signal: [next.map_or(0, turn), 0, 0],
        };
        let instruction = Instruction {
            header,
            operation: *operation,
        };
        bytes[at * INSTRUCTION_BYTES..][..INSTRUCTION_BYTES]
            .copy_from_slice(&instruction.to_bytes().expect("fields fit"));
    }
    let mut dram = Dram::new(0, MEMORY);
    dram.write(0, &bytes).expect("all of it is there");
    (dram, operations.len() as u32 + 1)
}

/// A device after the program, executed in one go or with a pause after each instruction.
fn after(operations: &[Operation], seed: u64, kernel: Kernel, pauses: bool) -> Accelerator {
    let (mut dram, count) = memory(operations, seed);
    let mut accelerator = Accelerator::with(large(), kernel, Policy::Earliest);
    accelerator.write32(regs::WINDOW_LIMIT_LOW.0, MEMORY as u32);
    accelerator.write32(regs::PROGRAM_LENGTH.0, count);
    accelerator.write32(regs::DOORBELL.0, 1);
    loop {
        let mut asked = false;
        let mut pause = || pauses && std::mem::replace(&mut asked, true);
        if accelerator.run_pending(&mut dram, &mut pause) != RunState::Paused {
            break;
        }
        assert!(accelerator.waiting.members.is_empty() && accelerator.norms.is_empty());
        assert!(accelerator.lent == [const { None }; 4]);
    }
    let cause = accelerator.read32(regs::FAULT_CAUSE.0);
    assert_eq!(
        (cause, accelerator.read32(regs::STATUS.0) & status::DONE),
        (0, status::DONE)
    );
    accelerator
}

fn compare(operations: &[Operation], seed: u64) {
    let reference = after(operations, seed, Kernel::Scalar, false);
    for kernel in Kernel::supported().filter(|k| *k != Kernel::Scalar) {
        for pauses in [false, true] {
            let accelerator = after(operations, seed, kernel, pauses);
            for memory in MemoryId::ALL {
                assert!(
                    accelerator.memories.words_from(*memory, 0)
                        == reference.memories.words_from(*memory, 0),
                    "{kernel}, pauses {pauses}: {} differs after {operations:#?}",
                    memory.name()
                );
            }
        }
    }
}

fn load(memory: MemoryId, address: u64, word_offset: u16, words: u32) -> Operation {
    let bytes = words as usize * large().word_bytes(memory) as usize;
    let slot = slot_of(memory);
    Operation::Load(Load {
        memory: memory.code(),
        port: slot.map_or(0, |slot| large().slot_port(slot) as u8),
        address: DATA + address / BEAT_BYTES as u64 * BEAT_BYTES as u64,
        word_offset,
        beats: (bytes / BEAT_BYTES) as u32,
    })
}

/// Channels of a matrix that one MATMUL computes.
#[derive(Clone, Debug)]
struct Part {
    col_tiles: u8,
    unused: u16,
    b_base: u16,
    gap: u16,
    address: u64,
}

/// A matrix in parts.
#[derive(Clone, Debug)]
struct Matrix {
    first: Matmul,
    parts: Vec<Part>,
    /// Row tile after row tile instead of all in one.
    split: bool,
    tiles: u8,
}

impl Matrix {
    /// As the compiler would write it: a LOAD before each MATMUL, or before the first row tile's if
    /// the slots hold all parts.
    fn operations(&self) -> Vec<Operation> {
        let tile = large().tile_channels(if self.first.mode8 {
            fqbert_contract::geometry::Mode::W8
        } else {
            fqbert_contract::geometry::Mode::W4
        }) as u16;
        let mut operations = Vec::new();
        for step in 0..if self.split { self.tiles } else { 1 } {
            let mut next = Matmul {
                row_tiles: if self.split { 1 } else { self.tiles },
                a_base: self.first.a_base + u16::from(step) * self.first.a_stride,
                dst_base: self.first.dst_base + u16::from(step) * self.first.dst_stride,
                ..self.first
            };
            for (at, part) in self.parts.iter().enumerate() {
                let slot = (at % 4) as u8;
                next.b_slot = slot;
                next.col_tiles = part.col_tiles;
                next.channels = tile * u16::from(part.col_tiles) - 2 * (part.unused % (tile / 2));
                next.b_base = part.b_base;
                next.b_stride = next.k_chunks + part.gap;
                let words =
                    part.b_base + (u16::from(part.col_tiles) - 1) * next.b_stride + next.k_chunks;
                if step == 0 || self.parts.len() > 4 {
                    let memory = weight_slot(slot);
                    operations.push(load(memory, part.address, 0, words.into()));
                }
                operations.push(Operation::Matmul(next));
                next.par_base += next.channels / 2;
                if next.dest == Matmul::DEST_VALUES {
                    // Each part its own channel tiles.
                    next.dst_base += 40;
                } else {
                    next.dst_channel += next.channels;
                }
            }
        }
        operations
    }
}

prop_compose! {
    fn parts()(
        col_tiles in 1u8..4,
        unused in 0u16..18,
        b_base in 0u16..3,
        gap in 0u16..3,
        address in 0u64..(1 << 19),
    ) -> Part {
        Part { col_tiles, unused, b_base, gap, address }
    }
}

prop_compose! {
    fn matrices()(
        dest in 0usize..4,
        (gelu, mode8, uniform, split) in any::<(bool, bool, bool, bool)>(),
        (k_chunks, tiles, channel, stride) in (1u16..8, 1u8..4, 0u16..6, 120u16..300),
        (a_base, dst_base) in (0u16..40, 0u16..200),
        parts in proptest::collection::vec(parts(), 1..7),
    ) -> Matrix {
        let dest = [
            Matmul::DEST_ACT,
            Matmul::DEST_RESB,
            Matmul::DEST_KEYS,
            Matmul::DEST_VALUES,
        ][dest];
        let values = dest == Matmul::DEST_VALUES;
        let first = Matmul {
            mode8, uniform, dest, k_chunks, a_base, dst_base,
            a_stride: k_chunks,
            gelu: gelu && dest == Matmul::DEST_ACT,
            dst_channel: if values { 0 } else { 2 * channel },
            dst_stride: if values { stride / 20 } else { stride },
            head_dim: if values { 12 } else { 0 },
            ..Matmul::default()
        };
        Matrix { first, parts, split: split && dest != Matmul::DEST_KEYS && !values, tiles }
    }
}

/// What may come in between.
fn between() -> impl Strategy<Value = Operation> {
    (0u8..11, 0u64..(1 << 18)).prop_map(|(what, address)| match what {
        0 => load(
            MemoryId::Par,
            RECORDS + address % (RECORDS_BYTES / 2),
            0,
            400,
        ),
        1 => load(MemoryId::Gel, address, 0, 16),
        2 => load(MemoryId::Act, address, 0, 100),
        3 => load(MemoryId::Resx, address, 0, 100),
        4 => load(MemoryId::Wgt0, address, 1, 9),
        5 => load(MemoryId::Wgt1, address, 0, 500),
        6 => load(MemoryId::Wgt2, address, 20, 30),
        7 => load(MemoryId::Rng, address, 0, 4),
        8 => load(MemoryId::Lnp, address, 0, 20),
        9 => Operation::Layernorm(norm(address as u16 % 3, address as u16 % 50)),
        _ => Operation::Softmax(Softmax {
            src_stride: 8,
            dst_stride: 2,
            columns: 16,
            row_tiles: 1,
            ..Softmax::default()
        }),
    })
}

/// Of one row tile of the words of `norms`, with y8 from word `y8` of the first one on.
fn norm(tile: u16, y8: u16) -> Layernorm {
    let (channels, stride) = (16, 130);
    Layernorm {
        x_base: tile * stride,
        y16_base: tile * stride,
        b_base: 100 + tile * stride,
        y8_base: y8 + tile * 4,
        stride,
        y8_stride: 4,
        channels,
        row_tiles: 1,
        par_base: 0,
    }
}

/// The parts of a matrix one row tile at a time, each with a LAYERNORM of the tile behind it, as a
/// program has them where the next unit waits for the first rows.
fn with_norms(matrix: &Matrix, y8: u16) -> Vec<Operation> {
    let matrix = Matrix {
        split: true,
        ..matrix.clone()
    };
    let mut all = Vec::new();
    let (mut of_tile, mut tile) = (0, 0);
    for operation in matrix.operations() {
        all.push(operation);
        of_tile += usize::from(matches!(operation, Operation::Matmul(_)));
        if of_tile == matrix.parts.len() {
            all.push(Operation::Layernorm(norm(tile, y8)));
            (of_tile, tile) = (0, tile + 1);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// LAYERNORMs too: as a program pipelines them, and where each meets what the others read and
    /// write.
    #[test]
    fn nobody_sees_that_layer_norms_were_held_back(
        matrix in matrices(),
        dst_base in 0u16..400,
        y8 in 0u16..60,
        between in proptest::collection::vec((0usize..60, between()), 0..3),
        seed: u64,
    ) {
        let mut matrix = matrix;
        matrix.first = Matmul {
            dest: if y8 % 4 == 0 { Matmul::DEST_ACT } else { Matmul::DEST_RESB },
            dst_base,
            dst_stride: 130,
            head_dim: 0,
            ..matrix.first
        };
        let mut operations = vec![
            load(MemoryId::Act, 0, 0, 2000),
            load(MemoryId::Resx, 0, 0, 800),
            load(MemoryId::Resb, 1 << 17, 0, 800),
            load(MemoryId::Lnp, 1 << 16, 0, 40),
            load(MemoryId::Par, RECORDS, 0, 2000),
            load(MemoryId::Gel, 1 << 17, 0, 32),
        ];
        operations.extend(with_norms(&matrix, y8));
        for (at, operation) in between {
            let at = 6 + at % (operations.len() - 5);
            operations.insert(at, operation);
        }
        operations.retain(|operation| check_operation(large(), operation).is_ok());
        compare(&operations, seed);
    }

    #[test]
    fn nobody_sees_that_matmuls_were_held_back(
        (first, second) in (matrices(), matrices()),
        between in proptest::collection::vec((0usize..60, between()), 0..6),
        seed: u64,
    ) {
        let mut operations = vec![
            load(MemoryId::Act, 0, 0, 2000),
            load(MemoryId::Par, RECORDS, 0, 2000),
            load(MemoryId::Gel, 1 << 17, 0, 32),
        ];
        operations.extend(first.operations());
        operations.extend(second.operations());
        for (at, operation) in between {
            let at = 3 + at % (operations.len() - 2);
            operations.insert(at, operation);
        }
        operations.retain(|operation| check_operation(large(), operation).is_ok());
        compare(&operations, seed);
    }
}

/// Three parts on two row tiles of two are one MATMUL; what can see that ends the wait.
#[test]
fn what_belongs_together_waits() {
    let part = |address| Part {
        col_tiles: 1,
        unused: 0,
        b_base: 0,
        gap: 0,
        address,
    };
    let matrix = Matrix {
        first: Matmul {
            k_chunks: 4,
            a_stride: 4,
            dst_base: 500,
            dst_stride: 20,
            ..Matmul::default()
        },
        parts: [0, 5000, 9000].map(part).to_vec(),
        split: true,
        tiles: 3,
    };
    if !kernels::joins(Kernel::detect()) {
        return;
    }
    let operations = matrix.operations();
    let (dram, _) = memory(&operations, 1);
    let execute = |accelerator: &mut Accelerator, operation: &Operation| {
        let mut dram = memory(&operations, 1).0;
        accelerator.execute(operation, &mut dram).expect("no fault");
    };
    let mut accelerator = Accelerator::new(large());
    accelerator.write32(regs::WINDOW_LIMIT_LOW.0, MEMORY as u32);
    for operation in &operations[..operations.len() - 1] {
        execute(&mut accelerator, operation);
    }
    let waiting = &accelerator.waiting;
    assert_eq!(
        (waiting.members.len(), waiting.steps, waiting.begun),
        (3, 2, 2)
    );
    execute(&mut accelerator, &load(MemoryId::Par, 0, 0, 10));
    assert_eq!(accelerator.waiting.members.len(), 3, "parameters were read");
    execute(&mut accelerator, &operations[operations.len() - 1]);
    let alone = accelerator.waiting.members.len();
    assert_eq!(alone, 1, "the last part now has other parameters");
    let before = accelerator.memories.generation(MemoryId::Act);
    execute(&mut accelerator, &load(MemoryId::Gel, 0, 0, 16));
    assert!(accelerator.waiting.members.is_empty());
    assert!(accelerator.memories.generation(MemoryId::Act) > before);
    assert!(
        accelerator.lent[0].is_some(),
        "a slot stays where DDR has it"
    );
    accelerator.settle(&dram).expect("no fault");
    assert!(accelerator.lent[0].is_none());
    let mut words = vec![0; 4 * 144];
    dram.lend(DATA, words.len()).unwrap().unwrap().each(
        0,
        16,
        words.len() / 16,
        |run, bytes: &[u8; 16]| {
            words[16 * run..][..16].copy_from_slice(bytes);
        },
    );
    assert!(
        accelerator
            .memories
            .words_from(MemoryId::Wgt0, 0)
            .starts_with(&words)
    );
}
