//! Settings of a checkpoint's folder, unknown tokens, and token ids in place of texts, from the
//! command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use super::common::{fqbert, json, refused, s, stderr};
use super::fixture::{copy, fixture, model};

/// Quantizes a folder to a file of its own.
fn quantize(folder: &Path, text: &Path) -> (Output, PathBuf) {
    let made = folder.with_extension("made");
    let out = fqbert(&[
        "quantize",
        s(folder),
        "-o",
        s(&made),
        "--calibrate",
        s(text),
    ]);
    assert!(out.status.success(), "{}", stderr(&out));
    (out, made)
}

fn warned(text: &str) -> Value {
    let out = fqbert(&["classify", "--json", "--model", &model("classes"), text]);
    assert!(
        stderr(&out).contains("unknown to the model's tokenizer"),
        "{}",
        stderr(&out)
    );
    json(&out)
}

#[test]
fn unknown_tokens_are_counted_and_warned_of() {
    let v = warned("\u{65e5} a \u{672c} b");
    assert_eq!(
        (&v["unknown_tokens"], &v["unknown_share"]),
        (&json!(2), &json!(0.5))
    );
    let out = fqbert(&["classify", "--json", "--model", &model("classes"), "a b"]);
    assert!(!stderr(&out).contains("unknown"), "{}", stderr(&out));
    assert_eq!(json(&out)["unknown_tokens"], 0);

    let text = fixture().path("other-script.txt");
    fs::write(&text, "\u{65e5} a\n".repeat(20)).unwrap();
    let (out, _) = quantize(&copy("other-script"), &text);
    assert!(
        stderr(&out).contains("20 of 40 tokens (50 %)"),
        "{}",
        stderr(&out)
    );

    let data = fixture().path("other-script.tsv");
    fs::write(&data, "sentence\tlabel\n\u{65e5} a\t0\nb \u{672c}\t1\n").unwrap();
    let out = fqbert(&["eval", &model("classes"), "--json", "--data", s(&data)]);
    assert!(stderr(&out).contains("2 of 4 tokens"), "{}", stderr(&out));
    assert_eq!(json(&out)["unknown_share"], 0.5);
}

#[test]
fn ids_in_place_of_texts() {
    let folder = copy("ids-alone");
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let ids = fixture().path("ids.txt");
    fs::write(&ids, "2 7 8 9 3\n2 10,11 3\n".repeat(20)).unwrap();
    let output = fixture().path("ids-alone.safetensors");
    let args = [
        "quantize",
        s(&folder),
        "-o",
        s(&output),
        "--calibrate",
        s(&ids),
    ];
    refused(&fqbert(&args), &["tokenizer.json", "vocab.txt"]);
    let out = fqbert(&[&args[..], &["--ids"]].concat());
    assert!(out.status.success(), "{}", stderr(&out));

    let data = fixture().path("ids.tsv");
    fs::write(&data, "sentence\tlabel\n2 7 8 3\t0\n2 9 3\t1\n").unwrap();
    let out = fqbert(&["eval", s(&output), "--ids", "--json", "--data", s(&data)]);
    assert_eq!(json(&out)["n"], 2, "{}", stderr(&out));
    refused(
        &fqbert(&["eval", s(&output), "--data", s(&data)]),
        &["no tokenizer"],
    );
    fs::write(&data, "sentence\tlabel\n2 7 8 3\t0\n2 x 3\t1\n").unwrap();
    let out = fqbert(&["eval", s(&output), "--ids", "--data", s(&data)]);
    refused(&out, &["line 3", "\"x\"", "token id"]);
    fs::write(&ids, "2 ".repeat(65)).unwrap();
    refused(
        &fqbert(&[&args[..], &["--ids"]].concat()),
        &["line 1", "65 ids", "64"],
    );
}

#[test]
fn the_pooling_of_a_plain_encoder_is_said_and_chosen() {
    let made = fixture().path("pooled.safetensors");
    let [folder, text] = ["vectors", "text.txt"].map(|name| fixture().path(name));
    let quantize = |folder: &Path, more: &[&str]| {
        let args = [
            "quantize",
            s(folder),
            "-o",
            s(&made),
            "--calibrate",
            s(&text),
        ];
        fqbert(&[&args[..], more].concat())
    };
    let shown = || {
        let v = json(&fqbert(&["embed", "--json", "--model", s(&made), "a b"]));
        let vector = v["vectors"][0].as_array().unwrap();
        let length = vector.iter().map(|v| v.as_f64().unwrap().powi(2)).sum();
        let inspect = String::from_utf8(fqbert(&["inspect", s(&made)]).stdout).unwrap();
        (f64::sqrt(length), inspect)
    };
    let cases: [(&[&str], &str, bool, &str); 4] = [
        (
            &[],
            "--pooling and --normalize choose",
            true,
            "mean of the tokens, scaled",
        ),
        (
            &["--pooling", "cls"],
            "--normalize chooses",
            true,
            "first token, scaled",
        ),
        (
            &["--normalize", "no"],
            "--pooling chooses",
            false,
            "(mean of the tokens)",
        ),
        (
            &["--pooling", "cls", "--normalize", "no"],
            "",
            false,
            "(first token)",
        ),
    ];
    for (more, warning, unit, said) in cases {
        let out = quantize(&folder, more);
        assert!(out.status.success(), "{}", stderr(&out));
        let told = stderr(&out);
        assert!(told.contains(warning), "{more:?}: {told}");
        assert_eq!(
            told.contains("no file of the checkpoint"),
            !warning.is_empty()
        );
        let (length, inspect) = shown();
        assert_eq!((length - 1.0).abs() < 1e-4, unit, "{more:?}: {length}");
        assert!(inspect.contains(said), "{said} is not in:\n{inspect}");
    }
    refused(
        &quantize(&fixture().path("classes"), &["--pooling", "cls"]),
        &["--pooling", "sequence classification", "--task embedding"],
    );
}

#[test]
fn inspect_lists_what_was_applied() {
    let folder = copy("settings-applied");
    let config = json!({"do_lower_case": false, "model_max_length": 12, "colour": 3});
    fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
    let (out, made) = quantize(&folder, &fixture().path("text.txt"));
    assert!(
        stderr(&out).contains("the key colour is not known"),
        "{}",
        stderr(&out)
    );
    let text = fqbert(&["inspect", s(&made)]);
    let text = String::from_utf8(text.stdout).unwrap();
    for line in [
        "setting: tokenizer_config.json do_lower_case = false",
        "setting: tokenizer_config.json model_max_length = 12",
        "up to 12 tokens",
        "note: tokenizer_config.json: the key colour",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    let v = json(&fqbert(&["inspect", "--json", s(&made)]));
    assert_eq!(v["text"]["max_tokens"], 12);
    let long = "a ".repeat(30);
    let v = fqbert(&["classify", "--json", "--model", s(&made), &long]);
    assert_eq!(json(&v)["cut"], true);
    assert!(stderr(&v).contains("12 tokens"), "{}", stderr(&v));
}
