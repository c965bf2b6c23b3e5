//! Calls into the `tokenizers` library.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`fenced`].
    static FENCED: Cell<bool> = const { Cell::new(false) };
}

/// Calls into the library and turns its errors, and the panics that damaged tokenizer files can
/// still cause in it, into values. The library is used by shared reference and holds only caches
/// behind locks, so nothing of ours is left half changed.
pub(super) fn fenced<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    quiet();
    FENCED.set(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    FENCED.set(false);
    match result {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(panic) => Err(format!(
            "the tokenizers library panicked on it{}",
            message(panic.as_ref())
        )),
    }
}

/// Says nothing of panics inside the fence, which are told as errors; all others are reported as
/// they were before.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !FENCED.get() {
                before(info);
            }
        }));
    });
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.map_or_else(String::new, |text| format!(": {text}"))
}

#[cfg(test)]
mod tests {
    use super::fenced;

    #[test]
    fn panics_become_errors() {
        let said = fenced::<()>(|| panic!("no token {}", 7)).unwrap_err();
        assert_eq!(said, "the tokenizers library panicked on it: no token 7");
        assert_eq!(
            fenced(|| Err::<(), _>("plain".into())).unwrap_err(),
            "plain"
        );
        assert_eq!(fenced(|| Ok(1)), Ok(1));
    }
}
