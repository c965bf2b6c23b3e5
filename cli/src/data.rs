//! Texts from arguments, standard input and files.

use std::io;
use std::vec;

use anyhow::{Context, bail, ensure};
use fqbert_evaluation::data::Table;
use fqbert_names::shown;
use fqbert_runtime::{TokenIds, TokenizerError, Tokens};

use crate::args::Texts;
use crate::lines::{Item, Lines};

/// Texts in order, a few at a time.
pub struct Source {
    places: Places,
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

impl Inputs {
    /// Takes the one source that was given.
    pub fn read(args: &Texts) -> anyhow::Result<Self> {
        if !args.ids.is_empty() {
            let ids = args.ids.iter().enumerate();
            let ids = ids.map(|(i, s)| parse_ids(s).with_context(|| ids_place(i + 1)));
            return ids.collect::<Result<_, _>>().map(Inputs::Ids);
        }
        Source::of(args).map(Inputs::Texts)
    }
}

/// What errors call a sequence of `--ids`, from 1.
pub fn ids_place(number: usize) -> String {
    format!("--ids, sequence {number}")
}

impl Source {
    fn of(args: &Texts) -> anyhow::Result<Self> {
        let (name, from) = match (&args.tsv, args.texts.as_slice()) {
            (Some(path), _) => {
                let table = Table::read(path)?;
                let items = table.lines().into_iter().zip(table.fields(&args.column)?);
                let items = items.map(|(number, field)| Item {
                    number,
                    text: if field.is_empty() {
                        Err(format!("column {} is empty", shown(&args.column)))
                    } else {
                        Ok(field.to_owned())
                    },
                });
                let items: Vec<Item> = items.collect();
                (table.name().to_owned(), From::Table(items.into_iter()))
            }
            (None, [dash]) if dash == "-" => (
                "standard input".to_owned(),
                From::Input(Box::new(Lines::new(io::stdin()))),
            ),
            (None, texts) => {
                let items = texts.iter().enumerate().map(|(i, text)| Item {
                    number: i + 1,
                    text: Ok(text.clone()),
                });
                let items: Vec<Item> = items.collect();
                (String::new(), From::Arguments(items.into_iter()))
            }
        };
        let lines = !matches!(from, From::Arguments(_));
        let places = Places { name, lines };
        Ok(Self { places, from })
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
        parsed => Ok(Tokens::from_ids(parsed?)),
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
