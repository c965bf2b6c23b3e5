//! `fqbert eval` as a user runs it: figures against figures computed here by other means, every
//! task, and input that cannot be used.

#[path = "../common/mod.rs"]
mod common;
mod fixture;
mod refusals;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fqbert_checkpoint::testing::Spec;
use fqbert_checkpoint::{Checkpoint, LoadOptions, Observer, Site, load_tokenizer};
use fqbert_host::{Encoding, TaskKind};
use fqbert_model::QuantizedModel;
use fqbert_model::reference::EncoderInput;
use fqbert_numerics::host::{quantize_i8, quantize_i16};
use serde_json::Value;

use common::{fqbert, json, refused, s, stderr};
use fixture::{LAYERS, ROWS, eval, fixture, model, text};

#[track_caller]
fn near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!(
        (found - expected).abs() < 1e-6 * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

/// The float checkpoint of a model, and the tokens of all rows.
fn float(name: &str) -> (Checkpoint, Vec<Encoding>) {
    let folder = fixture().path(name);
    let checkpoint = Checkpoint::load(&folder, &LoadOptions::default()).unwrap();
    let tokenizer = load_tokenizer(&folder).unwrap();
    let rows = (0..ROWS).map(|i| tokenizer.encode(&text(i), 64).unwrap());
    (checkpoint, rows.collect())
}

#[test]
fn a_classifier_beside_its_float_model() {
    let f = fixture();
    let folder = f.path("classes");
    let beside = ["--float", s(&folder), "--worst", "5", "--slices"];
    let e = json(&eval("classes", "classes.tsv", &beside));

    // Float logits as a file give the same report but for the layers.
    let (checkpoint, rows) = float("classes");
    let logits: Vec<Vec<f32>> = rows
        .iter()
        .map(|r| {
            checkpoint
                .forward(&r.ids, &r.type_ids)
                .unwrap()
                .values()
                .to_vec()
        })
        .collect();
    let lines: String = logits
        .iter()
        .map(|l| format!("{}\t{}\n", l[0], l[1]))
        .collect();
    let file = f.write("logits.tsv", &format!("a\tb\n{lines}"));
    let beside = [
        "--float-logits",
        &file,
        "--worst",
        "5",
        "--slices",
        "--no-packing",
    ];
    let mut from_file = json(&eval("classes", "classes.tsv", &beside));
    assert!(from_file["layers"].is_null() && from_file["packing"] == false);
    assert!(
        e["runs"].as_u64() < from_file["runs"].as_u64(),
        "packing shares runs"
    );
    for key in [
        "layers",
        "packing",
        "runs",
        "cycles",
        "seconds",
        "per_second",
    ] {
        from_file[key] = e[key].clone();
    }
    assert_eq!(e, from_file);

    let right = |l: &[f32], i: usize| usize::from(l[1] > l[0]) == i % 2;
    let float_right = logits
        .iter()
        .enumerate()
        .filter(|(i, l)| right(l, *i))
        .count();
    near(
        &e["figures"]["accuracy"]["float_value"],
        100.0 * float_right as f64 / ROWS as f64,
    );
    near(
        &e["value"],
        100.0 * e["correct"].as_f64().unwrap() / ROWS as f64,
    );
    let m = &e["matched_pairs"];
    let count = |key: &str| m[key].as_u64().unwrap();
    assert_eq!(
        count("both_right") + count("float_only"),
        float_right as u64
    );
    assert_eq!(
        Some(count("both_right") + count("quantized_only")),
        e["correct"].as_u64()
    );
    near(
        &e["agreement"],
        100.0 * (ROWS as f64 - count("flips") as f64) / ROWS as f64,
    );
    let table: Vec<Vec<u64>> = serde_json::from_value(e["confusion"].clone()).unwrap();
    assert_eq!(table.concat().iter().sum::<u64>(), ROWS as u64);
    assert_eq!(Some(table[0][0] + table[1][1]), e["correct"].as_u64());

    let worst = e["worst"].as_array().unwrap();
    assert_eq!(worst.len(), 5);
    let errors: Vec<f64> = worst.iter().map(|w| w["error"].as_f64().unwrap()).collect();
    assert!(errors.is_sorted_by(|a, b| a >= b), "{errors:?}");
    assert_eq!(
        e["flips"].as_array().unwrap().len() as u64,
        count("flips").min(5)
    );
    let lengths = e["slices"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|s| s["group"] == "length");
    assert_eq!(
        lengths.map(|s| s["n"].as_u64().unwrap()).sum::<u64>(),
        ROWS as u64
    );
}

#[test]
fn layer_errors_are_those_of_the_scalar_reference() {
    #[derive(Default)]
    struct Outputs(Vec<Vec<f32>>);
    impl Observer for Outputs {
        fn observe(&mut self, _: usize, site: Site, values: &[f32], _: usize, _: usize) {
            if site == Site::LayerOut {
                self.0.push(values.to_vec());
            }
        }
    }
    let f = fixture();
    let picture = f.path("layers.svg");
    let folder = f.path("classes");
    let beside = ["--float", s(&folder), "--svg", s(&picture)];
    let e = json(&eval("classes", "classes.tsv", &beside));
    let layers = e["layers"]["layers"].as_array().unwrap();
    assert_eq!(layers.len(), LAYERS + 1);

    let (checkpoint, rows) = float("classes");
    let model = QuantizedModel::load(Path::new(&model(f, "classes"))).unwrap();
    let (scale8, scale16) = model.input_scales();
    let (mut signal, mut noise) = ([0.0; LAYERS], [0.0; LAYERS]);
    for r in &rows {
        let mut outputs = Outputs::default();
        checkpoint
            .forward_observed(&r.ids, &r.type_ids, &mut outputs)
            .unwrap();
        let embedded = checkpoint.embeddings.embed(&r.ids, &r.type_ids).unwrap();
        let input = EncoderInput {
            x8: embedded.iter().map(|v| quantize_i8(*v, scale8)).collect(),
            x16: embedded.iter().map(|v| quantize_i16(*v, scale16)).collect(),
            ranges: vec![(0, r.ids.len() as u16); r.ids.len()],
        };
        let visit = |layer: usize, trace: fqbert_model::reference::LayerTrace| {
            let scale = model.layers[layer].scales.y16;
            for (y, float) in trace.y16.iter().zip(&outputs.0[layer]) {
                let d = f64::from(*float) - f64::from(f32::from(*y) * scale);
                signal[layer] += f64::from(*float).powi(2);
                noise[layer] += d * d;
            }
        };
        model.reference_layers(&input, visit).unwrap();
    }
    for (layer, (signal, noise)) in signal.iter().zip(&noise).enumerate() {
        near(
            &layers[layer + 1]["sqnr_db"],
            10.0 * (signal / noise).log10(),
        );
    }
    // The first layer's own error is that of the run until there, but for the float embeddings'
    // last digit.
    near(
        &layers[1]["alone_db"],
        layers[1]["sqnr_db"].as_f64().unwrap(),
    );
    assert!(layers[LAYERS]["alone_db"].as_f64() > layers[LAYERS]["sqnr_db"].as_f64());

    let svg = fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    let shown = format!(">{:.1}<", layers[LAYERS]["sqnr_db"].as_f64().unwrap());
    assert!(svg.contains(&shown), "{shown}");
    let few = json(&eval(
        "classes",
        "classes.tsv",
        &["--float", s(&folder), "--sqnr-samples", "3"],
    ));
    assert_eq!(few["layers"]["sequences"], 3);
    let none = json(&eval(
        "classes",
        "classes.tsv",
        &["--float", s(&folder), "--sqnr-samples", "0"],
    ));
    assert!(none["layers"].is_null());
}

#[test]
fn other_tasks() {
    let folder = |name| s(&fixture().path(name)).to_owned();
    let sets = json(&eval(
        "sets",
        "sets.tsv",
        &["--float", &folder("sets"), "--slices"],
    ));
    assert_eq!(sets["metric"], "f1_micro");
    assert!(sets["figures"]["f1_macro"]["value"].is_number() && sets["confusion"].is_null());

    let number = json(&eval(
        "number",
        "number.tsv",
        &["--float", &folder("number"), "--worst", "2"],
    ));
    assert_eq!(
        (&number["task"], &number["metric"]),
        (&"regression".into(), &"spearman".into())
    );
    assert!(
        number["float_correlation"].as_f64() > Some(50.0),
        "{number}"
    );
    assert!(number["correct"].is_null() && number["worst"].as_array().unwrap().len() == 2);
    let cross = json(&eval("number", "pairs.csv", &["--task", "sts"]));
    assert_eq!(cross["n"], ROWS);

    let tags = json(&eval(
        "tags",
        "tags.tsv",
        &["--float", &folder("tags"), "--slices", "--worst", "1"],
    ));
    let words: usize = (0..ROWS).map(|i| text(i).split_whitespace().count()).sum();
    assert_eq!(tags["n"], words);
    assert_eq!(tags["words_cut"], 0);
    assert!(tags["agreement"].as_f64() > Some(50.0), "{tags}");

    let pairs = json(&eval(
        "vectors",
        "pairs.csv",
        &["--float", &folder("vectors"), "--worst", "3", "--slices"],
    ));
    assert_eq!(
        (&pairs["task"], &pairs["n"]),
        (&"similarity".into(), &ROWS.into())
    );
    let spearman = &pairs["figures"]["spearman"];
    assert_eq!(spearman["value"], pairs["value"]);
    let inside = |i: usize| spearman["interval95"][i].as_f64();
    assert!(inside(0) < pairs["value"].as_f64() && pairs["value"].as_f64() < inside(1));
    let slice = &pairs["slices"][2];
    assert!(
        slice["answers"].is_null() && slice["mean_error_elsewhere"].is_number(),
        "{slice}"
    );
    assert!(pairs["worst"][0]["text"].as_str().unwrap().contains(" | "));
}

#[test]
fn pairs_and_columns_by_name() {
    let f = fixture();
    let rows: String = (0..6)
        .map(|i| format!("{}\t{}\t{}\n", i % 2, text(i), text(i + 1)))
        .collect();
    f.write("named.tsv", &format!("gold\tpremise\thypothesis\n{rows}"));
    let columns = ["--column", "premise", "--label-column", "gold"];
    let alone = json(&eval("classes", "named.tsv", &columns));
    let mut both = columns.to_vec();
    both.extend(["--second-column", "hypothesis"]);
    let both = json(&eval("classes", "named.tsv", &both));
    assert!(alone["cycles"].as_u64() <= both["cycles"].as_u64());
    assert_eq!(both["n"], 6);
    refused(
        &eval("classes", "named.tsv", &["--column", "premise"]),
        &["no column \"label\"", "hypothesis"],
    );
}

#[test]
fn data_of_one_class_leave_figures_undefined() {
    let e = json(&eval("classes", "one.tsv", &[]));
    assert!(e["figures"]["matthews"]["value"].is_null());
    assert!(e["figures"]["accuracy"]["value"].is_number());
    for key in [
        "float_value",
        "agreement",
        "matched_pairs",
        "layers",
        "slices",
        "sqnr_db",
    ] {
        assert!(e[key].is_null(), "{key}");
    }
    let f = fixture();
    let (model, data) = (model(f, "classes"), f.path("one.tsv"));
    let folder = f.path("classes");
    let out = fqbert(&[
        "eval",
        &model,
        "--data",
        s(&data),
        "--float",
        s(&folder),
        "--slices",
        "--worst",
        "2",
        "--limit",
        "5",
    ]);
    let said = String::from_utf8(out.stdout).unwrap();
    for words in [
        "matthews",
        " -",
        "texts a second",
        "McNemar",
        "layer alone",
        "negation",
        "largest errors",
    ] {
        assert!(said.contains(words), "\"{words}\" is not in: {said}");
    }
}

#[test]
fn every_key_is_documented() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let page = fs::read_to_string(page).unwrap();
    let folder = fixture().path("classes");
    let e = json(&eval(
        "classes",
        "classes.tsv",
        &["--float", s(&folder), "--slices", "--worst", "2"],
    ));
    let mut keys = BTreeSet::new();
    let mut open = vec![&e];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                keys.extend(map.keys());
                open.extend(map.values());
            }
            Value::Array(values) => open.extend(values),
            _ => {}
        }
    }
    for key in keys {
        assert!(
            page.contains(&format!("`{key}`")),
            "docs/cli.md says nothing of `{key}`"
        );
    }
}
