//! Labelled data in files of tab-separated values.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::{self, Read};
use std::path::Path;

use fqbert_files::{InputError, TextInput};
use fqbert_names::{listed, shown};

/// Bound on a data file and on standard input.
const MAX_BYTES: u64 = 256 << 20;

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It is nothing that texts can be read from.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The file cannot be read.
    #[error("reading {name}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// More than is read at once.
    #[error("{name} is larger than {} MiB; split it", MAX_BYTES >> 20)]
    TooLarge {
        /// The file.
        name: String,
    },
    /// Bytes that are no text.
    #[error(
        "{name} is not UTF-8: bad byte at offset {offset}, line {line}; convert it, for example \
         with iconv"
    )]
    NotUtf8 {
        /// The file.
        name: String,
        /// Where the text ends, in bytes.
        offset: usize,
        /// The line, from 1.
        line: usize,
    },
    /// Not even a header line.
    #[error("{name} is empty; a header line is needed")]
    NoHeader {
        /// The file.
        name: String,
    },
    /// A row of another length than the header line.
    #[error("{name} line {line}: {found} fields, the header line has {} ({})", .header.len(),
        listed(.header))]
    Fields {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// Fields in it.
        found: usize,
        /// Names of the columns.
        header: Vec<String>,
    },
    /// A header line alone.
    #[error("{name} has a header line and no rows")]
    HeaderOnly {
        /// The file.
        name: String,
    },
    /// Two columns of one name.
    #[error("{name} has two columns \"{}\", numbers {} and {}; rename one", shown(.column), .at[0],
        .at[1])]
    Twice {
        /// The file.
        name: String,
        /// Their name.
        column: String,
        /// Their numbers, from 1.
        at: [usize; 2],
    },
    /// No column of that name.
    #[error("{name} has no column \"{}\"; it has {}", shown(.column), listed(.header))]
    NoColumn {
        /// The file.
        name: String,
        /// What was looked for.
        column: String,
        /// Names of the columns.
        header: Vec<String>,
    },
    /// A field that says nothing usable.
    #[error("{name} line {line}, column {}: \"{}\": {reason}", shown(.column), shown(.field))]
    Field {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The column.
        column: String,
        /// What the field has.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another number of labels than of words.
    #[error(
        "{name} line {line}: {labels} labels for {words} words; one label a word is needed, both \
         divided by spaces"
    )]
    Words {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// Labels in it.
        labels: usize,
        /// Words in it.
        words: usize,
    },
    /// Too few fields for a scored pair of sentences.
    #[error(
        "{name} line {line}: {found} fields, at least 7 expected (score in 5, sentences in 6 and 7)"
    )]
    PairFields {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// Fields in it.
        found: usize,
    },
    /// A score that is no finite number.
    #[error("{name} line {line}: score \"{}\" is not a number", shown(.score))]
    Score {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// What stands in its place.
        score: String,
    },
    /// A file of pairs without any.
    #[error("{name} has no rows")]
    NoRows {
        /// The file.
        name: String,
    },
}

/// Reads at most 256 MiB of UTF-8; `name` is what errors call it.
///
/// # Errors
/// It cannot be read, is larger, or is not UTF-8.
pub fn read_text(reader: impl Read, name: &str) -> Result<String, DataError> {
    let name = || name.to_owned();
    let mut bytes = Vec::new();
    reader
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::Read {
            name: name(),
            source,
        })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(DataError::TooLarge { name: name() });
    }
    let skipped = bytes.len() - fqbert_files::without_bom(&bytes).len();
    bytes.drain(..skipped);
    String::from_utf8(bytes).map_err(|e| {
        let offset = e.utf8_error().valid_up_to();
        let newlines = e.as_bytes()[..offset].iter().filter(|b| **b == b'\n');
        DataError::NotUtf8 {
            name: name(),
            offset: offset + skipped,
            line: newlines.count() + 1,
        }
    })
}

/// The whole of a text file, of what comes through a pipe, or for `-` of standard input.
///
/// # Errors
/// As [`read_text`], or it cannot be opened.
pub fn read_file(path: &Path) -> Result<String, DataError> {
    let input = TextInput::open(path, MAX_BYTES)?;
    read_text(input, &fqbert_names::path(path))
}

/// A TSV file with a header line.
pub struct Table {
    name: String,
    header: Vec<String>,
    /// Rows with the number of their line.
    rows: Vec<(usize, Vec<String>)>,
}

impl Table {
    /// Reads a file; every row must have as many fields as the header line.
    ///
    /// # Errors
    /// The file cannot be read, has no rows, or one of another length.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = read_file(path)?;
        let name = fqbert_names::path(path);
        let mut lines = text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty());
        let header = split_header(name.clone(), lines.next().map(|(_, l)| l))?;
        let mut rows = Vec::new();
        for (index, line) in lines {
            let (line, fields) = (index + 1, split(line));
            if fields.len() != header.len() {
                return Err(DataError::Fields {
                    name,
                    line,
                    found: fields.len(),
                    header,
                });
            }
            rows.push((line, fields));
        }
        if rows.is_empty() {
            return Err(DataError::HeaderOnly { name });
        }
        Ok(Self { name, header, rows })
    }

    /// All values of a column.
    ///
    /// # Errors
    /// There is no such column, or a field of it is empty.
    pub fn column(&self, name: &str) -> Result<Vec<String>, DataError> {
        self.parsed(name, |field| {
            if field.is_empty() {
                Err("empty")
            } else {
                Ok(field.to_owned())
            }
        })
    }

    /// The fields of a column as they stand in the file.
    ///
    /// # Errors
    /// There is no such column.
    pub fn fields(&self, column: &str) -> Result<Vec<&str>, DataError> {
        let at = self.place(column)?;
        let rows = self.rows.iter();
        Ok(rows
            .map(|(_, fields)| fields.get(at).map(String::as_str).unwrap_or_default())
            .collect())
    }

    fn place(&self, column: &str) -> Result<usize, DataError> {
        let found = self.header.iter().position(|h| h == column);
        found.ok_or_else(|| DataError::NoColumn {
            name: self.name.clone(),
            column: column.to_owned(),
            header: self.header.clone(),
        })
    }

    /// All values of a column, parsed.
    ///
    /// # Errors
    /// There is no such column, or `parse` refuses a field of it.
    pub fn parsed<T, E: Display>(
        &self,
        column: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, DataError> {
        let fields = self.fields(column)?;
        self.rows
            .iter()
            .zip(fields)
            .map(|((line, _), field)| {
                parse(field).map_err(|reason| DataError::Field {
                    name: self.name.clone(),
                    line: *line,
                    column: column.to_owned(),
                    field: field.to_owned(),
                    reason: reason.to_string(),
                })
            })
            .collect()
    }

    /// Every column parsed as finite numbers, row by row.
    ///
    /// # Errors
    /// A field is none.
    pub fn numbers(&self) -> Result<Vec<Vec<f32>>, DataError> {
        let finite = |field: &str| match field.parse::<f32>() {
            Ok(v) if v.is_finite() => Ok(v),
            _ => Err("not a finite number"),
        };
        let columns: Vec<Vec<f32>> = self
            .header
            .iter()
            .map(|h| self.parsed(h, finite))
            .collect::<Result<_, _>>()?;
        Ok((0..self.len())
            .map(|r| columns.iter().filter_map(|c| c.get(r).copied()).collect())
            .collect())
    }

    /// What errors call the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of rows, never 0.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a table without rows is refused"
    )]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.header.len()
    }

    /// The line of each row in the file, from 1.
    pub fn lines(&self) -> Vec<usize> {
        self.rows.iter().map(|(line, _)| *line).collect()
    }

    /// Keeps the first `n` rows.
    pub fn truncate(&mut self, n: usize) {
        self.rows.truncate(n);
    }
}

/// The names in a file's header line.
///
/// # Errors
/// The file cannot be read, is empty, or has two columns of one name.
pub fn header(path: &Path) -> Result<Vec<String>, DataError> {
    let text = read_file(path)?;
    let name = fqbert_names::path(path);
    let first = text.lines().find(|l| !l.trim().is_empty());
    split_header(name, first)
}

fn split_header(name: String, line: Option<&str>) -> Result<Vec<String>, DataError> {
    let Some(line) = line else {
        return Err(DataError::NoHeader { name });
    };
    let header = split(line);
    match twice(&header) {
        None => Ok(header),
        Some((at, column)) => Err(DataError::Twice { name, column, at }),
    }
}

fn split(line: &str) -> Vec<String> {
    line.split('\t').map(|f| f.trim().to_owned()).collect()
}

/// The first name that two columns have, and their numbers.
fn twice(header: &[String]) -> Option<([usize; 2], String)> {
    let mut seen = HashMap::new();
    header.iter().enumerate().find_map(|(i, name)| {
        let before = seen.insert(name, i + 1)?;
        Some(([before, i + 1], name.clone()))
    })
}

/// A pair of sentences with the score people gave it, 0 to 5.
pub struct ScoredPair {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The similarity.
    pub score: f64,
    /// The sentences.
    pub sentences: [String; 2],
}

/// STS-B's file: no header, tab-separated, the score in column 5, the sentences in columns 6 and 7.
///
/// # Errors
/// The file cannot be read, has no rows, or one without these columns.
pub fn read_sts(path: &Path) -> Result<Vec<ScoredPair>, DataError> {
    let text = read_file(path)?;
    let name = || fqbert_names::path(path);
    let mut pairs = Vec::new();
    for (index, row) in text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
    {
        let line = index + 1;
        let fields: Vec<&str> = row.split('\t').collect();
        let [_, _, _, _, score, first, second, ..] = fields[..] else {
            return Err(DataError::PairFields {
                name: name(),
                line,
                found: fields.len(),
            });
        };
        match score.trim().parse::<f64>() {
            Ok(score) if score.is_finite() => pairs.push(ScoredPair {
                line,
                score,
                sentences: [first, second].map(|s| s.trim().to_owned()),
            }),
            _ => {
                return Err(DataError::Score {
                    name: name(),
                    line,
                    score: score.to_owned(),
                });
            }
        }
    }
    if pairs.is_empty() {
        return Err(DataError::NoRows { name: name() });
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.tsv");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn tables_by_column() {
        let (_folder, path) = file("\u{feff}a\tb\n1\tx\n\n2.5\t y \n");
        let mut table = Table::read(&path).unwrap();
        assert_eq!((table.len(), table.width()), (2, 2));
        assert_eq!(table.column("b").unwrap(), ["x", "y"]);
        assert_eq!(table.lines(), [2, 4]);
        let numbers = table.parsed("a", str::parse::<f64>).unwrap();
        assert_eq!(numbers, [1.0, 2.5]);
        let refused = table.numbers().unwrap_err().to_string();
        assert!(refused.ends_with("line 2, column b: \"x\": not a finite number"));
        table.truncate(1);
        assert_eq!(table.column("b").unwrap(), ["x"]);
    }

    #[test]
    fn scored_pairs_by_place() {
        let (_folder, path) = file("g\tf\ty\t1\t 2.5 \t one \ttwo\tmore\n");
        let pairs = read_sts(&path).unwrap();
        assert_eq!((pairs[0].line, pairs[0].score), (1, 2.5));
        assert_eq!(pairs[0].sentences, ["one", "two"]);
        let refused = |text: &str| {
            let (_folder, path) = file(text);
            read_sts(&path).err().unwrap().to_string()
        };
        let nan = refused("1\t2\t3\t4\tnan\ta\tb\n");
        assert!(nan.ends_with("line 1: score \"nan\" is not a number"));
        assert!(refused("1\t2\n").contains("line 1: 2 fields, at least 7 expected"));
        assert!(refused("\n").ends_with("has no rows"));
    }
}
