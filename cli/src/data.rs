//! Texts from arguments, standard input and files.

use std::io;
use std::vec;

use anyhow::{Context, bail, ensure};
use fqbert_evaluation::data::Table;
use fqbert_host::TextPairs;
use fqbert_names::shown;
use fqbert_runtime::{Encoder, Encoding, TaskError, TokenIds, TokenizerError, Tokens};

use crate::args::Texts;
use crate::lines::{Item, Lines};

/// Texts in order, a few at a time.
pub struct Source {
    places: Places,
    /// Each text is two with a tab between them.
    pairs: bool,
    from: From,
}

/// What errors call texts.
#[derive(Clone)]
pub struct Places {
    name: String,
    /// Numbers are those of lines.
    lines: bool,
}

enum From {
    Arguments(vec::IntoIter<Item>),
    Table(vec::IntoIter<Item>),
    Input(Box<Lines<io::Stdin>>),
}

/// What to run on.
pub enum Inputs {
    /// Texts for the model's tokenizer.
    Texts(Source),
    /// Token ids.
    Ids(Vec<Tokens>),
}

/// Where the second text of a pair is.
#[derive(Clone, Copy)]
pub enum Second<'a> {
    /// There is none.
    None,
    /// Behind a tab in its line, or the next argument.
    Next,
    /// In this column of the table.
    Column(&'a str),
}

impl Inputs {
    /// Takes the one source that was given.
    pub fn read(args: &Texts, second: Second<'_>) -> anyhow::Result<Self> {
        if !args.ids.is_empty() {
            let ids = args.ids.iter().enumerate();
            let ids = ids.map(|(i, s)| parse_ids(s).with_context(|| ids_place(i + 1)));
            return ids.collect::<Result<_, _>>().map(Inputs::Ids);
        }
        Source::of(args, second).map(Inputs::Texts)
    }
}

/// What errors call a sequence of `--ids`, from 1.
pub fn ids_place(number: usize) -> String {
    format!("--ids, sequence {number}")
}

impl Source {
    fn of(args: &Texts, second: Second<'_>) -> anyhow::Result<Self> {
        let (name, from) = match (&args.tsv, args.texts.as_slice()) {
            (Some(path), _) => {
                let table = Table::read(path)?;
                let items = rows(&table, &args.column, second)?;
                (table.name().to_owned(), From::Table(items.into_iter()))
            }
            (None, [dash]) if dash == "-" => (
                "standard input".to_owned(),
                From::Input(Box::new(Lines::new(io::stdin()))),
            ),
            (None, texts) => {
                let together = match second {
                    Second::Next => 2,
                    _ => 1,
                };
                ensure!(
                    texts.len().is_multiple_of(together),
                    "--pair: {} texts, expected two for each pair",
                    texts.len()
                );
                let items = texts.chunks(together).enumerate().map(|(i, texts)| Item {
                    number: i + 1,
                    text: Ok(texts.join("\t")),
                });
                let items: Vec<Item> = items.collect();
                (String::new(), From::Arguments(items.into_iter()))
            }
        };
        let lines = !matches!(from, From::Arguments(_));
        let places = Places { name, lines };
        let pairs = !matches!(second, Second::None);
        Ok(Self {
            places,
            pairs,
            from,
        })
    }

    /// What makes tokens of its texts.
    pub fn encode(&self) -> fn(&Encoder, &str) -> Result<Encoding, TaskError> {
        if self.pairs {
            encode_pair
        } else {
            Encoder::encode
        }
    }

    /// At most `most` texts, none at the end.
    pub fn chunk(&mut self, most: usize) -> anyhow::Result<Vec<Item>> {
        match &mut self.from {
            From::Arguments(items) | From::Table(items) => Ok(items.take(most).collect()),
            From::Input(lines) => lines.chunk(most).context("reading standard input"),
        }
    }

    /// What errors call its texts.
    pub fn places(&self) -> Places {
        self.places.clone()
    }
}

/// Tokens of two texts with a tab between them.
fn encode_pair(encoder: &Encoder, pair: &str) -> Result<Encoding, TaskError> {
    let (first, second) = TextPairs::split(pair)?;
    encoder.encode_pair(first, second)
}

/// The texts of a table with their lines.
fn rows(table: &Table, column: &str, second: Second<'_>) -> anyhow::Result<Vec<Item>> {
    let filled = |field: &str, column: &str| {
        if field.is_empty() {
            return Err(format!("column {} is empty", shown(column)));
        }
        Ok(field.to_owned())
    };
    let texts = table.fields(column)?;
    let mut texts: Vec<_> = texts
        .into_iter()
        .map(|field| filled(field, column))
        .collect();
    if let Second::Column(column) = second {
        for (text, field) in texts.iter_mut().zip(table.fields(column)?) {
            let first = std::mem::replace(text, Ok(String::new()));
            *text = first.and_then(|first| Ok(format!("{first}\t{}", filled(field, column)?)));
        }
    }
    let rows = table.lines().into_iter().zip(texts);
    Ok(rows.map(|(number, text)| Item { number, text }).collect())
}

impl Places {
    /// What JSON calls a text's number.
    pub fn key(&self) -> &'static str {
        if self.lines { "line" } else { "number" }
    }

    /// What errors call a text.
    pub fn place(&self, number: usize) -> String {
        if self.lines {
            format!("{} line {number}", self.name)
        } else {
            format!("text {number}")
        }
    }
}

fn parse_ids(text: &str) -> anyhow::Result<Tokens> {
    match TokenIds::parse(text) {
        Err(TokenizerError::EmptyText { .. }) => {
            bail!("no token id; give for example --ids \"101 7592 102\"")
        }
        parsed => Ok(parsed?),
    }
}

/// Refuses a stream without any text.
pub fn ensure_some(texts: usize) -> anyhow::Result<()> {
    ensure!(
        texts > 0,
        "no text to work on; give texts, \"-\" for standard input, or --tsv FILE"
    );
    Ok(())
}
