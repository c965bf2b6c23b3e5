//! Copies between ordinary slices and memory that is not ordinary.
//!
//! Device memory (what UIO maps on arm64) takes aligned accesses of a natural width only. These
//! loops issue 8-byte accesses where the address allows and 4, 2 or 1 at the ends, each volatile,
//! so that the compiler neither merges, splits, vectorises nor drops one. `memcpy` does all of
//! that.

use std::ptr;

/// Widest access of 8, 4, 2, 1 bytes that is aligned at `addr` and no longer than `left`.
#[inline]
fn width(addr: usize, left: usize) -> usize {
    let aligned = 1usize << addr.trailing_zeros().min(3);
    let fits = 1usize << left.ilog2().min(3);
    aligned.min(fits)
}

/// Bytes from `addr` to where 8-byte accesses begin, at most `len`.
#[inline]
fn head(addr: usize, len: usize) -> usize {
    (addr.wrapping_neg() % 8).min(len)
}

/// Copies all of `src` to the device memory at `dst`.
///
/// # Safety
/// `dst` must be valid for writes of `src.len()` bytes for the whole call, must not overlap `src`,
/// and no other thread of this process may access the range meanwhile (the device may).
#[allow(unsafe_code)]
pub unsafe fn copy_to(dst: *mut u8, src: &[u8]) {
    let (head, rest) = src.split_at(head(dst.addr(), src.len()));
    let (words, tail) = rest.as_chunks::<8>();
    // SAFETY: the three parts lie one after the other in the `src.len()` valid bytes (caller).
    // Where there is a word, `head` bytes on from `dst` the address is a multiple of 8.
    unsafe {
        copy_few_to(dst, head);
        let bulk = dst.add(head.len()).cast::<u64>();
        for (index, word) in words.iter().enumerate() {
            ptr::write_volatile(bulk.add(index), u64::from_ne_bytes(*word));
        }
        copy_few_to(bulk.add(words.len()).cast(), tail);
    }
}

/// As [`copy_to`], choosing the width of each access.
///
/// # Safety
/// As [`copy_to`].
#[allow(unsafe_code)]
unsafe fn copy_few_to(dst: *mut u8, src: &[u8]) {
    let mut rest = src;
    let mut dst = dst;
    while !rest.is_empty() {
        let step = width(dst.addr(), rest.len());
        let (now, later) = rest.split_at(step);
        // SAFETY: `dst` has at least `rest.len()` valid bytes (caller), `step <= rest.len()`, and
        // `width` returned an access size that divides the address.
        unsafe {
            match *now {
                [a] => ptr::write_volatile(dst, a),
                [a, b] => ptr::write_volatile(dst.cast(), u16::from_ne_bytes([a, b])),
                [a, b, c, d] => ptr::write_volatile(dst.cast(), u32::from_ne_bytes([a, b, c, d])),
                [a, b, c, d, e, f, g, h] => {
                    ptr::write_volatile(dst.cast(), u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
                }
                _ => unreachable!("width is 1, 2, 4 or 8"),
            }
            dst = dst.add(step);
        }
        rest = later;
    }
}

/// Fills all of `dst` from the device memory at `src`.
///
/// # Safety
/// `src` must be valid for reads of `dst.len()` bytes for the whole call, must not overlap `dst`,
/// and no other thread of this process may write the range meanwhile (the device may).
#[allow(unsafe_code)]
pub unsafe fn copy_from(src: *const u8, dst: &mut [u8]) {
    let (head, rest) = dst.split_at_mut(head(src.addr(), dst.len()));
    let (words, tail) = rest.as_chunks_mut::<8>();
    // SAFETY: as in `copy_to`, with `src` valid for reads.
    unsafe {
        copy_few_from(src, head);
        let bulk = src.add(head.len()).cast::<u64>();
        for (index, word) in words.iter_mut().enumerate() {
            *word = ptr::read_volatile(bulk.add(index)).to_ne_bytes();
        }
        copy_few_from(bulk.add(words.len()).cast(), tail);
    }
}

/// As [`copy_from`], choosing the width of each access.
///
/// # Safety
/// As [`copy_from`].
#[allow(unsafe_code)]
unsafe fn copy_few_from(src: *const u8, dst: &mut [u8]) {
    let mut rest = dst;
    let mut src = src;
    while !rest.is_empty() {
        let step = width(src.addr(), rest.len());
        let (now, later) = rest.split_at_mut(step);
        // SAFETY: as in `copy_few_to`, with `src` valid for reads.
        unsafe {
            match step {
                1 => now.copy_from_slice(&[ptr::read_volatile(src)]),
                2 => now.copy_from_slice(&ptr::read_volatile(src.cast::<u16>()).to_ne_bytes()),
                4 => now.copy_from_slice(&ptr::read_volatile(src.cast::<u32>()).to_ne_bytes()),
                _ => now.copy_from_slice(&ptr::read_volatile(src.cast::<u64>()).to_ne_bytes()),
            }
            src = src.add(step);
        }
        rest = later;
    }
}

/// Sets `len` bytes of device memory at `dst` to `byte`.
///
/// # Safety
/// As [`copy_to`].
#[allow(unsafe_code)]
pub unsafe fn fill(dst: *mut u8, byte: u8, len: usize) {
    let word = u64::from_ne_bytes([byte; 8]);
    let mut left = len;
    let mut dst = dst;
    while left > 0 {
        let step = width(dst.addr(), left);
        // SAFETY: `dst` has at least `left` valid bytes (caller) and `step <= left`. The casts cut
        // a word whose bytes are all the same.
        unsafe {
            match step {
                1 => ptr::write_volatile(dst, byte),
                2 => ptr::write_volatile(dst.cast(), word as u16),
                4 => ptr::write_volatile(dst.cast(), word as u32),
                _ => ptr::write_volatile(dst.cast(), word),
            }
            dst = dst.add(step);
        }
        left -= step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Address and length of every access a copy of `len` bytes to `addr` makes.
    fn accesses(addr: usize, len: usize) -> Vec<(usize, usize)> {
        let (mut at, mut left, mut seen) = (addr, len, Vec::new());
        while left > 0 {
            let step = width(at, left);
            seen.push((at, step));
            at += step;
            left -= step;
        }
        seen
    }

    #[test]
    fn words_begin_at_the_first_multiple_of_eight() {
        for addr in 0x1000..0x1010 {
            for len in 0..40 {
                let head = head(addr, len);
                assert!(head < 8 && head <= len);
                assert!(
                    head == len || (addr + head).is_multiple_of(8),
                    "{addr:#x}+{len}"
                );
            }
        }
    }

    #[test]
    fn every_access_is_aligned_and_covers_once() {
        for addr in 0x1000..0x1010 {
            for len in 0..40 {
                let seen = accesses(addr, len);
                assert!(
                    seen.iter().all(|(at, step)| at % step == 0),
                    "{addr:#x}+{len}: {seen:?}"
                );
                assert_eq!(seen.iter().map(|(_, step)| step).sum::<usize>(), len);
            }
        }
        assert_eq!(
            accesses(0x1000, 32).len(),
            4,
            "aligned bulk goes eight bytes at a time"
        );
    }

    #[test]
    #[allow(unsafe_code)]
    fn copies_and_fills_touch_exactly_their_range() {
        let data: Vec<u8> = (1..=64).collect();
        for start in 0..16 {
            for len in 0..40 {
                let mut memory = [0u64; 10];
                let base = memory.as_mut_ptr().cast::<u8>();
                let mut back = vec![0u8; len];
                let mut bytes = [0u8; 80];
                // SAFETY: start + len <= 55 of the 80 bytes behind `base`; nothing else uses them.
                unsafe {
                    copy_to(base.add(start), &data[..len]);
                    copy_from(base.add(start), &mut back);
                    copy_from(base, &mut bytes);
                }
                assert_eq!(back, data[..len]);
                assert!(
                    bytes[..start]
                        .iter()
                        .chain(&bytes[start + len..])
                        .all(|&b| b == 0)
                );
                // SAFETY: as above.
                unsafe {
                    fill(base.add(start), 0xA5, len);
                    copy_from(base, &mut bytes);
                }
                assert!(bytes[start..start + len].iter().all(|&b| b == 0xA5));
                assert!(
                    bytes[..start]
                        .iter()
                        .chain(&bytes[start + len..])
                        .all(|&b| b == 0)
                );
            }
        }
    }
}
