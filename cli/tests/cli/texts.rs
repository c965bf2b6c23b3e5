//! `classify`, `embed` and `tag`: texts and token ids.

use fqbert_checkpoint::testing::Spec;
use fqbert_host::{Family, TaskKind};

use super::common::{fqbert, json, refused, s, stderr};
use super::fixture::{fixture, model, spec, with_input};

#[test]
fn classes_of_texts_lines_and_ids() {
    let m = model("classes");
    let text = spec(TaskKind::SequenceClassification).text(6, 99);
    let one = json(&fqbert(&["classify", "--json", "--model", &m, &text]));
    assert_eq!(one["text"], text.as_str());
    let scores: Vec<f64> = one["scores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect();
    assert_eq!(scores.len(), 3);
    assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-5);

    let lines = format!("{text}\n{text} {text}\n");
    let two = json(&with_input(
        &["classify", "--json", "--model", &m, "-"],
        lines.as_bytes(),
    ));
    assert_eq!(two["results"].as_array().unwrap().len(), 2);
    // Bit for bit the same, though it shared a run with the other.
    assert_eq!(two["results"][0]["logits"], one["logits"]);
    let apart = json(&with_input(
        &["classify", "--json", "--no-packing", "--model", &m, "-"],
        lines.as_bytes(),
    ));
    assert_eq!(apart["results"], two["results"]);

    let ids = json(&fqbert(&[
        "classify",
        "--json",
        "--model",
        &m,
        "--ids",
        "2 5 6 7 3",
    ]));
    assert!(ids.get("text").is_none() && ids["label"].is_string());
    for device in [
        "emu:paper",
        "emu:zcu102?threads=1",
        "emu:tiny?kernel=scalar",
    ] {
        let same = json(&fqbert(&[
            "classify",
            "--json",
            "--model",
            &m,
            "--ids",
            "2 5 6 7 3",
            "--device",
            device,
        ]));
        assert_eq!(same["logits"], ids["logits"], "{device}");
        assert_eq!(same["provenance"]["device"]["uri"], device);
    }
}

#[test]
fn vectors_and_tags() {
    let text = spec(TaskKind::Embedding).text(5, 1);
    let v = json(&fqbert(&[
        "embed",
        "--json",
        "--model",
        &model("vectors"),
        &text,
    ]));
    let vector: Vec<f64> = v["vectors"][0]
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap())
        .collect();
    assert_eq!(v["dimensions"], 64);
    assert!(
        (vector.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-4,
        "it is normalised"
    );
    let t = json(&fqbert(&[
        "tag",
        "--json",
        "--model",
        &model("tags"),
        &text,
    ]));
    assert_eq!(
        t["words"].as_array().unwrap().len(),
        text.split_whitespace().count()
    );
}

/// A byte-level tokenizer without merges: each byte is a token, by GPT-2's letters for bytes.
fn byte_level() -> serde_json::Value {
    let special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
    let added = special.iter().enumerate().map(|(id, content)| {
        serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    });
    let mut others = 0x100..;
    let letters = (0u8..=255).map(|byte| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        _ => others.next().and_then(char::from_u32).unwrap(),
    });
    let names = special.map(String::from).into_iter();
    let names = names.chain(letters.map(String::from)).enumerate();
    let vocab: serde_json::Map<_, _> = names.map(|(id, name)| (name, id.into())).collect();
    serde_json::json!({
        "version": "1.0",
        "added_tokens": added.collect::<Vec<_>>(),
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
            "trim_offsets": true, "add_prefix_space": false},
        "model": {"type": "BPE", "vocab": vocab, "merges": [], "unk_token": "<unk>"},
    })
}

/// To a byte-level tokenizer a second space is a token, and a line's end.
#[test]
fn white_space_is_no_word() {
    let spec = Spec {
        family: Family::Roberta,
        ..spec(TaskKind::TokenClassification)
    };
    let folder = fixture().path("spaced");
    std::fs::create_dir_all(&folder).unwrap();
    spec.write(&folder).unwrap();
    std::fs::write(folder.join("tokenizer.json"), byte_level().to_string()).unwrap();
    let made = fixture().path("spaced.safetensors");
    let calibrate = fixture().path("text.txt");
    let (from, to, with) = (s(&folder), s(&made), s(&calibrate));
    let out = fqbert(&["quantize", from, "-o", to, "--calibrate", with]);
    assert!(out.status.success(), "{}", stderr(&out));
    let text = "abc  de, \n\n fgh  ";
    let v = json(&fqbert(&["tag", "--json", "--model", to, text]));
    let words = v["words"].as_array().unwrap();
    let words: Vec<&str> = words.iter().map(|w| w["word"].as_str().unwrap()).collect();
    assert!(
        words.iter().all(|word| !word.trim().is_empty()),
        "{words:?}"
    );
    assert_eq!(words.concat(), "abcde,fgh");
}

#[test]
fn texts_that_cannot_be_used() {
    let m = model("classes");
    let m = m.as_str();
    refused(&fqbert(&["classify", "--model", m, ""]), &["empty"]);
    refused(&fqbert(&["classify", "--model", m, "   "]), &["empty"]);
    refused(
        &with_input(&["classify", "--model", m, "-"], b""),
        &["no text"],
    );
    refused(
        &with_input(&["classify", "--model", m, "-"], b"good\nb\xffd\n"),
        &["UTF-8", "offset 6", "line 2"],
    );
    refused(
        &with_input(&["classify", "--model", m, "-"], b"a\n\nb\n"),
        &["line 2"],
    );
    let huge = "word ".repeat(200_000);
    let out = with_input(&["classify", "--model", m, "-"], huge.as_bytes());
    assert!(
        out.status.success(),
        "1 MB of text is cut: {}",
        stderr(&out)
    );
    refused(
        &fqbert(&["classify", "--model", m, "--ids", "2 x 3"]),
        &["\"x\"", "token id"],
    );
    refused(
        &fqbert(&["classify", "--model", m, "--ids", "2 999999 3"]),
        &["999999", "512"],
    );
    refused(
        &fqbert(&["classify", "--model", m, "--ids", &"2 ".repeat(65)]),
        &["65", "64"],
    );
}

#[test]
fn errors_are_one_json_object_too() {
    let out = fqbert(&["classify", "--json", "--model", "/no/such/model", "x"]);
    assert_eq!(out.status.code(), Some(1));
    let object: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(object["error"].as_str().unwrap().contains("/no/such/model"));
    assert_eq!(
        fqbert(&["classify"]).status.code(),
        Some(2),
        "no text at all is a wrong call"
    );
}
