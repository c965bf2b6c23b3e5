//! One bound for the threads that are asked for, however that is done.
//!
//! Rayon takes any number from its environment variables and starts that many threads. So every
//! pool of ours asks [`count`] for its size, and what uses rayon's own pool calls [`check`] before.

use std::env;
use std::thread;

/// Most threads of a pool.
pub const MOST: usize = 256;

/// The variables that rayon reads, in its order. The second is its old name for the first.
const VARIABLES: [&str; 2] = ["RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"];

/// A number of threads beyond [`MOST`], or none at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{by}={found}: give a number of threads from {least} to {MOST}")]
pub struct ThreadsError {
    /// What asked for it: an option, or an environment variable.
    pub by: &'static str,
    /// What it says, shortened.
    pub found: String,
    least: usize,
}

/// Threads of a pool: as many as asked for with the option `threads`, or as an environment variable
/// of rayon's says, or one for each CPU.
///
/// # Errors
/// The number is not within 1 to [`MOST`]; 0 in a variable stands for the CPUs.
pub fn count(asked: Option<usize>) -> Result<usize, ThreadsError> {
    match asked {
        Some(threads) if (1..=MOST).contains(&threads) => Ok(threads),
        Some(threads) => Err(ThreadsError {
            by: "threads",
            found: threads.to_string(),
            least: 1,
        }),
        None => Ok(of_variables(|name| env::var_os(name))?.unwrap_or_else(cpus)),
    }
}

/// Checks the environment variables that rayon's own pool is sized by.
///
/// # Errors
/// As [`count`].
pub fn check() -> Result<(), ThreadsError> {
    count(None).map(|_| ())
}

fn cpus() -> usize {
    thread::available_parallelism().map_or(1, |n| n.get().min(MOST))
}

/// The first variable that is set decides, unless it says 0.
fn of_variables(
    read: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<Option<usize>, ThreadsError> {
    for by in VARIABLES {
        let Some(value) = read(by) else { continue };
        match value.to_str().map(str::parse::<usize>) {
            Some(Ok(0)) => return Ok(None),
            Some(Ok(threads)) if threads <= MOST => return Ok(Some(threads)),
            _ => {
                let found = value.to_string_lossy().escape_debug().take(20).collect();
                return Err(ThreadsError {
                    by,
                    found,
                    least: 0,
                });
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_bounded() {
        assert_eq!(count(Some(1)), Ok(1));
        assert_eq!(count(Some(MOST)), Ok(MOST));
        let said = count(Some(MOST + 1)).unwrap_err().to_string();
        assert_eq!(said, "threads=257: give a number of threads from 1 to 256");
        assert!(count(Some(0)).is_err());
        assert!((1..=MOST).contains(&cpus()));
    }

    #[test]
    fn so_are_variables() {
        let with = |first: Option<&str>, second: Option<&str>| {
            of_variables(|name| {
                let value = if name == VARIABLES[0] { first } else { second };
                value.map(Into::into)
            })
        };
        assert_eq!(with(None, None), Ok(None));
        assert_eq!(with(Some("3"), None), Ok(Some(3)));
        assert_eq!(with(Some("0"), Some("4")), Ok(None));
        assert_eq!(with(None, Some("4")), Ok(Some(4)));
        for bad in ["257", "-1", "many", "99999999999999999999999"] {
            let said = with(Some(bad), None).unwrap_err().to_string();
            assert!(said.contains("RAYON_NUM_THREADS="), "{said}");
            let said = with(None, Some(bad)).unwrap_err().to_string();
            assert!(said.contains("RAYON_RS_NUM_CPUS="), "{said}");
        }
    }
}
