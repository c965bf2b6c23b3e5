//! The changes that make a mutant of a program.

use fqbert_contract::capability::Requirements;
use fqbert_contract::isa::Instruction;
use fqbert_contract::program::{Program, Region, Relocation, Span};
use fqbert_contract::{Bytes, Geometry};
use fqbert_random::Random;

/// A program with a change.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The program.
    pub program: Program,
    /// What was changed, in words.
    pub change: String,
}

impl Mutant {
    /// The mutant of `base` that `seed` draws: one change, or now and then two. `None` if it has
    /// words that are no instruction, which FETCH refuses.
    pub fn draw(base: &Program, seed: u64) -> Option<Self> {
        let mut random = Random::new(seed);
        let mut program = base.clone();
        let mut changes = Vec::new();
        for _ in 0..if random.one_in(5) { 2 } else { 1 } {
            changes.push(change(&mut program, &mut random)?);
        }
        Some(Self {
            program,
            change: changes.join(" and "),
        })
    }
}

/// Makes one change and describes it.
fn change(p: &mut Program, random: &mut Random) -> Option<String> {
    let count = p.instructions.len() as u64;
    let at = random.below(count) as usize;
    Some(match random.below(16) {
        0..=2 => flip(p, at, random)?,
        3..=5 => add(p, at, random)?,
        6 => semaphore(p, at, random),
        7 => token(p, random),
        8 => relocation(p, random),
        9 => sizes(p, random),
        10 => requirements(p, random),
        11 => swap(p, at, random),
        12 => drop_one(p, at, random),
        13..=14 => set(p, at, random)?,
        _ => duplicate(p, at, random),
    })
}

/// Replaces an instruction by other words.
fn reword(p: &mut Program, at: usize, edit: impl FnOnce(&mut [u32])) -> Option<()> {
    let place = p.instructions.get_mut(at)?;
    let mut words = place.encode().ok()?;
    edit(&mut words);
    *place = Instruction::decode(&words).ok()?;
    Some(())
}

fn flip(p: &mut Program, at: usize, random: &mut Random) -> Option<String> {
    let bits: Vec<u64> = (0..1 + random.below(2))
        .map(|_| random.below(256))
        .collect();
    reword(p, at, |words| {
        for bit in &bits {
            words[*bit as usize / 32] ^= 1 << (bit % 32);
        }
    })?;
    Some(format!("bits {bits:?} of instruction {at} flipped"))
}

/// Steps of a field: one, a few words, a row of them.
const STEPS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 4096];

fn add(p: &mut Program, at: usize, random: &mut Random) -> Option<String> {
    let word = 2 + random.below(6) as usize;
    let step = STEPS[random.below(STEPS.len() as u64) as usize];
    let step = step << if random.one_in(3) { 16 } else { 0 };
    let down = random.one_in(2);
    reword(p, at, |words| {
        let signed = if down { step.wrapping_neg() } else { step };
        words[word] = words[word].wrapping_add(signed);
    })?;
    let sign = if down { '-' } else { '+' };
    Some(format!("word {word} of instruction {at} {sign}{step:#x}"))
}

/// Replaces half of a word, which is what most fields are, by an edge of its range or by anything.
fn set(p: &mut Program, at: usize, random: &mut Random) -> Option<String> {
    let (word, high) = (2 + random.below(6) as usize, random.one_in(2));
    let anything = random.next_u64() as u16;
    let value = match random.below(8) {
        0 => 0,
        1 => u16::MAX,
        2 => u16::MAX - 1,
        3 => 1 << random.below(16),
        4 => (1 << random.below(16)) - 1,
        5 => anything & 0xff,
        6 => anything & 0xfff,
        _ => anything,
    };
    reword(p, at, |words| {
        let (kept, shift) = if high {
            (0xffff, 16)
        } else {
            (0xffff << 16, 0)
        };
        words[word] = words[word] & kept | u32::from(value) << shift;
    })?;
    let half = if high { "high" } else { "low" };
    Some(format!(
        "{half} half of word {word} of instruction {at} is {value:#x}"
    ))
}

fn semaphore(p: &mut Program, at: usize, random: &mut Random) -> String {
    let (place, id) = (random.below(3) as usize, random.below(32) as u8);
    let header = &mut p.instructions[at].header;
    let waits = random.one_in(2);
    let ids = if waits {
        &mut header.wait
    } else {
        &mut header.signal
    };
    ids[place] = id;
    let what = if waits { "wait" } else { "signal" };
    format!("{what} {place} of instruction {at} is semaphore {id}")
}

/// Takes away one raise and one take of a semaphore, which leaves it balanced; or moves one.
fn token(p: &mut Program, random: &mut Random) -> String {
    let id = 1 + random.below(31) as u8;
    let mut moved = Vec::new();
    for waits in [false, true] {
        let mut places: Vec<(usize, usize)> = Vec::new();
        for (at, instruction) in p.instructions.iter().enumerate() {
            let header = &instruction.header;
            let ids = if waits { header.wait } else { header.signal };
            places.extend((0..3).filter(|i| ids[*i] == id).map(|i| (at, i)));
        }
        if places.is_empty() {
            continue;
        }
        let (at, place) = places[random.below(places.len() as u64) as usize];
        let header = &mut p.instructions[at].header;
        let ids = if waits {
            &mut header.wait
        } else {
            &mut header.signal
        };
        ids[place] = 0;
        moved.push(at);
    }
    format!("a token of semaphore {id} taken away at instructions {moved:?}")
}

fn relocation(p: &mut Program, random: &mut Random) -> String {
    let count = p.relocations.len() as u64;
    let at = random.below(count.max(1)) as usize;
    let Some(here) = p.relocations.get_mut(at) else {
        return "nothing to relocate".to_owned();
    };
    match random.below(5) {
        0..=1 => {
            here.region = Region::ALL[random.below(3) as usize];
            format!("relocation {at} is to {}", here.region.name())
        }
        2 => {
            here.instruction ^= 1 << random.below(8);
            format!("relocation {at} is of instruction {}", here.instruction)
        }
        3 => {
            p.relocations.remove(at);
            format!("no relocation {at}")
        }
        _ => {
            let again = *here;
            p.relocations.insert(at, again);
            format!("relocation {at} twice")
        }
    }
}

fn sizes(p: &mut Program, random: &mut Random) -> String {
    let step = 1u64 << random.below(16);
    let down = random.one_in(2);
    let change = |value: &mut u64| {
        *value = if down {
            value.saturating_sub(step)
        } else {
            value.saturating_add(step)
        };
        *value
    };
    let bytes = |size: &mut Bytes| change(&mut size.0);
    match random.below(9) {
        0 => format!("constants are {} bytes", bytes(&mut p.sizes.constants)),
        1 => format!("input is {} bytes", bytes(&mut p.sizes.input)),
        2 => format!("output is {} bytes", bytes(&mut p.sizes.output)),
        3 => {
            p.sequence ^= 1 << random.below(10);
            format!("sequence {}", p.sequence)
        }
        4 => {
            p.hidden ^= 1 << random.below(10);
            format!("hidden {}", p.hidden)
        }
        part => {
            let span: &mut Span = match part {
                5 => &mut p.input_x8,
                6 => &mut p.input_x16,
                7 => &mut p.input_ranges,
                _ => &mut p.output_y16,
            };
            let value = if random.one_in(2) {
                &mut span.offset
            } else {
                &mut span.length
            };
            change(value);
            format!("part {part} is {} and {} bytes", span.offset, span.length)
        }
    }
}

fn requirements(p: &mut Program, random: &mut Random) -> String {
    let Requirements {
        major,
        minor,
        features,
        geometry,
    } = &mut p.requirements;
    let bit = 1 << random.below(16);
    match random.below(8) {
        0 => *major ^= bit,
        1 => *minor ^= bit,
        2 => *features ^= 1 << random.below(32),
        3 => geometry.act_words ^= u32::from(bit),
        4 => geometry.rows ^= u32::from(bit),
        5 => geometry.max_seq ^= u32::from(bit),
        6 => geometry.ports ^= u32::from(bit),
        _ => {
            let presets = Geometry::presets();
            *geometry = presets[random.below(presets.len() as u64) as usize].clone();
        }
    }
    format!(
        "requirements {major}.{minor}, {features:#x}, geometry {}",
        geometry.name
    )
}

fn swap(p: &mut Program, at: usize, random: &mut Random) -> String {
    let count = p.instructions.len();
    let other = if random.one_in(2) {
        (at + 1) % count
    } else {
        random.below(count as u64) as usize
    };
    match random.below(3) {
        0 => {
            let (a, b) = (p.instructions[at].header, p.instructions[other].header);
            (p.instructions[at].header, p.instructions[other].header) = (b, a);
            return format!("headers of instructions {at} and {other} swapped");
        }
        1 => {
            let (a, b) = (
                p.instructions[at].operation,
                p.instructions[other].operation,
            );
            (
                p.instructions[at].operation,
                p.instructions[other].operation,
            ) = (b, a);
        }
        _ => p.instructions.swap(at, other),
    }
    for relocation in &mut p.relocations {
        let index = relocation.instruction as usize;
        if index == at || index == other {
            relocation.instruction = (at + other - index) as u32;
        }
    }
    p.relocations.sort_by_key(|r| r.instruction);
    format!("instructions {at} and {other} swapped")
}

fn drop_one(p: &mut Program, at: usize, random: &mut Random) -> String {
    p.instructions.remove(at);
    if random.one_in(8) {
        return format!("instruction {at} dropped, not its relocation");
    }
    let index = at as u32;
    p.relocations.retain(|r| r.instruction != index);
    for relocation in p.relocations.iter_mut().filter(|r| r.instruction > index) {
        relocation.instruction -= 1;
    }
    format!("instruction {at} dropped")
}

fn duplicate(p: &mut Program, at: usize, random: &mut Random) -> String {
    let mut again = p.instructions[at];
    let bare = random.one_in(2);
    if bare {
        (again.header.wait, again.header.signal) = ([0; 3], [0; 3]);
    }
    p.instructions.insert(at, again);
    let index = at as u32;
    let here = p.relocations.iter().position(|r| r.instruction == index);
    for relocation in p.relocations.iter_mut().filter(|r| r.instruction >= index) {
        relocation.instruction += 1;
    }
    if let Some(place) = here {
        let region = p.relocations[place].region;
        p.relocations.insert(
            place,
            Relocation {
                instruction: index,
                region,
            },
        );
    }
    let how = if bare { ", without semaphores" } else { "" };
    format!("instruction {at} twice{how}")
}
