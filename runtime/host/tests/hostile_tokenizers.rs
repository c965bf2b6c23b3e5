//! Tokenizer files that would take memory or time without end are refused by name, before the
//! library reads them, and what the library makes of damaged ones is an error.

use fqbert_host::{Tokenizer, TokenizerError};
use serde_json::{Value, json};

/// A WordPiece tokenizer with some parts replaced.
fn file(parts: Value) -> Value {
    let mut file = json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "a": 1, "##a": 2},
        },
    });
    for (key, value) in parts.as_object().unwrap() {
        match (file.get_mut(key), value) {
            (Some(Value::Object(fields)), Value::Object(new)) if key == "model" => {
                fields.extend(new.clone());
            }
            _ => file[key] = value.clone(),
        }
    }
    file
}

fn load(parts: Value) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::from_bytes(file(parts).to_string().into_bytes())
}

#[track_caller]
fn refused(parts: Value, words: &[&str]) {
    let said = load(parts).unwrap_err().to_string();
    for word in words {
        assert!(said.contains(word), "\"{word}\" is not in: {said}");
    }
    assert!(said.len() < 1000, "{} bytes", said.len());
}

fn replace(pattern: &str, content: &str) -> Value {
    json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
}

fn sequence(steps: &[Value]) -> Value {
    json!({"type": "Sequence", "normalizers": steps})
}

#[test]
fn steps_that_multiply_the_text() {
    let thirty = replace("a", &"a".repeat(30));
    let bomb = sequence(&vec![thirty.clone(); 6]);
    refused(
        json!({"normalizer": bomb}),
        &["normalizer", "729000000 bytes", "65536 at most"],
    );
    let inner = sequence(&vec![thirty.clone(); 3]);
    refused(
        json!({"normalizer": sequence(&[inner.clone(), inner])}),
        &["729000000"],
    );
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true});
    let bytes = json!({"type": "Sequence", "pretokenizers": vec![bytes; 20]});
    refused(
        json!({"pre_tokenizer": bytes}),
        &["pre-tokenizer", "at most"],
    );
    let regex =
        json!({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "y".repeat(70_000)});
    refused(json!({"normalizer": regex}), &["70001 bytes"]);
    let many = vec![json!({"type": "Strip", "strip_left": true, "strip_right": true}); 65];
    refused(json!({"normalizer": sequence(&many)}), &["65 steps"]);

    // Three are within the bound, and the text is measured.
    let three = load(json!({"normalizer": sequence(&vec![thirty; 3])})).unwrap();
    assert_eq!(three.encode("ba", 8).unwrap().ids, [0]);
    let error = three.encode(&"a".repeat(5000), 512).unwrap_err();
    assert!(matches!(error, TokenizerError::Grows { .. }), "{error}");
    assert!(error.to_string().contains("33554432 at most"), "{error}");
    // Of what the steps do not touch there is no more than there was.
    three.encode(&"b ".repeat(5000), 512).unwrap();
}

#[test]
fn added_tokens_and_tables_are_measured_before_they_are_used() {
    let token = json!({"id": 3, "content": "a".repeat(1000), "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": true, "special": false});
    let grown = sequence(&vec![replace("a", &"a".repeat(40)); 3]);
    refused(
        json!({"normalizer": grown, "added_tokens": [token]}),
        &["added tokens", "64000000 bytes"],
    );
    let long = json!({"id": 3, "content": "a".repeat(2000), "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false, "special": false});
    refused(json!({"added_tokens": [long]}), &["a token", "2000 bytes"]);
    // The trie would be 4 GB.
    let table = json!({"type": "Precompiled", "precompiled_charsmap": "8P///wAAAAA="});
    refused(
        json!({"normalizer": table}),
        &["precompiled_charsmap", "4294967280"],
    );
}

#[test]
fn words_patterns_templates_and_vocabularies() {
    let model = |fields: Value| json!({"model": fields});
    refused(
        model(json!({"max_input_chars_per_word": 1_000_000})),
        &["max_input_chars_per_word", "1000000 characters", "512"],
    );
    refused(
        model(json!({"continuing_subword_prefix": "#".repeat(1 << 20)})),
        &["continuing_subword_prefix", "1048576 bytes"],
    );
    refused(
        model(json!({"vocab": {"[UNK]": 0, ("x".repeat(100_000)): 1}})),
        &["a token", "100000 bytes"],
    );
    refused(model(json!({"dropout": 0.1})), &["dropout", "0.1"]);
    let split = |pattern: &str| {
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
            "invert": false})
    };
    refused(
        json!({"pre_tokenizer": split("(a+)+(?!b)")}),
        &["(a+)+(?!b)", "repeats"],
    );
    let piece = json!({"Sequence": {"id": "A", "type_id": 0}});
    let template = |pieces: &[Value]| {
        json!({"type": "TemplateProcessing", "single": pieces, "pair": [piece],
            "special_tokens": {}})
    };
    refused(
        json!({"post_processor": template(&[piece.clone(), piece.clone()])}),
        &["text A", "\"single\"", "2 times"],
    );
}

/// What the library cannot do without a panic is an error that says what the panic did.
#[test]
fn damaged_files_are_errors() {
    let charsmap = json!({"type": "Precompiled", "precompiled_charsmap": ""});
    let error = load(json!({"normalizer": charsmap})).unwrap_err();
    assert!(error.to_string().contains("panicked on it: "), "{error}");
    let escapes = format!("\x1b[2J{}", "x".repeat(100_000));
    for kind in ["normalizer", "pre_tokenizer"] {
        let said = load(json!({kind: {"type": escapes}}))
            .unwrap_err()
            .to_string();
        assert!(!said.contains('\x1b') && said.len() < 1000, "{said}");
    }
}

#[test]
fn added_tokens_that_are_one_text() {
    let token = |id: u64, content: &str, normalized: bool| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": normalized, "special": false})
    };
    let parts = |normalized| {
        json!({
            "normalizer": {"type": "Lowercase"},
            "added_tokens": [token(3, "[E]", normalized), token(4, "[e]", true)],
        })
    };
    refused(parts(true), &["[E]", "[e]", "same text", "normalized"]);
    load(parts(false)).unwrap();
}
