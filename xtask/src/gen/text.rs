//! Names and phrases of the sources as the generated files write them, and the check that names
//! occur once.

use std::collections::BTreeSet;
use std::fmt::Display;

use anyhow::{Result, ensure};

/// Refuses an item that occurs twice.
pub fn unique<T: Ord + Display>(what: &str, items: impl Iterator<Item = T>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for item in items {
        ensure!(!seen.contains(&item), "{what} {item} appears twice");
        seen.insert(item);
    }
    Ok(())
}

/// `AXI_SLVERR` as `AxiSlverr`.
pub fn camel(snake: &str) -> String {
    snake
        .split('_')
        .map(|part| capital(&part.to_ascii_lowercase()))
        .collect()
}

/// First letter up.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// First letter up, no final stop: the first sentence of a doc comment.
pub fn sentence(text: &str) -> String {
    capital(text.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_camel_case() {
        assert_eq!(camel("AXI_SLVERR"), "AxiSlverr");
        assert_eq!(camel("WGT0"), "Wgt0");
    }
}
