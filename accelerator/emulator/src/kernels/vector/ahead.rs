//! Memory that is asked for before it is needed.
//!
//! Weights are read once in an inference and are more than a cache holds, so a piece of work waits
//! for memory when it begins. Asked for a little at a time while the piece before is computed, they
//! are in the second-level cache by then; asked for at once they would only be waited for earlier.
#![allow(
    unsafe_code,
    reason = "the prefetch instruction is an intrinsic that takes a pointer"
)]

/// Bytes that a prefetch brings.
const LINE: usize = 64;

/// Bytes to come, and how many lines of them to ask for at each step.
pub struct Ahead<'a, I> {
    parts: I,
    part: &'a [u8],
    lines: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Ahead<'a, I> {
    /// All of `parts`, which are `bytes` together, in `steps` steps.
    pub fn new(parts: I, bytes: usize, steps: usize) -> Self {
        Self {
            parts,
            part: &[],
            lines: bytes.div_ceil(LINE).div_ceil(steps.max(1)),
        }
    }

    /// Asks for the next lines, without waiting for them.
    #[inline]
    pub fn step(&mut self) {
        for _ in 0..self.lines {
            if self.part.is_empty() {
                let Some(part) = self.parts.next() else {
                    return;
                };
                self.part = part;
            }
            prefetch(self.part);
            self.part = &self.part[self.part.len().min(LINE)..];
        }
    }
}

/// Asks for the line of the first byte, into the second-level cache.
#[inline]
fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of whatever address changes nothing that a program can see.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(bytes.as_ptr().cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "prfm pldl2keep, [{0}]",
            in(reg) bytes.as_ptr(),
            options(nostack, preserves_flags, readonly)
        );
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = bytes;
}
