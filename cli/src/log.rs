//! `FQBERT_LOG`: what is logged to standard error.

use std::env;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::output::{self, Log};

const VARIABLE: &str = "FQBERT_LOG";
const DEFAULT: &str = "warn";
/// What the targets of the workspace's crates begin with.
const TARGETS: [&str; 2] = ["fqbert", "uio_driver"];

/// Logs from now on. What the variable says and cannot be followed is warned of.
pub fn start() {
    let asked = env::var_os(VARIABLE).unwrap_or_default();
    let asked = asked.to_string_lossy();
    let filter = match filter(&asked) {
        Ok(filter) => filter,
        Err(reason) => {
            let asked = fqbert_names::shown(&asked);
            output::warn(&format!(
                "{VARIABLE}=\"{asked}\" is not followed: {reason}; give a level (off, error, \
                 warn, info, debug, trace) or TARGET=LEVEL, such as fqbert_session=info"
            ));
            EnvFilter::new(DEFAULT)
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::CLOSE)
        // Its complaint about a full standard error would panic there.
        .log_internal_errors(false)
        .with_writer(|| Log)
        .init();
}

fn filter(asked: &str) -> Result<EnvFilter, String> {
    if asked.trim().is_empty() {
        return Ok(EnvFilter::new(DEFAULT));
    }
    // To the library a word that is no level is a target, of which everything is wanted.
    for word in asked.split(',').map(str::trim) {
        let level = word.parse::<LevelFilter>().is_ok();
        let target = TARGETS.iter().any(|t| word.starts_with(t)) || word.contains(['=', '[']);
        if !level && !target {
            let word = fqbert_names::shown(word);
            return Err(format!("\"{word}\" is no level and no part of fqbert"));
        }
    }
    EnvFilter::try_new(asked).map_err(|e| fqbert_names::said(&e.to_string()).to_string())
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn levels_and_targets_are_followed_and_typing_errors_are_not() {
        for good in [
            "",
            "info",
            "WARN",
            "off",
            "fqbert_session=debug,warn",
            "fqbert",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in [
            "inof",
            "fqbert=loud",
            "info,,x",
            "fqbert_session=info=warn",
            "[a",
        ] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
