//! Evens out the ranges of channels that share one activation scale, where float does not notice.
//!
//! A query channel times t and the same key channel divided by t leave every score as it is; a
//! value channel times u and the columns of the output projection divided by u leave the attention
//! block as it is. With one weight scale for each output channel the first costs the weights
//! nothing at all, and the 8-bit codes of all channels are used alike.
//!
//! Means go first. A constant on a key channel adds the same to all scores of a row, which softmax
//! does not see; a constant on a value channel comes out of the context as it went in, since
//! probabilities sum to 1, and is given back by the output projection's bias. That also spares the
//! context what the rounding of probabilities does to their sum.

use fqbert_checkpoint::{EncoderLayer, FloatLinear};
use fqbert_host::InputError;

/// Tokens taken at a time.
const TOKENS: usize = 512;
/// Factors are kept within this and its reciprocal: a dead channel shall not blow up its partner.
const LARGEST: f32 = 16.0;
/// Of the difference between value channels, the part that is evened out: the rest would be moved
/// into the columns of the output projection, whose channels then span more.
const VALUE_SHARE: f32 = 0.5;

/// The layer with evened-out channels, judged by inputs `x` `[tokens][hidden]`.
pub(crate) fn equalize(layer: EncoderLayer, x: &[f32]) -> Result<EncoderLayer, InputError> {
    let q = Outputs::of(&layer.q, x)?;
    let k = Outputs::of(&layer.k, x)?;
    let v = Outputs::of(&layer.v, x)?;
    let keys: Vec<f32> = q
        .root_mean_square()
        .zip(k.deviation())
        .map(|(q, k)| bounded((q / k).sqrt()))
        .collect();
    let queries: Vec<f32> = keys.iter().map(|t| 1.0 / t).collect();
    let n = v.mean.len().max(1) as f32;
    let mean = (v.deviation().map(|v| v * v).sum::<f32>() / n).sqrt();
    let values: Vec<f32> = v
        .deviation()
        .map(|v| bounded((mean / v).powf(VALUE_SHARE)))
        .collect();
    let negative = |means: &[f32]| means.iter().map(|m| -m).collect::<Vec<f32>>();
    let centered_k = with_bias(&layer.k, &negative(&k.mean))?;
    let centered_v = with_bias(&layer.v, &negative(&v.mean))?;
    let o = with_bias(&layer.o, &product(&layer.o, &v.mean))?;
    Ok(EncoderLayer {
        q: scale_outputs(&layer.q, &queries)?,
        k: scale_outputs(&centered_k, &keys)?,
        v: scale_outputs(&centered_v, &values)?,
        o: scale_inputs(&o, &values)?,
        ..layer
    })
}

/// The layer for inputs from each of which `taken` was taken: its bias gives it back.
pub(crate) fn give_back(linear: &FloatLinear, taken: f32) -> Result<FloatLinear, InputError> {
    with_bias(linear, &product(linear, &vec![taken; linear.inputs()]))
}

/// `W x` of one input, in f64.
fn product(linear: &FloatLinear, x: &[f32]) -> Vec<f32> {
    let rows = linear.weight().chunks_exact(linear.inputs().max(1));
    rows.map(|row| {
        let terms = row.iter().zip(x);
        terms
            .map(|(w, x)| f64::from(*w) * f64::from(*x))
            .sum::<f64>() as f32
    })
    .collect()
}

/// The layer with `more` added to its bias.
fn with_bias(linear: &FloatLinear, more: &[f32]) -> Result<FloatLinear, InputError> {
    let bias = linear.bias().iter().zip(more).map(|(b, m)| b + m).collect();
    FloatLinear::new(linear.weight().to_vec(), bias, linear.inputs())
}

/// A factor that can be used; 1 where there was nothing to compare.
fn bounded(t: f32) -> f32 {
    if t.is_finite() && t > 0.0 {
        t.clamp(1.0 / LARGEST, LARGEST)
    } else {
        1.0
    }
}

/// Mean and mean square of each output.
struct Outputs {
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Outputs {
    fn of(linear: &FloatLinear, x: &[f32]) -> Result<Self, InputError> {
        let mut sums = vec![(0.0f64, 0.0f64); linear.outputs()];
        for x in x.chunks(TOKENS * linear.inputs().max(1)) {
            let y = linear.apply(x)?;
            for row in y.chunks_exact(sums.len().max(1)) {
                sums.iter_mut().zip(row).for_each(|(s, v)| {
                    s.0 += f64::from(*v);
                    s.1 += f64::from(*v) * f64::from(*v);
                });
            }
        }
        let tokens = x.len().checked_div(linear.inputs()).unwrap_or(0).max(1) as f64;
        let of = |s: (f64, f64)| ((s.0 / tokens) as f32, (s.1 / tokens) as f32);
        let (mean, square) = sums.into_iter().map(of).unzip();
        Ok(Outputs { mean, square })
    }

    fn root_mean_square(&self) -> impl Iterator<Item = f32> + '_ {
        self.square.iter().map(|s| s.sqrt())
    }

    /// Root of the mean square once the mean is taken off.
    fn deviation(&self) -> impl Iterator<Item = f32> + '_ {
        let pairs = self.mean.iter().zip(&self.square);
        pairs.map(|(m, s)| (s - m * m).max(0.0).sqrt())
    }
}

fn scale_outputs(linear: &FloatLinear, factors: &[f32]) -> Result<FloatLinear, InputError> {
    let k = linear.inputs().max(1);
    let rows = linear.weight().chunks_exact(k).zip(factors);
    let weight = rows
        .flat_map(|(row, f)| row.iter().map(move |w| w * f))
        .collect();
    let bias = linear
        .bias()
        .iter()
        .zip(factors)
        .map(|(b, f)| b * f)
        .collect();
    FloatLinear::new(weight, bias, linear.inputs())
}

/// Divides the columns, for inputs that come multiplied.
fn scale_inputs(linear: &FloatLinear, factors: &[f32]) -> Result<FloatLinear, InputError> {
    let rows = linear.weight().chunks_exact(linear.inputs().max(1));
    let weight = rows
        .flat_map(|row| row.iter().zip(factors).map(|(w, f)| w / f))
        .collect();
    FloatLinear::new(weight, linear.bias().to_vec(), linear.inputs())
}

#[cfg(test)]
mod tests {
    use fqbert_checkpoint::testing::Spec;
    use fqbert_checkpoint::{Checkpoint, LoadOptions, NoObserver};

    use super::*;

    #[test]
    fn the_layer_computes_what_it_did_and_its_channels_are_centered() {
        let spec = Spec {
            hidden: 32,
            heads: 2,
            intermediate: 64,
            layers: 1,
            ..Spec::default()
        };
        let folder = tempfile::tempdir().unwrap();
        spec.write(folder.path()).unwrap();
        let mut c = Checkpoint::load(folder.path(), &LoadOptions::default()).unwrap();
        // Outliers by size and by mean.
        let factors: Vec<f32> = (0..32)
            .map(|i| if i % 5 == 0 { 20.0 } else { 1.0 })
            .collect();
        c.layers[0].k =
            with_bias(&scale_outputs(&c.layers[0].k, &factors).unwrap(), &factors).unwrap();
        c.layers[0].v =
            with_bias(&scale_outputs(&c.layers[0].v, &factors).unwrap(), &factors).unwrap();
        let s = spec.sequence(40, 3);
        let x = c.embeddings.embed(&s.ids, &s.type_ids).unwrap();
        let before = c.encode(x.clone(), &mut NoObserver).unwrap();
        let layer = equalize(c.layers[0].clone(), &x).unwrap();
        for linear in [&layer.k, &layer.v] {
            let of = Outputs::of(linear, &x).unwrap();
            assert!(of.mean.iter().all(|m| m.abs() < 1e-4), "{:?}", of.mean);
        }
        let spread = |l: &FloatLinear| {
            let of = Outputs::of(l, &x).unwrap();
            let (mut least, mut most) = (f32::INFINITY, 0.0f32);
            of.deviation()
                .for_each(|d| (least, most) = (least.min(d), most.max(d)));
            most / least
        };
        assert!(spread(&layer.k) < 0.6 * spread(&c.layers[0].k));
        assert!(spread(&layer.v) < 0.6 * spread(&c.layers[0].v));
        c.layers[0] = layer;
        let after = c.encode(x, &mut NoObserver).unwrap();
        let worst = before.iter().zip(&after).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0, f32::max);
        assert!(worst < 2e-4, "{worst}");
    }

    #[test]
    fn what_was_taken_from_every_input_is_given_back() {
        let linear = FloatLinear::new(vec![1.0, 2.0, -3.0, 0.5], vec![10.0, 20.0], 2).unwrap();
        let given = give_back(&linear, 2.0).unwrap();
        assert_eq!(
            given.apply(&[3.0, 5.0]).unwrap(),
            linear.apply(&[5.0, 7.0]).unwrap()
        );
    }
}
