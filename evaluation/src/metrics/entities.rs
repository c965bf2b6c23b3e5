//! F1 of named entities, from a label for each word in the BIO scheme.

use std::collections::BTreeSet;

/// An entity: its type, its first word, the word after its last.
type Entity<'a> = (&'a str, usize, usize);

/// Whether labels are those of the BIO scheme: `O`, and a `B-X` or `I-X` for each type.
pub fn is_bio(labels: &[String]) -> bool {
    let parts = |l: &str| l == "O" || l.starts_with("B-") || l.starts_with("I-");
    labels.iter().all(|l| parts(l)) && labels.iter().any(|l| l != "O")
}

/// The entities of one sentence. As in CoNLL's own evaluation an `I-X` that follows no word of type
/// X begins an entity too.
fn entities<'a>(labels: &[&'a str]) -> BTreeSet<Entity<'a>> {
    let mut found = BTreeSet::new();
    let mut open: Option<(&str, usize)> = None;
    for (word, label) in labels.iter().chain([&"O"]).enumerate() {
        let (prefix, kind) = label.split_once('-').unwrap_or(("O", ""));
        if let Some((open_kind, start)) = open
            && !(prefix == "I" && kind == open_kind)
        {
            found.insert((open_kind, start, word));
            open = None;
        }
        if prefix != "O" && open.is_none() {
            open = Some((kind, word));
        }
    }
    found
}

/// F1 of entities that have the same type and the same words, over all sentences; `None` where
/// there are none, true or predicted.
pub fn f1<'a>(sentences: impl IntoIterator<Item = (Vec<&'a str>, Vec<&'a str>)>) -> Option<f64> {
    let (mut hits, mut both) = (0, 0);
    for (expected, predicted) in sentences {
        let (expected, predicted) = (entities(&expected), entities(&predicted));
        hits += expected.intersection(&predicted).count();
        both += expected.len() + predicted.len();
    }
    (both > 0).then(|| 2.0 * hits as f64 / both as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let found = entities(&["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-PER"]);
        let expected = [("LOC", 3, 4), ("LOC", 4, 5), ("PER", 0, 2), ("PER", 5, 6)];
        assert_eq!(found, expected.into_iter().collect());
        assert!(entities(&["O", "O"]).is_empty() && entities(&[]).is_empty());
    }

    // The example of seqeval's own documentation: F1 0.50.
    #[test]
    fn seqevals_example() {
        let expected = [
            vec!["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"],
            vec!["B-PER", "I-PER", "O"],
        ];
        let predicted = [
            vec!["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"],
            vec!["B-PER", "I-PER", "O"],
        ];
        assert_eq!(f1(expected.into_iter().zip(predicted)), Some(0.5));
        assert_eq!(f1([(vec!["O"], vec!["O"])]), None);
    }

    #[test]
    fn schemes() {
        let labels = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert!(is_bio(&labels(&["O", "B-PER", "I-PER"])));
        assert!(!is_bio(&labels(&["NOUN", "VERB"])));
        assert!(!is_bio(&labels(&["O"])));
    }
}
