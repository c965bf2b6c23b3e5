//! Sentences that ranges and compensation are measured on.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use fqbert_files::TextInput;
use fqbert_host::{Encode, TokenizerError, Tokens, Unknown};
use fqbert_names::{listed, shown};
use fqbert_random::Random;

use crate::error::QuantizeError;

/// Longest line that is taken for one, in bytes.
const MAX_LINE: u64 = 4 << 20;

/// Most bytes that are read to choose from.
const MAX_FILE: u64 = 4 << 30;

/// Sequences that a report compares models on.
const COMPARED: usize = 32;

/// How many texts of a file are taken, and how much of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Texts; a file with more gives a random choice of this many.
    pub limit: usize,
    /// Tokens of a text, special tokens included; what is longer is cut.
    pub max_len: usize,
    /// Seed of the choice.
    pub seed: u64,
}

impl Default for Sample {
    /// 512 texts of up to 128 tokens.
    fn default() -> Self {
        Sample {
            limit: 512,
            max_len: 128,
            seed: 0,
        }
    }
}

/// Which cells of a tab-separated file are texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Columns from 1; each one is a text of its own.
    pub texts: Vec<usize>,
    /// Whether the first line is a heading.
    pub header: bool,
}

/// Tokenized calibration data, bounded by [`Calibration::MAX_TOKENS`].
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    sequences: Vec<Tokens>,
    /// Where they are from, in words.
    source: String,
    description: String,
    /// Texts that were cut.
    cut: usize,
    /// Texts that were passed over.
    passed_over: usize,
    /// What of the texts is not in the vocabulary.
    unknown: Unknown,
}

impl Calibration {
    /// Tokens beyond which further sequences are left out: they bound the memory that quantizing
    /// takes (the float and integer values of one layer's tokens, about 4 GB at 3072 wide).
    pub const MAX_TOKENS: usize = 65_536;

    /// Texts (or token ids, with [`fqbert_host::TokenIds`]) from a file, a pipe, or standard
    /// input (`-`) with one in each line; lines without tokens are passed over.
    ///
    /// # Errors
    /// A file that cannot be read or holds no text, a line that is not UTF-8 or too long, a text
    /// that the tokenizer refuses.
    pub fn from_text_file(
        path: &Path,
        tokenizer: &impl Encode,
        sample: &Sample,
    ) -> Result<Self, QuantizeError> {
        let mut chosen = Reservoir::new(sample);
        lines(path, |number, line| {
            if !line.trim().is_empty() {
                chosen.offer(number, || line.to_owned());
            }
            Ok(())
        })?;
        Self::chosen(chosen, path, tokenizer, sample)
    }

    /// Texts from columns of a tab-separated file without quoting, as GLUE has them.
    ///
    /// # Errors
    /// As [`Calibration::from_text_file`]; a row with too few columns, by line.
    pub fn from_tsv(
        path: &Path,
        columns: &Columns,
        tokenizer: &impl Encode,
        sample: &Sample,
    ) -> Result<Self, QuantizeError> {
        if columns.texts.is_empty() || columns.texts.contains(&0) {
            return Err(QuantizeError::Option {
                option: "columns",
                value: format!("{:?}", columns.texts),
                expected: "one or more columns, counted from 1".into(),
            });
        }
        let mut chosen = Reservoir::new(sample);
        lines(path, |number, line| {
            if (number == 1 && columns.header) || line.is_empty() {
                return Ok(());
            }
            let cells: Vec<&str> = line.split('\t').collect();
            let mut each = columns.texts.iter();
            each.try_for_each(|column| chosen.offer_cells(number, &cells, [*column]))
        })?;
        Self::chosen(chosen, path, tokenizer, sample)
    }

    /// As [`Calibration::from_tsv`], from the column that the header line calls `name`.
    ///
    /// # Errors
    /// As [`Calibration::from_tsv`]; the header line has no such name.
    pub fn from_named_column(
        path: &Path,
        name: &str,
        tokenizer: &impl Encode,
        sample: &Sample,
    ) -> Result<Self, QuantizeError> {
        let mut chosen = Reservoir::new(sample);
        let mut column = None;
        lines(path, |number, line| {
            let cells: Vec<&str> = line.split('\t').collect();
            match column {
                _ if line.is_empty() => Ok(()),
                Some(column) => chosen.offer_cells(number, &cells, [column]),
                None => {
                    column = Some(column_of(&cells, name)?);
                    Ok(())
                }
            }
        })?;
        Self::chosen(chosen, path, tokenizer, sample)
    }

    /// Pairs of texts for [`fqbert_host::TextPairs`], from the two columns that the header line
    /// calls so.
    ///
    /// # Errors
    /// As [`Calibration::from_named_column`].
    pub fn from_named_pair(
        path: &Path,
        names: [&str; 2],
        tokenizer: &impl Encode,
        sample: &Sample,
    ) -> Result<Self, QuantizeError> {
        let mut chosen = Reservoir::new(sample);
        let mut columns = None;
        lines(path, |number, line| {
            let cells: Vec<&str> = line.split('\t').collect();
            match columns {
                _ if line.is_empty() => Ok(()),
                Some(columns) => chosen.offer_cells(number, &cells, columns),
                None => {
                    let [first, second] = names.map(|name| column_of(&cells, name));
                    columns = Some([first?, second?]);
                    Ok(())
                }
            }
        })?;
        Self::chosen(chosen, path, tokenizer, sample)
    }

    /// Texts from memory.
    ///
    /// # Errors
    /// No texts, or one that the tokenizer refuses.
    pub fn from_texts<S: AsRef<str>>(
        texts: &[S],
        tokenizer: &impl Encode,
        max_len: usize,
    ) -> Result<Self, QuantizeError> {
        let texts = texts.iter().enumerate();
        let texts = texts.map(|(i, text)| (i + 1, text.as_ref()));
        Self::encoded(texts, tokenizer, max_len, |index, source| {
            Err(QuantizeError::Tokenize { index, source })
        })
    }

    /// Texts with their numbers, which `refuse` tells; one that it does not refuse is left out.
    fn encoded<'t>(
        texts: impl Iterator<Item = (usize, &'t str)>,
        tokenizer: &impl Encode,
        max_len: usize,
        refuse: impl Fn(usize, TokenizerError) -> Result<(), QuantizeError>,
    ) -> Result<Self, QuantizeError> {
        let (mut cut, mut passed_over) = (0, 0);
        let mut unknown = Unknown::default();
        let mut sequences = Vec::new();
        for (number, text) in texts {
            match tokenizer.encode(text, max_len) {
                Ok(encoding) => {
                    cut += usize::from(encoding.truncated);
                    unknown.add(tokenizer.unknown(&encoding));
                    sequences.push(encoding.into());
                }
                Err(source) => {
                    refuse(number, source)?;
                    passed_over += 1;
                }
            }
        }
        let mut calibration = Self::from_sequences(sequences)?;
        calibration.cut = cut;
        calibration.passed_over = passed_over;
        calibration.unknown = unknown;
        Ok(calibration)
    }

    /// Sequences already tokenized, for models whose tokenizer is not at hand.
    ///
    /// # Errors
    /// [`QuantizeError::NoCalibration`] if there are none, or an empty one.
    pub fn from_sequences(mut sequences: Vec<Tokens>) -> Result<Self, QuantizeError> {
        let mut tokens = 0;
        let fit = sequences.iter().take_while(|s| {
            tokens += s.ids.len();
            tokens <= Self::MAX_TOKENS
        });
        // The first is kept whatever its length: the model bounds that.
        let fit = fit.count().max(1);
        sequences.truncate(fit);
        if sequences.is_empty() || sequences.iter().any(|s| s.ids.is_empty()) {
            return Err(QuantizeError::NoCalibration { of: None });
        }
        let mut calibration = Calibration {
            sequences,
            source: String::new(),
            description: String::new(),
            cut: 0,
            passed_over: 0,
            unknown: Unknown::default(),
        };
        calibration.describe();
        Ok(calibration)
    }

    /// Takes out up to `count` sequences, but no more than a fifth, to judge a model on: evenly
    /// spread, and none that is among those that stay.
    ///
    /// # Errors
    /// [`QuantizeError::Option`] if there are too few to take any.
    pub fn hold_out(mut self, count: usize) -> Result<(Self, Vec<Tokens>), QuantizeError> {
        let all = self.sequences.len();
        let every = all.div_ceil(count.max(1)).max(5);
        let (mut kept, mut held) = (Vec::with_capacity(all), Vec::new());
        for (i, s) in std::mem::take(&mut self.sequences).into_iter().enumerate() {
            if i % every == every - 1 {
                held.push(s);
            } else {
                kept.push(s);
            }
        }
        let known: HashSet<&[u32]> = kept.iter().map(|s| s.ids.as_slice()).collect();
        held.retain(|s| !known.contains(s.ids.as_slice()));
        if held.is_empty() || count == 0 {
            return Err(QuantizeError::Option {
                option: "held-out texts",
                value: count.to_string(),
                expected: format!(
                    "at least 1, and of the {all} calibration texts a fifth can be held out if it \
                     differs from the others; give more texts"
                ),
            });
        }
        self.sequences = kept;
        self.describe();
        Ok((self, held))
    }

    fn describe(&mut self) {
        self.description = if self.source.is_empty() {
            format!(
                "{} sequences, {} tokens",
                self.sequences.len(),
                self.tokens()
            )
        } else {
            let n = self.sequences.len();
            format!("{n} of {}, {} tokens", self.source, self.tokens())
        };
    }

    /// The sequences that a report compares models on, spread over all.
    pub(crate) fn compared(&self) -> Vec<&Tokens> {
        let step = self.sequences.len().div_ceil(COMPARED).max(1);
        self.sequences.iter().step_by(step).collect()
    }

    /// The sequences.
    pub fn sequences(&self) -> &[Tokens] {
        &self.sequences
    }

    /// Number of tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.sequences.iter().map(|s| s.ids.len()).sum()
    }

    /// Texts that were cut to the length asked for.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// Texts of a file that were passed over, as they have no tokens: what an invisible character
    /// alone becomes, or an empty cell.
    pub fn passed_over(&self) -> usize {
        self.passed_over
    }

    /// How much of the texts is not in the vocabulary.
    pub fn unknown(&self) -> Unknown {
        self.unknown
    }

    /// In words, for the model's provenance.
    pub fn description(&self) -> &str {
        &self.description
    }

    fn chosen(
        chosen: Reservoir,
        path: &Path,
        tokenizer: &impl Encode,
        sample: &Sample,
    ) -> Result<Self, QuantizeError> {
        let none = || QuantizeError::NoCalibration {
            of: Some(path.to_owned()),
        };
        let texts = chosen
            .kept
            .iter()
            .map(|(line, text)| (*line, text.as_str()));
        let refuse = |line, source: TokenizerError| match source {
            // Whether the draw takes such a line must not decide whether there is a model.
            TokenizerError::EmptyText { .. } => Ok(()),
            source => Err(QuantizeError::Row {
                path: path.to_owned(),
                line,
                reason: source.to_string(),
            }),
        };
        let mut c =
            Self::encoded(texts, tokenizer, sample.max_len, refuse).map_err(|e| match e {
                QuantizeError::NoCalibration { .. } => none(),
                e => e,
            })?;
        c.passed_over += chosen.blank;
        let name = path
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        c.source = format!("{} texts of {name} (seed {})", chosen.offered, sample.seed);
        c.describe();
        Ok(c)
    }
}

/// The column, from 1, that a header line calls `name`.
fn column_of(cells: &[&str], name: &str) -> Result<usize, String> {
    let at = cells.iter().position(|cell| cell.trim() == name);
    at.map(|at| at + 1).ok_or_else(|| {
        let (name, there) = (shown(name), listed(cells));
        format!("no column \"{name}\"; the header line has {there}")
    })
}

/// Calls `each` with the number from 1 and the text of each line.
fn lines(
    path: &Path,
    mut each: impl FnMut(usize, &str) -> Result<(), String>,
) -> Result<(), QuantizeError> {
    let io = |source| QuantizeError::Io {
        path: path.to_owned(),
        source,
    };
    let mut reader = BufReader::new(TextInput::open(path, MAX_FILE)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader
            .by_ref()
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut line)
            .map_err(io)?;
        if read == 0 {
            break;
        }
        let row = |reason: String| QuantizeError::Row {
            path: PathBuf::from(path),
            line: number,
            reason,
        };
        if read as u64 > MAX_LINE {
            return Err(row(format!("it is longer than {MAX_LINE} bytes")));
        }
        let bytes = match number {
            1 => fqbert_files::without_bom(&line),
            _ => &line,
        };
        let text = std::str::from_utf8(bytes).map_err(|e| {
            row(format!(
                "not UTF-8 at byte {}; convert the file",
                e.valid_up_to()
            ))
        })?;
        each(number, text.trim_end_matches(['\n', '\r'])).map_err(row)?;
    }
    Ok(())
}

/// A uniform choice of a stream of unknown length (Vitter's algorithm R), in the stream's order.
struct Reservoir {
    /// With their lines.
    kept: Vec<(usize, String)>,
    offered: u64,
    /// Empty cells.
    blank: usize,
    limit: usize,
    random: Random,
}

impl Reservoir {
    fn new(sample: &Sample) -> Self {
        Reservoir {
            kept: Vec::new(),
            offered: 0,
            blank: 0,
            limit: sample.limit,
            random: Random::new(sample.seed),
        }
    }

    /// Offers the cells of a row that are in these columns, from 1, as one text with tabs.
    fn offer_cells<const N: usize>(
        &mut self,
        line: usize,
        cells: &[&str],
        columns: [usize; N],
    ) -> Result<(), String> {
        let mut texts = [""; N];
        for (text, column) in texts.iter_mut().zip(columns) {
            *text = cells.get(column - 1).ok_or_else(|| {
                format!(
                    "{} columns, but the text is in column {column}; check that the file is \
                     tab-separated",
                    cells.len()
                )
            })?;
        }
        if texts.iter().any(|text| text.trim().is_empty()) {
            self.blank += 1;
        } else {
            self.offer(line, || texts.join("\t"));
        }
        Ok(())
    }

    fn offer(&mut self, line: usize, text: impl FnOnce() -> String) {
        self.offered += 1;
        if self.kept.len() < self.limit {
            self.kept.push((line, text()));
            return;
        }
        // The bias of the remainder is below 2^-40 for any file.
        let at = (self.random.next_u64() % self.offered) as usize;
        if at < self.kept.len() {
            // Keep the order of the file: the moving average of maxima depends on it.
            self.kept.remove(at);
            self.kept.push((line, text()));
        }
    }
}
