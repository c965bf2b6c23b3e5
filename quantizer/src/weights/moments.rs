//! What is known of a linear layer's inputs and of how far its output is from the float model's.

use crate::gemm::add_tn;

/// Sums over tokens of the quantized input `x` `[k]` and of the residual `r` `[n]`: the float
/// model's output less that of the float weights on `x`.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    k: usize,
    tokens: f64,
    x: Vec<f64>,
    /// Squares, `[k]`.
    squares: Vec<f64>,
    /// All products, `[k][k]`, if they are wanted.
    xx: Vec<f64>,
}

/// Of one layer among several that share an input.
#[derive(Debug, Clone)]
pub(crate) struct Residual {
    n: usize,
    r: Vec<f64>,
    /// `[n][k]`.
    rx: Vec<f64>,
}

impl Residual {
    pub(crate) fn new(n: usize, k: usize) -> Self {
        Residual {
            n,
            r: vec![0.0; n],
            rx: vec![0.0; n * k],
        }
    }

    /// Adds residuals `[tokens][n]` at inputs `x` `[tokens][k]`.
    pub(crate) fn add(&mut self, r: &[f32], x: &[f32], k: usize) {
        for row in r.chunks_exact(self.n.max(1)) {
            self.r
                .iter_mut()
                .zip(row)
                .for_each(|(s, v)| *s += f64::from(*v));
        }
        add_tn(&mut self.rx, r, x, self.n, k);
    }
}

impl Moments {
    /// Of `k` inputs; `products` whether [`Moments::covariance`] will be asked for.
    pub(crate) fn new(k: usize, products: bool) -> Self {
        let xx = if products {
            vec![0.0; k * k]
        } else {
            Vec::new()
        };
        Moments {
            k,
            tokens: 0.0,
            x: vec![0.0; k],
            squares: vec![0.0; k],
            xx,
        }
    }

    /// Adds inputs `[tokens][k]`.
    pub(crate) fn add(&mut self, x: &[f32]) {
        for row in x.chunks_exact(self.k.max(1)) {
            self.tokens += 1.0;
            for ((sum, square), v) in self.x.iter_mut().zip(&mut self.squares).zip(row) {
                *sum += f64::from(*v);
                *square += f64::from(*v) * f64::from(*v);
            }
        }
        if !self.xx.is_empty() {
            add_tn(&mut self.xx, x, x, self.k, self.k);
        }
    }

    /// Number of inputs.
    pub(crate) fn inputs(&self) -> usize {
        self.k
    }

    /// Mean of each input.
    pub(crate) fn mean(&self) -> Vec<f64> {
        self.x.iter().map(|v| v / self.tokens.max(1.0)).collect()
    }

    /// Mean square of each input.
    pub(crate) fn second(&self) -> Vec<f32> {
        self.squares
            .iter()
            .map(|v| (v / self.tokens.max(1.0)) as f32)
            .collect()
    }

    /// Covariance of the inputs, `[k][k]`; empty if products were not wanted.
    pub(crate) fn covariance(&self) -> Vec<f64> {
        let (mean, n) = (self.mean(), self.tokens.max(1.0));
        let mut c = self.xx.clone();
        for (row, a) in c.chunks_exact_mut(self.k.max(1)).zip(&mean) {
            row.iter_mut()
                .zip(&mean)
                .for_each(|(v, b)| *v = *v / n - a * b);
        }
        c
    }

    /// Mean residual of each output.
    pub(crate) fn residual_mean(&self, residual: &Residual) -> Vec<f64> {
        residual
            .r
            .iter()
            .map(|v| v / self.tokens.max(1.0))
            .collect()
    }

    /// Covariance of residuals with inputs, `[n][k]`.
    pub(crate) fn residual_covariance(&self, residual: &Residual) -> Vec<f64> {
        let (mean, n) = (self.mean(), self.tokens.max(1.0));
        let mut c = residual.rx.clone();
        for (row, r) in c
            .chunks_exact_mut(self.k.max(1))
            .zip(self.residual_mean(residual))
        {
            row.iter_mut()
                .zip(&mean)
                .for_each(|(v, x)| *v = *v / n - r * x);
        }
        c
    }
}
