//! Typed look-ups in `config.json`, with errors that name the field.

use std::fmt;

use serde_json::{Map, Value};

use crate::error::CheckpointError;

pub(super) const FILE: &str = "config.json";
/// Bound on every size in a configuration. Far above any encoder, far below what could overflow
/// in products of two.
const MAX_SIZE: usize = 1 << 24;

/// The field is absent and has no default.
pub(super) fn missing(field: &str) -> CheckpointError {
    CheckpointError::MissingField {
        file: FILE,
        field: field.into(),
    }
}

/// The field's value is not `expected`.
pub(super) fn bad(
    field: &str,
    found: impl fmt::Display,
    expected: impl Into<String>,
) -> CheckpointError {
    CheckpointError::BadField {
        file: FILE,
        field: field.into(),
        found: found.to_string(),
        expected: expected.into(),
    }
}

/// Typed look-ups in the top-level object; null counts as absent, as Python's None does.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn new(json: &'a Value) -> Result<Self, CheckpointError> {
        json.as_object()
            .map(Fields)
            .ok_or_else(|| bad("(top level)", json, "an object"))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }

    pub(super) fn opt_str(&self, key: &str) -> Result<Option<&'a str>, CheckpointError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(other) => Err(bad(key, other, "a string")),
        }
    }

    pub(super) fn opt_unsigned(&self, key: &str) -> Result<Option<u64>, CheckpointError> {
        match self.get(key) {
            None => Ok(None),
            Some(v) => v
                .as_u64()
                .map(Some)
                .ok_or_else(|| bad(key, v, "a whole number from 0")),
        }
    }

    fn opt_size(&self, key: &str) -> Result<Option<usize>, CheckpointError> {
        match self.opt_unsigned(key)? {
            None => Ok(None),
            Some(n) => match usize::try_from(n) {
                Ok(n) if (1..=MAX_SIZE).contains(&n) => Ok(Some(n)),
                _ => Err(bad(key, n, format!("a whole number from 1 to {MAX_SIZE}"))),
            },
        }
    }

    pub(super) fn size(&self, key: &str) -> Result<usize, CheckpointError> {
        self.opt_size(key)?.ok_or_else(|| missing(key))
    }

    pub(super) fn size_or(&self, key: &str, default: usize) -> Result<usize, CheckpointError> {
        Ok(self.opt_size(key)?.unwrap_or(default))
    }
}
