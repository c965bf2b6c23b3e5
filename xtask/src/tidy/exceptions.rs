//! What the rules may find, with reasons.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::tree::Finding;

const EXCEPTIONS: &str = include_str!("exceptions.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    exception: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    rule: String,
    path: String,
    reason: String,
}

/// Drops what is excepted. An exception that excepts nothing is a finding of its own.
///
/// # Errors
/// An exception has no reason.
pub fn apply(findings: Vec<Finding>) -> Result<Vec<Finding>> {
    apply_table(EXCEPTIONS, findings)
}

fn apply_table(text: &str, mut findings: Vec<Finding>) -> Result<Vec<Finding>> {
    let table: Table = toml::from_str(text).context("in xtask/src/tidy/exceptions.toml")?;
    for exception in &table.exception {
        let (rule, path) = (&exception.rule, &exception.path);
        ensure!(
            !exception.reason.trim().is_empty(),
            "the exception of {path} from `{rule}` has no reason"
        );
        let before = findings.len();
        findings.retain(|finding| !(finding.rule == *rule && finding.path == *path));
        if findings.len() == before {
            let what = format!("needs no exception from `{rule}`: take it out of exceptions.toml");
            findings.push(Finding::new("exception", path, None, what));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rule: &str, reason: &str) -> String {
        format!("[[exception]]\nrule = \"{rule}\"\npath = \"a.rs\"\nreason = \"{reason}\"\n")
    }

    #[test]
    fn an_exception_covers_its_rule_and_file_alone() {
        let long = Finding::new("length", "a.rs", None, "long");
        let wide = Finding::new("width", "a.rs", Some(3), "wide");
        let both = || vec![long.clone(), wide.clone()];
        let left = apply_table(&table("length", "a table"), both()).unwrap();
        assert_eq!(left, std::slice::from_ref(&wide));
        let unused = apply_table(&table("link", "none"), both()).unwrap();
        assert_eq!(unused.len(), 3);
        assert!(unused[2].to_string().contains("needs no exception"));
        assert!(apply_table(&table("length", " "), both()).is_err());
        assert_eq!(apply_table("", both()).unwrap(), both());
    }
}
