//! The program as a user runs it: a made-up checkpoint is quantized, asked, evaluated, and every
//! kind of bad input is refused with its name, its numbers and a remedy.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use fqbert_checkpoint::testing::Spec;
use fqbert_host::TaskKind;

use common::{command, fqbert, json, refused, s, stderr};

/// A folder with a checkpoint, calibration text and the quantized model, made once for all tests.
struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn spec(task: TaskKind) -> Spec {
    Spec {
        layers: 2,
        hidden: 64,
        heads: 2,
        intermediate: 128,
        labels: 3,
        max_sequence: 64,
        task,
        ..Spec::default()
    }
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let fixture = Fixture {
            folder: tempfile::tempdir().unwrap(),
        };
        let tasks = [
            ("classes", TaskKind::SequenceClassification),
            ("vectors", TaskKind::Embedding),
            ("tags", TaskKind::TokenClassification),
        ];
        for (name, task) in tasks {
            let spec = spec(task);
            fs::create_dir_all(fixture.path(name)).unwrap();
            spec.write(&fixture.path(name)).unwrap();
            let text: String = (0..40).map(|i| spec.text(8, i) + "\n").collect();
            fs::write(fixture.path("text.txt"), text).unwrap();
            let model = fixture.path(&format!("{name}.safetensors"));
            let calibrate = fixture.path("text.txt");
            let out = fqbert(&[
                "quantize",
                s(&fixture.path(name)),
                "-o",
                s(&model),
                "--calibrate",
                s(&calibrate),
                "--license",
                "MIT",
            ]);
            assert!(out.status.success(), "{}", stderr(&out));
        }
        fixture
    })
}

fn with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments may be gone before it reads.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn model(name: &str) -> String {
    s(&fixture().path(&format!("{name}.safetensors"))).to_owned()
}

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
        assert_eq!(same, ids, "{device}");
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

#[test]
fn eval_inspect_disassemble_and_bench_give_their_objects() {
    let m = model("classes");
    let spec = spec(TaskKind::SequenceClassification);
    let rows: String = (0..6)
        .map(|i| format!("{}\t{}\n", spec.text(5, i), i % 3))
        .collect();
    let data = fixture().path("data.tsv");
    fs::write(&data, format!("sentence\tlabel\n{rows}")).unwrap();
    let e = json(&fqbert(&["eval", "--json", &m, "--data", s(&data)]));
    assert_eq!(
        (e["metric"].as_str(), e["n"].as_u64()),
        (Some("accuracy"), Some(6))
    );
    assert!(e["float_value"].is_null());

    let i = json(&fqbert(&["inspect", "--json", &m, "--seq", "16"]));
    assert_eq!(i["shape"]["hidden"], 64);
    assert_eq!(i["instructions_per_layer"].as_array().unwrap().len(), 2);
    let d = json(&fqbert(&["disassemble", "--json", &m, "--seq", "16"]));
    assert_eq!(d["instructions"], i["instructions"]);
    let b = json(&fqbert(&[
        "bench", "--json", &m, "--seq", "16", "--runs", "2",
    ]));
    assert!(b["median_ms"].as_f64() >= b["min_ms"].as_f64());
    assert_eq!(b["cycles"], i["cycles"]);
}

#[test]
fn the_papers_compression_and_cycles_of_bert_base() {
    let i = json(&fqbert(&[
        "inspect",
        "--json",
        "--shape",
        "bert-base",
        "--device",
        "emu:zcu102",
    ]));
    // Our per-channel scales cost a little, and there are no per-tensor ones to save: 7.90; the
    // paper's scheme gives 7.94.
    let ratio = i["compression"]["ratio"].as_f64().unwrap();
    assert!((7.85..7.95).contains(&ratio), "{ratio}");
    assert!(
        i["cycles"].as_u64().unwrap() <= 2_782_000,
        "13 ms at 214 MHz"
    );
}

#[test]
fn stalls_of_bert_base_are_those_of_the_documentation() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/accelerator.md");
    let page = fs::read_to_string(page).unwrap();
    let command = ["bench", "--cycles", "--stalls", "--shape", "bert-base"];
    for device in ["emu:paper", "emu:zcu102", "emu:zcu111"] {
        let table = fqbert(&[&command[..], &["--device", device]].concat());
        let table = String::from_utf8(table.stdout).unwrap();
        assert!(
            page.contains(&table),
            "docs/accelerator.md has not\n{table}"
        );
    }
    let b = json(&fqbert(
        &[&command[..], &["--json", "--device", "emu:zcu102"]].concat(),
    ));
    for unit in b["units"].as_array().unwrap() {
        let waits = unit["waits"].as_array().unwrap();
        let waits: u64 = waits.iter().map(|w| w["cycles"].as_u64().unwrap()).sum();
        let [busy, stalled, idle] = ["busy", "stalled", "idle"].map(|k| unit[k].as_u64().unwrap());
        assert_eq!(waits, stalled, "{unit}");
        assert_eq!(Some(busy + stalled + idle), b["cycles"].as_u64(), "{unit}");
    }
    let alone = fqbert(&[&["bench"][..], &command[2..]].concat());
    assert!(!alone.status.success() && stderr(&alone).contains("--cycles"));
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
fn tables_with_bad_rows() {
    let m = model("classes");
    let table = |name: &str, text: &[u8]| {
        let path = fixture().path(name);
        fs::write(&path, text).unwrap();
        fqbert(&["eval", &m, "--data", s(&path)])
    };
    refused(
        &table("short.tsv", b"sentence\tlabel\none two\t1\nthree\n"),
        &["line 3", "1 fields", "2"],
    );
    refused(
        &table("label.tsv", b"sentence\tlabel\none two\t7\n"),
        &["line 2", "\"7\"", "below 3"],
    );
    refused(
        &table("column.tsv", b"text\tlabel\none two\t1\n"),
        &["no column \"sentence\"", "text, label"],
    );
    refused(&table("empty.tsv", b""), &["empty"]);
    refused(&table("header.tsv", b"sentence\tlabel\n"), &["no rows"]);
    refused(
        &table("bytes.tsv", b"sentence\tlabel\n\xff\t1\n"),
        &["UTF-8", "line 2"],
    );
    refused(
        &fqbert(&["eval", &m, "--data", "/no/such/file"]),
        &["/no/such/file"],
    );
}

#[test]
fn devices_and_models_that_do_not_fit() {
    let m = model("classes");
    let m = m.as_str();
    refused(
        &fqbert(&["classify", "--model", m, "--device", "nothing", "x"]),
        &["\"nothing\"", "emu:GEOMETRY"],
    );
    refused(
        &fqbert(&["classify", "--model", m, "--device", "emu:huge", "x"]),
        &["huge", "zcu102"],
    );
    refused(
        &fqbert(&["inspect", "--shape", "bert-large", "--device", "emu:tiny"]),
        &["1024", "768"],
    );
    refused(
        &fqbert(&["inspect", "--shape", "bert-huge"]),
        &["bert-huge", "bert-base"],
    );
    refused(
        &fqbert(&["inspect", "--shape", "bert-base", "--seq", "4000"]),
        &["4000"],
    );
    refused(
        &fqbert(&["embed", "--model", m, "x"]),
        &["classification", "embeddings"],
    );
    refused(&fqbert(&["tag", "--model", m, "x"]), &["classification"]);
    refused(
        &fqbert(&["classify", "--model", "/no/such/model", "x"]),
        &["/no/such/model"],
    );
}

#[test]
fn damaged_model_files() {
    let bytes = fs::read(model("classes")).unwrap();
    let try_file = |name: &str, bytes: &[u8]| {
        let path = fixture().path(name);
        fs::write(&path, bytes).unwrap();
        fqbert(&["classify", "--model", s(&path), "x"])
    };
    refused(&try_file("none.safetensors", b""), &["none.safetensors"]);
    for cut in [4, 100, bytes.len() / 2, bytes.len() - 1] {
        refused(
            &try_file("cut.safetensors", &bytes[..cut]),
            &["cut.safetensors"],
        );
    }
    let mut long = bytes.clone();
    long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    refused(&try_file("long.safetensors", &long), &["long.safetensors"]);
    // A checkpoint is no quantized model.
    let float = fs::read(fixture().path("classes/model.safetensors")).unwrap();
    refused(
        &try_file("float.safetensors", &float),
        &["float.safetensors"],
    );
}

#[test]
fn checkpoints_that_cannot_be_quantized() {
    let good = fixture().path("classes");
    let text = fixture().path("text.txt");
    let out_file = fixture().path("never.safetensors");
    let spoiled = |name: &str, from: &str, to: &str| {
        let folder = fixture().path(name);
        fs::create_dir_all(&folder).unwrap();
        for file in fs::read_dir(&good).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
        let config = fs::read_to_string(folder.join("config.json")).unwrap();
        assert!(config.contains(from), "{config}");
        fs::write(folder.join("config.json"), config.replace(from, to)).unwrap();
        let out = fqbert(&[
            "quantize",
            s(&folder),
            "-o",
            s(&out_file),
            "--calibrate",
            s(&text),
        ]);
        assert!(!out_file.exists(), "a failed command leaves no output");
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
    let quantize = |calibrate: &Path| {
        fqbert(&[
            "quantize",
            s(&good),
            "-o",
            s(&out_file),
            "--calibrate",
            s(calibrate),
        ])
    };
    refused(&quantize(Path::new("/no/such/text")), &["/no/such/text"]);
    let blank = fixture().path("blank.txt");
    fs::write(&blank, "\n\n").unwrap();
    refused(&quantize(&blank), &["blank.txt"]);
    let nowhere = fqbert(&[
        "quantize",
        s(&good),
        "-o",
        "/no/such/folder/m",
        "--calibrate",
        s(&text),
    ]);
    refused(&nowhere, &["/no/such/folder/m"]);

    let plain = |folder: &Path| fqbert(&["quantize", s(folder), "-o", s(&out_file)]);
    refused(&plain(&good), &["--calibrate FILE is needed"]);
    let half_learned = fixture().path("half-learned");
    fs::create_dir_all(&half_learned).unwrap();
    for file in fs::read_dir(&good).unwrap().flatten() {
        fs::copy(file.path(), half_learned.join(file.file_name())).unwrap();
    }
    let layers = vec!["{}"; spec(TaskKind::SequenceClassification).layers].join(",");
    let scales = format!("{{\"format\":\"fqbert-scales\",\"version\":1,\"layers\":[{layers}]}}");
    fs::write(half_learned.join("fqbert-scales.json"), scales).unwrap();
    refused(
        &plain(&half_learned),
        &[
            "fqbert-scales.json",
            "layer 0 x8",
            "calibration data is needed",
        ],
    );
    let both = fqbert(&[
        "quantize",
        s(&half_learned),
        "-o",
        s(&out_file),
        "--calibrate",
        s(&text),
    ]);
    assert!(both.status.success(), "{}", stderr(&both));
    fs::remove_file(&out_file).unwrap();
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
