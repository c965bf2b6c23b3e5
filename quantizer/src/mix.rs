//! Four bits here, eight there: which matrices deserve eight is measured, then chosen.

use std::fmt;

use fqbert_model::{Linear, ModelConfig, QuantizedModel};
use serde::Serialize;

use crate::judge::{Judge, Measure, Verdict};
use crate::options::{BitsOverride, QuantizeOptions, WeightBits};
use crate::progress::{Prefixed, Progress, step};
use crate::quantize::Job;
use crate::report::Report;
use crate::stages::run_layer;
use crate::{QuantizeError, convert};
use fqbert_checkpoint::Sequence;

/// Tokens of the held-out texts that sensitivity is measured on.
const TOKENS: usize = 2048;

/// What a mix has to meet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Mean bits of the encoder's weights, 4..=8, not to be exceeded; as much of it as can be is spent.
    Budget(f64),
    /// Largest [`Verdict::drop`] on the held-out texts, 0..=1, with as few bits as can be found.
    MaxDrop(f64),
}

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
    which: Option<Linear>,
}

/// A model of mixed bits.
#[derive(Debug, Clone, Serialize)]
pub struct Mix {
    /// What was asked for.
    pub goal: Goal,
    /// Mean bits of the encoder's weights.
    pub bits: f64,
    /// Matrices in 8 bits, such as "3.ffn_out", most sensitive for their size first.
    pub eight: Vec<String>,
    /// On the held-out texts.
    pub verdict: Verdict,
    /// What the choice was made by.
    pub sensitivity: Sensitivity,
}

impl Job<'_> {
    /// Measures what four bits cost in each matrix, on up to 2,048 tokens of `held_out`.
    ///
    /// # Errors
    /// As [`crate::quantize()`].
    pub fn sensitivity(
        &self,
        held_out: &[Sequence],
        progress: &mut dyn Progress,
    ) -> Result<Sensitivity, QuantizeError> {
        let mut tokens = 0;
        let texts = held_out.iter().take_while(|s| {
            tokens += s.ids.len();
            tokens <= TOKENS
        });
        let texts = texts.count().max(1).min(held_out.len());
        let judge = Judge::new(self.checkpoint, held_out.get(..texts).unwrap_or_default())?;
        let config = convert::config(self.checkpoint);
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

    /// Quantizes with the bits that meet `goal`; overrides of bits in the options are not looked
    /// at. `held_out` are texts that the calibration data does not hold.
    ///
    /// # Errors
    /// As [`crate::quantize()`]; a goal out of range; [`QuantizeError::MaxDrop`] if even 8-bit weights
    /// lose more.
    pub fn mix(
        &self,
        held_out: &[Sequence],
        goal: Goal,
        progress: &mut dyn Progress,
    ) -> Result<(QuantizedModel, Report, Mix), QuantizeError> {
        goal.check()?;
        let config = convert::config(self.checkpoint);
        let sensitivity = self.sensitivity(held_out, progress)?;
        let judge = Judge::new(self.checkpoint, held_out)?;
        let order = sensitivity.order();
        let mut attempt = |eight: &[usize]| {
            let options = QuantizeOptions {
                bits: bits(&config, |layer, which| {
                    let is = |i: &usize| {
                        let m = sensitivity.matrices.get(*i);
                        m.is_some_and(|m| m.layer == layer && m.which == Some(which))
                    };
                    if eight.iter().any(is) {
                        WeightBits::Eight
                    } else {
                        WeightBits::Four
                    }
                }),
                ..self.options.clone()
            };
            let name = format!("{} of {} matrices in 8 bits", eight.len(), order.len());
            let job = Job {
                options: &options,
                ..*self
            };
            let (model, report) = job.quantize(&mut Prefixed(&name, progress))?;
            let verdict = judge.model(&model)?;
            Ok::<_, QuantizeError>((model, report, verdict))
        };
        let (eight, (model, report, verdict)) = match goal {
            Goal::Budget(mean) => {
                let eight = sensitivity.within(&order, mean);
                let made = attempt(&eight)?;
                (eight, made)
            }
            Goal::MaxDrop(most) => fewest(&order, most, &mut attempt)?,
        };
        let mix = Mix {
            goal,
            bits: sensitivity.mean_bits(&eight),
            eight: eight.iter().filter_map(|i| sensitivity.name(*i)).collect(),
            verdict,
            sensitivity,
        };
        Ok((model, report, mix))
    }
}

type Attempt = (QuantizedModel, Report, Verdict);

/// The fewest matrices of `order`, from its front, whose model loses at most `most`: halving, so
/// that what is found meets it and one step less was seen not to, or is next to one that was.
fn fewest(
    order: &[usize],
    most: f64,
    attempt: &mut dyn FnMut(&[usize]) -> Result<Attempt, QuantizeError>,
) -> Result<(Vec<usize>, Attempt), QuantizeError> {
    let none = attempt(&[])?;
    if none.2.drop <= most {
        return Ok((Vec::new(), none));
    }
    let mut best = attempt(order)?;
    if best.2.drop > most {
        return Err(QuantizeError::MaxDrop {
            asked: most,
            four: none.2.drop,
            eight: best.2.drop,
        });
    }
    let (mut fails, mut meets) = (0, order.len());
    while meets - fails > 1 {
        let middle = fails + (meets - fails) / 2;
        let tried = attempt(order.get(..middle).unwrap_or_default())?;
        if tried.2.drop <= most {
            (meets, best) = (middle, tried);
        } else {
            fails = middle;
        }
    }
    Ok((order.get(..meets).unwrap_or_default().to_vec(), best))
}

/// An override for every matrix.
fn bits(config: &ModelConfig, of: impl Fn(usize, Linear) -> WeightBits) -> Vec<BitsOverride> {
    let matrices = (0..config.layers).flat_map(|l| Linear::ALL.map(|which| (l, which)));
    let of = matrices.map(|(layer, which)| BitsOverride {
        layer,
        linear: Some(which),
        bits: of(layer, which),
    });
    of.collect()
}

fn replace(
    layer: &mut fqbert_model::QuantizedLayer,
    which: Linear,
    with: fqbert_model::QuantizedLinear,
) {
    *match which {
        Linear::Q => &mut layer.q,
        Linear::K => &mut layer.k,
        Linear::V => &mut layer.v,
        Linear::O => &mut layer.o,
        Linear::FfnIn => &mut layer.ffn_in,
        Linear::FfnOut => &mut layer.ffn_out,
    } = with;
}

impl Goal {
    fn check(self) -> Result<(), QuantizeError> {
        let (option, value, fits, expected) = match self {
            Goal::Budget(b) => (
                "budget",
                b,
                (4.0..=8.0).contains(&b),
                "mean bits of a weight, 4 to 8",
            ),
            Goal::MaxDrop(d) => ("max-drop", d, (0.0..=1.0).contains(&d), "a share, 0 to 1"),
        };
        if fits {
            return Ok(());
        }
        Err(QuantizeError::Option {
            option,
            value: value.to_string(),
            expected: expected.into(),
        })
    }
}

impl Sensitivity {
    /// Numbers of the matrices, the most loss for their size first.
    fn order(&self) -> Vec<usize> {
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
    fn within(&self, order: &[usize], mean: f64) -> Vec<usize> {
        let all: u64 = self.matrices.iter().map(|m| m.weights).sum();
        let mut room = (mean - 4.0) / 4.0 * all as f64;
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

    fn mean_bits(&self, eight: &[usize]) -> f64 {
        let all: u64 = self.matrices.iter().map(|m| m.weights).sum();
        let weights = eight.iter().filter_map(|i| self.matrices.get(*i));
        4.0 + 4.0 * weights.map(|m| m.weights).sum::<u64>() as f64 / all.max(1) as f64
    }

    fn name(&self, i: usize) -> Option<String> {
        self.matrices
            .get(i)
            .map(|m| format!("{}.{}", m.layer, m.linear))
    }
}

impl fmt::Display for Sensitivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sensitivity: noise that 4 bits in one matrix add to the answers, in 1e-4 of their energy ({} held-out texts; all in 8 bits: {:.2}, {} {:.4})",
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

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sensitivity)?;
        writeln!(
            f,
            "mix: {:.3} bits a weight; in 8 bits: {}",
            self.bits,
            if self.eight.is_empty() {
                "none".into()
            } else {
                self.eight.join(", ")
            }
        )?;
        writeln!(
            f,
            "on held-out texts: {} {:.4}, noise {:.5} of the answers' energy",
            self.sensitivity.measure.name(),
            self.verdict.drop,
            self.verdict.noise
        )
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

    #[test]
    fn goals_out_of_range_are_named() {
        for (goal, name) in [
            (Goal::Budget(3.9), "budget"),
            (Goal::Budget(f64::NAN), "budget"),
            (Goal::MaxDrop(-0.1), "max-drop"),
        ] {
            let e = goal.check().unwrap_err().to_string();
            assert!(e.contains(name), "{e}");
        }
    }
}
