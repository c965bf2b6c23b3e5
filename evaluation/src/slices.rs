//! Parts of the data in which quantization may do more harm than in the rest.
//!
//! Two things tell it: how often the answer differs from the float model's (a flip), and how far
//! the logits do. A slice is worth a look where flips are more frequent in it than elsewhere by
//! more than chance (Fisher's exact test), or errors larger (the test of Mann and Whitney, which
//! sees what a few flips cannot show). Holm's correction accounts for the number of slices looked
//! at.

use crate::measure::FloatRows;
use crate::metrics::significance::{fisher_exact, holm, mann_whitney, mcnemar};
use crate::report::{Slice, SliceAnswers, percent};
use crate::{Examples, Tokenized};

const NEGATIONS: &[&str] = &[
    "not", "no", "never", "n't", "neither", "nor", "none", "nothing", "nobody", "nowhere",
    "cannot", "without", "hardly", "barely", "scarcely",
];
const CONTRASTS: &[&str] = &[
    "but",
    "however",
    "although",
    "though",
    "yet",
    "despite",
    "whereas",
    "nevertheless",
    "nonetheless",
];
/// First number of words of each bucket of lengths.
const LENGTHS: &[usize] = &[1, 10, 17, 25];
/// Where the parts of a vocabulary in order of frequency begin, in sixths of it.
const RARITY: &[(usize, &str)] = &[
    (0, "in the first sixth"),
    (1, "in the second sixth"),
    (2, "in the second third"),
    (4, "in the last third"),
];

/// What slices are told by, for each row.
struct Traits {
    negation: bool,
    contrast: bool,
    words: usize,
    /// Words that the tokenizer had to put together from pieces.
    split: usize,
    /// Largest token id.
    rarest: u32,
}

impl Traits {
    fn new(text: &str, tokenized: &[Tokenized]) -> Self {
        let words = words(text);
        let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
        Self {
            negation: has(NEGATIONS) || words.iter().any(|w| w.ends_with("n't")),
            contrast: has(CONTRASTS),
            words: words.len(),
            split: tokenized.iter().map(|t| t.split_words).sum(),
            rarest: tokenized.iter().map(|t| t.rarest).max().unwrap_or(0),
        }
    }
}

/// Words of a text in lower case, without punctuation around them.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|w| w.replace('\u{2019}', "'").to_lowercase())
        .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric()).to_owned())
        .filter(|w| !w.is_empty())
        .collect()
}

/// A slice before it is counted.
struct Part {
    group: &'static str,
    name: String,
    rows: Vec<bool>,
}

/// Reports every slice. `tokenized` has the same number of entries for each row.
pub(crate) fn report(
    examples: &Examples,
    tokenized: &[Tokenized],
    right: &[bool],
    float: &FloatRows,
    vocab: usize,
) -> Vec<Slice> {
    let per_row = tokenized.len() / examples.len().max(1);
    let traits: Vec<Traits> = (0..examples.len())
        .map(|row| {
            let own = tokenized.get(row * per_row..(row + 1) * per_row);
            Traits::new(&examples.text(row), own.unwrap_or_default())
        })
        .collect();
    let parts = parts(&traits, float, vocab);
    let mut slices: Vec<Slice> = parts.iter().map(|p| count(p, right, float)).collect();
    let of_answers = |s: &Slice| s.answers.as_ref()?.fisher_p;
    let flips: Vec<Option<f64>> = slices.iter().map(of_answers).collect();
    let errors: Vec<Option<f64>> = slices.iter().map(|s| s.error_p).collect();
    for ((slice, flips), errors) in slices.iter_mut().zip(holm(&flips)).zip(holm(&errors)) {
        slice.error_holm_p = errors;
        if let Some(answers) = &mut slice.answers {
            answers.holm_p = flips;
        }
    }
    slices
}

fn parts(traits: &[Traits], float: &FloatRows, vocab: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = |group, name: String, of: &dyn Fn(&Traits) -> bool| {
        let rows = traits.iter().map(of).collect();
        parts.push(Part { group, name, rows });
    };
    part("negation", "has one".into(), &|t| t.negation);
    part("contrast", "has one".into(), &|t| t.contrast);
    for (i, from) in LENGTHS.iter().enumerate() {
        match LENGTHS.get(i + 1) {
            Some(to) => part("length", format!("{from} to {} words", to - 1), &|t| {
                (*from..*to).contains(&t.words.max(1))
            }),
            None => part("length", format!("{from} words or more"), &|t| {
                t.words >= *from
            }),
        }
    }
    for (i, (from, name)) in RARITY.iter().enumerate() {
        let to = RARITY
            .get(i + 1)
            .map_or(usize::MAX, |next| next.0 * vocab / 6);
        let from = from * vocab / 6;
        part("rarest token", format!("{name} of the vocabulary"), &|t| {
            (from..to).contains(&(t.rarest as usize))
        });
    }
    part("split words", "none".into(), &|t| t.split == 0);
    part("split words", "1 or 2".into(), &|t| {
        (1..=2).contains(&t.split)
    });
    part("split words", "3 or more".into(), &|t| t.split >= 3);
    confidence(float, &mut parts);
    parts
}

/// Quarters of the rows by the float model's margin: quantization that only decides what was
/// undecided is no mystery.
fn confidence(float: &FloatRows, parts: &mut Vec<Part>) {
    let mut sorted = float.margin.clone();
    sorted.sort_by(f64::total_cmp);
    let quarter = |i: usize| sorted.get(i * sorted.len() / 4).copied();
    for i in 0..4 {
        let from = if i == 0 {
            Some(f64::NEG_INFINITY)
        } else {
            quarter(i)
        };
        let Some(from) = from.filter(|_| !sorted.is_empty()) else {
            continue;
        };
        let to = if i == 3 { None } else { quarter(i + 1) };
        let name = match (i, to) {
            (0, Some(to)) => format!("below {to:.2}"),
            (_, Some(to)) => format!("{from:.2} to {to:.2}"),
            (_, None) => format!("{from:.2} or more"),
        };
        let rows = float
            .margin
            .iter()
            .map(|m| *m >= from && to.is_none_or(|to| *m < to))
            .collect();
        parts.push(Part {
            group: "float margin",
            name,
            rows,
        });
    }
}

fn count(part: &Part, right: &[bool], float: &FloatRows) -> Slice {
    let (mut error, mut elsewhere) = (Vec::new(), Vec::new());
    for (error_of_row, inside) in float.error.iter().zip(&part.rows) {
        let side = if *inside { &mut error } else { &mut elsewhere };
        side.push(*error_of_row);
    }
    let mean = |v: &[f64]| (!v.is_empty()).then(|| v.iter().sum::<f64>() / v.len() as f64);
    // Numbers are neither right nor wrong.
    let answers = (!right.is_empty()).then(|| answers(part, right, float));
    Slice {
        group: part.group,
        name: part.name.clone(),
        n: error.len(),
        mean_error: mean(&error),
        mean_error_elsewhere: mean(&elsewhere),
        error_p: mann_whitney(&error, &elsewhere),
        error_holm_p: None,
        answers,
    }
}

fn answers(part: &Part, right: &[bool], float: &FloatRows) -> SliceAnswers {
    let (mut n, mut hits, mut float_hits) = (0u64, 0, 0);
    let (mut flips, mut broken, mut repaired) = (0u64, 0, 0);
    let rows = right.iter().zip(&float.right).zip(&float.flip);
    for (((right, float_right), flip), _) in rows.zip(&part.rows).filter(|(_, inside)| **inside) {
        n += 1;
        hits += u64::from(*right);
        float_hits += u64::from(*float_right);
        flips += u64::from(*flip);
        broken += u64::from(*float_right && !right);
        repaired += u64::from(!float_right && *right);
    }
    let rest = right.len() as u64 - n;
    let elsewhere = float.flip.iter().filter(|f| **f).count() as u64 - flips;
    let table = [[flips, n - flips], [elsewhere, rest - elsewhere]];
    SliceAnswers {
        accuracy: percent(hits, n),
        float_accuracy: percent(float_hits, n),
        flips,
        flip_rate: percent(flips, n),
        flip_rate_elsewhere: percent(elsewhere, rest),
        broken,
        repaired,
        mcnemar_p: (n > 0).then(|| mcnemar(broken, repaired)),
        fisher_p: (n > 0 && rest > 0).then(|| fisher_exact(table)),
        holm_p: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenized(split_words: usize, rarest: u32) -> [Tokenized; 1] {
        [Tokenized {
            offsets: Vec::new(),
            split_words,
            rarest,
        }]
    }

    #[test]
    fn traits_of_sentences() {
        let of = |text: &str| Traits::new(text, &tokenized(1, 200));
        assert!(of("it does n't work").negation && of("it doesn\u{2019}t").negation);
        assert!(of("Not bad.").negation && !of("nothingness knots").negation);
        assert!(of("long, but good").contrast && !of("buttery").contrast);
        let t = of("one , two ... three !");
        assert_eq!((t.words, t.rarest, t.split), (3, 200, 1));
        let pair = [tokenized(1, 200), tokenized(2, 150)].concat();
        let pair = Traits::new("one | two", &pair);
        assert_eq!((pair.words, pair.rarest, pair.split), (2, 200, 3));
    }

    #[test]
    fn lengths_cover_everything_once() {
        let traits: Vec<Traits> = (0..60)
            .map(|i| Traits::new(&"w ".repeat(i), &tokenized(0, 100 + i as u32)))
            .collect();
        let float = FloatRows {
            answer: Vec::new(),
            right: vec![true; 60],
            flip: (0..60).map(|i| i >= 25).collect(),
            error: (0..60).map(|i| if i >= 25 { 2.0 } else { 1.0 }).collect(),
            margin: (0..60).map(|i| f64::from(i % 7)).collect(),
        };
        let parts = parts(&traits, &float, 170);
        for group in ["length", "rarest token", "split words", "float margin"] {
            for row in 0..60 {
                let of = parts.iter().filter(|p| p.group == group);
                assert_eq!(of.filter(|p| p.rows[row]).count(), 1, "{group} {row}");
            }
        }
        let slices: Vec<Slice> = parts
            .iter()
            .map(|p| count(p, &[false; 60], &float))
            .collect();
        let long = slices
            .iter()
            .find(|s| s.name == "25 words or more")
            .unwrap();
        let answers = long.answers.as_ref().unwrap();
        assert_eq!((long.n, answers.flips, answers.broken), (35, 35, 35));
        assert_eq!(answers.flip_rate_elsewhere, Some(0.0));
        assert!(answers.fisher_p.unwrap() < 1e-10 && long.error_p.unwrap() < 1e-6);
        assert_eq!(
            (long.mean_error, long.mean_error_elsewhere),
            (Some(2.0), Some(1.0))
        );
        let empty = slices.iter().find(|s| s.group == "contrast").unwrap();
        assert_eq!((empty.n, empty.mean_error, empty.error_p), (0, None, None));
        let answers = empty.answers.as_ref().unwrap();
        assert_eq!((answers.accuracy, answers.fisher_p), (None, None));
        let numbers = count(&parts[0], &[], &float);
        assert!(numbers.answers.is_none() && numbers.mean_error_elsewhere.is_some());
    }

    #[test]
    fn equal_margins_leave_three_quarters_empty() {
        let float = FloatRows {
            answer: Vec::new(),
            right: vec![true; 4],
            flip: vec![false; 4],
            error: Vec::new(),
            margin: vec![1.0; 4],
        };
        let mut parts = Vec::new();
        confidence(&float, &mut parts);
        let sizes: Vec<usize> = parts
            .iter()
            .map(|p| p.rows.iter().filter(|r| **r).count())
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), 4);
        let mut none = Vec::new();
        confidence(
            &FloatRows {
                margin: Vec::new(),
                ..float
            },
            &mut none,
        );
        assert!(none.is_empty());
    }
}
