//! The data: texts, and what people say of them.

use std::path::Path;

use fqbert_names::listed;

use crate::Kind;
use crate::data::{DataError, Table, read_sts};

/// The right answers, one for each row.
#[derive(Debug, PartialEq)]
pub enum Expected {
    /// A class.
    Classes(Vec<usize>),
    /// For each class whether it holds.
    Sets(Vec<Vec<bool>>),
    /// A number.
    Numbers(Vec<f64>),
    /// A class for each word.
    Tags(Vec<Vec<usize>>),
}

/// Names of the columns of a table.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// The text.
    pub text: &'a str,
    /// A second text, for models that take pairs.
    pub second: Option<&'a str>,
    /// The right answer: a class's name or number; several with commas for a multi-label model; one
    /// for each word, with spaces, for a tagger; a number for a regression.
    pub label: &'a str,
}

/// Labelled rows.
pub struct Examples {
    /// One or two texts of each row.
    pub texts: Vec<Vec<String>>,
    /// Its line in the file, from 1.
    pub lines: Vec<usize>,
    /// The right answers.
    pub expected: Expected,
    /// Rows of the file, of which a limit may have left fewer.
    pub of: usize,
}

impl Examples {
    /// Reads at most `limit` rows of a table; `labels` are the names of the model's classes.
    ///
    /// # Errors
    /// The file cannot be read, or has a label that is no answer to such a question.
    pub fn read(
        path: &Path,
        columns: &Columns<'_>,
        kind: Kind,
        labels: &[String],
        limit: usize,
    ) -> Result<Self, DataError> {
        let mut table = Table::read(path)?;
        let of = table.len();
        table.truncate(limit);
        let first = table.column(columns.text)?;
        let second = columns.second.map(|c| table.column(c)).transpose()?;
        let expected = expected(&table, columns.label, kind, labels)?;
        let lines = table.lines();
        if let Expected::Tags(tags) = &expected {
            for ((text, tags), line) in first.iter().zip(tags).zip(&lines) {
                let (labels, words) = (tags.len(), text.split_whitespace().count());
                if words != labels {
                    return Err(DataError::Words {
                        name: table.name().to_owned(),
                        line: *line,
                        labels,
                        words,
                    });
                }
            }
        }
        let mut texts: Vec<Vec<String>> = first.into_iter().map(|t| vec![t]).collect();
        for (texts, second) in texts.iter_mut().zip(second.into_iter().flatten()) {
            texts.push(second);
        }
        Ok(Self {
            texts,
            lines,
            expected,
            of,
        })
    }

    /// Reads at most `limit` pairs of STS-B's file.
    ///
    /// # Errors
    /// As [`read_sts`].
    pub fn read_sts(path: &Path, limit: usize) -> Result<Self, DataError> {
        let mut pairs = read_sts(path)?;
        let of = pairs.len();
        pairs.truncate(limit);
        Ok(Self {
            lines: pairs.iter().map(|p| p.line).collect(),
            expected: Expected::Numbers(pairs.iter().map(|p| p.score).collect()),
            texts: pairs.into_iter().map(|p| p.sentences.into()).collect(),
            of,
        })
    }

    /// Number of rows.
    #[expect(
        clippy::len_without_is_empty,
        reason = "files without rows are refused"
    )]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The texts of a row as one.
    pub(crate) fn text(&self, row: usize) -> String {
        self.texts
            .get(row)
            .map_or_else(String::new, |t| t.join(" | "))
    }
}

/// The right answers of a table's rows.
fn expected(
    table: &Table,
    column: &str,
    kind: Kind,
    labels: &[String],
) -> Result<Expected, DataError> {
    let class = |field: &str| class(field, labels);
    Ok(match kind {
        Kind::Classes => Expected::Classes(table.parsed(column, class)?),
        Kind::MultiLabel => Expected::Sets(table.parsed(column, |field| {
            let mut set = vec![false; labels.len()];
            for name in field.split(',').map(str::trim).filter(|n| !n.is_empty()) {
                let class = class(name)?;
                if let Some(holds) = set.get_mut(class) {
                    *holds = true;
                }
            }
            Ok::<_, String>(set)
        })?),
        Kind::Tags => Expected::Tags(table.parsed(column, |field| {
            field
                .split_whitespace()
                .map(class)
                .collect::<Result<Vec<_>, _>>()
        })?),
        Kind::Regression | Kind::Similarity => {
            Expected::Numbers(table.parsed(column, |field| {
                let number = field.parse::<f64>().ok().filter(|v| v.is_finite());
                number.ok_or("not a finite number")
            })?)
        }
    })
}

/// A label is a class's number, or its name. A name that is a number of another class goes by its
/// name.
fn class(field: &str, labels: &[String]) -> Result<usize, String> {
    let number = field.parse::<usize>().ok().filter(|n| *n < labels.len());
    labels
        .iter()
        .position(|n| n == field)
        .or(number)
        .ok_or_else(|| {
            format!(
                "neither a class number below {} nor one of {}",
                labels.len(),
                listed(labels)
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_by_name_and_number() {
        let labels = ["no", "yes", "0"].map(str::to_owned);
        assert_eq!(class("yes", &labels), Ok(1));
        assert_eq!(class("1", &labels), Ok(1));
        assert_eq!(class("0", &labels), Ok(2), "a name goes before a number");
        assert!(class("3", &labels).unwrap_err().contains("below 3"));
        let many: Vec<String> = (0..50).map(|i| format!("L{i}")).collect();
        assert!(class("x", &many).unwrap_err().ends_with("... (50 in all)"));
    }
}
