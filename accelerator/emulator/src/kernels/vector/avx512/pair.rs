//! A row tile with two octets of channels, from the operands to the words of the destination.

use std::arch::x86_64::*;

use super::gelu::Table;
use super::products::{codes, sums};
use super::requantize::Scales;
use super::words::{self, Targets};
use crate::kernels::vector::detect::{self, assert_avx512_vnni};
use crate::kernels::vector::instruction_set::Pair;
use crate::kernels::vector::octet::QUAD;
use crate::kernels::vector::slab::{Format, LARGEST, Slab};

/// Rows whose sums with two octets are in registers together.
const ROWS: usize = 8;

/// Computes a pair's slabs into `targets`.
pub fn pair(x: &Pair<'_>, targets: [&mut [u8]; 2]) {
    assert_avx512_vnni();
    let [d, other] = &x.dots;
    assert!(
        d.rows == other.rows
            && d.chunks == other.chunks
            && x.places.iter().all(|place| place.rows == d.rows),
        "two octets of the same rows"
    );
    d.check_operands(1);
    other.check_operands(1);
    let whole: [bool; 2] = std::array::from_fn(|at| x.places[at].is_whole(targets[at]));
    if whole == [true; 2] {
        fill(x, targets);
        return;
    }
    let mut spare = [[0; LARGEST]; 2];
    let [first, second] = &mut spare;
    fill(x, [first, second]);
    let bytes = x.places[0].format.bytes(d.rows);
    for ((place, target), all) in x.places.iter().zip(targets).zip(&spare) {
        place.merge(target, &all[..bytes]);
    }
}

/// Computes whole slabs; the CPU and the operands have been checked.
fn fill(x: &Pair<'_>, targets: [&mut [u8]; 2]) {
    let Slab { format, rows, .. } = x.places[0];
    let bytes = format.bytes(rows);
    let to = Targets {
        slabs: targets.map(|target| target[..bytes].as_mut_ptr()),
        word: bytes / format.words(),
    };
    // SAFETY: the caller has checked the CPU and the operands; both slabs have the bytes of their
    // format.
    unsafe {
        if detect::avx512_vbmi() {
            with_vbmi(x, to);
        } else {
            without_vbmi(x, to);
        }
    }
}

/// # Safety
/// The CPU has the features; the operands of both octets have passed their check; both slabs have
/// the bytes of their format.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")]
unsafe fn with_vbmi(x: &Pair<'_>, to: Targets) {
    // SAFETY: as the caller guarantees.
    unsafe {
        if let Format::Gelu(table) = x.places[0].format {
            let table = Table::load(table);
            let put = |to, rows| words::act_with_table(to, rows, &table);
            tile(x, to, QUAD * 8, put);
        } else {
            by_format(x, to);
        }
    }
}

/// # Safety
/// As for [`with_vbmi`].
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn without_vbmi(x: &Pair<'_>, to: Targets) {
    // SAFETY: as the caller guarantees.
    unsafe {
        if let Format::Gelu(table) = x.places[0].format {
            let put = |to, rows| words::act_by_lookup(to, rows, table);
            tile(x, to, QUAD * 8, put);
        } else {
            by_format(x, to);
        }
    }
}

/// # Safety
/// As for [`with_vbmi`].
#[inline]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn by_format(x: &Pair<'_>, to: Targets) {
    // SAFETY: as the caller guarantees; a quad of rows has that many bytes of a word of the format.
    unsafe {
        match x.places[0].format {
            Format::Act | Format::Gelu(_) => tile(x, to, QUAD * 8, |to, v| words::act(to, v)),
            Format::Res => tile(x, to, QUAD * 4, |to, v| words::res(to, v)),
            Format::Scores => tile(x, to, QUAD * 2, |to, v| words::scores(to, v)),
        }
    }
}

/// All rows of the tile, each quad's results given to `put` with the quad's place in the slabs,
/// `quad` bytes behind the one before.
///
/// # Safety
/// As for [`with_vbmi`]; `put` writes what a quad has in the slabs.
#[inline]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile(
    x: &Pair<'_>,
    to: Targets,
    quad: usize,
    put: impl Fn(Targets, [__m512i; QUAD]) + Copy,
) {
    // SAFETY: as the caller guarantees.
    unsafe {
        match (x.mode8, x.dots[0].a_unsigned) {
            (false, _) => rows::<{ codes::FOUR }>(x, to, quad, put),
            (true, false) => rows::<{ codes::EIGHT }>(x, to, quad, put),
            (true, true) => rows::<{ codes::EIGHT_UNSIGNED }>(x, to, quad, put),
        }
    }
}

/// # Safety
/// As for [`tile`].
#[inline]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn rows<const CODES: u8>(
    x: &Pair<'_>,
    to: Targets,
    quad: usize,
    put: impl Fn(Targets, [__m512i; QUAD]) + Copy,
) {
    let scales = Scales::of(x.scales);
    let place = |first: usize| Targets {
        slabs: to.slabs.map(|slab| slab.wrapping_add(first / QUAD * quad)),
        word: to.word,
    };
    let all = x.dots[0].rows;
    let mut first = 0;
    // SAFETY: as the caller guarantees; `first` and the rows behind it are below `all`.
    unsafe {
        while first + ROWS <= all {
            let [a, b, c, d, e, f, g, h] = sums::<CODES, ROWS>(&x.dots, first);
            put(place(first), quad_results(&scales, [a, b, c, d]));
            put(place(first + QUAD), quad_results(&scales, [e, f, g, h]));
            first += ROWS;
        }
        while first < all {
            let four = sums::<CODES, QUAD>(&x.dots, first);
            put(place(first), quad_results(&scales, four));
            first += QUAD;
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn quad_results(scales: &Scales, [a, b, c, d]: [__m512i; QUAD]) -> [__m512i; QUAD] {
    if scales.is_simple() {
        let y = |v| scales.simple(v);
        [y(a), y(b), y(c), y(d)]
    } else {
        let y = |v| scales.any(v);
        [y(a), y(b), y(c), y(d)]
    }
}
