//! A small model on devices that are recorded.
#![allow(dead_code, reason = "each test program uses some of it")]

pub mod frames;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fqbert_contract::device::Device;
use fqbert_emulator::{EmulatedDevice, EmulatorOptions};
use fqbert_host::Tokens;
use fqbert_model::QuantizedModel;
use fqbert_model::testing::{Shape, random_model};
use fqbert_random::Random;
use fqbert_recording::{RecordOptions, Recording, RecordingDevice, ReplayDevice, StepsDevice};
use fqbert_session::{Session, SessionError, SessionOptions};

/// Two layers, two of whose matrices have 8-bit weights.
pub fn model() -> Arc<QuantizedModel> {
    let shape = Shape {
        layers: 2,
        hidden: 48,
        heads: 3,
        intermediate: 96,
        vocab: 100,
        max_positions: 64,
        wide: 0b100_1000,
    };
    Arc::new(random_model(shape, 1))
}

/// A sequence of random tokens.
pub fn tokens(length: usize, seed: u64) -> Tokens {
    let mut r = Random::new(seed);
    Tokens::from_ids((0..length).map(|_| r.within(0, 99) as u32).collect())
}

/// The emulation of the smallest geometry.
pub fn emulator() -> Box<dyn Device> {
    let geometry = fqbert_contract::Geometry::by_name("tiny").unwrap();
    let options = EmulatorOptions {
        threads: Some(1),
        ..EmulatorOptions::new(geometry)
    };
    Box::new(EmulatedDevice::new(options).unwrap())
}

/// What `record:FILE,URI` opens.
pub fn recorded(device: Box<dyn Device>, file: &Path, steps: bool) -> Box<dyn Device> {
    let options = RecordOptions {
        steps,
        ..RecordOptions::new("test")
    };
    let device = RecordingDevice::create(device, file, &options).unwrap();
    stepped(Box::new(device), steps)
}

/// What `replay:FILE` opens.
pub fn replayed(file: &Path) -> Box<dyn Device> {
    let recording = Recording::open(file).unwrap();
    let steps = recording.begin().steps;
    stepped(Box::new(ReplayDevice::new(recording)), steps)
}

fn stepped(device: Box<dyn Device>, steps: bool) -> Box<dyn Device> {
    match steps {
        true => Box::new(StepsDevice::new(device)),
        false => device,
    }
}

/// Answers to sequences, one run each, by their bits.
pub fn answers(
    device: Box<dyn Device>,
    sequences: &[Tokens],
    deadline: Duration,
) -> Result<Vec<Vec<u32>>, SessionError> {
    let options = SessionOptions {
        pack: None,
        deadline,
        ..SessionOptions::default()
    };
    let mut session = Session::new(model(), device, options)?;
    let outputs = session.run_batch(sequences)?;
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
    Ok(outputs.iter().map(|o| bits(o.values())).collect())
}
