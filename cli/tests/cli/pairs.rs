//! Pairs of texts, from the command line.

use std::fs;

use fqbert_checkpoint::load_tokenizer;
use serde_json::Value;

use super::common::{fqbert, json, refused, s, stderr};
use super::fixture::{fixture, model, with_input};

/// The logits of one answer.
fn logits(v: &Value) -> &Value {
    assert!(v["logits"].is_array(), "{v}");
    &v["logits"]
}

#[test]
fn a_pair_is_the_same_from_arguments_lines_tables_and_ids() {
    let m = model("classes");
    let classify = |more: &[&str]| {
        json(&fqbert(
            &[&["classify", "--json", "--model", &m], more].concat(),
        ))
    };
    let alone = classify(&["--pair", "a b", "c"]);
    assert_eq!(
        (&alone["text"], &alone["second"]),
        (&"a b".into(), &"c".into())
    );
    let args = ["classify", "--json", "--model", &m, "--pair", "-"];
    let lines = json(&with_input(&args, b"a b\tc\nc\ta b\n"));
    let [straight, turned] = [0, 1].map(|i| logits(&lines["results"][i]));
    assert_eq!(straight, logits(&alone));
    assert_ne!(straight, turned);

    let table = fixture().path("pairs.tsv");
    fs::write(&table, "one\ttwo\tlabel\na b\tc\t0\nc\ta b\t1\n").unwrap();
    let columns = ["--column", "one", "--second-column", "two"];
    let rows = classify(&[&["--tsv", s(&table)], &columns[..]].concat());
    assert_eq!(rows["results"][1]["second"], "a b");
    for (i, expected) in [straight, turned].into_iter().enumerate() {
        assert_eq!(logits(&rows["results"][i]), expected);
    }

    let tokenizer = load_tokenizer(&fixture().path("classes")).unwrap();
    let encoding = tokenizer.encode_pair("a b", "c", 64).unwrap();
    assert!(encoding.type_ids.contains(&1));
    let typed = encoding.ids.iter().zip(&encoding.type_ids);
    let typed: Vec<String> = typed.map(|(id, kind)| format!("{id}:{kind}")).collect();
    let untyped: Vec<String> = encoding.ids.iter().map(u32::to_string).collect();
    assert_eq!(logits(&classify(&["--ids", &typed.join(" ")])), straight);
    assert_ne!(logits(&classify(&["--ids", &untyped.join(" ")])), straight);
}

#[test]
fn what_is_no_pair_is_named() {
    let m = model("classes");
    let classify = ["classify", "--model", &m, "--pair"];
    let out = fqbert(&[&classify[..], &["a", "b", "c"]].concat());
    refused(&out, &["--pair", "3 texts", "two for each pair"]);
    let out = with_input(
        &[&classify[..], &["-"]].concat(),
        b"a\tb\na b\na\t \na\tb\tc\n",
    );
    let words = [
        "line 2",
        "0 tabs",
        "line 3",
        "second text",
        "line 4",
        "2 tabs",
    ];
    refused(&out, &words);
    let out = fqbert(&["classify", "--model", &m, "--ids", "2 5:7 3"]);
    refused(&out, &["sequence 1", "type"]);
}

#[test]
fn calibration_takes_pairs() {
    let made = fixture().path("of-pairs.safetensors");
    let [folder, table, lines] =
        ["classes", "calibration.tsv", "pairs.txt"].map(|n| fixture().path(n));
    let pairs = "a b\tc\nd\te f\ng h\t\u{200b}\n".repeat(10);
    fs::write(&lines, &pairs).unwrap();
    fs::write(&table, format!("one\ttwo\n{pairs}")).unwrap();
    let quantize = |more: &[&str]| {
        let args = ["quantize", s(&folder), "-o", s(&made), "--calibrate"];
        fqbert(&[&args[..], more].concat())
    };
    let mut logits = Vec::new();
    let columns = ["--column", "one", "--second-column", "two"];
    for more in [
        &[s(&lines), "--pair"][..],
        &[&[s(&table)], &columns[..]].concat(),
    ] {
        let out = quantize(more);
        assert!(out.status.success(), "{}", stderr(&out));
        let told = stderr(&out);
        assert!(
            told.contains("without tokens were passed over: 10"),
            "{told}"
        );
        let args = [
            "classify",
            "--json",
            "--model",
            s(&made),
            "--pair",
            "a",
            "b",
        ];
        logits.push(json(&fqbert(&args))["logits"].clone());
    }
    assert_eq!(logits[0], logits[1]);
    fs::write(&lines, "a\tb\nno pair\n").unwrap();
    refused(&quantize(&[s(&lines), "--pair"]), &["line 2", "0 tabs"]);
    let out = quantize(&[s(&table), "--column", "one", "--second-column", "three"]);
    refused(&out, &["no column \"three\""]);
}
