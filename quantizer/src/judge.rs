//! A model's answers on held-out texts beside the float model's.

use std::ops::Range;

use fqbert_checkpoint::Checkpoint;
use fqbert_evaluation::metrics::correlation::cosine;
use fqbert_host::{Head, HeadOutput, QuantizedInput, Reading, Tokens, argmax};
use fqbert_model::QuantizedModel;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::{QuantizeError, refuse};
use crate::integer::encode;
use crate::quantize::embed;

/// How far a model's answers are from the float model's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verdict {
    /// What `--max-drop` bounds, 0..=1; [`Measure`] says what it is.
    pub drop: f64,
    /// Energy of the answers' difference over that of the float model's answers.
    pub noise: f64,
}

/// What is counted as a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of the texts whose class changes; of a multi-label model those of which any label
    /// does.
    ChangedTexts,
    /// Share of the tokens whose class changes.
    ChangedTokens,
    /// 1 less the mean cosine of a text's two vectors.
    CosineLost,
    /// Of a regression: mean squared difference over the variance of the float model's answers.
    VarianceLost,
}

impl Measure {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Measure::ChangedTexts => "share of texts whose class changes",
            Measure::ChangedTokens => "share of tokens whose class changes",
            Measure::CosineLost => "1 less the mean cosine with the float vector",
            Measure::VarianceLost => "share of the answers' variance lost",
        }
    }

    fn of(checkpoint: &Checkpoint) -> Self {
        match &checkpoint.head {
            Head::Embedding { .. } => Measure::CosineLost,
            Head::TokenClassification { .. } => Measure::ChangedTokens,
            Head::SequenceClassification { .. } => match checkpoint.config.reading() {
                Reading::Number | Reading::Score => Measure::VarianceLost,
                Reading::OneClass | Reading::AnyLabel => Measure::ChangedTexts,
            },
        }
    }
}

/// Held-out texts with the float model's answers to them.
pub(crate) struct Judge<'a> {
    checkpoint: &'a Checkpoint,
    measure: Measure,
    /// `[tokens][hidden]`.
    embedded: Vec<f32>,
    ranges: Vec<Range<usize>>,
    float: Vec<HeadOutput>,
}

impl<'a> Judge<'a> {
    /// Runs `checkpoint` on `sequences`.
    pub(crate) fn new(
        checkpoint: &'a Checkpoint,
        sequences: &[Tokens],
    ) -> Result<Self, QuantizeError> {
        if sequences.is_empty() {
            return Err(QuantizeError::NoCalibration { of: None });
        }
        let (embedded, ranges) = embed(checkpoint, sequences)?;
        let float = sequences
            .par_iter()
            .enumerate()
            .map(|(i, s)| {
                let answer = checkpoint.forward(&s.ids, &s.type_ids);
                answer.map_err(|e| refuse(i, e))
            })
            .collect::<Result<_, _>>()?;
        Ok(Judge {
            checkpoint,
            measure: Measure::of(checkpoint),
            embedded,
            ranges,
            float,
        })
    }

    pub(crate) fn measure(&self) -> Measure {
        self.measure
    }

    pub(crate) fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// The 8-bit and 16-bit stream before the first layer.
    pub(crate) fn input(&self, scales: (f32, f32)) -> (Vec<i8>, Vec<i16>) {
        let input = QuantizedInput::new(&self.embedded, scales);
        (input.x8, input.x16)
    }

    /// Runs a model and judges it.
    pub(crate) fn model(&self, model: &QuantizedModel) -> Result<Verdict, QuantizeError> {
        let (x8, x16) = self.input(model.input_scales());
        // The judge's own ranges: they lie within the tokens and leave none out.
        let y = encode(model, &x8, &x16, &self.ranges).unwrap_or_default();
        self.output(&y, model.output_scale())
    }

    /// Judges the last layer's 16-bit output.
    pub(crate) fn output(&self, y: &[i16], scale: f32) -> Result<Verdict, QuantizeError> {
        let hidden = self.checkpoint.config.hidden;
        let answers: Vec<HeadOutput> = self
            .ranges
            .par_iter()
            .enumerate()
            .map(|(i, r)| {
                let values = y.get(r.start * hidden..r.end * hidden).unwrap_or_default();
                let values: Vec<f32> = values.iter().map(|v| f32::from(*v) * scale).collect();
                let answer = self.checkpoint.head.apply(&values, hidden);
                answer.map_err(|e| refuse(i, e))
            })
            .collect::<Result<_, _>>()?;
        Ok(self.compare(&answers))
    }

    fn compare(&self, answers: &[HeadOutput]) -> Verdict {
        let pairs = || {
            let values = answers.iter().map(HeadOutput::values);
            self.float.iter().map(HeadOutput::values).zip(values)
        };
        let (mut signal, mut noise, mut sum, mut count) = (0.0, 0.0, 0.0, 0.0);
        for (f, a) in pairs().flat_map(|(f, a)| f.iter().zip(a)) {
            let (f, a) = (f64::from(*f), f64::from(*a));
            signal += f * f;
            noise += (f - a) * (f - a);
            sum += f;
            count += 1.0;
        }
        let ratio = |energy: f64| if energy > 0.0 { noise / energy } else { 0.0 };
        let texts = self.float.len() as f64;
        let share = |differ: &dyn Fn(&[f32], &[f32]) -> bool| {
            pairs().filter(|(f, a)| differ(f, a)).count() as f64 / texts
        };
        let multi = self.checkpoint.config.reading() == Reading::AnyLabel;
        let drop = match self.measure {
            Measure::ChangedTexts if multi => {
                share(&|f, a| f.iter().zip(a).any(|(f, a)| (*f > 0.0) != (*a > 0.0)))
            }
            Measure::ChangedTexts => share(&|f, a| argmax(f) != argmax(a)),
            Measure::ChangedTokens => {
                let labels = self.checkpoint.head.labels().unwrap_or(1).max(1);
                let rows = || {
                    pairs().flat_map(|(f, a)| f.chunks_exact(labels).zip(a.chunks_exact(labels)))
                };
                let changed = rows().filter(|(f, a)| argmax(f) != argmax(a)).count();
                changed as f64 / rows().count().max(1) as f64
            }
            Measure::CosineLost => 1.0 - pairs().map(|(f, a)| cosine(f, a)).sum::<f64>() / texts,
            Measure::VarianceLost => ratio(signal - sum * sum / f64::max(count, 1.0)),
        };
        Verdict {
            drop,
            noise: ratio(signal),
        }
    }
}
