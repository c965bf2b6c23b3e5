//! The reciprocal square root: two tables and one multiplication.

/// Mantissa of the first entry of the tables.
const RSQRT_FIRST: usize = 64;
const ENTRIES: usize = 256 - RSQRT_FIRST;

/// `B[i] = min(65535, round(2^23 / sqrt(256 * i)))` for `i` = 64..=255, entry `i - 64`.
pub const RSQRT_BASE: [u16; ENTRIES] = {
    let mut table = [0; ENTRIES];
    let mut i = 0;
    while i < ENTRIES {
        table[i] = base(i + RSQRT_FIRST);
        i += 1;
    }
    table
};

/// `D[i] = B[i] - round(2^23 / sqrt(256 * (i + 1)))` for `i` = 64..=255, entry `i - 64`.
pub const RSQRT_SLOPE: [u16; ENTRIES] = {
    let mut table = [0; ENTRIES];
    let mut i = 0;
    while i < ENTRIES {
        table[i] = base(i + RSQRT_FIRST) - base(i + RSQRT_FIRST + 1);
        i += 1;
    }
    table
};

/// `min(65535, round(2^19 / sqrt(i)))` in integers: the largest `b` with `b - 1/2 <= 2^19 /
/// sqrt(i)`, that is `(2b - 1)^2 * i <= 2^40`. No entry is a tie.
const fn base(i: usize) -> u16 {
    let b = ((1u64 << 40) / i as u64).isqrt().div_ceil(2);
    if b > 65535 { 65535 } else { b as u16 }
}

/// `(r, k)` with `1 / sqrt(v) = r * 2^(-23 - k)` within a relative 6e-5; `r` is 2^15..2^16.
///
/// 0 is taken as 1.
pub fn rsqrt(v: u64) -> (u32, i32) {
    let v = v.max(1);
    // ceil((bits - 16) / 2): an even shift that leaves 15 or 16 bits.
    let k = (v.ilog2() as i32 + 1 - 16 + 1).div_euclid(2);
    let f = if k >= 0 { v >> (2 * k) } else { v << (-2 * k) };
    let i = (f >> 8) as usize - RSQRT_FIRST;
    let d = (f & 255) as u32;
    let r = u32::from(RSQRT_BASE[i]) - ((u32::from(RSQRT_SLOPE[i]) * d + 128) >> 8);
    (r, k)
}
