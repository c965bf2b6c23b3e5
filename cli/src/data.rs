//! Texts and labelled data from arguments, standard input and files.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use fqbert_runtime::Tokens;

use crate::args::Texts;

/// Bound on a data file and on standard input.
const MAX_BYTES: u64 = 256 << 20;

/// What to run on.
pub enum Inputs {
    /// Texts for the model's tokenizer.
    Texts(Vec<String>),
    /// Token ids.
    Ids(Vec<Tokens>),
}

/// Reads at most [`MAX_BYTES`] of UTF-8.
fn read_text(reader: impl Read, name: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("reading {name}"))?;
    ensure!(
        bytes.len() as u64 <= MAX_BYTES,
        "{name} is larger than {} MiB; split it",
        MAX_BYTES >> 20
    );
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        anyhow::anyhow!("{name} is not UTF-8: bad byte at offset {at}, line {line}; convert it, for example with iconv")
    })
}

/// The whole of a text file.
pub fn read_file(path: &Path) -> anyhow::Result<String> {
    let name = path.display().to_string();
    let file = fs::File::open(path).with_context(|| format!("opening {name}"))?;
    ensure!(
        !file
            .metadata()
            .with_context(|| format!("reading {name}"))?
            .is_dir(),
        "{name} is a folder, not a file"
    );
    read_text(file, &name)
}

impl Inputs {
    /// Takes the one source that was given.
    pub fn read(args: &Texts) -> anyhow::Result<Self> {
        if !args.ids.is_empty() {
            return args
                .ids
                .iter()
                .map(|s| parse_ids(s))
                .collect::<Result<_, _>>()
                .map(Inputs::Ids);
        }
        let texts = match (&args.tsv, args.texts.as_slice()) {
            (Some(path), _) => Table::read(path)?.column(&args.column)?,
            (None, [dash]) if dash == "-" => {
                lines(&read_text(io::stdin().lock(), "standard input")?)?
            }
            (None, texts) => texts.to_vec(),
        };
        ensure!(
            !texts.is_empty(),
            "no text to work on; give texts, \"-\" for standard input, or --tsv FILE"
        );
        Ok(Inputs::Texts(texts))
    }
}

/// One text a line; empty lines at the end are not texts, elsewhere they are an error.
fn lines(text: &str) -> anyhow::Result<Vec<String>> {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    if let Some(empty) = lines.iter().position(|l| l.trim().is_empty()) {
        bail!(
            "line {} of standard input is empty; give one text a line",
            empty + 1
        );
    }
    Ok(lines.into_iter().map(str::to_owned).collect())
}

fn parse_ids(text: &str) -> anyhow::Result<Tokens> {
    let ids = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|s| !s.is_empty())
        .map(|s| {
            s.parse::<u32>()
                .with_context(|| format!("\"{s}\" in --ids is not a token id"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(
        !ids.is_empty(),
        "--ids has no token id; give for example --ids \"101 7592 102\""
    );
    Ok(Tokens::from_ids(ids))
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
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read_file(path)?;
        let name = path.display().to_string();
        let mut lines = text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty());
        let Some((_, first)) = lines.next() else {
            bail!("{name} is empty; a header line is needed")
        };
        let split = |line: &str| {
            line.split('\t')
                .map(|f| f.trim().to_owned())
                .collect::<Vec<_>>()
        };
        let header = split(first.trim_start_matches('\u{feff}'));
        let mut rows = Vec::new();
        for (index, line) in lines {
            let fields = split(line);
            let (found, expected) = (fields.len(), header.len());
            ensure!(
                found == expected,
                "{name} line {}: {found} fields, the header line has {expected} ({})",
                index + 1,
                header.join(", ")
            );
            rows.push((index + 1, fields));
        }
        ensure!(!rows.is_empty(), "{name} has a header line and no rows");
        Ok(Self { name, header, rows })
    }

    /// All values of a column.
    pub fn column(&self, name: &str) -> anyhow::Result<Vec<String>> {
        self.parsed(name, |field| {
            if field.is_empty() {
                Err("empty")
            } else {
                Ok(field.to_owned())
            }
        })
    }

    /// All values of a column, parsed.
    pub fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> anyhow::Result<Vec<T>> {
        let at = self
            .header
            .iter()
            .position(|h| h == name)
            .with_context(|| {
                format!(
                    "{} has no column \"{name}\"; it has {}",
                    self.name,
                    self.header.join(", ")
                )
            })?;
        self.rows
            .iter()
            .map(|(line, fields)| {
                let field = fields.get(at).map(String::as_str).unwrap_or_default();
                parse(field).map_err(|e| {
                    anyhow::anyhow!("{} line {line}, column {name}: \"{field}\": {e}", self.name)
                })
            })
            .collect()
    }

    /// Every column parsed as finite numbers, row by row.
    pub fn numbers(&self) -> anyhow::Result<Vec<Vec<f32>>> {
        let finite = |field: &str| match field.parse::<f32>() {
            Ok(v) if v.is_finite() => Ok(v),
            _ => Err("not a finite number"),
        };
        let columns: Vec<Vec<f32>> = self
            .header
            .iter()
            .map(|h| self.parsed(h, finite))
            .collect::<Result<_, _>>()?;
        Ok((0..self.rows.len())
            .map(|r| columns.iter().filter_map(|c| c.get(r).copied()).collect())
            .collect())
    }

    /// Number of rows.
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
pub fn read_sts(path: &Path) -> anyhow::Result<Vec<ScoredPair>> {
    let text = read_file(path)?;
    let name = path.display();
    let mut pairs = Vec::new();
    for (index, line) in text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
    {
        let fields: Vec<&str> = line.split('\t').collect();
        let (Some(score), Some(first), Some(second)) =
            (fields.get(4), fields.get(5), fields.get(6))
        else {
            bail!(
                "{name} line {}: {} fields, at least 7 expected (score in 5, sentences in 6 and 7)",
                index + 1,
                fields.len()
            );
        };
        let score = score.trim().parse::<f64>().ok().filter(|s| s.is_finite());
        let score = score.with_context(|| {
            format!(
                "{name} line {}: score \"{}\" is not a number",
                index + 1,
                fields[4]
            )
        })?;
        pairs.push(ScoredPair {
            line: index + 1,
            score,
            sentences: [first.trim().to_owned(), second.trim().to_owned()],
        });
    }
    ensure!(!pairs.is_empty(), "{name} has no rows");
    Ok(pairs)
}
