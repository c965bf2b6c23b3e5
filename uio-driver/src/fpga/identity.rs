//! What a design is expected to say of itself, against what it says: named fields, one rule each.
//!
//! The driver does not know the fields. Who reads the identity registers hands them in as names
//! and values; a manifest hands in the rules.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Int(u64),
    /// A text.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Codes read better in hexadecimal; counts are small.
            Self::Int(number) if *number > 0xFFFF => write!(f, "{number} ({number:#x})"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Fields as read from the hardware, by name.
pub type Identity = BTreeMap<String, Value>;

/// What is wanted of a field. In TOML: `pus = 16`, `version = { min = 1, max = 2 }`,
/// `features = { bits = 0x3 }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Expectation {
    /// This value.
    Equal(Value),
    /// A number from `min` to `max`, both included.
    Range(Bounds),
    /// A number with all of these bits set, others as they are.
    Bits(Mask),
}

/// `{ min = .., max = .. }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Smallest value.
    pub min: u64,
    /// Largest value.
    pub max: u64,
}

/// `{ bits = .. }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// Bits that must be set.
    pub bits: u64,
}

impl Expectation {
    /// Whether the value is as wanted.
    pub fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Equal(want), have) => want == have,
            (Self::Range(Bounds { min, max }), Value::Int(have)) => (min..=max).contains(&have),
            (Self::Bits(Mask { bits }), Value::Int(have)) => have & bits == *bits,
            (Self::Range(_) | Self::Bits(_), Value::Text(_)) => false,
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(value) => write!(f, "{value}"),
            Self::Range(Bounds { min, max }) => write!(f, "{min} to {max}"),
            Self::Bits(Mask { bits }) => write!(f, "bits {bits:#x} set"),
        }
    }
}

/// A field that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The field.
    pub field: String,
    /// What was wanted.
    pub want: Expectation,
    /// What the hardware says; `None` when it says nothing of this field.
    pub have: Option<Value>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, want, have } = self;
        match (have, want) {
            (None, _) => write!(f, "{field}: the hardware does not tell, expected {want}"),
            (Some(Value::Int(have)), Expectation::Bits(Mask { bits })) => {
                write!(
                    f,
                    "{field}: bits {:#x} are missing (has {have:#x}, expected {want})",
                    bits & !have
                )
            }
            (Some(have), _) => write!(f, "{field}: the hardware says {have}, expected {want}"),
        }
    }
}

/// Every expectation that the hardware does not meet, by field name. Fields that nobody expects
/// anything of are not looked at: newer hardware may say more.
pub fn compare(expected: &BTreeMap<String, Expectation>, actual: &Identity) -> Vec<Mismatch> {
    expected
        .iter()
        .filter_map(|(field, want)| {
            let have = actual.get(field);
            let met = have.is_some_and(|value| want.accepts(value));
            (!met).then(|| Mismatch {
                field: field.clone(),
                want: want.clone(),
                have: have.cloned(),
            })
        })
        .collect()
}
