//! Texts from arguments, standard input and files.

use std::io;

use anyhow::{Context, bail, ensure};
use fqbert_evaluation::data::{Table, read_text};
use fqbert_runtime::Tokens;

use crate::args::Texts;

/// What to run on.
pub enum Inputs {
    /// Texts for the model's tokenizer.
    Texts(Vec<String>),
    /// Token ids.
    Ids(Vec<Tokens>),
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
