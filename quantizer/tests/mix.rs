//! Mixes of 4-bit and 8-bit matrices: measured, chosen, and within what was asked for.

use fqbert_checkpoint::testing::Spec;
use fqbert_checkpoint::{Checkpoint, FloatLinear, LoadOptions};
use fqbert_contract::geometry::Mode;
use fqbert_host::{TaskKind, Tokens};
use fqbert_model::QuantizedModel;
use fqbert_quantizer::{
    Calibration, Goal, Job, Measure, Mix, QuantizeError, QuantizeOptions, Report, Silent,
};

fn spec(task: TaskKind) -> Spec {
    Spec {
        hidden: 64,
        heads: 2,
        intermediate: 128,
        task,
        ..Spec::default()
    }
}

struct Data {
    checkpoint: Checkpoint,
    calibration: Calibration,
    held_out: Vec<Tokens>,
}

impl Data {
    fn new(spec: &Spec) -> Self {
        let folder = tempfile::tempdir().unwrap();
        spec.write(folder.path()).unwrap();
        let sequences = (0..40)
            .map(|i| spec.sequence(6 + i % 11, i as u64))
            .collect();
        let all = Calibration::from_sequences(sequences).unwrap();
        let (calibration, held_out) = all.hold_out(8).unwrap();
        Data {
            checkpoint: Checkpoint::load(folder.path(), &LoadOptions::default()).unwrap(),
            calibration,
            held_out,
        }
    }

    fn mix(&self, goal: Goal) -> Result<(QuantizedModel, Report, Mix), QuantizeError> {
        let options = QuantizeOptions::default();
        self.job(&options).mix(&self.held_out, goal, &mut Silent)
    }

    fn job<'a>(&'a self, options: &'a QuantizeOptions) -> Job<'a> {
        Job {
            checkpoint: &self.checkpoint,
            tokenizer: None,
            calibration: &self.calibration,
            options,
            stages: None,
        }
    }
}

/// Mean bits of the encoder's weights, and the matrices in 8 bits.
fn eight(model: &QuantizedModel) -> (f64, Vec<String>) {
    let (mut bits, mut weights, mut names) = (0, 0, Vec::new());
    for (i, layer) in model.layers.iter().enumerate() {
        for which in fqbert_model::Linear::ALL {
            let codes = &layer.linear(which).weights;
            let n = codes.outputs() * codes.inputs();
            weights += n;
            bits += n * if codes.mode() == Mode::W8 { 8 } else { 4 };
            if codes.mode() == Mode::W8 {
                names.push(format!("{i}.{}", which.name()));
            }
        }
    }
    (bits as f64 / weights as f64, names)
}

#[test]
fn a_budget_is_spent_where_it_counts_and_not_exceeded() {
    let mut data = Data::new(&spec(TaskKind::SequenceClassification));
    // All branches but one hardly count.
    for (index, layer) in data.checkpoint.layers.iter_mut().enumerate() {
        let faint = |l: &FloatLinear| {
            let w = l.weight().iter().map(|w| w * 0.01).collect();
            FloatLinear::new(w, l.bias().to_vec(), l.inputs()).unwrap()
        };
        layer.o = faint(&layer.o);
        if index == 1 {
            layer.ffn_out = faint(&layer.ffn_out);
        }
    }
    // A quarter of the weights are in each feed-forward matrix, an eighth in each other pair.
    let (model, report, mix) = data.mix(Goal::Budget(5.4)).unwrap();
    let (bits, mut names) = eight(&model);
    names.sort();
    assert!(bits <= 5.4 && bits > 5.0, "{bits}");
    assert!((bits - mix.bits).abs() < 1e-12);
    let mut sorted = mix.eight.clone();
    sorted.sort();
    assert_eq!(sorted, names);
    for name in ["0.ffn_in", "0.ffn_out"] {
        assert!(mix.eight[..2].contains(&name.to_owned()), "{mix}");
    }
    assert_eq!(mix.sensitivity.matrices.len(), 12);
    assert_eq!(mix.sensitivity.measure, Measure::ChangedTexts);
    assert!(report.layers[0].linears.iter().any(|l| l.bits == 8));
    // Text and JSON say the same.
    let json = serde_json::to_value(&mix).unwrap();
    assert_eq!(json["eight"][0], mix.eight[0].as_str());
    assert!(
        mix.to_string()
            .contains(&format!("{:.3} bits a weight", mix.bits))
    );
    // Nothing is left to chance.
    assert_eq!(data.mix(Goal::Budget(5.4)).unwrap().0, model);
}

#[test]
fn the_ends_of_a_budget_are_all_four_and_all_eight() {
    let data = Data::new(&spec(TaskKind::SequenceClassification));
    assert_eq!(eight(&data.mix(Goal::Budget(4.0)).unwrap().0).0, 4.0);
    assert_eq!(eight(&data.mix(Goal::Budget(8.0)).unwrap().0).0, 8.0);
}

#[test]
fn a_largest_drop_is_kept_with_some_matrices_in_four_bits() {
    let data = Data::new(&spec(TaskKind::Embedding));
    let all = data.mix(Goal::Budget(8.0)).unwrap().2;
    let none = data.mix(Goal::MaxDrop(1.0)).unwrap();
    assert_eq!(eight(&none.0).0, 4.0);
    let (d8, d4) = (all.verdict.drop, none.2.verdict.drop);
    assert_eq!(all.sensitivity.measure, Measure::CosineLost);
    assert!(0.0 < d8 && d8 < d4, "{d8} {d4}");

    let most = (d8 + d4) / 2.0;
    let (model, _, mix) = data.mix(Goal::MaxDrop(most)).unwrap();
    assert!(mix.verdict.drop <= most, "{} {most}", mix.verdict.drop);
    let bits = eight(&model).0;
    assert!(bits > 4.0 && bits < 8.0, "{bits}");

    let e = data.mix(Goal::MaxDrop(d8 / 2.0)).unwrap_err();
    assert!(matches!(e, QuantizeError::MaxDrop { .. }), "{e}");
    assert!(e.to_string().contains(&format!("{d8:.4}")), "{e}");
}

#[test]
fn what_is_asked_for_must_make_sense() {
    let data = Data::new(&spec(TaskKind::Embedding));
    for goal in [
        Goal::Budget(3.0),
        Goal::Budget(8.1),
        Goal::MaxDrop(-1.0),
        Goal::MaxDrop(f64::NAN),
    ] {
        let e = data.mix(goal).unwrap_err();
        assert!(matches!(e, QuantizeError::Option { .. }), "{e}");
    }
    let options = QuantizeOptions::default();
    let e = data
        .job(&options)
        .sensitivity(&[], &mut Silent)
        .unwrap_err();
    assert!(matches!(e, QuantizeError::NoCalibration { .. }), "{e}");
}
