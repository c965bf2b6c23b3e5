//! candle: BERT's encoder in f32, written with its layers as its own BERT is.

use anyhow::Result;
use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{
    Embedding, LayerNorm, Linear, VarBuilder, VarMap, embedding, layer_norm, linear, ops,
};

use crate::peer::{self, Job, Name, Peer, Sample};
use crate::shape::{POSITIONS, Shape, VOCABULARY};

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    output_norm: LayerNorm,
}

impl Layer {
    fn new(s: &Shape, vars: &VarBuilder<'_>) -> candle_core::Result<Self> {
        let square = |name| linear(s.hidden, s.hidden, vars.pp(name));
        Ok(Self {
            query: square("query")?,
            key: square("key")?,
            value: square("value")?,
            output: square("output")?,
            attention_norm: layer_norm(s.hidden, 1e-12, vars.pp("attention_norm"))?,
            inner: linear(s.hidden, s.intermediate, vars.pp("inner"))?,
            outer: linear(s.intermediate, s.hidden, vars.pp("outer"))?,
            output_norm: layer_norm(s.hidden, 1e-12, vars.pp("output_norm"))?,
        })
    }

    fn forward(&self, x: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
        let (batch, tokens, hidden) = x.dims3()?;
        let width = hidden / heads;
        let split = |y: Tensor| {
            y.reshape((batch, tokens, heads, width))?
                .transpose(1, 2)?
                .contiguous()
        };
        let (q, k, v) = (
            split(self.query.forward(x)?)?,
            split(self.key.forward(x)?)?,
            split(self.value.forward(x)?)?,
        );
        let scores = (q.matmul(&k.t()?)? / (width as f64).sqrt())?;
        let mixed = ops::softmax_last_dim(&scores)?.matmul(&v)?;
        let mixed = mixed.transpose(1, 2)?.reshape((batch, tokens, hidden))?;
        let x = self
            .attention_norm
            .forward(&(self.output.forward(&mixed)? + x)?)?;
        let inner = self.inner.forward(&x)?.gelu_erf()?;
        self.output_norm
            .forward(&(self.outer.forward(&inner)? + x)?)
    }
}

/// The encoder with random weights.
pub struct Candle {
    words: Embedding,
    positions: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
    heads: usize,
    ids: Tensor,
    places: Tensor,
    /// Its matrix products split their work over the pool they are called in.
    pool: rayon::ThreadPool,
}

impl Candle {
    pub fn new(job: &Job) -> Result<Self> {
        let (s, device) = (&job.shape, Device::Cpu);
        let map = VarMap::new();
        let vars = VarBuilder::from_varmap(&map, DType::F32, &device);
        let layers = (0..s.layers)
            .map(|i| Layer::new(s, &vars.pp(format!("layer.{i}"))))
            .collect::<Result<_, _>>()?;
        let places: Vec<u32> = (0..job.ids.len() as u32).collect();
        Ok(Self {
            words: embedding(VOCABULARY, s.hidden, vars.pp("words"))?,
            positions: embedding(POSITIONS, s.hidden, vars.pp("positions"))?,
            norm: layer_norm(s.hidden, 1e-12, vars.pp("norm"))?,
            layers,
            heads: s.heads,
            ids: Tensor::new(job.ids.as_slice(), &device)?.unsqueeze(0)?,
            places: Tensor::new(places, &device)?,
            pool: rayon::ThreadPoolBuilder::new()
                .num_threads(job.threads)
                .build()?,
        })
    }

    fn forward(&self) -> candle_core::Result<Tensor> {
        let x = self
            .words
            .forward(&self.ids)?
            .broadcast_add(&self.positions.forward(&self.places)?)?;
        let mut x = self.norm.forward(&x)?;
        for layer in &self.layers {
            x = layer.forward(&x, self.heads)?;
        }
        Ok(x)
    }
}

impl Peer for Candle {
    fn name(&self) -> &'static str {
        Name::CandleFp32.as_str()
    }

    fn version(&self) -> String {
        "candle 0.11, gemm on the CPU".into()
    }

    fn infer(&mut self) -> Result<Sample> {
        peer::time(|| Ok(self.pool.install(|| self.forward())?))
    }
}
