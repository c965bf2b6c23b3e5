//! What an observer sees, and that neither grouping nor threads change a result.

use fqbert_checkpoint::testing::Spec;
use fqbert_checkpoint::{Checkpoint, LoadOptions, Observer, Site};
use fqbert_host::Tokens;

#[derive(Default, Debug, Clone, PartialEq)]
struct Record(Vec<(usize, Site, usize, usize, Vec<f32>)>);

impl Observer for Record {
    fn observe(&mut self, layer: usize, site: Site, values: &[f32], rows: usize, cols: usize) {
        assert_eq!(values.len(), rows * cols);
        self.0.push((layer, site, rows, cols, values.to_vec()));
    }
}

impl Record {
    fn values(&self, layer: usize, site: Site) -> &[f32] {
        &self
            .0
            .iter()
            .find(|r| (r.0, r.1) == (layer, site))
            .unwrap()
            .4
    }
}

fn checkpoint(spec: &Spec) -> Checkpoint {
    let folder = tempfile::tempdir().unwrap();
    spec.write(folder.path()).unwrap();
    Checkpoint::load(folder.path(), &LoadOptions::default()).unwrap()
}

fn observed(checkpoint: &Checkpoint, s: &Tokens) -> Record {
    let mut record = Record::default();
    checkpoint
        .forward_observed(&s.ids, &s.type_ids, &mut record)
        .unwrap();
    record
}

#[test]
fn every_site_of_every_layer_once_and_in_order() {
    use Site::*;
    let spec = Spec {
        heads: 4,
        ..Spec::default()
    };
    let (n, h, m, a) = (11, spec.hidden, spec.intermediate, spec.heads);
    let record = observed(&checkpoint(&spec), &spec.sequence(n, 5));
    let mut expected = vec![(0, EmbeddingOut, n, h)];
    for layer in 0..spec.layers {
        for site in [
            LayerInput, Q, K, V, Scores, Probs, Context, AttnOut, AttnSum, AttnNorm, FfnIn, FfnMid,
            FfnOut, FfnSum, LayerOut,
        ] {
            let (rows, cols) = match site {
                Scores | Probs => (a * n, n),
                FfnIn | FfnMid => (n, m),
                _ => (n, h),
            };
            expected.push((layer, site, rows, cols));
        }
    }
    let seen: Vec<_> = record.0.iter().map(|r| (r.0, r.1, r.2, r.3)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn sites_hold_what_their_names_say() {
    let spec = Spec {
        heads: 4,
        ..Spec::default()
    };
    let checkpoint = checkpoint(&spec);
    let n = 7;
    let record = observed(&checkpoint, &spec.sequence(n, 5));
    let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-4, "{a} and {b}");
    let layer = 1;
    let at = |site| record.values(layer, site);
    assert_eq!(
        record.values(0, Site::EmbeddingOut),
        record.values(0, Site::LayerInput)
    );
    assert_eq!(record.values(0, Site::LayerOut), at(Site::LayerInput));

    let d = checkpoint.config.head_dim();
    let (q, k, v) = (at(Site::Q), at(Site::K), at(Site::V));
    for head in 0..spec.heads {
        for i in 0..n {
            let element = |m: &[f32], row: usize, c: usize| m[row * spec.hidden + head * d + c];
            let scores: Vec<f32> = (0..n)
                .map(|j| {
                    (0..d)
                        .map(|c| element(q, i, c) * element(k, j, c))
                        .sum::<f32>()
                })
                .map(|s| s / (d as f32).sqrt())
                .collect();
            let total: f32 = scores.iter().map(|s| s.exp()).sum();
            let row = (head * n + i) * n;
            for (j, score) in scores.iter().enumerate() {
                close(at(Site::Scores)[row + j], *score);
                close(at(Site::Probs)[row + j], score.exp() / total);
            }
            for c in 0..d {
                let sum: f32 = (0..n)
                    .map(|j| at(Site::Probs)[row + j] * element(v, j, c))
                    .sum();
                close(element(at(Site::Context), i, c), sum);
            }
        }
    }
    let weights = &checkpoint.layers[layer];
    for (input, site, linear) in [
        (Site::LayerInput, Site::Q, &weights.q),
        (Site::LayerInput, Site::K, &weights.k),
        (Site::LayerInput, Site::V, &weights.v),
        (Site::Context, Site::AttnOut, &weights.o),
        (Site::AttnNorm, Site::FfnIn, &weights.ffn_in),
        (Site::FfnMid, Site::FfnOut, &weights.ffn_out),
    ] {
        let (x, y) = (at(input), at(site));
        for row in 0..n {
            let x = &x[row * linear.inputs()..][..linear.inputs()];
            for out in 0..linear.outputs() {
                let w = &linear.weight()[out * linear.inputs()..][..linear.inputs()];
                let sum: f32 = x.iter().zip(w).map(|(x, w)| x * w).sum();
                close(y[row * linear.outputs() + out], sum + linear.bias()[out]);
            }
        }
    }
    for (a, b, sum) in [
        (Site::LayerInput, Site::AttnOut, Site::AttnSum),
        (Site::AttnNorm, Site::FfnOut, Site::FfnSum),
    ] {
        for ((a, b), sum) in at(a).iter().zip(at(b)).zip(at(sum)) {
            close(a + b, *sum);
        }
    }
    for (before, after) in at(Site::FfnIn).iter().zip(at(Site::FfnMid)) {
        close(checkpoint.config.activation.apply(*before), *after);
    }
}

#[test]
fn a_batch_equals_its_sequences_one_by_one() {
    let spec = Spec::default();
    let checkpoint = checkpoint(&spec);
    let sequences: Vec<_> = (0..40)
        .map(|i| spec.sequence(1 + (i * 37) % 128, i as u64))
        .collect();
    let batch = checkpoint
        .forward_batch_observed(&sequences, |_| Record::default())
        .unwrap();
    assert_eq!(batch.len(), sequences.len());
    for ((output, record), s) in batch.iter().zip(&sequences) {
        assert_eq!(*output, checkpoint.forward(&s.ids, &s.type_ids).unwrap());
        assert_eq!(*record, observed(&checkpoint, s));
    }
    assert!(checkpoint.forward_batch(&[]).unwrap().is_empty());
}

#[test]
fn threads_change_nothing() {
    let spec = Spec {
        hidden: 256,
        intermediate: 1024,
        ..Spec::default()
    };
    let checkpoint = checkpoint(&spec);
    let sequences: Vec<_> = (0..9).map(|i| spec.sequence(128, i)).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| checkpoint.forward_batch(&sequences).unwrap())
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
fn bad_sequences_are_refused() {
    let spec = Spec {
        vocab: 100,
        max_sequence: 16,
        ..Spec::default()
    };
    let checkpoint = checkpoint(&spec);
    let error =
        |ids: &[u32], types: &[u32]| checkpoint.forward(ids, types).unwrap_err().to_string();
    assert!(error(&[], &[]).contains("no tokens"));
    assert!(error(&[2; 17], &[0; 17]).contains("17 tokens, the model has 16"));
    let text = error(&[2, 100, 3], &[0; 3]);
    assert!(
        text.contains("token 1 has id 100") && text.contains("0 to 99"),
        "{text}"
    );
    assert!(error(&[2, u32::MAX, 3], &[0; 3]).contains("4294967295"));
    assert!(error(&[2, 5, 3], &[0, 2, 0]).contains("type 2"));
    assert!(error(&[2, 5, 3], &[0, 0]).contains("2 values, expected 3"));
    let good = spec.sequence(8, 1);
    let bad = Tokens {
        ids: vec![7; 3],
        type_ids: vec![9; 3],
    };
    assert!(checkpoint.forward_batch(&[good, bad]).is_err());
    assert!(
        checkpoint
            .encode(vec![0.0; 129], &mut fqbert_checkpoint::NoObserver)
            .is_err()
    );
}
