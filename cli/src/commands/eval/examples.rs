//! The data: texts, and what people say of them.

use anyhow::{Context, ensure};
use fqbert_runtime::{Encoding, Tokenizer, Tokens};

use super::Kind;
use crate::args::{Eval, EvalTask};
use crate::data::{Table, read_sts};

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

/// Labelled rows.
pub struct Examples {
    /// One or two texts of each row.
    pub texts: Vec<Vec<String>>,
    /// Its line in the file, from 1.
    pub lines: Vec<usize>,
    /// The right answers.
    pub expected: Expected,
    /// Rows of the file, of which `--limit` may have left fewer.
    pub of: usize,
}

impl Examples {
    /// Reads what the options name.
    pub fn read(args: &Eval, kind: Kind, labels: &[String]) -> anyhow::Result<Self> {
        if let Some(limit) = args.limit {
            let least = if matches!(kind, Kind::Similarity | Kind::Regression) {
                2
            } else {
                1
            };
            ensure!(
                limit >= least,
                "--limit {limit}: at least {least} rows are needed to evaluate anything"
            );
        }
        let limit = args.limit.unwrap_or(usize::MAX);
        if kind == Kind::Similarity || args.task == Some(EvalTask::Sts) {
            return Self::sts(args, limit);
        }
        let mut table = Table::read(&args.data)?;
        let of = table.len();
        table.truncate(limit);
        let first = table.column(&args.column)?;
        let second = args
            .second_column
            .as_ref()
            .map(|c| table.column(c))
            .transpose()?;
        let column = &args.label_column;
        let class = |field: &str| class(field, labels);
        let expected = match kind {
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
                    field
                        .parse::<f64>()
                        .ok()
                        .filter(|v| v.is_finite())
                        .ok_or("not a finite number")
                })?)
            }
        };
        let lines = table.lines();
        if let Expected::Tags(tags) = &expected {
            ensure!(
                second.is_none(),
                "--second-column: a tagger takes one text a row"
            );
            for ((text, tags), line) in first.iter().zip(tags).zip(&lines) {
                let words = text.split_whitespace().count();
                ensure!(
                    words == tags.len(),
                    "{} line {line}: {} labels for {words} words; one label a word is needed, both divided by spaces",
                    args.data.display(),
                    tags.len()
                );
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

    fn sts(args: &Eval, limit: usize) -> anyhow::Result<Self> {
        let mut pairs = read_sts(&args.data)?;
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
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The texts of a row as one.
    pub fn text(&self, row: usize) -> String {
        self.texts
            .get(row)
            .map_or_else(String::new, |t| t.join(" | "))
    }
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
            const SHOWN: usize = 20;
            let mut names = labels
                .iter()
                .take(SHOWN)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            if labels.len() > SHOWN {
                names += ", ...";
            }
            format!(
                "neither a class number below {} nor one of {names}",
                labels.len()
            )
        })
}

/// The rows in tokens.
pub struct Encoded {
    /// The tokens of each sequence: one a row, or two for the similarity of pairs.
    pub tokens: Vec<Tokens>,
    /// The same with what they stand for.
    pub encodings: Vec<Encoding>,
}

impl Encoded {
    /// Tokenizes all rows, each sequence cut to `longest` tokens.
    pub fn new(
        examples: &Examples,
        tokenizer: &Tokenizer,
        longest: usize,
        kind: Kind,
    ) -> anyhow::Result<Self> {
        let mut encodings = Vec::with_capacity(examples.len());
        for (texts, line) in examples.texts.iter().zip(&examples.lines) {
            let at = || format!("the text of line {line}");
            match texts.as_slice() {
                [first, second] if kind.sequences() == 1 => {
                    encodings.push(
                        tokenizer
                            .encode_pair(first, second, longest)
                            .with_context(at)?,
                    );
                }
                texts => {
                    for text in texts {
                        encodings.push(tokenizer.encode(text, longest).with_context(at)?);
                    }
                }
            }
        }
        Ok(Self {
            tokens: encodings.iter().cloned().map(Tokens::from).collect(),
            encodings,
        })
    }
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
        assert!(class("x", &many).unwrap_err().ends_with("..."));
    }
}
