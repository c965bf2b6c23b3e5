//! Seeded random models: any shape, values in the ranges that real models have, so that no
//! operation saturates everywhere.

use fqbert_contract::geometry::Mode;
use fqbert_host::{
    Activation, Dense, EmbeddingTables, Family, HeadActivation, ModelConfig, Table, Task,
};
use fqbert_numerics::gelu::gelu_table;
use fqbert_numerics::layernorm::{LayerNormParams, mean_reciprocal};
use fqbert_numerics::requant::Requant;
use fqbert_numerics::softmax::exp_table;
use fqbert_random::Random;
use half::f16;

use crate::linear::QuantizedLinear;
use crate::model::{
    LayerScales, Linear, QuantizedLayer, QuantizedModel, TokenizerFile,
};
use crate::provenance::{Provenance, Quantization, ScaleScheme};
use crate::reference::EncoderInput;

/// Shape of a random model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Encoder layers.
    pub layers: usize,
    /// Hidden size.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels between the feed-forward layers.
    pub intermediate: usize,
    /// Rows of the word table.
    pub vocab: usize,
    /// Rows of the position table.
    pub max_positions: usize,
    /// Bits of each matrix: bit `6 * layer + matrix` (modulo 64) set makes it 8-bit, in the order
    /// of [`Linear::ALL`].
    pub wide: u64,
}

impl Shape {
    /// BERT-base's encoder with a small vocabulary, all weights 4 bits.
    pub const BERT_BASE: Shape = Shape {
        layers: 12,
        hidden: 768,
        heads: 12,
        intermediate: 3072,
        vocab: 64,
        max_positions: 512,
        wide: 0,
    };

    /// A small encoder of one layer.
    pub const SMALL: Shape = Shape {
        layers: 1,
        hidden: 32,
        heads: 2,
        intermediate: 64,
        vocab: 50,
        max_positions: 64,
        wide: 0,
    };
}

/// A number in `low..=high`.
fn range(r: &mut Random, low: i64, high: i64) -> i64 {
    low + r.within(0, high.abs_diff(low)) as i64
}

/// A model of that shape, classifying in two; valid, and the same for the same seed.
pub fn random_model(shape: Shape, seed: u64) -> QuantizedModel {
    let r = &mut Random::new(seed);
    let config = ModelConfig {
        family: Family::Bert,
        layers: shape.layers,
        hidden: shape.hidden,
        heads: shape.heads,
        intermediate: shape.intermediate,
        vocab: shape.vocab,
        max_positions: shape.max_positions,
        position_offset: 0,
        type_vocab: 2,
        pad_token_id: 0,
        layer_norm_eps: 1e-12,
        activation: Activation::Gelu,
        task: Task::SequenceClassification {
            pre: Some(HeadActivation::Tanh),
        },
        labels: vec!["negative".into(), "positive".into()],
        problem_type: None,
    };
    let h = shape.hidden;
    let table = |r: &mut Random, rows: usize| {
        Table::F16(
            (0..rows * h)
                .map(|_| f16::from_f32(r.signed_unit()))
                .collect(),
        )
    };
    let embeddings = EmbeddingTables {
        word: table(r, shape.vocab),
        position: table(r, shape.max_positions),
        token_type: table(r, 2),
        gamma: (0..h).map(|_| 1.0 + 0.1 * r.signed_unit()).collect(),
        beta: (0..h).map(|_| 0.1 * r.signed_unit()).collect(),
    };
    let layers = (0..shape.layers)
        .map(|i| layer(r, &config, shape.wide, i))
        .collect();
    let dense = |r: &mut Random, outputs: usize| Dense {
        weight: (0..outputs * h)
            .map(|_| r.signed_unit() / (h as f32).sqrt())
            .collect(),
        bias: (0..outputs).map(|_| 0.1 * r.signed_unit()).collect(),
    };
    QuantizedModel {
        quantization: Quantization {
            scheme: ScaleScheme::W4a8,
            ranges: "made up".into(),
            weights: "random codes".into(),
        },
        provenance: Provenance {
            source: format!("random, seed {seed}"),
            ..Provenance::default()
        },
        embeddings,
        layers,
        head_pre: Some(dense(r, h)),
        classifier: Some(dense(r, 2)),
        tokenizer: Some(TokenizerFile::new(b"{\"version\":\"1.0\"}".to_vec())),
        config,
    }
}

fn layer(r: &mut Random, c: &ModelConfig, wide: u64, index: usize) -> QuantizedLayer {
    let mut matrices = Linear::ALL.into_iter().enumerate().map(|(m, which)| {
        let mode = match wide >> ((6 * index + m) % 64) & 1 {
            0 => Mode::W4,
            _ => Mode::W8,
        };
        // The residual branches are of the size of the stream they join; the rest fills 8 bits.
        let deviation = match which {
            Linear::O | Linear::FfnOut => 2000.0,
            _ => 40.0,
        };
        linear(r, mode, which.shape(c), deviation)
    });
    let mut next = || {
        matrices
            .next()
            .unwrap_or_else(|| unreachable!("six matrices"))
    };
    let (q, k, v) = (next(), next(), next());
    let (o, ffn_in, ffn_out) = (next(), next(), next());
    QuantizedLayer {
        q,
        k,
        v,
        o,
        ffn_in,
        ffn_out,
        scores: record(50.0 / (1600.0 * (c.head_dim() as f64).sqrt()), 0),
        context: record(2.0 / 255.0, 0),
        exp_table: exp_table(0.05),
        gelu_table: gelu_table(fqbert_numerics::gelu::Activation::GeluErf, 0.04, 0.03),
        ln_attn: norm(r, c.hidden),
        ln_out: norm(r, c.hidden),
        scales: LayerScales {
            x8: 0.03,
            x16: 0.001,
            q: 0.04,
            k: 0.04,
            v: 0.03,
            scores: 0.05,
            context: 0.02,
            attn8: 0.03,
            attn16: 0.001,
            gelu_in: 0.04,
            mid: 0.03,
            y8: 0.03,
            y16: 0.001,
        },
    }
}

fn record(factor: f64, bias: i32) -> Requant {
    // Factors here are below 1 by construction, far inside what a record holds.
    Requant::from_scale(factor, bias).unwrap_or_else(|e| unreachable!("{e}"))
}

fn linear(r: &mut Random, mode: Mode, shape: (usize, usize), deviation: f64) -> QuantizedLinear {
    let (outputs, inputs) = shape;
    let limit = match mode {
        Mode::W4 => 7,
        Mode::W8 => 127,
    };
    let codes: Vec<i8> = (0..outputs * inputs)
        .map(|_| range(r, -limit, limit) as i8)
        .collect();
    // Standard deviations: codes limit / sqrt 3, activations about 35.
    let sum = limit as f64 / 3f64.sqrt() * 35.0 * (inputs as f64).sqrt();
    let params = (0..outputs)
        .map(|_| {
            let factor = deviation / sum * f64::from(1.0 + 0.3 * r.signed_unit());
            record(factor, range(r, -(sum as i64) / 2, sum as i64 / 2) as i32)
        })
        .collect();
    QuantizedLinear::new(mode, outputs, inputs, &codes, params, vec![0.01; outputs])
        .unwrap_or_else(|e| unreachable!("{e}"))
}

fn norm(r: &mut Random, hidden: usize) -> LayerNormParams {
    let (inv, q) = mean_reciprocal(hidden);
    // h has 11 fraction bits times a gamma of about 100: one is 2^11 * 100, and 1000 steps of y16,
    // and 35 of y8.
    let (y16, y8) = (
        record(1000.0 / (2048.0 * 100.0), 0),
        record(35.0 / 1000.0, 0),
    );
    LayerNormParams {
        inv,
        eps: range(r, 1, 1 << 20) as u32,
        m16: y16.multiplier,
        m8: y8.multiplier,
        s16: y16.shift,
        s8: y8.shift,
        q,
        gamma: (0..hidden).map(|_| range(r, 70, 127) as i8).collect(),
        beta: (0..hidden)
            .map(|_| range(r, -40_000, 40_000) as i32)
            .collect(),
    }
}

/// A random input of `tokens` tokens, all attending to `0..length`.
pub fn random_input(hidden: usize, tokens: usize, length: usize, seed: u64) -> EncoderInput {
    let r = &mut Random::new(seed);
    let values: Vec<f32> = (0..tokens * hidden)
        .map(|_| (r.signed_unit() + r.signed_unit() + r.signed_unit()) / 3.0)
        .collect();
    EncoderInput {
        x8: values.iter().map(|v| (v * 100.0) as i8).collect(),
        x16: values.iter().map(|v| (v * 3000.0) as i16).collect(),
        ranges: vec![(0, length as u16); tokens],
    }
}
