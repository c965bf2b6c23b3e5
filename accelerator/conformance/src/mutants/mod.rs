//! Programs with something broken: each is refused by the verifier, or runs to its end.
//!
//! A mutant is a real program with a change drawn from a seed ([`Mutant`]). [`try_mutant`] holds
//! what the verifier promises against devices: what it passes ends without a fault, retires every
//! instruction, changes nothing but its output, and gives the same output on a device that has
//! never run as on one whose memories hold the leavings of others, whatever order they serve their
//! queues in.

mod change;
mod trial;

use std::collections::BTreeMap;
use std::fmt;

use fqbert_contract::device::Device;
use fqbert_contract::layout::{LayoutError, pack_act, pack_ranges, pack_res};
use fqbert_contract::program::{Program, Span};
use fqbert_contract::verify::{Obligation, verify};

pub use change::Mutant;

/// A program with what its host gives it.
#[derive(Clone, Debug)]
pub struct Base {
    /// The program, which passes the verifier.
    pub program: Program,
    /// Bytes of the constants region.
    pub constants: Vec<u8>,
    /// Bytes of the input region.
    pub input: Vec<u8>,
}

impl Base {
    /// A compiled program with its constants and an input of one row for each token of its bucket.
    ///
    /// # Errors
    /// The input is not of the program's size.
    pub fn new(
        program: Program,
        constants: Vec<u8>,
        x8: &[i8],
        x16: &[i16],
        ranges: &[(u16, u16)],
    ) -> Result<Self, LayoutError> {
        let g = &program.requirements.geometry;
        let (tokens, hidden) = (program.sequence as usize, program.hidden as usize);
        let mut input = vec![0; program.sizes.input.0 as usize];
        for (span, image) in [
            (program.input_x8, pack_act(g, x8, tokens, hidden)?),
            (program.input_x16, pack_res(g, x16, tokens, hidden)?),
            (program.input_ranges, pack_ranges(ranges, tokens)?),
        ] {
            let place = input.get_mut(span.offset as usize..span.end() as usize);
            for (byte, value) in place.into_iter().flatten().zip(image) {
                *byte = value;
            }
        }
        Ok(Self {
            program,
            constants,
            input,
        })
    }
}

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The change gives words that are no instruction.
    Undecodable,
    /// The verifier refuses it.
    Refused(Obligation),
    /// It ran as promised.
    Ran,
}

/// How many mutants met which fate.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Mutants whose words are no instructions.
    pub undecodable: u64,
    /// Mutants refused, by the first obligation that they break.
    pub refused: BTreeMap<Obligation, u64>,
    /// Mutants that ran as promised.
    pub ran: u64,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Undecodable => self.undecodable += 1,
            Fate::Refused(obligation) => *self.refused.entry(obligation).or_default() += 1,
            Fate::Ran => self.ran += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.refused.values().sum();
        let all = self.undecodable + refused + self.ran;
        write!(
            f,
            "{all} mutants: {} ran, {} are no instructions, {refused} refused",
            self.ran, self.undecodable
        )?;
        for (obligation, count) in &self.refused {
            write!(f, "; {} {count}", obligation.name())?;
        }
        Ok(())
    }
}

/// What the two devices find in their output before the run.
const FILLS: [u8; 2] = [0x5a, 0xa5];

/// Verifies the mutant of `base` that `seed` draws and, if it passes, runs it on a `fresh` device
/// and on one that is `kept` from mutant to mutant.
///
/// # Errors
/// A promise that was broken, in words, with the change and the seed.
pub fn try_mutant(
    base: &Base,
    seed: u64,
    kept: &mut dyn Device,
    fresh: impl FnOnce() -> Box<dyn Device>,
) -> Result<Fate, String> {
    let Some(mutant) = Mutant::draw(&base.program, seed) else {
        return Ok(Fate::Undecodable);
    };
    let told = |what: String| format!("seed {seed} ({}): {what}", mutant.change);
    try_program(base, &mutant.program, kept, fresh).map_err(told)
}

/// Verifies a program that has the constants and the input of `base` and, if it passes, runs it as
/// [`try_mutant`] does.
///
/// # Errors
/// A promise that was broken, in words.
pub fn try_program(
    base: &Base,
    program: &Program,
    kept: &mut dyn Device,
    fresh: impl FnOnce() -> Box<dyn Device>,
) -> Result<Fate, String> {
    let geometry = &base.program.requirements.geometry;
    if let Err(violations) = verify(program, geometry) {
        let Some(first) = violations.first() else {
            return Err("refused for nothing".to_owned());
        };
        return Ok(Fate::Refused(first.obligation()));
    }
    let first = trial::run(fresh().as_mut(), base, program, FILLS[0])?;
    let second = trial::run(kept, base, program, FILLS[1])?;
    let Span { offset, .. } = program.output_y16;
    let read = offset as usize..program.output_y16.end() as usize;
    for (at, found) in first.iter().copied().zip(second).enumerate() {
        let stored = found.0 == found.1;
        let left = [found.0, found.1] == FILLS && !read.contains(&at);
        if !stored && !left {
            return Err(format!(
                "output byte {at} is {:#04x} on a fresh device, {:#04x} on another",
                found.0, found.1
            ));
        }
    }
    Ok(Fate::Ran)
}
