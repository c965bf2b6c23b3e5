//! Streams: answers and errors of lines, and standard output and error that cannot be written.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use fqbert_host::TaskKind;

use super::common::{command, fqbert, json, refused, s, stderr};
use super::fixture::{copy, fill, fixture, model, spec, with_input};

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// The program by a shell that redirects its streams.
fn redirected(args: &[&str], how: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec \"$0\" \"$@\" {how}")])
        .arg(env!("CARGO_BIN_EXE_fqbert"))
        .args(args)
        .env("FQBERT_DEVICE", "emu:tiny")
        .stdin(Stdio::null());
    shell
}

#[test]
fn one_bad_line_is_an_error_for_that_line() {
    let m = model("classes");
    let word = spec(TaskKind::SequenceClassification).text(4, 5);
    let lines = format!("\u{feff}{word}\n\n{word}\n\u{200d}\n");
    let mut input = lines.into_bytes();
    input.extend(b"b\xffd\n");
    input.extend(word.as_bytes());
    let args = ["classify", "--model", &m, "-"];
    let out = with_input(&args, &input);
    refused(
        &out,
        &[
            "line 2",
            "empty",
            "line 5",
            "UTF-8",
            "of 6 texts have no answer",
        ],
    );
    let text = String::from_utf8(out.stdout).unwrap();
    let answered: Vec<bool> = text.lines().map(|l| l != "-").collect();
    // The fourth is a mark that this tokenizer may or may not make a token of.
    assert_eq!(answered[..3], [true, false, true]);
    assert_eq!(answered[4..], [false, true]);

    let out = with_input(&[&args[..], &["--json"]].concat(), &input);
    assert_eq!(out.status.code(), Some(1));
    let answers: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let results = answers["results"].as_array().unwrap();
    assert_eq!(results.len(), 6);
    assert_eq!(results[0]["text"], word.as_str());
    assert_eq!(results[0]["logits"], results[5]["logits"]);
    assert_eq!(results[1]["line"], 2);
    assert!(results[4]["error"].as_str().unwrap().contains("line 5"));
    assert!(results[4]["causes"][0].as_str().unwrap().contains("UTF-8"));
    assert!(answers["errors"].as_u64().unwrap() >= 2);

    let vectors = with_input(
        &["embed", "--json", "--model", &model("vectors"), "-"],
        &input,
    );
    let vectors: serde_json::Value = serde_json::from_slice(&vectors.stdout).unwrap();
    assert_eq!(vectors["vectors"][0], vectors["vectors"][5]);
    assert_eq!(vectors["vectors"][1]["line"], 2);

    let tags = with_input(&["tag", "--json", "--model", &model("tags"), "-"], &input);
    let tags: serde_json::Value = serde_json::from_slice(&tags.stdout).unwrap();
    assert_eq!(tags["results"][0]["words"], tags["results"][5]["words"]);
    assert_eq!(tags["results"][4]["line"], 5);
    let alone = json(&fqbert(&[
        "tag",
        "--json",
        "--model",
        &model("tags"),
        &word,
    ]));
    assert_eq!(alone["words"], tags["results"][0]["words"]);
}

#[test]
fn long_streams_keep_their_order() {
    let text = |i: usize| spec(TaskKind::Embedding).text(1 + i % 3, i as u64 % 7);
    let lines: String = (0..2100).map(|i| text(i) + "\n").collect();
    let args = ["embed", "--model", &model("vectors"), "-"];
    let out = with_input(&args, lines.as_bytes());
    assert!(out.status.success(), "{}", stderr(&out));
    let out = String::from_utf8(out.stdout).unwrap();
    let vectors: Vec<&str> = out.lines().collect();
    assert_eq!(vectors.len(), 2100);
    for (i, vector) in vectors.iter().enumerate() {
        assert_eq!(*vector, vectors[i % 21], "line {}", i + 1);
    }
    assert_ne!(vectors[0], vectors[1]);
}

#[test]
fn texts_that_are_cut_are_counted() {
    let m = model("classes");
    let long = spec(TaskKind::SequenceClassification).text(500, 3);
    let out = fqbert(&["classify", "--json", "--model", &m, &long, "short"]);
    let answers = json(&out);
    assert_eq!(answers["cut"], 1);
    assert_eq!(answers["results"][0]["cut"], true);
    assert!(answers["results"][1].get("cut").is_none());
    assert!(stderr(&out).contains("1 of 2 texts were cut to 64 tokens"));
    let data = fixture().path("cut.tsv");
    fs::write(
        &data,
        format!("\u{feff}sentence\tlabel\n{long}\t0\nshort\t1\n"),
    )
    .unwrap();
    let e = fqbert(&["eval", "--json", &m, "--data", s(&data)]);
    assert_eq!(json(&e)["texts_cut"], 1);
    assert!(stderr(&e).contains("1 of 2 texts were cut"));
}

#[test]
fn a_table_with_an_empty_field_is_answered() {
    let table = fixture().path("fields.tsv");
    fs::write(&table, "sentence\tid\nabc\t1\n\t2\nabc\t3\n").unwrap();
    let args = ["classify", "--model", &model("classes"), "--tsv", s(&table)];
    let out = fqbert(&args);
    refused(
        &out,
        &["fields.tsv line 3", "column sentence is empty", "1 of 3"],
    );
    assert_eq!(out.stdout.split(|b| *b == b'\n').count(), 4);
    fs::write(&table, "sentence\tid\tsentence\nabc\t1\tx\n").unwrap();
    refused(&fqbert(&args), &["two columns \"sentence\"", "1 and 3"]);
}

#[test]
fn answers_do_not_depend_on_standard_error() {
    let m = model("classes");
    let args = ["classify", "--model", &m, "abc"];
    let answer = fqbert(&args).stdout;
    assert!(!answer.is_empty());
    for log in ["warn", "info", "inof"] {
        let out = command(&args)
            .env("FQBERT_LOG", log)
            .stderr(full())
            .output()
            .unwrap();
        assert_eq!(
            (out.status.code(), &out.stdout),
            (Some(0), &answer),
            "{log}"
        );
        let mut closed = redirected(&args, "2>&-");
        let out = closed.env("FQBERT_LOG", log).output().unwrap();
        assert_eq!(
            (out.status.code(), &out.stdout),
            (Some(0), &answer),
            "{log}"
        );
    }
    // An error is an error, though nobody hears of it.
    let out = command(&["classify", "--model", "/no/such", "abc"])
        .stderr(full())
        .output();
    assert_eq!(out.unwrap().status.code(), Some(1));
    let wrong = command(&["classify"]).stderr(full()).output();
    assert_eq!(wrong.unwrap().status.code(), Some(2));
}

#[test]
fn a_standard_output_that_cannot_be_written_is_an_error() {
    let m = model("classes");
    let commands: [&[&str]; 4] = [
        &["classify", "--model", &m, "abc"],
        &["classify", "--json", "--model", &m, "abc", "abc"],
        &["inspect", &m],
        &["--help"],
    ];
    for args in commands {
        let out = command(args).stdout(full()).output().unwrap();
        refused(&out, &["standard output", "No space left"]);
        let out = redirected(args, ">&-").output().unwrap();
        refused(&out, &["standard output", "closed"]);
        // A reader that went is none.
        let mut child = command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let out = child.wait_with_output().unwrap();
        assert_eq!((out.status.code(), stderr(&out)), (Some(0), String::new()));
    }
}

#[test]
fn what_is_asked_for_wrongly_is_named() {
    let m = model("classes");
    let ids = ["classify", "--model", &m, "--ids", "2 5 3"];
    let bad = fqbert(&[&ids[..], &["--ids", "2 999999 3"]].concat());
    refused(&bad, &["--ids, sequence 2", "999999", "1 of 2"]);
    let bad = fqbert(&[&ids[..], &["--ids", "2 x 3"]].concat());
    refused(&bad, &["--ids, sequence 2", "\"x\""]);
    for args in [
        &["inspect", &m, "--seq", "0"][..],
        &["bench", &m, "--seq", "0"],
        &["quantize", "x", "-o", "y", "--samples", "0"],
    ] {
        let out = fqbert(args);
        assert_eq!(out.status.code(), Some(2));
        let option = args[args.len() - 2];
        assert!(stderr(&out).contains(option), "{}", stderr(&out));
    }
    // The model has 64 positions, fewer than --seq is by default.
    assert_eq!(json(&fqbert(&["inspect", "--json", &m]))["sequence"], 64);
    let log = command(&ids).env("FQBERT_LOG", "inof").output().unwrap();
    assert!(log.status.success());
    assert!(stderr(&log).contains("FQBERT_LOG=\"inof\" is not followed"));
}

#[test]
fn threads_have_one_bound() {
    let m = model("classes");
    let args = ["classify", "--model", &m, "abc"];
    for variable in ["RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"] {
        let mut asked = command(&args);
        asked.env_remove("RAYON_NUM_THREADS").env(variable, "257");
        refused(&asked.output().unwrap(), &[variable, "257", "256"]);
    }
    let device = [&args[..], &["--device", "emu:tiny?threads=257"]].concat();
    refused(&fqbert(&device), &["threads", "257", "256"]);
    let few = command(&args)
        .env("RAYON_NUM_THREADS", "2")
        .output()
        .unwrap();
    assert!(few.status.success(), "{}", stderr(&few));
}

#[test]
fn a_head_that_overflows_is_neither_made_nor_run() {
    let folder = copy("overflows");
    fill(
        &folder.join("model.safetensors"),
        "classifier.weight",
        3.4e38,
    );
    let output = fixture().path("overflowing.safetensors");
    let text = fixture().path("text.txt");
    let args = [
        "quantize",
        s(&folder),
        "-o",
        s(&output),
        "--calibrate",
        s(&text),
    ];
    refused(
        &fqbert(&args),
        &["head's classifier", "not a finite number"],
    );
    assert!(!output.exists());

    fs::copy(model("classes"), &output).unwrap();
    fill(&output, "head.classifier.weight", 3.4e38);
    let data = fixture().path("overflow.tsv");
    fs::write(&data, "sentence\tlabel\nabc\t0\n").unwrap();
    let o = s(&output);
    for args in [
        &["classify", "--model", o, "abc"][..],
        &["eval", o, "--data", s(&data)],
        &["bench", o, "--seq", "8"],
    ] {
        refused(
            &fqbert(args),
            &["overflowing", "head.classifier", "overflows"],
        );
    }
    fill(&output, "head.classifier.weight", f32::NAN);
    refused(
        &fqbert(&["classify", "--model", o, "abc"]),
        &["head.classifier", "finite"],
    );
}

#[test]
fn a_tokenizer_that_multiplies_text_is_refused() {
    let folder = copy("bomb");
    let file = folder.join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let step = serde_json::json!({"type": "Replace", "pattern": {"String": "a"},
        "content": "a".repeat(30)});
    json["normalizer"] = serde_json::json!({"type": "Sequence", "normalizers": vec![step; 6]});
    fs::write(&file, json.to_string()).unwrap();
    // BertTokenizer would take its own normalizer.
    let class = r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#;
    fs::write(folder.join("tokenizer_config.json"), class).unwrap();
    let (output, text) = (
        fixture().path("bomb.safetensors"),
        fixture().path("text.txt"),
    );
    let args = [
        "quantize",
        s(&folder),
        "-o",
        s(&output),
        "--calibrate",
        s(&text),
    ];
    refused(&fqbert(&args), &["normalizer", "729000000 bytes", "65536"]);
}
