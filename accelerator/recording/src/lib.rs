//! Recordings of what a program did with an accelerator.
//!
//! - [`RecordingDevice`] writes each call of a device, with its bytes and what it gave, to a file.
//! - [`ReplayDevice`] gives to the same calls the same answers, without the device.
//! - [`StepsDevice`] runs programs instruction by instruction and reads what each has written, so
//!   that a recording holds it.
//! - [`compare`] carries a recording out on another device, and says where their memories differ.
//!
//! The file is described in `docs/recording.md`. Whatever is in it, reading it is bounded: one
//! record of at most a mebibyte at a time.

mod code;
mod compare;
mod failure;
mod format;
mod reader;
mod recorder;
mod replay;
mod steps;
mod writer;

pub use code::CodeError;
pub use compare::{
    At, Bytes, CompareError, Comparison, DEFAULT_DEADLINE, Difference, RunEnd, What, WrongResult,
    compare,
};
pub use failure::Failure;
pub use format::{Answer, Begin, Call, Data, Event, FORMAT_VERSION, Memory, Range};
pub use reader::{Ending, ReadError, Recording};
pub use recorder::{RecordOptions, RecordingDevice};
pub use replay::{ReplayDevice, ReplayError};
pub use steps::StepsDevice;
pub use writer::{CreateError, DEFAULT_LIMIT, LEAST_LIMIT};
