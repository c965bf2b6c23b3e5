//! What all runtimes that are measured have in common.

use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::shape::{Shape, VOCABULARY};

/// The runtimes that fqbert is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// ONNX Runtime, f32.
    #[value(name = "onnxruntime-fp32")]
    OnnxruntimeFp32,
    /// ONNX Runtime, weights INT8 per channel, activations quantized on the run.
    #[value(name = "onnxruntime-int8")]
    OnnxruntimeInt8,
    /// OpenVINO, bf16 where the CPU has it.
    #[value(name = "openvino-bf16")]
    OpenvinoBf16,
    /// OpenVINO, INT8 by NNCF's post-training quantization for transformers.
    #[value(name = "openvino-int8")]
    OpenvinoInt8,
    /// candle, f32, in this process.
    #[cfg(feature = "candle")]
    #[value(name = "candle-fp32")]
    CandleFp32,
}

impl Name {
    /// All of this build.
    pub const ALL: &[Self] = &[
        Self::OnnxruntimeFp32,
        Self::OnnxruntimeInt8,
        Self::OpenvinoBf16,
        Self::OpenvinoInt8,
        #[cfg(feature = "candle")]
        Self::CandleFp32,
    ];

    /// Whether the Python process runs it.
    pub fn is_python(self) -> bool {
        self.as_str() != "candle-fp32"
    }

    /// As on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnnxruntimeFp32 => "onnxruntime-fp32",
            Self::OnnxruntimeInt8 => "onnxruntime-int8",
            Self::OpenvinoBf16 => "openvino-bf16",
            Self::OpenvinoInt8 => "openvino-int8",
            #[cfg(feature = "candle")]
            Self::CandleFp32 => "candle-fp32",
        }
    }
}

/// What every runtime computes.
#[derive(Clone, Debug)]
pub struct Job {
    pub shape: Shape,
    pub ids: Vec<u32>,
    pub threads: usize,
}

/// One inference.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// From call to return.
    pub seconds: f64,
    /// CPU of all threads meanwhile, of those that spin too.
    pub cpu_seconds: Option<f64>,
}

/// Times an inference of this process.
pub fn time<T>(infer: impl FnOnce() -> Result<T>) -> Result<Sample> {
    let (busy, start) = (fqbert_limits::cpu_seconds(), Instant::now());
    infer()?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = busy
        .zip(fqbert_limits::cpu_seconds())
        .map(|(before, after)| after - before);
    Ok(Sample {
        seconds,
        cpu_seconds,
    })
}

/// A runtime with its model loaded.
pub trait Peer {
    /// What it is called in the report.
    fn name(&self) -> &'static str;

    /// Its version and what else tells its numbers apart.
    fn version(&self) -> String;

    /// One inference, from token ids to hidden states.
    fn infer(&mut self) -> Result<Sample>;
}

/// Token ids that touch the whole word table. Time does not depend on which.
pub fn token_ids(count: usize) -> Vec<u32> {
    (0..count)
        .map(|i| ((i * 7919 + 101) % VOCABULARY) as u32)
        .collect()
}
