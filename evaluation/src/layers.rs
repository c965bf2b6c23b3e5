//! The error after each layer against the float run, and that of each layer alone, which is given
//! the float run's input: it says which layer loses, where the first says what has been lost until
//! there.

use crate::metrics::noise::Noise;
use crate::{LayerError, Layers};

/// A float run and a quantized one of the same sequences, layer by layer. Values are
/// `[tokens][hidden]`.
pub trait LayerRuns {
    /// Why a run failed.
    type Error;

    /// What the float run of a sequence gives: the embeddings for point 0, behind them the output
    /// of each layer.
    fn float(&self, sequence: usize, point: usize) -> &[f32];

    /// What the quantized model makes of the float embeddings.
    fn embedded(&self, float: &[f32]) -> Vec<f32>;

    /// What the quantized run has after a layer, sequence by sequence. Asked for once a layer, from
    /// the first to the last.
    ///
    /// # Errors
    /// The run failed.
    fn after(&mut self, layer: usize) -> Result<Vec<Vec<f32>>, Self::Error>;

    /// What a quantized layer makes of the float run's input to it, sequence by sequence.
    ///
    /// # Errors
    /// The run failed.
    fn alone(&self, layer: usize) -> Result<Vec<Vec<f32>>, Self::Error>;
}

/// The error of the embeddings and of each of `layers` layers on sequences of so many `tokens`.
///
/// # Errors
/// A run failed.
pub fn measure<R: LayerRuns>(
    runs: &mut R,
    layers: usize,
    tokens: &[usize],
) -> Result<Layers, R::Error> {
    let mut embeddings = Noise::default();
    for sequence in 0..tokens.len() {
        let float = runs.float(sequence, 0);
        embeddings.add(float, &runs.embedded(float));
    }
    let mut errors = vec![LayerError {
        name: "embeddings".into(),
        sqnr_db: embeddings.sqnr_db(),
        alone_db: embeddings.sqnr_db(),
    }];
    for layer in 0..layers {
        let (run, alone) = (runs.after(layer)?, runs.alone(layer)?);
        let sqnr_db = |values: &[Vec<f32>]| {
            let mut noise = Noise::default();
            for (sequence, values) in values.iter().enumerate() {
                noise.add(runs.float(sequence, layer + 1), values);
            }
            noise.sqnr_db()
        };
        errors.push(LayerError {
            name: format!("layer {layer}"),
            sqnr_db: sqnr_db(&run),
            alone_db: sqnr_db(&alone),
        });
    }
    Ok(Layers {
        sequences: tokens.len(),
        tokens: tokens.iter().sum(),
        layers: errors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each float layer adds 1 to every value, each quantized one 1.1.
    struct Adds(Vec<Vec<Vec<f32>>>);

    impl LayerRuns for Adds {
        type Error = String;

        fn float(&self, sequence: usize, point: usize) -> &[f32] {
            &self.0[sequence][point]
        }

        fn embedded(&self, float: &[f32]) -> Vec<f32> {
            float.to_vec()
        }

        fn after(&mut self, layer: usize) -> Result<Vec<Vec<f32>>, String> {
            if layer == 2 {
                return Err("the device hangs".into());
            }
            let add = 1.1 * (layer + 1) as f32;
            let each = |points: &Vec<Vec<f32>>| points[0].iter().map(|v| v + add).collect();
            Ok(self.0.iter().map(each).collect())
        }

        fn alone(&self, layer: usize) -> Result<Vec<Vec<f32>>, String> {
            let each = |points: &Vec<Vec<f32>>| points[layer].iter().map(|v| v + 1.1).collect();
            Ok(self.0.iter().map(each).collect())
        }
    }

    #[test]
    fn errors_add_up_in_the_run_and_not_alone() {
        let sequence = |first: f32| (0..4).map(|p| vec![first + p as f32; 5]).collect();
        let mut runs = Adds(vec![sequence(0.0), sequence(1.0)]);
        let found = measure(&mut runs, 2, &[5, 5]).unwrap();
        assert_eq!((found.sequences, found.tokens), (2, 10));
        let names: Vec<&str> = found.layers.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["embeddings", "layer 0", "layer 1"]);
        assert_eq!(found.layers[0].sqnr_db, None, "no noise at all");
        let near = |found: Option<f64>, signal: f64, noise: f64| {
            assert!((found.unwrap() - 10.0 * (signal / noise).log10()).abs() < 1e-4);
        };
        // Outputs of 1 and 2, off by 0.1, then of 2 and 3, off by 0.2 in the run.
        near(found.layers[1].sqnr_db, 1.0 + 4.0, 2.0 * 0.01);
        near(found.layers[1].alone_db, 1.0 + 4.0, 2.0 * 0.01);
        near(found.layers[2].sqnr_db, 4.0 + 9.0, 2.0 * 0.04);
        near(found.layers[2].alone_db, 4.0 + 9.0, 2.0 * 0.01);
        assert_eq!(
            measure(&mut runs, 3, &[5, 5]).unwrap_err(),
            "the device hangs"
        );
    }
}
