//! What four bits cost in each matrix, measured on the model's own answers.

use std::fmt;

use fqbert_host::{ModelConfig, Tokens};
use fqbert_model::{Linear, QuantizedLayer, QuantizedLinear};
use serde::Serialize;

use crate::error::QuantizeError;
use crate::integer::run_layer;
use crate::judge::{Judge, Measure, Verdict};
use crate::options::{BitsOverride, QuantizeOptions, WeightBits};
use crate::progress::{Prefixed, Progress, step};
use crate::quantize::Job;

/// Tokens of the held-out texts that are run.
const TOKENS: usize = 2048;

/// What four bits cost in each matrix: the whole model in 8-bit weights but for that one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    /// Held-out texts that were run.
    pub texts: usize,
    /// What [`Verdict::drop`] is.
    pub measure: Measure,
    /// The model with nothing but 8-bit weights.
    pub eight: Verdict,
    /// Each matrix, in order of execution.
    pub matrices: Vec<MatrixSensitivity>,
}

/// Of one matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MatrixSensitivity {
    /// Encoder layer from 0.
    pub layer: usize,
    /// Which matrix.
    pub linear: &'static str,
    /// Number of its weights.
    pub weights: u64,
    /// The model with this matrix in 4 bits.
    pub four: Verdict,
    /// What four bits add to the noise of the answers.
    pub loss: f64,
    #[serde(skip)]
    pub(crate) which: Option<Linear>,
}

impl Job<'_> {
    /// Measures what four bits cost in each matrix, on up to 2,048 tokens of `held_out`.
    ///
    /// # Errors
    /// As [`crate::quantize()`].
    pub fn sensitivity(
        &self,
        held_out: &[Tokens],
        progress: &mut dyn Progress,
    ) -> Result<Sensitivity, QuantizeError> {
        let mut tokens = 0;
        let texts = held_out.iter().take_while(|s| {
            tokens += s.ids.len();
            tokens <= TOKENS
        });
        let texts = texts.count().max(1).min(held_out.len());
        let judge = Judge::new(self.checkpoint, held_out.get(..texts).unwrap_or_default())?;
        let config = self.checkpoint.config.clone();
        let options = QuantizeOptions {
            bits: bits(&config, |_, _| WeightBits::Eight),
            ..self.options.clone()
        };
        let base = Job {
            options: &options,
            ..*self
        };
        let encoder = base.encoder(true, &mut Prefixed("8 bits", progress))?;

        let layers = &encoder.layers;
        progress.phase("sensitivity", layers.len() * Linear::ALL.len());
        let heads = config.heads;
        let first = layers
            .first()
            .map_or((1.0, 1.0), |l| (l.layer.scales.x8, l.layer.scales.x16));
        let last = layers.last().map_or(1.0, |l| l.layer.scales.y16);
        let rest = |from: usize, mut x: (Vec<i8>, Vec<i16>)| {
            for done in layers.iter().skip(from) {
                x = run_layer(&done.layer, heads, &x.0, &x.1, judge.ranges());
            }
            judge.output(&x.1, last)
        };
        let mut x = judge.input(first);
        let eight = rest(0, x.clone())?;
        let mut matrices = Vec::with_capacity(layers.len() * Linear::ALL.len());
        for (index, done) in layers.iter().enumerate() {
            for which in Linear::ALL {
                let mut layer = done.layer.clone();
                if let Some(four) = &done.alternative {
                    replace(&mut layer, which, four.linear(which).clone());
                }
                let y = run_layer(&layer, heads, &x.0, &x.1, judge.ranges());
                let four = rest(index + 1, y)?;
                let (n, k) = which.shape(&config);
                matrices.push(MatrixSensitivity {
                    layer: index,
                    linear: which.name(),
                    weights: (n * k) as u64,
                    four,
                    loss: (four.noise - eight.noise).max(0.0),
                    which: Some(which),
                });
                step(progress)?;
            }
            x = run_layer(&done.layer, heads, &x.0, &x.1, judge.ranges());
        }
        Ok(Sensitivity {
            texts,
            measure: judge.measure(),
            eight,
            matrices,
        })
    }
}

/// An override for every matrix.
pub(crate) fn bits(
    config: &ModelConfig,
    of: impl Fn(usize, Linear) -> WeightBits,
) -> Vec<BitsOverride> {
    let matrices = (0..config.layers).flat_map(|l| Linear::ALL.map(|which| (l, which)));
    let of = matrices.map(|(layer, which)| BitsOverride {
        layer,
        linear: Some(which),
        bits: of(layer, which),
    });
    of.collect()
}

fn replace(layer: &mut QuantizedLayer, which: Linear, with: QuantizedLinear) {
    *match which {
        Linear::Q => &mut layer.q,
        Linear::K => &mut layer.k,
        Linear::V => &mut layer.v,
        Linear::O => &mut layer.o,
        Linear::FfnIn => &mut layer.ffn_in,
        Linear::FfnOut => &mut layer.ffn_out,
    } = with;
}

impl Sensitivity {
    /// Numbers of the matrices, the most loss for their size first.
    pub(crate) fn order(&self) -> Vec<usize> {
        let density = |i: &usize| {
            self.matrices
                .get(*i)
                .map_or(0.0, |m| m.loss / m.weights.max(1) as f64)
        };
        let mut order: Vec<usize> = (0..self.matrices.len()).collect();
        order.sort_by(|a, b| density(b).total_cmp(&density(a)).then(a.cmp(b)));
        order
    }

    /// Those of `order` that a mean of `mean` bits has room for, each in turn if it fits.
    pub(crate) fn within(&self, order: &[usize], mean: f64) -> Vec<usize> {
        let all: u64 = self.matrices.iter().map(|m| m.weights).sum();
        // Half a weight against the rounding of the mean.
        let mut room = (mean - 4.0) / 4.0 * all as f64 + 0.5;
        let fits = |i: &&usize| {
            let size = self.matrices.get(**i).map_or(0.0, |m| m.weights as f64);
            let fits = size <= room;
            if fits {
                room -= size;
            }
            fits
        };
        order.iter().filter(fits).copied().collect()
    }

    pub(crate) fn mean_bits(&self, eight: &[usize]) -> f64 {
        let all: u64 = self.matrices.iter().map(|m| m.weights).sum();
        let weights = eight.iter().filter_map(|i| self.matrices.get(*i));
        4.0 + 4.0 * weights.map(|m| m.weights).sum::<u64>() as f64 / all.max(1) as f64
    }

    pub(crate) fn name(&self, i: usize) -> Option<String> {
        self.matrices
            .get(i)
            .map(|m| format!("{}.{}", m.layer, m.linear))
    }
}

impl fmt::Display for Sensitivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sensitivity: noise that 4 bits in one matrix add to the answers, in 1e-4 of their \
             energy ({} held-out texts; all in 8 bits: {:.2}, {} {:.4})",
            self.texts,
            1e4 * self.eight.noise,
            self.measure.name(),
            self.eight.drop
        )?;
        write!(f, "layer")?;
        for which in Linear::ALL {
            write!(f, " {:>9}", which.name())?;
        }
        for layer in self.matrices.chunks(Linear::ALL.len()) {
            write!(f, "\n{:>5}", layer.first().map_or(0, |m| m.layer))?;
            for m in layer {
                write!(f, " {:>9.2}", 1e4 * m.loss)?;
            }
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensitivity(losses: &[(u64, f64)]) -> Sensitivity {
        let verdict = Verdict {
            drop: 0.0,
            noise: 0.0,
        };
        let matrix = |(i, (weights, loss)): (usize, &(u64, f64))| MatrixSensitivity {
            layer: i / 6,
            linear: Linear::ALL[i % 6].name(),
            weights: *weights,
            four: verdict,
            loss: *loss,
            which: Some(Linear::ALL[i % 6]),
        };
        Sensitivity {
            texts: 1,
            measure: Measure::ChangedTexts,
            eight: verdict,
            matrices: losses.iter().enumerate().map(matrix).collect(),
        }
    }

    #[test]
    fn a_budget_goes_to_the_most_loss_for_its_size_and_is_kept() {
        let s = sensitivity(&[(100, 1.0), (400, 3.9), (100, 0.5), (400, 8.0)]);
        assert_eq!(s.order(), [3, 0, 1, 2]);
        // 1000 weights: 4.8 bits have room for 200 in eight, so 3 and 1 do not fit.
        assert_eq!(s.within(&s.order(), 4.8), [0, 2]);
        assert_eq!(s.mean_bits(&[0, 2]), 4.8);
        assert_eq!(s.within(&s.order(), 8.0).len(), 4);
        assert!(s.within(&s.order(), 4.0).is_empty());
    }
}
