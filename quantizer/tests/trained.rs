//! Models that were trained for something, in shapes other than the shipped one's: random encoders
//! whose classifier is fitted, by least squares on the float encoder's own outputs, to tell groups
//! of words apart. Every text is made up, so no data is needed.

use fqbert_checkpoint::testing::Spec;
use fqbert_checkpoint::{Checkpoint, FloatLinear, LoadOptions, NoObserver, load_tokenizer};
use fqbert_host::{Dense, Head, TaskKind, Tokenizer, Tokens};
use fqbert_model::QuantizedModel;
use fqbert_numerics::host::{quantize_i8, quantize_i16};
use fqbert_quantizer::{Calibration, QuantizeOptions, Scheme, Silent, encode, quantize};

/// Words that texts are made of; word i is of class i modulo the labels.
struct Language {
    words: u32,
    labels: usize,
}

/// Ids of the vocabulary's first word that is no special token.
const FIRST: u32 = 5;

impl Language {
    fn text(&self, tokens: usize, seed: u64) -> Tokens {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let ids = (0..tokens).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            FIRST + (state >> 33) as u32 % self.words
        });
        let ids: Vec<u32> = ids.collect();
        Tokens {
            type_ids: vec![0; ids.len()],
            ids,
        }
    }

    fn texts(&self, count: u64, from: u64) -> Vec<Tokens> {
        (from..from + count)
            .map(|i| self.text(8 + i as usize % 9, i))
            .collect()
    }

    fn class(&self, id: u32) -> usize {
        (id - FIRST) as usize % self.labels
    }
}

/// Solves `a x = b` for each column of `b` `[n][m]`, `a` `[n][n]` symmetric and positive definite.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>, n: usize, m: usize) -> Vec<f64> {
    for i in 0..n {
        let pivot = a[i * n + i];
        let (row_a, row_b) = (
            a[i * n..(i + 1) * n].to_vec(),
            b[i * m..(i + 1) * m].to_vec(),
        );
        for j in (0..n).filter(|j| *j != i) {
            let factor = a[j * n + i] / pivot;
            a[j * n..(j + 1) * n]
                .iter_mut()
                .zip(&row_a)
                .for_each(|(a, r)| *a -= factor * r);
            b[j * m..(j + 1) * m]
                .iter_mut()
                .zip(&row_b)
                .for_each(|(b, r)| *b -= factor * r);
        }
    }
    for i in 0..n {
        let pivot = a[i * n + i];
        b[i * m..(i + 1) * m].iter_mut().for_each(|b| *b /= pivot);
    }
    b
}

/// A checkpoint of the shape whose classifier knows the language.
fn trained(spec: &Spec, language: &Language) -> (Checkpoint, Tokenizer) {
    let folder = tempfile::tempdir().unwrap();
    spec.write(folder.path()).unwrap();
    let mut checkpoint = Checkpoint::load(folder.path(), &LoadOptions::default()).unwrap();
    // Branches of random weights as large as the stream would bury the words under each other.
    for layer in &mut checkpoint.layers {
        for branch in [&mut layer.o, &mut layer.ffn_out] {
            let w = branch.weight().iter().map(|w| w * 0.25).collect();
            *branch = FloatLinear::new(w, branch.bias().to_vec(), branch.inputs()).unwrap();
        }
    }
    let (n, m) = (spec.hidden + 1, spec.labels);
    let (mut xx, mut xy) = (vec![0.0; n * n], vec![0.0; n * m]);
    for text in language.texts(100, 1000) {
        let x = checkpoint
            .embeddings
            .embed(&text.ids, &text.type_ids)
            .unwrap();
        let y = checkpoint.encode(x, &mut NoObserver).unwrap();
        for (row, id) in y.chunks_exact(spec.hidden).zip(&text.ids) {
            let row: Vec<f64> = row.iter().map(|v| f64::from(*v)).chain([1.0]).collect();
            for (i, a) in row.iter().enumerate() {
                xx[i * n..(i + 1) * n]
                    .iter_mut()
                    .zip(&row)
                    .for_each(|(s, b)| *s += a * b);
                xy[i * m + language.class(*id)] += a;
            }
        }
    }
    (0..n).for_each(|i| xx[i * n + i] += 0.5);
    let w = solve(xx, xy, n, m);
    let weight = (0..m).flat_map(|l| (0..n - 1).map(move |i| (l, i)));
    let weight = weight.map(|(l, i)| w[i * m + l] as f32).collect();
    let bias = w[(n - 1) * m..].iter().map(|b| *b as f32).collect();
    let out = Dense { weight, bias };
    checkpoint.head = Head::TokenClassification { out };
    (checkpoint, load_tokenizer(folder.path()).unwrap())
}

/// Classes of all tokens by the float and by the integer model.
fn classes(c: &Checkpoint, m: &QuantizedModel, texts: &[Tokens]) -> Vec<[usize; 2]> {
    let hidden = c.config.hidden;
    let labels = c.head.labels().unwrap();
    let best = |row: &[f32]| {
        (0..labels)
            .max_by(|a, b| row[*a].total_cmp(&row[*b]))
            .unwrap()
    };
    let mut classes = Vec::new();
    for t in texts {
        let x = c.embeddings.embed(&t.ids, &t.type_ids).unwrap();
        let (s8, s16) = m.input_scales();
        let x8: Vec<i8> = x.iter().map(|v| quantize_i8(*v, s8)).collect();
        let x16: Vec<i16> = x.iter().map(|v| quantize_i16(*v, s16)).collect();
        let y = encode(m, &x8, &x16, std::slice::from_ref(&(0..t.ids.len()))).unwrap();
        let y: Vec<f32> = y.iter().map(|v| f32::from(*v) * m.output_scale()).collect();
        let integer = c.head.apply(&y, hidden).unwrap();
        let float = c.forward(&t.ids, &t.type_ids).unwrap();
        let rows = float
            .values()
            .chunks_exact(labels)
            .zip(integer.values().chunks_exact(labels));
        classes.extend(rows.map(|(f, i)| [best(f), best(i)]));
    }
    classes
}

/// Shares of the tokens of unseen texts: the float model right, W4A8 right, W4A8 as float.
fn shares(spec: &Spec, language: &Language) -> [f64; 3] {
    let (checkpoint, tokenizer) = trained(spec, language);
    let data = Calibration::from_sequences(language.texts(60, 0)).unwrap();
    let options = QuantizeOptions::new(Scheme::W4A8);
    let (model, _) = quantize(&checkpoint, Some(&tokenizer), &data, &options, &mut Silent).unwrap();
    let texts = language.texts(30, 5000);
    let answers = classes(&checkpoint, &model, &texts);
    let wanted = texts
        .iter()
        .flat_map(|t| t.ids.iter().map(|id| language.class(*id)));
    let n = answers.len() as f64;
    let [mut float, mut integer, mut same] = [0.0; 3];
    for (wanted, [f, i]) in wanted.zip(answers) {
        float += f64::from(u8::from(f == wanted)) / n;
        integer += f64::from(u8::from(i == wanted)) / n;
        same += f64::from(u8::from(f == i)) / n;
    }
    println!("float {float:.4}, W4A8 {integer:.4}, as float {same:.4}");
    [float, integer, same]
}

#[test]
fn three_layers() {
    let spec = Spec {
        layers: 3,
        hidden: 64,
        heads: 4,
        intermediate: 128,
        labels: 8,
        task: TaskKind::TokenClassification,
        ..Spec::default()
    };
    let [float, integer, same] = shares(
        &spec,
        &Language {
            words: 40,
            labels: 8,
        },
    );
    assert!(float > 0.97 && integer > 0.97 && same > 0.97);
}

#[test]
fn hidden_256_twelve_layers_fifty_labels() {
    let spec = Spec {
        layers: 12,
        hidden: 256,
        heads: 8,
        intermediate: 256,
        labels: 50,
        task: TaskKind::TokenClassification,
        ..Spec::default()
    };
    let [float, integer, same] = shares(
        &spec,
        &Language {
            words: 100,
            labels: 50,
        },
    );
    assert!(float > 0.97 && integer > 0.97 && same > 0.97);
}
