//! `quantize`: checkpoints, calibration data, budgets.

use std::fs;
use std::path::Path;
use std::process::Output;

use fqbert_host::TaskKind;

use super::common::{fqbert, json, refused, s, stderr};
use super::fixture::{copy, fixture, spec};

/// `fqbert quantize FOLDER -o OUTPUT`, with calibration text unless it is to do without.
fn quantize(folder: &Path, output: &Path, calibrate: Option<&Path>) -> Output {
    let mut args = vec!["quantize", s(folder), "-o", s(output)];
    if let Some(text) = calibrate {
        args.extend(["--calibrate", s(text)]);
    }
    fqbert(&args)
}

#[test]
fn checkpoints_that_cannot_be_quantized() {
    let text = fixture().path("text.txt");
    let output = fixture().path("never.safetensors");
    let spoiled = |name: &str, from: &str, to: &str| {
        let folder = copy(name);
        let config = fs::read_to_string(folder.join("config.json")).unwrap();
        assert!(config.contains(from), "{config}");
        fs::write(folder.join("config.json"), config.replace(from, to)).unwrap();
        let out = quantize(&folder, &output, Some(&text));
        assert!(!output.exists(), "a failed command leaves no output");
        out
    };
    refused(
        &spoiled("activation", "\"gelu\"", "\"swish\""),
        &["swish", "gelu"],
    );
    refused(
        &spoiled(
            "architecture",
            "BertForSequenceClassification",
            "GPT2LMHeadModel",
        ),
        &["GPT2LMHeadModel"],
    );
}

#[test]
fn calibration_data_that_cannot_be_used() {
    let good = fixture().path("classes");
    let output = fixture().path("never-either.safetensors");
    let with = |text: &Path| quantize(&good, &output, Some(text));
    refused(&with(Path::new("/no/such/text")), &["/no/such/text"]);
    let blank = fixture().path("blank.txt");
    fs::write(&blank, "\n\n").unwrap();
    refused(&with(&blank), &["blank.txt"]);
    let text = fixture().path("text.txt");
    let nowhere = quantize(&good, Path::new("/no/such/folder/m"), Some(&text));
    refused(&nowhere, &["/no/such/folder/m"]);
    refused(
        &quantize(&good, &output, None),
        &["--calibrate FILE is needed"],
    );
    assert!(!output.exists(), "a failed command leaves no output");
}

#[test]
fn scales_learned_for_half_of_the_layers_need_calibration() {
    let folder = copy("half-learned");
    let output = fixture().path("half-learned.safetensors");
    let layers = vec!["{}"; spec(TaskKind::SequenceClassification).layers].join(",");
    let scales = format!("{{\"format\":\"fqbert-scales\",\"version\":1,\"layers\":[{layers}]}}");
    fs::write(folder.join("fqbert-scales.json"), scales).unwrap();
    refused(
        &quantize(&folder, &output, None),
        &[
            "fqbert-scales.json",
            "layer 0 x8",
            "calibration data is needed",
        ],
    );
    let both = quantize(&folder, &output, Some(&fixture().path("text.txt")));
    assert!(both.status.success(), "{}", stderr(&both));
}

#[test]
fn bits_are_mixed_within_a_budget_and_runs_resumed() {
    let quantize = |out: &Path, more: &[&str]| {
        let (folder, text) = (fixture().path("classes"), fixture().path("text.txt"));
        let mut args = vec![
            "quantize",
            s(&folder),
            "-o",
            s(out),
            "--calibrate",
            s(&text),
        ];
        args.extend(["--samples", "20", "--held-out", "5", "--json"]);
        args.extend(more);
        fqbert(&args)
    };
    let (out, table) = (
        fixture().path("mixed.safetensors"),
        fixture().path("table.json"),
    );
    let stages = fixture().path("mixed.safetensors.stages");
    let budget = ["--budget", "5bits", "--sensitivity", s(&table), "--resume"];
    let mixed = json(&quantize(&out, &budget));
    let bits = mixed["mix"]["bits"].as_f64().unwrap();
    assert!(bits > 4.0 && bits <= 5.0, "{bits}");
    assert!(!stages.exists());
    let table: serde_json::Value = serde_json::from_slice(&fs::read(&table).unwrap()).unwrap();
    assert_eq!(table, mixed["mix"]["sensitivity"]);
    assert_eq!(table["matrices"].as_array().unwrap().len(), 12);
    let said = fqbert(&["classify", "--json", "--model", s(&out), "abc"]);
    assert!(json(&said)["label"].is_string());

    // What somebody else left in the folder is refused and stays.
    fs::create_dir_all(&stages).unwrap();
    fs::write(stages.join("notes.stage"), "mine").unwrap();
    refused(&quantize(&out, &budget), &["notes.stage", "no stage file"]);
    assert!(stages.join("notes.stage").exists());

    let dropped = json(&quantize(&out, &["--max-drop", "1"]));
    assert_eq!(dropped["mix"]["bits"], 4.0);
    refused(&quantize(&out, &["--budget", "9"]), &["budget", "4 to 8"]);
    let two = quantize(&out, &["--budget", "5", "--max-drop", "1"]);
    assert_eq!(two.status.code(), Some(2));
}

#[test]
fn a_report_is_a_whole_file() {
    let (folder, text) = (fixture().path("classes"), fixture().path("text.txt"));
    let (out, report) = (
        fixture().path("reported.safetensors"),
        fixture().path("report.json"),
    );
    let mut args = vec!["quantize", s(&folder), "-o", s(&out), "--json"];
    args.extend(["--calibrate", s(&text), "--report", s(&report)]);
    let said = json(&fqbert(&args));
    let bytes = fs::read(&report).unwrap();
    assert_eq!(bytes.last(), Some(&b'\n'));
    let written: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(written, said["report"]);
    args.pop();
    args.push("/no/such/folder/report.json");
    refused(
        &fqbert(&args),
        &["/no/such/folder/report.json", "make it first"],
    );
}
