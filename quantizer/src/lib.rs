//! Post-training quantization: a float checkpoint and some sentences to the integer model that the
//! device runs.
//!
//! Layer after layer, each watched in float and then quantized in the order of its stages, so that
//! the weights of every stage are chosen knowing the integers that the stages before it really
//! give. `docs/numerics.md` says what each parameter does. [`Job::mix`] chooses the bits of each
//! matrix, [`Job::stages`] makes a run resumable.
//!
//! ```no_run
//! use fqbert_checkpoint::{Checkpoint, LoadOptions, load_tokenizer};
//! use fqbert_quantizer::{Calibration, Columns, QuantizeOptions, Sample, Silent, quantize};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = std::path::Path::new("minilm-l6-sst2");
//! let checkpoint = Checkpoint::load(folder, &LoadOptions::default())?;
//! let tokenizer = load_tokenizer(folder)?;
//! let columns = Columns { texts: vec![1], header: true };
//! let sentences = std::path::Path::new("sst2/train.tsv");
//! let calibration = Calibration::from_tsv(sentences, &columns, &tokenizer, &Sample::default())?;
//! let options = QuantizeOptions::default();
//! let (model, report) =
//!     quantize(&checkpoint, Some(&tokenizer), &calibration, &options, &mut Silent)?;
//! println!("{report}");
//! model.save(std::path::Path::new("minilm-l6-sst2.fqbert.safetensors"))?;
//! # Ok(()) }
//! ```

mod assemble;
mod calibration;
mod compare;
mod equalize;
mod error;
mod fit;
mod gemm;
mod histogram;
mod integer;
mod judge;
mod layer;
mod learned;
mod mix;
mod options;
mod progress;
mod quantize;
mod ranges;
mod refit;
mod report;
mod resume;
mod scales;
mod scores;
mod sensitivity;
mod stage_folder;
mod watch;
mod weights;

pub use calibration::{Calibration, Columns, Sample};
pub use error::QuantizeError;
pub use integer::encode;
pub use judge::{Measure, Verdict};
pub use learned::{LearnedScales, quantize_learned};
pub use mix::{Goal, Mix};
pub use options::{BitsOverride, QuantizeOptions, RangeMethod, Rounding, Scheme, WeightBits};
pub use progress::{Progress, Silent};
pub use quantize::{Job, quantize};
pub use report::{LayerReport, LinearReport, Report, SiteReport};
pub use sensitivity::{MatrixSensitivity, Sensitivity};
pub use stage_folder::StageFolder;
