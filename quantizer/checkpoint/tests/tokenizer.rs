//! Truncation, pairs, words, long and empty texts, damaged tokenizers.

use std::time::{Duration, Instant};

use fqbert_checkpoint::testing::{Spec, TokenizerFiles, data_folder};
use fqbert_checkpoint::{CheckpointError, load_tokenizer};
use fqbert_host::{Encoding, Family, Tokenizer, TokenizerError};
use proptest::prelude::*;

fn tokenizer(spec: &Spec) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    spec.write(folder.path()).unwrap();
    load_tokenizer(folder.path()).unwrap()
}

fn bert() -> Tokenizer {
    tokenizer(&Spec {
        vocab: 200,
        ..Spec::default()
    })
}

#[test]
fn real_ids() {
    let Some(data) = data_folder("real_ids") else {
        return;
    };
    let tokenizer = load_tokenizer(&data.join("minilm-l6-sst2")).unwrap();
    let encoding = tokenizer
        .encode("a gorgeous, witty, seductive movie.", 128)
        .unwrap();
    // As BertTokenizer of transformers 4.46 gives them.
    let expected = [101, 1037, 9882, 1010, 25591, 1010, 23182, 3185, 1012, 102];
    assert_eq!(encoding.ids, expected);
    assert_eq!(tokenizer.max_id(), 30521);
    assert!(tokenizer.check_vocab(30522).is_ok());
    let text = tokenizer.check_vocab(30521).unwrap_err().to_string();
    assert!(text.contains("30521"), "{text}");
}

#[test]
fn truncation_keeps_the_special_tokens() {
    let t = bert();
    let long = "a b c d e f g h i j".to_owned();
    for max_len in 3..=14 {
        let e = t.encode(&long, max_len).unwrap();
        assert_eq!(e.len(), max_len.min(12));
        assert_eq!(e.tokens.first().unwrap(), "[CLS]");
        assert_eq!(e.tokens.last().unwrap(), "[SEP]");
        assert_eq!(e.truncated, max_len < 12);
        let letters: Vec<&str> = long.split(' ').take(max_len.min(12) - 2).collect();
        assert_eq!(e.tokens[1..e.len() - 1], letters);
    }
    for max_len in 0..3 {
        let error = t.encode(&long, max_len).unwrap_err();
        assert!(error.to_string().contains("at least 3"), "{error}");
    }
}

#[test]
fn pairs_cut_the_longer_text() {
    let t = bert();
    let e = t.encode_pair("a b c d e f", "x y", 8).unwrap();
    assert_eq!(
        e.tokens,
        ["[CLS]", "a", "b", "c", "[SEP]", "x", "y", "[SEP]"]
    );
    assert_eq!(e.type_ids, [0, 0, 0, 0, 0, 1, 1, 1]);
    assert!(e.truncated);
    assert_eq!(e.sequences[5], Some(1));
    let whole = t.encode_pair("a b", "x y", 8).unwrap();
    assert!(!whole.truncated && whole.len() == 7);
    assert!(
        t.encode_pair("a", "b", 4)
            .unwrap_err()
            .to_string()
            .contains("at least 5")
    );
    assert!(
        t.encode_pair("a", " ", 8)
            .unwrap_err()
            .to_string()
            .contains("second text")
    );
    assert!(
        t.encode_pair("", "b", 8)
            .unwrap_err()
            .to_string()
            .contains("first text")
    );

    let roberta = tokenizer(&Spec {
        family: Family::Roberta,
        vocab: 200,
        ..Spec::default()
    });
    let e = roberta.encode_pair("a", "b", 8).unwrap();
    assert_eq!((e.ids[0], e.type_ids.iter().max()), (0, Some(&0)));
}

#[test]
fn words_know_their_bytes() {
    let t = bert();
    let text = "  Zq9x,  ÄB c";
    let e = t.encode(text, 32).unwrap();
    let words: Vec<(&str, Vec<&str>)> = e
        .word_spans()
        .into_iter()
        .map(|w| {
            (
                &text[w.bytes],
                e.tokens[w.tokens].iter().map(String::as_str).collect(),
            )
        })
        .collect();
    let expected: [(&str, Vec<&str>); 4] = [
        ("Zq9x", vec!["z", "##q", "##9", "##x"]),
        (",", vec![","]),
        ("ÄB", vec!["a", "##b"]),
        ("c", vec!["c"]),
    ];
    assert_eq!(words, expected);
    let pair = t.encode_pair("ab c", "ab", 32).unwrap().word_spans();
    let found: Vec<_> = pair.into_iter().map(|w| (w.sequence, w.bytes)).collect();
    assert_eq!(found, [(0, 0..2), (0, 3..4), (1, 0..2)]);
}

#[test]
fn texts_without_tokens() {
    let t = bert();
    for text in ["", " ", "\n\t \u{3000}", "\u{0}\u{1}\u{7f}", "\u{200b}"] {
        let error = t.encode(text, 16).unwrap_err();
        assert!(
            matches!(error, TokenizerError::EmptyText { which: "text" }),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn a_megabyte_takes_no_longer_than_what_is_kept() {
    let t = bert();
    let n = 1 << 20;
    let texts = [
        "word ".repeat(n / 5),
        "x".repeat(n),
        "ab, ".repeat(n / 4),
        "\u{4e2d}".repeat(n / 3),
        "[SEP]".repeat(n / 5),
        "a\u{301}".repeat(n / 3),
        format!("{}word", " ".repeat(n)),
    ];
    for text in &texts {
        let start = Instant::now();
        let e = t.encode(text, 128).unwrap();
        let took = start.elapsed();
        assert!(e.len() <= 128 && e.len() > 2);
        // Milliseconds where the beginning suffices; the last text, white space, is read through.
        assert!(
            took < Duration::from_secs(10),
            "{took:?} for {:?}...",
            &text.get(..8)
        );
    }
    let last = t.encode(&texts[6], 128).unwrap();
    assert_eq!(last.word_spans()[0].bytes, n..n + 4);
}

/// What encoding the whole text would give, cut afterwards.
fn whole(t: &Tokenizer, text: &str, max_len: usize) -> Vec<u32> {
    let all: Encoding = t.encode(text, 1 << 20).unwrap();
    let mut ids = all.ids;
    if ids.len() > max_len {
        let last = ids[ids.len() - 1];
        ids.truncate(max_len - 1);
        ids.push(last);
    }
    ids
}

#[test]
fn looking_at_a_prefix_changes_nothing() {
    let spec = Spec {
        vocab: 4000,
        ..Spec::default()
    };
    let t = tokenizer(&spec);
    for seed in 0..12 {
        let text = spec.text(3000, seed);
        assert!(text.len() > 8 * 1024);
        for max_len in [3, 16, 128, 512] {
            let e = t.encode(&text, max_len).unwrap();
            assert_eq!(e.ids, whole(&t, &text, max_len));
            assert!(e.truncated);
        }
    }
    let sparse = format!("a{}b{}c", " ".repeat(9000), "\n".repeat(70_000));
    assert_eq!(
        t.encode(&sparse, 16).unwrap().tokens,
        ["[CLS]", "a", "b", "c", "[SEP]"]
    );
    assert!(!t.encode(&sparse, 16).unwrap().truncated);
}

#[test]
fn bytes_and_digest_make_the_round_trip() {
    let t = bert();
    let again = Tokenizer::from_bytes(t.json().to_vec()).unwrap();
    assert_eq!(again.sha256(), t.sha256());
    assert_eq!(again.sha256().len(), 64);
    assert_eq!(
        again.encode("hello", 9).unwrap(),
        t.encode("hello", 9).unwrap()
    );
    assert_eq!(t.token_to_id("[MASK]"), Some(4));
    assert_ne!(
        tokenizer(&Spec {
            vocab: 201,
            ..Spec::default()
        })
        .sha256(),
        t.sha256()
    );
}

#[test]
fn settings_of_the_older_files() {
    let spec = Spec {
        vocab: 200,
        tokenizer: TokenizerFiles::Vocab,
        ..Spec::default()
    };
    let folder = tempfile::tempdir().unwrap();
    spec.write(folder.path()).unwrap();
    let config = |json: &str| {
        std::fs::write(folder.path().join("tokenizer_config.json"), json).unwrap();
        load_tokenizer(folder.path())
    };
    let tokens = |t: Tokenizer| t.encode("Aé", 9).unwrap().tokens[1].clone();
    assert_eq!(tokens(config("{}").unwrap()), "a");
    assert_eq!(
        tokens(config(r#"{"do_lower_case": false}"#).unwrap()),
        "[UNK]"
    );
    let object = r#"{"mask_token": {"content": "[MASK]", "lstrip": true}}"#;
    assert!(config(object).is_ok());
    for (json, expected) in [
        (r#"{"cls_token": "<s>"}"#, "cls_token"),
        (r#"{"cls_token": 5}"#, "cls_token"),
        (r#"{"do_lower_case": "yes"}"#, "do_lower_case"),
        ("[]", "tokenizer_config.json"),
        ("{", "tokenizer_config.json"),
    ] {
        let text = config(json).unwrap_err().to_string();
        assert!(text.contains(expected), "{json}: {text}");
    }
    config("{}").unwrap();
    let vocab = |bytes: &[u8]| {
        std::fs::write(folder.path().join("vocab.txt"), bytes).unwrap();
        load_tokenizer(folder.path()).unwrap_err().to_string()
    };
    assert!(vocab(b"[PAD]\n[UNK]\n\xff").contains("line 3: not UTF-8"));
    assert!(vocab(b"[PAD]\n[UNK]").contains("absent, and so \"[SEP]\""));
    assert!(vocab(b"").contains("[UNK]"), "{}", vocab(b""));
    std::fs::remove_file(folder.path().join("vocab.txt")).unwrap();
    assert!(matches!(
        load_tokenizer(folder.path()),
        Err(CheckpointError::NoTokenizer(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_encoded_or_refused(
        text in "\\PC{0,60}|[a-z ,\\[\\]A-Z\u{0}-\u{20}]{0,60}",
        max_len in 3..20usize,
    ) {
        let t = bert();
        match t.encode(&text, max_len) {
            Ok(e) => {
                prop_assert!(e.len() <= max_len && e.len() > 2);
                for bytes in &e.offsets {
                    prop_assert!(text.get(bytes.clone()).is_some());
                }
                for word in e.word_spans() {
                    prop_assert!(text.get(word.bytes).is_some());
                    prop_assert!(e.tokens.get(word.tokens).is_some());
                }
            }
            Err(TokenizerError::EmptyText { .. }) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn damaged_tokenizers_are_never_a_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut json = bert().json().to_vec();
        for (at, value) in edits {
            let at = at.index(json.len());
            json[at] = value;
        }
        if let Ok(t) = Tokenizer::from_bytes(json) {
            let _ = t.encode("some words, and more.", 12);
            let _ = t.encode_pair("some", "words", 12);
        }
    }
}
