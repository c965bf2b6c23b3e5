//! Four bits here, eight there: the choice, by what [`crate::Sensitivity`] measured.

use std::fmt;

use fqbert_host::Tokens;
use fqbert_model::QuantizedModel;
use serde::Serialize;

use crate::error::QuantizeError;
use crate::judge::{Judge, Verdict};
use crate::options::{QuantizeOptions, WeightBits};
use crate::progress::{Prefixed, Progress};
use crate::quantize::Job;
use crate::report::Report;
use crate::sensitivity::{Sensitivity, bits};

/// What a mix has to meet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Mean bits of the encoder's weights, 4..=8, not to be exceeded; as much of it as can be is
    /// spent.
    Budget(f64),
    /// Largest [`Verdict::drop`] on the held-out texts, 0..=1, with as few bits as can be found.
    MaxDrop(f64),
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
    /// Quantizes with the bits that meet `goal`; overrides of bits in the options are not looked
    /// at. `held_out` are texts that the calibration data does not hold.
    ///
    /// # Errors
    /// As [`crate::quantize()`]; a goal out of range; [`QuantizeError::MaxDrop`] if even 8-bit
    /// weights lose more.
    pub fn mix(
        &self,
        held_out: &[Tokens],
        goal: Goal,
        progress: &mut dyn Progress,
    ) -> Result<(QuantizedModel, Report, Mix), QuantizeError> {
        goal.check()?;
        let config = self.checkpoint.config.clone();
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
