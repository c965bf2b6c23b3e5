//! Random checkpoints of several shapes and families, quantized, kept in a file and run.

use fqbert_checkpoint::testing::{Spec, Storage};
use fqbert_checkpoint::{Checkpoint, FloatLinear, LoadOptions, load_tokenizer};
use fqbert_host::{Activation, Family, Head, InputError, TaskKind, Tokenizer, Tokens};
use fqbert_model::QuantizedModel;
use fqbert_model::reference::EncoderInput;
use fqbert_numerics::host::{quantize_i8, quantize_i16};
use fqbert_quantizer::{
    BitsOverride, Calibration, Progress, QuantizeError, QuantizeOptions, RangeMethod, Report,
    Rounding, Scheme, Silent, WeightBits, encode, quantize,
};

fn load(spec: &Spec) -> (Checkpoint, Tokenizer) {
    let folder = tempfile::tempdir().unwrap();
    spec.write(folder.path()).unwrap();
    let checkpoint = Checkpoint::load(folder.path(), &LoadOptions::default()).unwrap();
    (checkpoint, load_tokenizer(folder.path()).unwrap())
}

fn calibration(spec: &Spec, texts: usize) -> Calibration {
    let sequences = (0..texts)
        .map(|i| spec.sequence(6 + i % 17, i as u64))
        .collect();
    Calibration::from_sequences(sequences).unwrap()
}

fn run(spec: &Spec, options: &QuantizeOptions) -> (Checkpoint, QuantizedModel, Report) {
    let (checkpoint, tokenizer) = load(spec);
    let calibration = calibration(spec, 24);
    let (model, report) = quantize(
        &checkpoint,
        Some(&tokenizer),
        &calibration,
        options,
        &mut Silent,
    )
    .unwrap();
    (checkpoint, model, report)
}

fn input(checkpoint: &Checkpoint, model: &QuantizedModel, s: &Tokens) -> EncoderInput {
    let x = checkpoint.embeddings.embed(&s.ids, &s.type_ids).unwrap();
    let (s8, s16) = model.input_scales();
    EncoderInput {
        x8: x.iter().map(|v| quantize_i8(*v, s8)).collect(),
        x16: x.iter().map(|v| quantize_i16(*v, s16)).collect(),
        ranges: vec![(0, s.ids.len() as u16); s.ids.len()],
    }
}

/// Lowest SQNR of a site in the report.
fn worst(report: &Report, site: &str) -> f64 {
    let sites = report
        .layers
        .iter()
        .flat_map(|l| &l.sites)
        .filter(|s| s.site == site);
    sites.map(|s| s.sqnr_db).fold(f64::INFINITY, f64::min)
}

fn shapes() -> Vec<(&'static str, Spec)> {
    let small = Spec {
        hidden: 64,
        heads: 4,
        intermediate: 128,
        ..Spec::default()
    };
    vec![
        (
            "three layers",
            Spec {
                layers: 3,
                ..small.clone()
            },
        ),
        (
            "256 wide, 12 layers, 50 labels",
            Spec {
                layers: 12,
                hidden: 256,
                heads: 8,
                intermediate: 512,
                labels: 50,
                storage: Storage::F16,
                task: TaskKind::TokenClassification,
                ..Spec::default()
            },
        ),
        (
            "DistilBERT",
            Spec {
                family: Family::DistilBert,
                activation: Activation::Relu,
                ..small.clone()
            },
        ),
        (
            "RoBERTa embedding",
            Spec {
                family: Family::Roberta,
                task: TaskKind::Embedding,
                activation: Activation::GeluTanh,
                ..small
            },
        ),
    ]
}

#[test]
fn every_shape_is_quantized_kept_and_run() {
    for (name, spec) in shapes() {
        let (checkpoint, model, report) = run(&spec, &QuantizeOptions::default());
        assert_eq!(report.layers.len(), spec.layers, "{name}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        model.save(&file).unwrap();
        let model = QuantizedModel::load(&file).unwrap();

        let sequences = [
            spec.sequence(9, 77),
            spec.sequence(1, 78),
            spec.sequence(20, 79),
        ];
        let (mut x8, mut x16, mut wanted, mut ranges) = (vec![], vec![], vec![], vec![]);
        for s in &sequences {
            let input = input(&checkpoint, &model, s);
            let start = x8.len() / spec.hidden;
            ranges.push(start..start + s.ids.len());
            wanted.extend(model.reference(&input).unwrap());
            x8.extend(input.x8);
            x16.extend(input.x16);
        }
        // The stages that the quantizer looked at are the numerics to the bit.
        assert_eq!(
            encode(&model, &x8, &x16, &ranges).unwrap(),
            wanted,
            "{name}"
        );
        assert!(
            worst(&report, "out") > 12.0,
            "{name}: {}",
            worst(&report, "out")
        );
        assert!(report.paper_compression > 6.0, "{name}");
        assert!(wanted.iter().any(|v| *v != 0), "{name}");
    }
}

/// The same function, its value channels made 8 times larger and smaller by turns and the columns
/// that they meet the opposite.
fn spread(mut checkpoint: Checkpoint) -> Checkpoint {
    let factor = |channel: usize| {
        if channel.is_multiple_of(2) {
            8.0
        } else {
            0.125
        }
    };
    for layer in &mut checkpoint.layers {
        let (v, o) = (&layer.v, &layer.o);
        let k = v.inputs();
        let rows = v.weight().chunks_exact(k).enumerate();
        let w = rows
            .flat_map(|(n, row)| row.iter().map(move |w| w * factor(n)))
            .collect();
        let b = v
            .bias()
            .iter()
            .enumerate()
            .map(|(n, b)| b * factor(n))
            .collect();
        let rows = o.weight().chunks_exact(k);
        let columns = rows
            .flat_map(|row| row.iter().enumerate().map(move |(n, w)| w / factor(n)))
            .collect();
        let o = FloatLinear::new(columns, o.bias().to_vec(), k).unwrap();
        layer.v = FloatLinear::new(w, b, k).unwrap();
        layer.o = o;
    }
    checkpoint
}

#[test]
fn eight_bits_are_better_than_four_and_scales_of_channels_than_the_papers() {
    let spec = Spec {
        seed: 5,
        ..Spec::default()
    };
    let checkpoint = spread(load(&spec).0);
    let data = calibration(&spec, 24);
    let nearest = |scheme| {
        let options = QuantizeOptions {
            rounding: Rounding::Nearest,
            ..QuantizeOptions::new(scheme)
        };
        let (_, report) = quantize(&checkpoint, None, &data, &options, &mut Silent).unwrap();
        worst(&report, "out")
    };
    let (eight, four, paper) = (
        nearest(Scheme::W8A8),
        nearest(Scheme::W4A8),
        nearest(Scheme::Paper),
    );
    assert!(eight > 25.0 && eight > four + 3.0, "{eight} {four}");
    assert!(four > paper + 3.0, "{four} {paper}");
}

#[test]
fn the_papers_scheme_has_one_scale_and_eight_bit_factors() {
    let (_, model, report) = run(&Spec::default(), &QuantizeOptions::new(Scheme::Paper));
    for layer in &model.layers {
        for which in fqbert_model::Linear::ALL {
            let linear = layer.linear(which);
            assert_eq!(linear.weight_scales.len(), 1);
            assert!(linear.params.iter().all(|p| p.multiplier & 0xff == 0));
            assert!(
                linear
                    .params
                    .iter()
                    .all(|p| p.shift == linear.params[0].shift)
            );
        }
        assert_eq!(layer.scores.multiplier & 0xff, 0);
    }
    assert_eq!(report.ranges, RangeMethod::EmaMax { decay: 0.9 });
}

#[test]
fn the_same_whatever_the_threads() {
    let spec = Spec {
        layers: 1,
        hidden: 64,
        heads: 2,
        intermediate: 128,
        ..Spec::default()
    };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(&spec, &QuantizeOptions::default()))
    };
    let ((_, a, ra), (_, b, rb)) = (with(1), with(3));
    assert_eq!(a, b);
    assert_eq!(
        serde_json::to_string(&ra).unwrap(),
        serde_json::to_string(&rb).unwrap()
    );
}

#[test]
fn bits_of_one_matrix_can_be_chosen() {
    let which = fqbert_model::Linear::FfnOut;
    let bits = BitsOverride {
        layer: 1,
        linear: Some(which),
        bits: WeightBits::Eight,
    };
    let options = QuantizeOptions {
        bits: vec![bits],
        ..QuantizeOptions::default()
    };
    let (_, model, report) = run(&Spec::default(), &options);
    let eight: Vec<_> = report
        .layers
        .iter()
        .flat_map(|l| l.linears.iter().map(move |r| (l.layer, r.linear, r.bits)))
        .filter(|r| r.2 == 8)
        .collect();
    assert_eq!(eight, [(1, "ffn_out", 8)]);
    model.validate().unwrap();

    let (checkpoint, _) = load(&Spec::default());
    let bits = vec![BitsOverride { layer: 2, ..bits }];
    let options = QuantizeOptions {
        bits,
        ..QuantizeOptions::default()
    };
    let data = calibration(&Spec::default(), 2);
    let e = quantize(&checkpoint, None, &data, &options, &mut Silent).unwrap_err();
    assert!(e.to_string().contains("layers 0 to 1"), "{e}");
}

/// A checkpoint with one matrix of its first layer changed.
fn changed(change: impl Fn(&mut Vec<f32>, &mut Vec<f32>)) -> Result<Checkpoint, InputError> {
    let (mut checkpoint, _) = load(&Spec::default());
    let old = &checkpoint.layers[0].ffn_in;
    let (mut w, mut b) = (old.weight().to_vec(), old.bias().to_vec());
    let inputs = old.inputs();
    change(&mut w, &mut b);
    checkpoint.layers[0].ffn_in = FloatLinear::new(w, b, inputs)?;
    Ok(checkpoint)
}

#[test]
fn dead_and_extreme_channels_are_quantized() {
    let checkpoint = changed(|w, b| {
        w[..128].fill(0.0); // a channel of zeros with a bias
        b[0] = 3.0;
        w[128..256].fill(1e-30); // all but dead
        b[1] = -2.0;
        w[256..384].fill(0.0); // dead altogether
        b[2] = 0.0;
    })
    .unwrap();
    let data = calibration(&Spec::default(), 8);
    for scheme in [Scheme::W4A8, Scheme::W8A8, Scheme::Paper] {
        let options = QuantizeOptions::new(scheme);
        let (model, report) = quantize(&checkpoint, None, &data, &options, &mut Silent).unwrap();
        model.validate().unwrap();
        assert!(
            worst(&report, "ffn_mid") > 3.0,
            "{scheme:?} {}",
            worst(&report, "ffn_mid")
        );
    }
}

#[test]
fn a_layer_of_nothing_but_zeros_is_quantized() {
    let checkpoint = changed(|w, b| {
        w.fill(0.0);
        b.fill(0.0);
    })
    .unwrap();
    let data = calibration(&Spec::default(), 4);
    for scheme in [Scheme::W4A8, Scheme::Paper] {
        let options = QuantizeOptions::new(scheme);
        let (model, _) = quantize(&checkpoint, None, &data, &options, &mut Silent).unwrap();
        model.validate().unwrap();
    }
}

#[test]
fn what_cannot_be_expressed_is_an_error_with_names_and_numbers() {
    let data = calibration(&Spec::default(), 4);
    // Per tensor, tiny weights cannot carry a large bias.
    let tiny = changed(|w, b| {
        w.iter_mut().for_each(|w| *w *= 1e-9);
        b[5] = 1000.0;
    })
    .unwrap();
    let options = QuantizeOptions::new(Scheme::Paper);
    let e = quantize(&tiny, None, &data, &options, &mut Silent).unwrap_err();
    assert!(
        matches!(
            e,
            QuantizeError::Bias {
                layer: 0,
                channel: 5,
                ..
            }
        ),
        "{e}"
    );
    assert!(
        e.to_string().contains("ffn_in") && e.to_string().contains("1000"),
        "{e}"
    );

    let huge = changed(|w, _| w.fill(f32::MAX)).unwrap();
    let e = quantize(&huge, None, &data, &QuantizeOptions::default(), &mut Silent).unwrap_err();
    assert!(
        matches!(
            e,
            QuantizeError::NotFinite {
                layer: 0,
                site: "ffn_in",
                index: 1
            }
        ),
        "{e}"
    );
}

#[test]
fn a_head_that_overflows_is_refused_before_the_work() {
    let (mut checkpoint, _) = load(&Spec::default());
    let Head::SequenceClassification { out, .. } = &mut checkpoint.head else {
        panic!("the default is a classifier");
    };
    out.weight.fill(f32::MAX);
    let data = calibration(&Spec::default(), 4);
    let options = QuantizeOptions::default();
    let said = quantize(&checkpoint, None, &data, &options, &mut Silent).unwrap_err();
    let said = said.to_string();
    assert!(
        said.contains("calibration sequence 1") && said.contains("head's classifier"),
        "{said}"
    );
}

#[test]
fn calibration_must_be_there_and_fit() {
    let e = Calibration::from_sequences(vec![]).unwrap_err();
    assert!(matches!(e, QuantizeError::NoCalibration { .. }), "{e}");
    let (checkpoint, _) = load(&Spec::default());
    let long = Calibration::from_sequences(vec![Spec::default().sequence(129, 1)]).unwrap();
    let e = quantize(
        &checkpoint,
        None,
        &long,
        &QuantizeOptions::default(),
        &mut Silent,
    );
    let e = e.unwrap_err().to_string();
    assert!(e.contains("sequence 1") && e.contains("129"), "{e}");
}

#[test]
fn progress_can_stop_the_work() {
    struct Stop(usize);
    impl Progress for Stop {
        fn phase(&mut self, _: &str, _: usize) {}
        fn step(&mut self) -> bool {
            self.0 -= 1;
            self.0 > 0
        }
    }
    let (checkpoint, _) = load(&Spec::default());
    let data = calibration(&Spec::default(), 2);
    let options = QuantizeOptions::default();
    let e = quantize(&checkpoint, None, &data, &options, &mut Stop(3)).unwrap_err();
    assert!(matches!(e, QuantizeError::Cancelled), "{e}");
}
