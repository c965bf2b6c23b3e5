//! Models on the accelerator's RTL in simulation: the bits and, where the memory is the timing
//! model's, the cycles of the emulator.
//!
//! The layers of BERT-base at full geometry are ignored tests: their models take minutes to
//! compile, and only when they are asked for by `FQBERT_COSIM_TOPS=top_tiny,top_paper,top_zcu102`
//! (`cargo xtask full-check` does).
#![cfg(feature = "cosim")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fqbert_contract::device::Device;
use fqbert_model::testing::{Shape, random_model};
use fqbert_open::fqbert_cosim;
use fqbert_random::Random;
use fqbert_runtime::{Classifier, OpenError, Session, SessionOptions, Tokens, open_device};

fn open(uri: &str) -> Option<Box<dyn Device>> {
    match open_device(uri) {
        Ok(device) => Some(device),
        Err(OpenError::Cosim {
            source: fqbert_cosim::OpenError::Unavailable(why),
            ..
        }) => {
            eprintln!("SKIPPED: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn options() -> SessionOptions {
    SessionOptions {
        // Simulation takes its time.
        deadline: Duration::from_secs(3600),
        ..SessionOptions::default()
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

const SENTENCE: &str = "a gorgeous, witty, seductive movie.";

/// Logits and cycles of the sentence by the model that ships.
fn classify(uri: &str) -> Option<(Vec<u32>, u64)> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../models/minilm-l6-sst2/model.safetensors");
    let model = Arc::new(fqbert_model::QuantizedModel::load(&file).unwrap());
    let session = Session::new(model, open(uri)?, options()).unwrap();
    let mut classifier = Classifier::new(session).unwrap();
    let answer = classifier.classify(SENTENCE).unwrap();
    assert_eq!(answer.label, "positive", "{uri}");
    let cycles = classifier.session().statistics().last_cycles;
    Some((bits(&answer.logits), cycles))
}

#[test]
fn a_sentence_through_all_layers_of_minilm() {
    let Some((logits, cycles)) = classify("cosim:tiny") else {
        return;
    };
    let (expected, model) = classify("emu:tiny?threads=1").unwrap();
    assert_eq!(logits, expected, "logits");
    println!("{cycles} cycles, {model} by the timing model");
    assert_eq!(cycles, model, "cycles");
    // The memory changes the cycles and nothing else.
    let (logits, stalled) = classify("cosim:tiny?seed=11").unwrap();
    assert_eq!(logits, expected, "logits under back-pressure");
    println!("{stalled} cycles under back-pressure");
    assert!(stalled > cycles);
}

/// One layer of BERT-base at sequence 128: hidden states and cycles of RTL and emulator.
fn layer_of_bert_base(geometry: &str) {
    let Some(device) = open(&format!("cosim:{geometry}")) else {
        return;
    };
    let model = Arc::new(random_model(
        Shape {
            layers: 1,
            ..Shape::BERT_BASE
        },
        128,
    ));
    let mut rng = Random::new(128);
    let ids = (0..128).map(|_| rng.within(0, 63) as u32).collect();
    let tokens = Tokens::from_ids(ids);
    let run = |device| {
        let mut session = Session::new(model.clone(), device, options()).unwrap();
        let states = session.hidden_states(&tokens).unwrap();
        (bits(&states), session.statistics().last_cycles)
    };
    let (states, cycles) = run(device);
    let (expected, modelled) = run(open(&format!("emu:{geometry}")).unwrap());
    println!("{geometry}: a layer in {cycles} cycles, {modelled} by the timing model");
    assert!(states == expected, "{geometry}: hidden states differ");
    assert_eq!(cycles, modelled, "{geometry}: cycles");
}

#[test]
#[ignore = "the model of the RTL takes minutes to compile"]
fn a_layer_of_bert_base_on_paper() {
    layer_of_bert_base("paper");
}

#[test]
#[ignore = "the model of the RTL takes minutes to compile"]
fn a_layer_of_bert_base_on_zcu102() {
    layer_of_bert_base("zcu102");
}
