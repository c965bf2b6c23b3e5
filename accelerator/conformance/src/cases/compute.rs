//! Each compute instruction alone, on random data.

use crate::bench::Bench;
use crate::random::{check, whole_lanes};
use crate::report::{Failure, ensure};
use crate::rng::Rng;
use crate::scenario::Composer;
use crate::sequence::BuildError;

/// Programs of random shape per case.
const SHAPES: u64 = 6;

fn shapes(
    b: &mut Bench<'_>,
    compose: impl Fn(&mut Composer<'_>) -> Result<(), BuildError>,
) -> Result<(), Failure> {
    let g = b.geometry.clone();
    for _ in 0..SHAPES {
        let seed = b.rng.next();
        let mut c = Composer::new(&g, Rng::new(seed));
        compose(&mut c)?;
        let composed = c.finish()?;
        ensure!(
            !composed.expected.is_empty(),
            "a program without a result checks nothing"
        );
        check(b, &composed).map_err(|e| match e {
            Failure::Wrong(what) => Failure::Wrong(format!("shape of seed {seed:#x}: {what}")),
            other => other,
        })?;
        b.free_all()?;
    }
    Ok(())
}

fn linear(c: &mut Composer<'_>, mode8: bool, gelu: bool) -> Result<(), BuildError> {
    let (tiles, chunks) = (c.rng.within(1, 4), c.rng.within(1, 40));
    let x = c.activations(tiles, chunks * c.g.lanes as usize)?;
    let y = c.linear(&x, mode8, gelu)?;
    c.observe(&y, "product")
}

pub fn matmul_8x4(b: &mut Bench<'_>) -> Result<(), Failure> {
    shapes(b, |c| linear(c, false, false))
}

pub fn matmul_8x8(b: &mut Bench<'_>) -> Result<(), Failure> {
    shapes(b, |c| linear(c, true, false))
}

pub fn gelu(b: &mut Bench<'_>) -> Result<(), Failure> {
    shapes(b, |c| {
        let mode8 = c.rng.flip();
        linear(c, mode8, true)
    })
}

/// K of 4096 terms, the contract's bound: sums drained in parts.
pub fn longest_dot(b: &mut Bench<'_>) -> Result<(), Failure> {
    shapes(b, |c| {
        let chunks = 512.min(c.g.wgt_words as usize);
        let x = c.activations(1, chunks * c.g.lanes as usize)?;
        let mode8 = c.rng.flip();
        let y = c.linear(&x, mode8, false)?;
        c.observe(&y, "product of 4096 terms")
    })
}

pub fn attention(b: &mut Bench<'_>) -> Result<(), Failure> {
    shapes(b, |c| {
        let tiles = whole_lanes(c.g) * c.rng.within(1, 3);
        let channels = c.g.lanes as usize * c.rng.within(1, 8);
        let x = c.activations(tiles, channels)?;
        let y = c.attention(&x)?;
        c.observe(&y, "context")
    })
}

pub fn layer_norm(b: &mut Bench<'_>) -> Result<(), Failure> {
    shapes(b, |c| {
        let tiles = c.rng.within(1, 3);
        let channels = c.g.lanes as usize * c.rng.within(1, 8);
        let x = c.activations(tiles, channels)?;
        let (y16, y8) = c.norm(&x)?;
        c.observe_wide(&y16, "16-bit result")?;
        c.observe(&y8, "8-bit result")
    })
}
