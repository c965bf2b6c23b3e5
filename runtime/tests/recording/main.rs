//! One flipped bit, in each of the memories, on the emulator and on the RTL in simulation: the
//! comparison of a recording with the emulator names instruction and element.

mod planted;

use std::sync::Arc;
use std::time::Duration;

use fqbert_compiler::CompileOptions;
use fqbert_contract::Geometry;
use fqbert_contract::device::Device;
use fqbert_contract::isa::{Instruction, Matmul, MemoryId, Operation};
use fqbert_contract::program::Program;
use fqbert_model::QuantizedModel;
use fqbert_model::testing::{Shape, random_model};
use fqbert_random::Random;
use fqbert_recording::{
    Comparison, DEFAULT_DEADLINE, RecordOptions, Recording, RecordingDevice, StepsDevice, What,
    WrongResult, compare,
};
use fqbert_runtime::{Session, SessionOptions, Tokens, open_device};

use planted::{CODE, CONSTANTS, Flip, OUTPUT, Planted};

/// Whether an instruction is the one that is meant.
type Like = fn(&Instruction) -> bool;

const TOKENS: usize = 30;

fn model() -> Arc<QuantizedModel> {
    let shape = Shape {
        layers: 2,
        hidden: 48,
        heads: 3,
        intermediate: 96,
        vocab: 100,
        max_positions: 64,
        wide: 0b100_1000,
    };
    Arc::new(random_model(shape, 1))
}

/// The program that a session compiles for the sequence.
fn program() -> Program {
    let g = Geometry::by_name("tiny").unwrap();
    let buckets = fqbert_compiler::buckets(g, &model());
    let bucket = fqbert_compiler::choose_bucket(&buckets, TOKENS).unwrap();
    let options = CompileOptions {
        block: Some(bucket),
        ..CompileOptions::default()
    };
    fqbert_compiler::compile(&model(), g, bucket, &options).unwrap()
}

/// Two runs of a session on a device with a bit flipped, recorded; compared with the emulator.
fn compared(device: &str, flip: Flip, steps: bool) -> Option<Comparison> {
    let device: Box<dyn Device> = match open_device(device) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            return None;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.fqrec");
    let options = RecordOptions {
        steps,
        ..RecordOptions::new("planted")
    };
    let planted = Box::new(Planted::new(device, flip));
    let mut device: Box<dyn Device> =
        Box::new(RecordingDevice::create(planted, &file, &options).unwrap());
    if steps {
        device = Box::new(StepsDevice::new(device));
    }
    let options = SessionOptions {
        deadline: Duration::from_secs(3600),
        // A session that reads back what it wrote would find the flips of weights and program.
        check_on_load: false,
        ..SessionOptions::default()
    };
    let mut session = Session::new(model(), device, options).unwrap();
    let mut r = Random::new(7);
    for _ in 0..2 {
        let ids = (0..TOKENS).map(|_| r.within(0, 99) as u32).collect();
        session.run(&Tokens::from_ids(ids)).unwrap();
    }
    drop(session);
    let recording = Recording::open(&file).unwrap();
    let reference = open_device("emu:tiny?threads=1").unwrap();
    Some(compare(recording, reference, DEFAULT_DEADLINE).unwrap())
}

/// Index of the first instruction like this one in the compiled program.
fn index(program: &Program, like: Like) -> u32 {
    program.instructions.iter().position(like).unwrap() as u32
}

fn result(found: &Comparison) -> Option<&WrongResult> {
    found.differences.iter().find_map(|d| match &d.what {
        What::Result(wrong) => Some(wrong),
        _ => None,
    })
}

fn equal_where_nothing_is_flipped(device: &str) {
    for steps in [false, true] {
        let Some(found) = compared(device, Flip::Nowhere, steps) else {
            return;
        };
        assert!(found.differences.is_empty(), "{:?}", found.differences);
        assert_eq!(found.runs, 2);
        assert!(found.bytes > 6000);
    }
}

fn feed_forward_of_layer_1(i: &Instruction) -> bool {
    matches!(i.operation, Operation::Matmul(m) if m.gelu) && i.header.layer == 1
}

fn queries_of_layer_1(i: &Instruction) -> bool {
    let Operation::Matmul(m) = i.operation else {
        return false;
    };
    m.dest == Matmul::DEST_ACT && !m.gelu && !m.a_probs && i.header.layer == 1
}

fn norm_of_layer_1(i: &Instruction) -> bool {
    matches!(i.operation, Operation::Layernorm(_)) && i.header.layer == 1
}

fn a_result_on_the_chip(device: &str) {
    let (program, g) = (program(), Geometry::by_name("tiny").unwrap());
    let (rows, lanes) = (u64::from(g.rows), u64::from(g.lanes));
    // Row 1 of the first row tile; a channel of the second word; bytes of a value.
    let cases: [(Like, MemoryId, u64, u64); 3] = [
        (feed_forward_of_layer_1, MemoryId::Act, lanes + 5, lanes + 5),
        (queries_of_layer_1, MemoryId::Act, lanes + 3, lanes + 3),
        (norm_of_layer_1, MemoryId::Resx, 4 + 2, 2 + 1),
    ];
    for (after, memory, byte, channel) in cases {
        let flip = Flip::OnChip {
            after,
            memory,
            word: 1,
            byte,
            mask: 0x40,
        };
        let Some(found) = compared(device, flip, true) else {
            return;
        };
        let Some(WrongResult {
            at,
            element,
            recorded,
            reference,
            ..
        }) = result(&found)
        else {
            panic!("{:?}", found.differences)
        };
        let expected = index(&program, after);
        let tile = match program.instructions[expected as usize].operation {
            Operation::Matmul(m) => m.a_base / m.a_stride,
            Operation::Layernorm(l) => l.x_base / l.stride,
            _ => unreachable!(),
        };
        assert_eq!(at.instruction, expected, "{}", at.computes);
        assert_eq!(at.layer, 1);
        let token = u64::from(tile) * rows + 1;
        assert_eq!(*element, Some((token, channel)), "{}", at.computes);
        assert_eq!(
            recorded ^ reference,
            if *recorded < 0 && *reference >= 0 {
                -64
            } else {
                0x40
            }
        );
        assert_eq!(found.differences[0].run, 1);
    }
}

/// A weight of layer 1 in device memory, by the LOAD that copies it.
fn a_weight(device: &str) {
    let program = program();
    let g = Geometry::by_name("tiny").unwrap();
    let is_load = |i: &Instruction| {
        let slot = |l: &fqbert_contract::isa::Load| (8..12).contains(&l.memory);
        matches!(&i.operation, Operation::Load(l) if slot(l)) && i.header.layer == 1
    };
    let load = program.instructions.iter().position(is_load).unwrap();
    let Operation::Load(l) = program.instructions[load].operation else {
        unreachable!()
    };
    // The second word, its third pair, lane 1.
    let word = u64::from(g.word_bytes(MemoryId::Wgt0));
    let offset = l.address + word + 2 * u64::from(g.lanes) + 1;
    let flip = Flip::Handed {
        buffer: CONSTANTS,
        offset,
        mask: 0x04,
    };
    let Some(found) = compared(device, flip, true) else {
        return;
    };
    let What::Operand {
        load: named,
        weight,
        bytes,
        ..
    } = &found.differences[0].what
    else {
        panic!("{:?}", found.differences)
    };
    assert_eq!(named.instruction, load as u32);
    assert_eq!(
        (bytes.offset, bytes.recorded ^ bytes.reference),
        (offset, 4)
    );
    let (at, output, term) = weight.expect("what multiplies by it");
    let Operation::Matmul(m) = program.instructions[at.instruction as usize].operation else {
        panic!("instruction {} is no MATMUL", at.instruction)
    };
    let channel = u64::from(m.dst_channel) + if m.mode8 { 2 } else { 4 };
    assert_eq!((output, term), (channel, u64::from(g.lanes) + 1));
    assert!(result(&found).is_some(), "its effect is named too");
    // A recording without steps shows the effect in the output.
    let found = compared(device, flip, false).unwrap();
    let What::Result(wrong) = &found.differences[0].what else {
        panic!("{:?}", found.differences)
    };
    assert_eq!(wrong.at.layer, 1);
    assert_eq!(wrong.at.computes, "layer norm after the feed-forward");
    assert!(wrong.element.is_some());
}

/// A word of the program in device memory.
fn a_program_word(device: &str) {
    let program = program();
    let at = index(&program, queries_of_layer_1);
    // Word 7, bits 15:0: par_base.
    let flip = Flip::Handed {
        buffer: CODE,
        offset: u64::from(at) * 32 + 28,
        mask: 0x01,
    };
    let Some(found) = compared(device, flip, true) else {
        return;
    };
    let What::Code {
        at: named,
        word,
        recorded,
        written,
        ..
    } = &found.differences[0].what
    else {
        panic!("{:?}", found.differences)
    };
    assert_eq!((named.instruction, *word, recorded ^ written), (at, 7, 1));
    assert_eq!(named.computes, "queries");
    let listed = found.differences[0].program.as_ref().unwrap();
    let listing = fqbert_compiler::disassemble(listed);
    let expected = fqbert_compiler::disassemble(&program);
    let line = |text: &str| text.lines().nth(at as usize + 1).map(str::to_owned);
    assert_eq!(line(&listing), line(&expected));
}

/// The output, after the device has written it.
fn the_output(device: &str) {
    let (program, g) = (program(), Geometry::by_name("tiny").unwrap());
    let (rows, hidden) = (u64::from(g.rows), u64::from(program.hidden));
    let (token, channel) = (TOKENS as u64 - 2, 17);
    let word = token / rows * (hidden / 2) + channel / 2;
    let offset = word * 4 * rows + token % rows * 4 + channel % 2 * 2;
    let flip = Flip::TakenOver {
        buffer: OUTPUT,
        offset,
        mask: 0x10,
    };
    for steps in [false, true] {
        let Some(found) = compared(device, flip, steps) else {
            return;
        };
        let [difference] = found.differences.as_slice() else {
            panic!("{:?}", found.differences)
        };
        let What::Result(WrongResult {
            at,
            store,
            element,
            recorded,
            reference,
            differing,
            ..
        }) = &difference.what
        else {
            panic!("{difference:?}")
        };
        assert_eq!(*element, Some((token, channel)));
        assert_eq!((recorded ^ reference, *differing), (0x10, 1));
        let stores = program.instructions[*store as usize].operation;
        assert!(matches!(stores, Operation::Store(_)), "{store}");
        assert_eq!(at.computes, "layer norm after the feed-forward");
    }
}

fn all(device: &str) {
    equal_where_nothing_is_flipped(device);
    a_result_on_the_chip(device);
    a_weight(device);
    a_program_word(device);
    the_output(device);
}

#[test]
fn on_the_emulator() {
    all("emu:tiny?threads=1");
}

#[cfg(feature = "cosim")]
#[test]
fn on_the_rtl() {
    all("cosim:tiny");
}

/// `cargo xtask vm --model tiny --test fqbert-runtime -- on_the_virtual_board`
#[test]
fn on_the_virtual_board() {
    if std::env::var("FQBERT_VIRTUAL_BOARD").as_deref() != Ok("tiny") {
        eprintln!("SKIPPED: only in `cargo xtask vm --model tiny --test fqbert-runtime`");
        return;
    }
    all("uio:fqbert0");
}
