//! Whether a model is consistent.

use fqbert_host::{Dense, HeadActivation, ModelConfig, Table, Task};
use fqbert_numerics::layernorm::LayerNormParams;
use fqbert_numerics::layernorm::mean_reciprocal;
use fqbert_numerics::requant::Requant;

use crate::error::ModelError;
use crate::linear::{QuantizedLinear, WeightCodes, limits, position};
use crate::model::{LayerScales, Linear, QuantizedLayer, QuantizedModel};

impl QuantizedModel {
    /// Checks sizes against the configuration and values against their ranges. Loading and saving
    /// do it.
    ///
    /// # Errors
    /// The first thing that does not hold, by name and number.
    pub fn validate(&self) -> Result<(), ModelError> {
        let c = &self.config;
        c.validate()?;
        let e = &self.embeddings;
        table("embeddings.word", &e.word, c.vocab, c.hidden)?;
        table(
            "embeddings.position",
            &e.position,
            c.max_positions,
            c.hidden,
        )?;
        table(
            "embeddings.token_type",
            &e.token_type,
            c.type_vocab,
            c.hidden,
        )?;
        floats("embeddings.norm.gamma", &e.gamma, c.hidden)?;
        floats("embeddings.norm.beta", &e.beta, c.hidden)?;
        count("layer", self.layers.len(), c.layers)?;
        for (i, layer) in self.layers.iter().enumerate() {
            check_layer(layer, c, i)?;
        }
        check_chain(&self.layers)?;
        let pre = matches!(c.task, Task::SequenceClassification { pre: Some(_) });
        dense(
            "head.pre",
            self.head_pre.as_ref(),
            pre.then_some(c.hidden),
            c.hidden,
        )?;
        let labels = (!matches!(c.task, Task::Embedding { .. })).then_some(c.labels.len());
        dense(
            "head.classifier",
            self.classifier.as_ref(),
            labels,
            c.hidden,
        )?;
        self.check_answers()
    }

    /// Checks that no text can make the head overflow: from the largest hidden state on, no sum is
    /// beyond what an f32 holds, whatever the signs. A head's outputs are then always numbers.
    fn check_answers(&self) -> Result<(), ModelError> {
        let scale = self.layers.last().map_or(1.0, |l| l.scales.y16);
        let mut largest = LARGEST_CODE * f64::from(scale);
        let layers = [
            ("head.pre", &self.head_pre),
            ("head.classifier", &self.classifier),
        ];
        for (name, layer) in layers {
            let Some(layer) = layer else { continue };
            let mut most = 0.0;
            for (row, (weights, bias)) in layer
                .weight
                .chunks_exact(self.config.hidden)
                .zip(&layer.bias)
                .enumerate()
            {
                let sum: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
                let output = sum * largest + f64::from(bias.abs());
                if !(output <= LARGEST_SUM) {
                    let name = format!("largest output of {name}");
                    let found = format!("{output:.3e}");
                    return Err(value(
                        name,
                        row,
                        found,
                        "at most 1e38, so that none overflows",
                    ));
                }
                most = f64::max(most, output);
            }
            let tanh = Some(HeadActivation::Tanh);
            let bounded = self.config.task == Task::SequenceClassification { pre: tanh };
            largest = if bounded { 1.0 } else { most };
        }
        Ok(())
    }
}

/// Magnitude of a 16-bit code.
const LARGEST_CODE: f64 = 32768.0;
/// Below the largest f32 by more than the rounding of a sum of 4096.
const LARGEST_SUM: f64 = 1e38;
/// Largest scale: a code of 16 bits then stands for at most 1.4e14, whose square an f32 sums up
/// for every channel.
const LARGEST_SCALE: f32 = 4_294_967_296.0;

fn value<T: ToString>(name: String, index: usize, found: T, expected: &'static str) -> ModelError {
    ModelError::Value {
        name,
        index,
        found: found.to_string(),
        expected,
    }
}

fn count(name: &str, found: usize, expected: usize) -> Result<(), ModelError> {
    if found == expected {
        return Ok(());
    }
    Err(ModelError::Shape {
        name: name.into(),
        found: format!("{found} values"),
        expected: format!("{expected} values"),
    })
}

fn finite<T: ToString>(
    name: &str,
    bad: Option<usize>,
    at: impl FnOnce(usize) -> T,
) -> Result<(), ModelError> {
    match bad {
        None => Ok(()),
        Some(i) => Err(value(name.into(), i, at(i), "a finite number")),
    }
}

fn floats(name: &str, v: &[f32], expected: usize) -> Result<(), ModelError> {
    count(name, v.len(), expected)?;
    finite(name, position(v, |v| !v.is_finite()), |i| v[i])
}

fn table(name: &str, t: &Table, rows: usize, hidden: usize) -> Result<(), ModelError> {
    count(name, t.len(), rows * hidden)?;
    match t {
        Table::F16(v) => finite(name, position(v, |v| !v.is_finite()), |i| v[i]),
        Table::F32(v) => finite(name, position(v, |v| !v.is_finite()), |i| v[i]),
    }
}

fn dense(
    name: &str,
    found: Option<&Dense>,
    outputs: Option<usize>,
    inputs: usize,
) -> Result<(), ModelError> {
    match (found, outputs) {
        (None, None) => Ok(()),
        (Some(d), Some(outputs)) => {
            floats(&format!("{name}.weight"), &d.weight, outputs * inputs)?;
            floats(&format!("{name}.bias"), &d.bias, outputs)
        }
        (None, Some(_)) => Err(ModelError::MissingTensor {
            name: format!("{name}.weight"),
        }),
        (Some(_), None) => Err(ModelError::UnknownTensor {
            name: format!("{name}.weight"),
            count: 2,
        }),
    }
}

fn check_layer(layer: &QuantizedLayer, c: &ModelConfig, index: usize) -> Result<(), ModelError> {
    let p = format!("layer.{index}");
    for which in Linear::ALL {
        linear(
            &format!("{p}.{}", which.name()),
            layer.linear(which),
            which.shape(c),
        )?;
    }
    for (name, record) in [("scores", layer.scores), ("context", layer.context)] {
        let name = format!("{p}.{name}");
        params(&name, &[record])?;
        if record.bias != 0 {
            return Err(value(name, 0, record.bias, "a bias of 0"));
        }
    }
    let (exp, name) = (&layer.exp_table, format!("{p}.exp_table"));
    if exp[0] == 0 {
        return Err(value(name, 0, 0, "above 0"));
    }
    if let Some(i) = exp.windows(2).position(|w| w[0] < w[1]) {
        return Err(value(
            name,
            i + 1,
            exp[i + 1],
            "not above the entry before it",
        ));
    }
    codes(&format!("{p}.gelu_table"), &layer.gelu_table)?;
    norm(&format!("{p}.ln_attn"), &layer.ln_attn, c.hidden)?;
    norm(&format!("{p}.ln_out"), &layer.ln_out, c.hidden)?;
    let scales = layer.scales.to_array();
    match scales
        .iter()
        .position(|s| !(*s > 0.0 && *s <= LARGEST_SCALE))
    {
        None => Ok(()),
        Some(i) => Err(value(
            format!("{p}.scales"),
            i,
            scales[i],
            "above 0, at most 4294967296",
        )),
    }
}

/// Each layer takes the scales that the one before it gives.
fn check_chain(layers: &[QuantizedLayer]) -> Result<(), ModelError> {
    let index = |name| {
        LayerScales::NAMES
            .iter()
            .position(|n| *n == name)
            .unwrap_or(0)
    };
    for (i, pair) in layers.windows(2).enumerate() {
        let [before, after] = [pair[0].scales, pair[1].scales];
        for (name, given, taken) in [("x8", before.y8, after.x8), ("x16", before.y16, after.x16)] {
            if given != taken {
                let expected = "the output scale of the layer before it";
                return Err(value(
                    format!("layer.{}.scales", i + 1),
                    index(name),
                    taken,
                    expected,
                ));
            }
        }
    }
    Ok(())
}

fn codes(name: &str, v: &[i8]) -> Result<(), ModelError> {
    match v.iter().position(|v| *v == i8::MIN) {
        None => Ok(()),
        Some(i) => Err(value(name.into(), i, i8::MIN, "-127..=127")),
    }
}

fn shift(name: &str, index: usize, s: u8) -> Result<(), ModelError> {
    if (1..=40).contains(&s) {
        return Ok(());
    }
    Err(value(name.into(), index, s, "a shift of 1..=40"))
}

fn params(name: &str, params: &[Requant]) -> Result<(), ModelError> {
    let name = format!("{name}.shift");
    params
        .iter()
        .enumerate()
        .try_for_each(|(i, p)| shift(&name, i, p.shift))
}

fn linear(name: &str, l: &QuantizedLinear, shape: (usize, usize)) -> Result<(), ModelError> {
    let (outputs, inputs) = shape;
    let w = &l.weights;
    if (w.outputs(), w.inputs()) != shape {
        return Err(ModelError::Shape {
            name: format!("{name}.weight"),
            found: format!("[{}][{}]", w.outputs(), w.inputs()),
            expected: format!("[{outputs}][{inputs}]"),
        });
    }
    let packed = WeightCodes::packed_len(w.mode(), outputs, inputs);
    count(&format!("{name}.weight"), w.bytes().len(), packed)?;
    if let Some((index, code)) = w.illegal() {
        return Err(value(
            format!("{name}.weight"),
            index,
            code,
            limits(w.mode()).1,
        ));
    }
    count(&format!("{name}.bias"), l.params.len(), outputs)?;
    params(name, &l.params)?;
    let name = format!("{name}.weight_scale");
    let scales = if l.weight_scales.len() == 1 {
        1
    } else {
        outputs
    };
    floats(&name, &l.weight_scales, scales)
}

fn norm(name: &str, n: &LayerNormParams, hidden: usize) -> Result<(), ModelError> {
    count(&format!("{name}.gamma"), n.gamma.len(), hidden)?;
    count(&format!("{name}.beta"), n.beta.len(), hidden)?;
    codes(&format!("{name}.gamma"), &n.gamma)?;
    let header = format!("{name}.header");
    let (inv, q) = mean_reciprocal(hidden);
    if n.inv != inv {
        return Err(value(header, 0, n.inv, "the reciprocal of the hidden size"));
    }
    if n.eps == 0 {
        return Err(value(header, 1, 0, "at least 1"));
    }
    shift(&header, 3, n.s16)?;
    shift(&header, 5, n.s8)?;
    if n.q != q {
        return Err(value(header, 6, n.q, "the shift that goes with inv"));
    }
    Ok(())
}
