//! Ordering between normal, device and DMA memory.
//!
//! A doorbell must not overtake the stores of the data it announces, and results must not be read
//! ahead of the status that announces them. Compiler and core both reorder; the master in the
//! logic sits outside the inner shareable domain, so a Rust `fence` (`dmb ish`) does not reach it.

/// All loads and stores before it are seen by every observer before any after it: `dsb sy` on
/// arm64 (what the kernel's `mb()` is), a sequentially consistent fence elsewhere.
#[inline]
#[allow(unsafe_code)]
pub fn full() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier instruction; reads and writes no register. Without `nomem` the compiler
    // moves no memory access across it.
    unsafe {
        core::arch::asm!("dsb sy", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}
