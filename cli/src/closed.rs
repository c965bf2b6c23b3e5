//! Whether standard output was closed when the program began.
//!
//! Rust opens /dev/null in the place of a closed one before `main`, so that answers would vanish
//! with exit 0. What runs before that is a function of the executable's list of initializers.

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

#[used]
#[allow(unsafe_code)]
// SAFETY: the entries of this section are functions of the C calling convention, which the loader
// calls once before the program's start; this one uses nothing that is set up later.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    #[allow(unsafe_code)]
    // SAFETY: asks for the flags of a file descriptor, open or not, and changes nothing.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    CLOSED.store(flags < 0, Ordering::Relaxed);
}

/// Whether it was.
pub fn stdout() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
