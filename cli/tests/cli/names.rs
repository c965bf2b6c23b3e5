//! Names from files are shortened and escaped wherever they are shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use super::common::{fqbert, s, stderr};
use super::fixture::{copy, fixture, model};

/// 100 kB that would clear a terminal.
fn name() -> String {
    format!("\x1b[2J\x07{}", "x".repeat(100_000))
}

/// Refused with the name shortened and without anything that a terminal would obey.
#[track_caller]
fn short(out: &Output) {
    let said = stderr(out);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.len() < 5000, "{} bytes are said", said.len());
    assert!(!said.contains(['\x1b', '\x07']), "{said}");
    assert!(said.contains("xxx") && said.contains("... ("), "{said}");
}

/// Quantizes a checkpoint with one of its JSON files changed.
fn checkpoint(folder: &str, file: &str, change: impl Fn(&mut Value)) -> Output {
    let folder = copy(folder);
    let path = folder.join(file);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
    // The class that takes tokenizer.json as it stands.
    let class = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
    fs::write(folder.join("tokenizer_config.json"), class.to_string()).unwrap();
    quantize(&folder, &fixture().path("text.txt"))
}

fn quantize(folder: &Path, calibrate: &Path) -> Output {
    let output = fixture().path("unnamed.safetensors");
    let args = [
        "quantize",
        s(folder),
        "-o",
        s(&output),
        "--calibrate",
        s(calibrate),
    ];
    fqbert(&args)
}

/// A copy of a safetensors file with its header changed.
fn header(from: &Path, to: &str, change: impl Fn(&mut Value)) -> PathBuf {
    let bytes = fs::read(from).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    // Files of before have no digest, and are read as far as they are right.
    if let Some(metadata) = header["__metadata__"].as_object_mut() {
        metadata.remove("fqbert.sha256");
    }
    let header = header.to_string().into_bytes();
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend(header);
    changed.extend(&bytes[8 + length..]);
    let path = fixture().path(to);
    fs::write(&path, changed).unwrap();
    path
}

#[test]
fn of_model_files() {
    let good = model("classes");
    let good = Path::new(&good);
    let classify = |path: &Path| fqbert(&["classify", "--model", s(path), "abc"]);
    let metadata = |key: &'static str, value: &dyn Fn(&str) -> String| {
        classify(&header(good, "metadata.safetensors", |h| {
            let old = h["__metadata__"][key].as_str().unwrap().to_owned();
            h["__metadata__"][key] = value(&old).into();
        }))
    };
    short(&metadata("fqbert.format", &|_| name()));
    short(&metadata("fqbert.contract", &|_| name()));
    short(&metadata("fqbert.tokenizer_sha256", &|_| name()));
    let field = |old: &str| {
        let mut config: Value = serde_json::from_str(old).unwrap();
        config[name()] = 1.into();
        config.to_string()
    };
    short(&metadata("fqbert.config", &field));
    let family = |old: &str| {
        let mut config: Value = serde_json::from_str(old).unwrap();
        config["family"] = name().into();
        config.to_string()
    };
    short(&metadata("fqbert.config", &family));
    let dtype = header(good, "dtype.safetensors", |h| {
        h["embeddings.word"]["dtype"] = name().into();
    });
    short(&classify(&dtype));
    // Beside all that the model has there is one of no bytes.
    let more = header(good, "tensor.safetensors", |h| {
        h[name()] = json!({"dtype": "U8", "shape": [0], "data_offsets": [0, 0]});
    });
    short(&classify(&more));
}

#[test]
fn of_labels() {
    let labels = header(Path::new(&model("classes")), "labels.safetensors", |h| {
        let config = h["__metadata__"]["fqbert.config"].as_str().unwrap();
        let mut config: Value = serde_json::from_str(config).unwrap();
        config["labels"] = json!([name(), name() + "1", name() + "2"]);
        h["__metadata__"]["fqbert.config"] = config.to_string().into();
    });
    for args in [
        &["classify", "--model", s(&labels), "abc"][..],
        &["inspect", s(&labels), "--seq", "8"],
    ] {
        let out = fqbert(args);
        assert!(out.status.success(), "{}", stderr(&out));
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(text.len() < 5000 && !text.contains('\x1b'));
    }
    let data = fixture().path("no-label.tsv");
    fs::write(&data, format!("sentence\tlabel\nabc\t{}no\n", name())).unwrap();
    short(&fqbert(&["eval", s(&labels), "--data", s(&data)]));
}

#[test]
fn of_checkpoints() {
    let config = |change: &dyn Fn(&mut Value)| checkpoint("named", "config.json", change);
    short(&config(&|c| c["architectures"] = json!([name()])));
    short(&config(&|c| c["model_type"] = name().into()));
    short(&config(&|c| c["hidden_act"] = name().into()));
    short(&config(&|c| c["id2label"] = json!({name(): 1})));
    short(&config(&|c| c["vocab_size"] = name().into()));
    let tokenizer = |change: &dyn Fn(&mut Value)| {
        let out = checkpoint("named-tokens", "tokenizer.json", change);
        assert!(stderr(&out).contains("tokenizer"), "{}", stderr(&out));
        out
    };
    short(&tokenizer(&|t| t["version"] = name().into()));
    short(&tokenizer(&|t| {
        t["pre_tokenizer"] = json!({"type": "Split", "pattern": {"Regex": name()},
            "behavior": "Isolated", "invert": false});
    }));

    let folder = copy("named-tensors");
    let weights = folder.join("model.safetensors");
    let renamed = header(&weights, "renamed.safetensors", |h| {
        h[name()] = json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]});
    });
    fs::copy(renamed, &weights).unwrap();
    short(&quantize(&folder, &fixture().path("text.txt")));
}

#[test]
fn of_tables() {
    let write = |file: &str, text: String| {
        let path = fixture().path(file);
        fs::write(&path, text).unwrap();
        path
    };
    let long = write("long.tsv", format!("{}\t{0}\nabc\t0\n", name()));
    let m = model("classes");
    short(&fqbert(&["eval", &m, "--data", s(&long)]));
    let columns = write("columns.tsv", format!("{}\tb\nabc\t0\n", name()));
    short(&fqbert(&["classify", "--model", &m, "--tsv", s(&columns)]));
    let folder = fixture().path("classes");
    let output = fixture().path("unnamed.safetensors");
    let mut args = vec!["quantize", s(&folder), "-o", s(&output), "--column", "text"];
    args.extend(["--calibrate", s(&columns)]);
    short(&fqbert(&args));
    let asked = name();
    short(&fqbert(&["classify", "--model", &m, "--ids", &asked]));
}
