//! `fqbert rank`, against the scores and vectors of the other commands.

use std::fs;

use fqbert_checkpoint::testing::Spec;
use fqbert_host::TaskKind;
use serde_json::Value;

use super::common::{fqbert, json, refused, s, stderr};
use super::fixture::{fixture, model, spec, with_input};

const TEXTS: [&str; 4] = ["c d e", "a b", "f\tg h", "b"];

/// A cross-encoder with one output, made once.
fn cross_encoder() -> String {
    let folder = fixture().path("cross");
    let made = fixture().path("cross.safetensors");
    fs::create_dir_all(&folder).unwrap();
    let spec = Spec {
        labels: 1,
        ..spec(TaskKind::SequenceClassification)
    };
    spec.write(&folder).unwrap();
    let pairs = fixture().path("cross.txt");
    fs::write(&pairs, "a b\tc\nd\te f\n".repeat(10)).unwrap();
    let args = [
        "quantize",
        s(&folder),
        "-o",
        s(&made),
        "--pair",
        "--calibrate",
        s(&pairs),
    ];
    let out = fqbert(&args);
    assert!(out.status.success(), "{}", stderr(&out));
    s(&made).to_owned()
}

/// Lines and scores in the order of the ranking.
fn order(v: &Value) -> Vec<(usize, f64)> {
    let one = |r: &Value| {
        (
            r["line"].as_u64().unwrap() as usize,
            r["score"].as_f64().unwrap(),
        )
    };
    v["results"].as_array().unwrap().iter().map(one).collect()
}

fn sorted(scores: &[f64]) -> Vec<(usize, f64)> {
    let mut all: Vec<(usize, f64)> = scores
        .iter()
        .enumerate()
        .map(|(i, s)| (i + 1, *s))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

fn close(found: &[(usize, f64)], expected: &[(usize, f64)]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!(
            f.0 == e.0 && (f.1 - e.1).abs() < 1e-5,
            "{found:?} {expected:?}"
        );
    }
}

#[test]
fn a_cross_encoder_ranks_by_the_score_of_the_pair() {
    let m = cross_encoder();
    let file = fixture().path("ranked.txt");
    fs::write(&file, TEXTS.join("\n")).unwrap();
    let score = |text: &&str| {
        let text = text.replace('\t', " ");
        let args = ["classify", "--json", "--model", &m, "--pair", "a b", &text];
        json(&fqbert(&args))["scores"][0].as_f64().unwrap()
    };
    let expected = sorted(&TEXTS.iter().map(score).collect::<Vec<_>>());
    let args = ["rank", "--json", "--model", &m, "a b", s(&file)];
    let v = json(&fqbert(&args));
    close(&order(&v), &expected);
    assert_eq!((&v["scored"], &v["errors"]), (&4.into(), &0.into()));
    assert!(v["provenance"]["model_sha256"].is_string());
    let top = json(&fqbert(&[&args[..], &["--top", "2"]].concat()));
    close(&order(&top), &expected[..2]);
    let out = fqbert(&["rank", "--model", &m, "a b", s(&file), "--top", "1"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let best = TEXTS[expected[0].0 - 1];
    assert_eq!(text, format!("{:>8.4}  {best}\n", expected[0].1));
}

#[test]
fn an_embedder_ranks_by_the_cosine() {
    let m = model("vectors");
    let vectors = json(&fqbert(
        &[&["embed", "--json", "--model", &m], &TEXTS[..]].concat(),
    ));
    let vector = |i: usize| -> Vec<f64> {
        let values = vectors["vectors"][i].as_array().unwrap();
        values.iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    // Of length 1 each.
    let scores: Vec<f64> = (0..4).map(|i| dot(&vector(1), &vector(i))).collect();
    let input = TEXTS.join("\n") + "\n";
    let v = json(&with_input(
        &["rank", "--json", "--model", &m, "a b"],
        input.as_bytes(),
    ));
    close(&order(&v), &sorted(&scores));
    assert_eq!(
        order(&v)[0].0,
        2,
        "the text that is the query is its best answer"
    );
}

#[test]
fn what_cannot_be_ranked_is_named() {
    let rank =
        |m: &str, query: &str, input: &[u8]| with_input(&["rank", "--model", m, query], input);
    refused(
        &rank(&model("classes"), "a", b"b\n"),
        &["3 classes", "cross-encoder"],
    );
    refused(
        &rank(&model("tags"), "a", b"b\n"),
        &["token classification", "embedder"],
    );
    let m = model("vectors");
    refused(&rank(&m, "\u{200b}", b"b\n"), &["the query", "no tokens"]);
    refused(&rank(&m, "a", b""), &["no text"]);
    let out = rank(&m, "a", b"b\n\na\n\xe2\x80\x8b\n");
    refused(&out, &["line 2", "empty", "line 4", "no tokens", "2 of 4"]);
    assert_eq!(out.stdout.iter().filter(|b| **b == b'\n').count(), 2);
    refused(&rank(&m, "a", b"\xe2\x80\x8b\n"), &["line 1", "1 of 1"]);
}
