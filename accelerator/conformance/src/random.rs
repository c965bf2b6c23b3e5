//! Random legal programs that keep all engines busy at once.

use fqbert_contract::Geometry;
use fqbert_contract::device::{Allocation, Device};
use fqbert_contract::program::{PerRegion, Placement};

use crate::bench::{Bench, Ended};
use crate::placed::PlacedMatrix;
use crate::report::{Failure, ensure};
use crate::rng::Rng;
use crate::scenario::{Composed, Composer};
use crate::sequence::BuildError;

/// A random program, its data, and the bytes it must leave.
#[derive(Clone, Debug)]
pub struct RandomProgram(pub(crate) Composed);

impl RandomProgram {
    /// The program, relocatable.
    pub fn program(&self) -> &fqbert_contract::program::Program {
        &self.0.program
    }

    /// Bytes of the constants region.
    pub fn constants(&self) -> &[u8] {
        &self.0.constants
    }

    /// Bytes of the input region.
    pub fn input(&self) -> &[u8] {
        &self.0.input
    }

    /// What the program must leave in the output region: offset and bytes of each part.
    pub fn expected(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.0
            .expected
            .iter()
            .map(|e| (e.offset, e.bytes.as_slice()))
    }
}

/// The random program of a seed for a geometry: one to five products, attentions and layer norms,
/// some fed by others, with only the semaphores their data needs.
///
/// # Errors
/// A geometry too small for any of it, or a program that the verifier refuses, which is a bug.
pub fn random_program(g: &Geometry, seed: u64) -> Result<RandomProgram, BuildError> {
    let mut c = Composer::new(g, Rng::new(seed ^ 0x5eed_f00d_0000_0000));
    let parts = c.rng.within(1, 5);
    let mut known: Vec<PlacedMatrix<i8>> = Vec::new();
    for _ in 0..parts {
        match part(&mut c, &mut known) {
            // The memories are full: what is there is a program.
            Err(BuildError::Full { .. }) if !known.is_empty() => break,
            other => other?,
        }
    }
    c.finish().map(RandomProgram)
}

fn part(c: &mut Composer<'_>, known: &mut Vec<PlacedMatrix<i8>>) -> Result<(), BuildError> {
    let lanes = c.g.lanes as usize;
    let reused = c.rng.flip() && !known.is_empty();
    let x = if reused {
        known[c.rng.within(0, known.len() - 1)].clone()
    } else {
        let tiles = whole_lanes(c.g) * c.rng.within(1, 2);
        let channels = lanes * c.rng.within(1, 9);
        c.activations(tiles, channels)?
    };
    match c.rng.within(0, 3) {
        0 => {
            let y = c.attention(&x)?;
            c.observe(&y, "context")?;
            known.push(y);
        }
        1 => {
            let (y16, y8) = c.norm(&x)?;
            c.observe_wide(&y16, "layer norm, 16 bits")?;
            c.observe(&y8, "layer norm, 8 bits")?;
            known.push(y8);
        }
        _ => {
            let (mode8, gelu) = (c.rng.flip(), c.rng.flip());
            let y = c.linear(&x, mode8, gelu)?;
            c.observe(&y, "product")?;
            known.push(y);
        }
    }
    Ok(())
}

/// Row tiles whose tokens are a multiple of the lanes, as attention needs.
pub fn whole_lanes(g: &Geometry) -> usize {
    (1..=g.lanes)
        .find(|t| (t * g.rows).is_multiple_of(g.lanes))
        .unwrap_or(g.lanes) as usize
}

/// Uploads and starts a composed program; its output buffer.
pub fn start<F: Device + ?Sized>(
    b: &mut Bench<'_, F>,
    c: &Composed,
) -> Result<Allocation, Failure> {
    let constants = b.upload(&c.constants)?;
    let input = b.upload(&c.input)?;
    let size = c.program.sizes.output.0 as usize;
    let output = b.upload(&vec![0x5a; size])?;
    let placement = placement(&constants, &input, &output);
    let code = c
        .program
        .bind(&placement)
        .map_err(|e| Failure::Wrong(e.to_string()))?;
    b.start(&code)?;
    Ok(output)
}

/// Runs a composed program and compares what it leaves.
pub fn check<F: Device + ?Sized>(b: &mut Bench<'_, F>, c: &Composed) -> Result<Ended, Failure> {
    let output = start(b, c)?;
    let ended = b.completed()?;
    let bytes = b.download(&output)?;
    for expected in &c.expected {
        let found = bytes.get(expected.offset..).unwrap_or(&[]);
        let differs = expected.bytes.iter().zip(found).position(|(e, f)| e != f);
        if let Some(at) = differs {
            let count = expected
                .bytes
                .iter()
                .zip(found)
                .filter(|(e, f)| e != f)
                .count();
            return Err(Failure::Wrong(format!(
                "{}: byte {at} of {} is {} instead of {}, {count} bytes differ",
                expected.what,
                expected.bytes.len(),
                found[at],
                expected.bytes[at]
            )));
        }
        ensure!(
            found.len() >= expected.bytes.len(),
            "the output buffer is too short"
        );
    }
    Ok(ended)
}

/// The case: as many programs as the options ask for.
pub fn case(b: &mut Bench<'_>) -> Result<(), Failure> {
    let g = b.geometry.clone();
    for i in 0..u64::from(b.options.programs) {
        let seed = b.options.seed.wrapping_mul(1_000_003).wrapping_add(i);
        let RandomProgram(composed) = random_program(&g, seed)?;
        check(b, &composed).map_err(|e| match e {
            Failure::Wrong(what) => Failure::Wrong(format!("program of seed {seed}: {what}")),
            other => other,
        })?;
        b.free_all()?;
    }
    Ok(())
}

/// Where a program finds these buffers.
pub(crate) fn placement(
    constants: &Allocation,
    input: &Allocation,
    output: &Allocation,
) -> PerRegion<Placement> {
    let place = |a: &Allocation| Placement {
        address: a.address,
        size: a.size,
    };
    PerRegion {
        constants: place(constants),
        input: place(input),
        output: place(output),
    }
}
