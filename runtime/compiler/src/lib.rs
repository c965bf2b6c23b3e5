//! From a quantized BERT and a sequence length to a program for the accelerator.
//!
//! ```
//! use fqbert_compiler::{
//!     CompileOptions, buckets, choose_bucket, compile, disassemble, pack_constants,
//! };
//! use fqbert_contract::{Geometry, verify::verify};
//! # use fqbert_model::testing::{Shape, random_model};
//! # let model = random_model(Shape::SMALL, 1);
//!
//! let g = Geometry::by_name("zcu102").ok_or("no such geometry")?;
//! let bucket = choose_bucket(&buckets(g, &model), 23).ok_or("too long")?;
//! let program = compile(&model, g, bucket, &CompileOptions::default())?;
//! let report = verify(&program, g).map_err(|violations| violations[0].to_string())?;
//! println!("{} cycles\n{}", report.cycles, disassemble(&program));
//! let constants = pack_constants(&model, g)?; // one region for the programs of all buckets
//! assert_eq!(constants.bytes.len() as u64, program.sizes.constants.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A program is static: for one model, geometry and *bucket* (a padded sequence length; see
//! [`buckets`]). Its addresses are offsets into three regions until it is bound
//! ([`fqbert_contract::program`]). The constants region is shared by the buckets of a model.

mod bucket;
mod compile;
mod constants;
mod digest;
mod emit;
mod error;
mod io;
mod listing;
mod memory;
mod options;
mod place;
mod plan;
mod schedule;
mod sem;
mod weights;

pub use bucket::{buckets, choose_bucket, most_blocks};
pub use compile::compile;
pub use constants::{
    ConstantsImage, ConstantsLayout, LayerLayout, MatrixLayout, ParamSet, pack_constants,
    pack_constants_in_parts,
};
pub use digest::program_sha256;
pub use error::CompileError;
pub use listing::disassemble;
pub use memory::{MemoryPlan, MemoryUse, RegionUse};
pub use options::CompileOptions;
