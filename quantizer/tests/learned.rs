//! Exports of `quantizer/qat/`: the model made of one answers what its own integer simulation in
//! numpy says, bit for bit in the encoder.
//!
//! `tests/learned/` is an export of `python -m fqbert_qat smoke --text`, its tensors as text and
//! `expected.json` being the simulation's. `cargo xtask qat` runs the same comparison on an export
//! that it has just trained, named by `FQBERT_QAT_EXPORT`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fqbert_checkpoint::{Checkpoint, LoadOptions, load_tokenizer};
use fqbert_host::Tokenizer;
use fqbert_model::QuantizedModel;
use fqbert_quantizer::{
    Calibration, LearnedScales, QuantizeError, QuantizeOptions, Report, Scheme, Silent,
    quantize_learned,
};
use fqbert_runtime::{Session, SessionOptions, Tokens, open_device};
use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;

/// What the head's f32 arithmetic may differ by: its sums are taken in another order.
const LAST_DIGITS: f32 = 1e-5;

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/learned")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(values: &Value) -> Vec<f32> {
    let values = values.as_array().unwrap().iter();
    values.map(|v| v.as_f64().unwrap() as f32).collect()
}

/// A copy of the committed export with its tensors as a safetensors file.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", LearnedScales::FILE] {
        std::fs::copy(committed().join(name), folder.path().join(name)).unwrap();
    }
    let text = json(&committed().join("tensors.json"));
    let tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = text
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, t)| {
            let shape = t[1].as_array().unwrap().iter();
            let shape = shape.map(|d| d.as_u64().unwrap() as usize).collect();
            let values = floats(&t[2]);
            let (dtype, bytes) = match t[0].as_str().unwrap() {
                "F16" => {
                    let half = |v: &f32| f16::from_f32(*v).to_le_bytes();
                    (Dtype::F16, values.iter().flat_map(half).collect())
                }
                _ => {
                    let single = |v: &f32| v.to_le_bytes();
                    (Dtype::F32, values.iter().flat_map(single).collect())
                }
            };
            (name.clone(), dtype, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    let file = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(views, None, &file).unwrap();
    folder
}

fn load(folder: &Path) -> (Checkpoint, Tokenizer, LearnedScales) {
    (
        Checkpoint::load(folder, &LoadOptions::default()).unwrap(),
        load_tokenizer(folder).unwrap(),
        LearnedScales::load(folder).unwrap().unwrap(),
    )
}

fn made(folder: &Path) -> (QuantizedModel, Report) {
    let (checkpoint, tokenizer, learned) = load(folder);
    quantize_learned(
        &checkpoint,
        Some(&tokenizer),
        &learned,
        None,
        &QuantizeOptions::default(),
        &mut Silent,
    )
    .unwrap()
}

/// The scalar reference and the emulator on the model of an export, against its simulation.
fn agrees(folder: &Path, expected: &Path) {
    let (model, _) = made(folder);
    // What is run is what a file holds.
    let file = tempfile::tempdir().unwrap().keep().join("m.safetensors");
    model.save(&file).unwrap();
    let model = Arc::new(QuantizedModel::load(&file).unwrap());
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    let host = model.host().unwrap();
    let device = open_device("emu:tiny").unwrap();
    let mut session = Session::new(model.clone(), device, SessionOptions::default()).unwrap();
    let tokenizer = load_tokenizer(folder).unwrap();
    let expected = json(expected);
    let sentences = expected["sentences"].as_array().unwrap();
    assert!(sentences.len() >= 10);
    let mut outputs = std::collections::HashSet::new();
    for (i, s) in sentences.iter().enumerate() {
        let encoding = tokenizer.encode(s["text"].as_str().unwrap(), 128).unwrap();
        let ids: Vec<u64> = encoding.ids.iter().map(|id| u64::from(*id)).collect();
        assert_eq!(serde_json::json!(ids), s["ids"], "sentence {i}");
        let tokens = Tokens::from(encoding);
        let wanted: Vec<i64> = s["y16"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_i64().unwrap())
            .collect();

        let input = host.embed(&tokens).unwrap();
        let length = tokens.len() as u16;
        let reference = model
            .reference(&fqbert_model::reference::EncoderInput {
                x8: input.x8,
                x16: input.x16,
                ranges: vec![(0, length); tokens.len()],
            })
            .unwrap();
        let reference: Vec<i64> = reference.into_iter().map(i64::from).collect();
        assert_eq!(reference, wanted, "sentence {i}, scalar reference");

        // The emulator gives real values: codes times the last scale.
        let hidden = session.hidden_states(&tokens).unwrap();
        let scale = model.output_scale();
        let real: Vec<f32> = wanted.iter().map(|v| *v as f32 * scale).collect();
        assert_eq!(hidden, real, "sentence {i}, emulator");
        let logits = session.run(&tokens).unwrap();
        for (got, wanted) in logits.values().iter().zip(floats(&s["logits"])) {
            let most = LAST_DIGITS * wanted.abs().max(1.0);
            assert!(
                (got - wanted).abs() <= most,
                "sentence {i}: {got}, {wanted}"
            );
        }
        outputs.insert(
            logits
                .values()
                .iter()
                .map(|v| v.to_bits())
                .collect::<Vec<_>>(),
        );
    }
    assert!(outputs.len() > sentences.len() / 2, "sentences tell apart");
}

#[test]
fn the_committed_export_runs_as_its_simulation_says() {
    let folder = folder();
    agrees(folder.path(), &committed().join("expected.json"));
}

/// Run by `cargo xtask qat`, which names an export that it made.
#[test]
#[ignore = "needs an export in FQBERT_QAT_EXPORT"]
fn a_fresh_export_runs_as_its_simulation_says() {
    let Some(folder) = std::env::var_os("FQBERT_QAT_EXPORT") else {
        eprintln!("skipped: FQBERT_QAT_EXPORT names no export; `cargo xtask qat` makes one");
        return;
    };
    let folder = PathBuf::from(folder);
    agrees(&folder, &folder.join("expected.json"));
}

#[test]
fn learned_scales_are_taken_as_they_are_and_the_report_says_so() {
    let folder = folder();
    let (model, report) = made(folder.path());
    let scales = json(&folder.path().join(LearnedScales::FILE));
    for (layer, record) in model
        .layers
        .iter()
        .zip(scales["layers"].as_array().unwrap())
    {
        let activations = &record["activations"];
        for (name, scale) in fqbert_model::LayerScales::NAMES
            .iter()
            .zip(layer.scales.to_array())
        {
            assert_eq!(activations[name].as_f64().unwrap() as f32, scale, "{name}");
        }
        for which in fqbert_model::Linear::ALL {
            let learned = floats(&record["weights"][which.name()]["scales"]);
            assert_eq!(
                layer.linear(which).weight_scales,
                learned,
                "{}",
                which.name()
            );
        }
    }
    // The weights are codes times scales already.
    let linears = report.layers.iter().flat_map(|l| &l.linears);
    assert!(linears.clone().count() == 12 && linears.clone().all(|l| l.weight_sqnr_db > 100.0));
    let text = report.to_string();
    assert!(text.contains("calibrated on none"), "{text}");
    assert!(
        text.contains("26 of 26 activation scales and the weight scales of 12 of 12 matrices"),
        "{text}"
    );
}

#[test]
fn what_was_not_learned_is_calibrated_or_asked_for() {
    let folder = folder();
    let (checkpoint, tokenizer, _) = load(folder.path());
    let mut scales = json(&folder.path().join(LearnedScales::FILE));
    let whole = scales.clone();
    scales["layers"][0]["activations"]
        .as_object_mut()
        .unwrap()
        .remove("y8");
    scales["layers"][1]["activations"]
        .as_object_mut()
        .unwrap()
        .remove("gelu_in");
    scales["layers"][1]["weights"]
        .as_object_mut()
        .unwrap()
        .remove("o");
    let first = scales["layers"][0].as_object_mut().unwrap();
    first.remove("mid_zero");
    first["activations"].as_object_mut().unwrap().remove("mid");
    let learned = LearnedScales::parse(scales.to_string().as_bytes()).unwrap();
    // The first is known all the same, as the next layer's x8.
    assert_eq!(
        learned.missing(),
        ["layer 0 mid", "layer 1 gelu_in", "layer 1 weights of o"]
    );
    let quantize = |calibration: Option<&Calibration>, options: &QuantizeOptions| {
        quantize_learned(
            &checkpoint,
            Some(&tokenizer),
            &learned,
            calibration,
            options,
            &mut Silent,
        )
    };
    let options = QuantizeOptions::default();
    let error = quantize(None, &options).unwrap_err().to_string();
    assert!(
        error.contains("3 scales were not learned") && error.contains("calibration"),
        "{error}"
    );

    let texts = [
        "a good film",
        "the plot is dull and flat",
        "not very witty",
        "quite grim",
    ];
    let sequences = texts.map(|t| {
        let e = tokenizer.encode(t, 16).unwrap();
        Tokens {
            ids: e.ids,
            type_ids: e.type_ids,
        }
    });
    let calibration = Calibration::from_sequences(sequences.to_vec()).unwrap();
    let (model, report) = quantize(Some(&calibration), &options).unwrap();
    let learned_k = whole["layers"][1]["activations"]["k"].as_f64().unwrap() as f32;
    let was = whole["layers"][1]["activations"]["gelu_in"]
        .as_f64()
        .unwrap() as f32;
    assert_eq!(model.layers[1].scales.k, learned_k);
    assert!(model.layers[1].scales.gelu_in != was && model.layers[1].scales.gelu_in > 0.0);
    assert!(report.to_string().contains("24 of 26"), "{report}");
    // A scale of mid that is found brings what is taken off the codes with it: nothing in a plain
    // calibration.
    assert_eq!(model.layers[0].mid_zero(), 0);
    let kept = whole["layers"][1]["mid_zero"].as_i64().unwrap();
    assert!(kept > 0 && i64::from(model.layers[1].mid_zero()) == kept);
    assert!(report.layers.iter().all(|l| !l.sites.is_empty()));

    let paper = quantize(Some(&calibration), &QuantizeOptions::new(Scheme::Paper));
    assert!(matches!(paper, Err(QuantizeError::Learned { .. })));
}

#[test]
fn a_broken_file_is_refused_by_name_and_number() {
    let whole = json(&committed().join(LearnedScales::FILE));
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut v = whole.clone();
        change(&mut v);
        LearnedScales::parse(v.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    };
    type Change = dyn Fn(&mut Value);
    let cases: [(&Change, &str); 10] = [
        (&|v| v["version"] = 2.into(), "version 2"),
        (&|v| v["more"] = 2.into(), "more"),
        (
            &|v| v["layers"][0]["activations"]["zz"] = 1.0.into(),
            "\"zz\"",
        ),
        (
            &|v| v["layers"][1]["activations"]["k"] = 0.0.into(),
            "layer 1 k is 0",
        ),
        (
            &|v| v["layers"][0]["weights"]["q"]["bits"] = 3.into(),
            "3 bits",
        ),
        (
            &|v| v["layers"][0]["weights"]["q"]["scales"][2] = (-1.0).into(),
            "scale 2 is -1",
        ),
        (
            &|v| v["layers"][0]["activations"]["y8"] = 3.5.into(),
            "the same values",
        ),
        (
            &|v| v["layers"][0]["mid_zero"] = 128.into(),
            "mid_zero is 128",
        ),
        (
            &|v| {
                let sites = v["layers"][1]["activations"].as_object_mut().unwrap();
                sites.remove("mid");
            },
            "belongs to a scale of mid",
        ),
        (&|v| *v = "text".into(), "invalid type"),
    ];
    for (change, says) in cases {
        let error = broken(change);
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn scales_of_another_shape_or_beyond_the_parameters_are_refused() {
    let whole = json(&committed().join(LearnedScales::FILE));
    let folder = folder();
    let (checkpoint, ..) = load(folder.path());
    let quantize = |v: &Value| {
        let learned = LearnedScales::parse(v.to_string().as_bytes()).unwrap();
        quantize_learned(
            &checkpoint,
            None,
            &learned,
            None,
            &QuantizeOptions::default(),
            &mut Silent,
        )
        .unwrap_err()
        .to_string()
    };
    let mut v = whole.clone();
    v["layers"].as_array_mut().unwrap().pop();
    assert!(quantize(&v).contains("1 layers, the checkpoint 2"));
    v = whole.clone();
    v["layers"][0]["weights"]["ffn_in"]["scales"] = serde_json::json!([0.1]);
    assert!(quantize(&v).contains("1 scales for 32 output channels"));
    // Scales that the accelerator's parameters cannot hold are an error too, not a panic.
    v = whole.clone();
    v["layers"][0]["activations"]["gelu_in"] = 1e-30.into();
    assert!(quantize(&v).contains("layer 0"));
    v = whole.clone();
    v["layers"][0]["weights"]["q"]["scales"][0] = 1e-30.into();
    assert!(quantize(&v).contains("beyond"));
    assert!(
        LearnedScales::load(tempfile::tempdir().unwrap().path())
            .unwrap()
            .is_none()
    );
}
