use std::sync::OnceLock;

use fqbert_compiler::{CompileOptions, compile, pack_constants};
use fqbert_conformance::mutants::{Base, try_program};
use fqbert_contract::Geometry;
use fqbert_contract::device::Device;
use fqbert_contract::isa::{INSTRUCTION_BYTES, Instruction, Operation};
use fqbert_contract::program::{Program, Region, Relocation};
use fqbert_contract::timing::Policy;
use fqbert_emulator::{EmulatedDevice, EmulatorOptions};
use fqbert_model::testing::{Shape, random_input, random_model};

const TOKENS: usize = 8;

/// A compiled program of two small layers, with what its host gives it.
fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let g = Geometry::by_name("tiny").expect("a preset");
        let shape = Shape {
            layers: 2,
            wide: 0b01_0100,
            ..Shape::SMALL
        };
        let model = random_model(shape, 3);
        let options = CompileOptions::default();
        let program = compile(&model, g, TOKENS as u32, &options).expect("a small model fits");
        let constants = pack_constants(&model, g).expect("a small model fits").bytes;
        let input = random_input(shape.hidden, TOKENS, TOKENS, 3);
        Base::new(program, constants, &input.x8, &input.x16, &input.ranges).expect("its own input")
    })
}

/// The instructions of an input; the first byte of each is that of its region. None if one is no
/// instruction.
fn instructions(input: &[u8]) -> Option<(Vec<Instruction>, Vec<Relocation>)> {
    let (mut instructions, mut relocations) = (Vec::new(), Vec::new());
    for (index, bytes) in input.chunks_exact(1 + INSTRUCTION_BYTES).enumerate() {
        let (region, bytes) = bytes.split_first()?;
        let mut words = [0; INSTRUCTION_BYTES / 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let instruction = Instruction::decode(&words).ok()?;
        let again = instruction.encode().expect("what was decoded is encoded");
        assert_eq!(words, again, "an instruction is another once decoded");
        if matches!(
            instruction.operation,
            Operation::Load(_) | Operation::Store(_)
        ) {
            relocations.push(Relocation {
                instruction: index as u32,
                region: Region::ALL[usize::from(*region) % Region::ALL.len()],
            });
        }
        instructions.push(instruction);
    }
    Some((instructions, relocations))
}

fn emulator(schedule: Policy) -> EmulatedDevice {
    EmulatedDevice::new(EmulatorOptions {
        threads: Some(1),
        memory_bytes: 1 << 21,
        schedule,
        ..EmulatorOptions::new(&base().program.requirements.geometry)
    })
    .expect("a small emulator")
}

pub(crate) fn run(input: &[u8]) {
    let Some((instructions, relocations)) = instructions(input) else {
        return;
    };
    let program = Program {
        instructions,
        relocations,
        ..base().program.clone()
    };
    let fresh = || Box::new(emulator(Policy::Earliest)) as Box<dyn Device>;
    let mut other = emulator(Policy::Seeded(input.len() as u64));
    if let Err(broken) = try_program(base(), &program, &mut other, fresh) {
        panic!("{broken}");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let program = &base().program;
    let mut relocations = program.relocations.iter().peekable();
    let mut input = Vec::new();
    for (index, instruction) in program.instructions.iter().enumerate() {
        let here = relocations.next_if(|r| r.instruction as usize == index);
        let region = here.and_then(|r| Region::ALL.iter().position(|region| *region == r.region));
        input.push(region.unwrap_or(0) as u8);
        let words = instruction.encode().expect("a compiled instruction");
        input.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    vec![input]
}
