//! From a quantized BERT and a sequence length to a program for the accelerator.
//!
//! ```
//! use fqbert_compiler::{CompileOptions, buckets, choose_bucket, compile, disassemble, pack_constants};
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
mod constants;
mod emit;
mod error;
mod listing;
mod memory;
mod plan;
mod schedule;
mod sem;
mod weights;

use fqbert_contract::capability::Requirements;
use fqbert_contract::geometry::Mode;
use fqbert_contract::isa::{CONTRACT_MAJOR, CONTRACT_MINOR, PROGRAM_MAX, feature};
use fqbert_contract::program::{PerRegion, Program, Span};
use fqbert_contract::{Bytes, Geometry};
use fqbert_model::{Linear, QuantizedModel};

pub use bucket::{buckets, choose_bucket, most_blocks};
pub use constants::{
    ConstantsImage, ConstantsLayout, LayerLayout, MatrixLayout, ParamSet, pack_constants,
    pack_constants_in_parts,
};
pub use error::CompileError;
pub use listing::disassemble;
pub use memory::{MemoryPlan, MemoryUse, RegionUse};

use plan::Plan;
use schedule::Scheduler;
use weights::Stream;

/// Parts of the input and output regions begin at multiples of this: a page, so that each can be
/// synced alone.
const IO_ALIGNMENT: u64 = 4096;

/// Choices of a program beside its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileOptions {
    /// Run layer norms, softmax and the transfer of the input beside the matrix engine. Without it
    /// stages follow each other, which is easier to read in a trace.
    pub overlap: bool,
    /// Tokens of a block of attention: queries see the keys of their own block only, and the ranges
    /// that come with the input count from the block's first token. Short sequences that lie packed
    /// in blocks save the scores of all others. `None`: one block, the whole sequence.
    pub block: Option<u32>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            overlap: true,
            block: None,
        }
    }
}

/// Where the parts of the input and output regions lie.
pub(crate) struct Io {
    pub x8: Span,
    pub x16: Span,
    pub ranges: Span,
    pub y16: Span,
    /// Size of the input region.
    pub input_bytes: u64,
}

impl Io {
    fn new(sequence: u32, hidden: u32) -> Self {
        let values = u64::from(sequence) * u64::from(hidden);
        let mut next = 0u64;
        let mut place = |length: u64| {
            let span = Span {
                offset: next,
                length,
            };
            next = (next + length).next_multiple_of(IO_ALIGNMENT);
            span
        };
        let x8 = place(values);
        let x16 = place(2 * values);
        let ranges = place(4 * u64::from(sequence));
        let y16 = Span {
            offset: 0,
            length: 2 * values,
        };
        Self {
            x8,
            x16,
            ranges,
            y16,
            input_bytes: next,
        }
    }
}

/// Compiles a model for a geometry and a padded sequence length.
///
/// Any valid model of any length that fits is compiled; ranges of keys per row come with the input,
/// so padding and several short sequences in one bucket need no other program.
///
/// # Errors
/// [`CompileError`]: which memory is too small, by how much and what to do, or which size the
/// geometry does not take.
pub fn compile(
    model: &QuantizedModel,
    g: &Geometry,
    sequence_bucket: u32,
    options: &CompileOptions,
) -> Result<Program, CompileError> {
    let plan = Plan::with_block(
        model,
        g,
        sequence_bucket,
        options.block.unwrap_or(sequence_bucket),
    )?;
    let layout = ConstantsLayout::new(model, g);
    let stream = Stream::new(&layout, &plan, g);
    let io = Io::new(plan.sequence, plan.hidden);
    let emitted = Scheduler::new(g, &plan, &layout, &stream, &io, *options).run();
    let limit = PROGRAM_MAX as usize;
    if emitted.instructions.len() > limit {
        return Err(CompileError::TooLong {
            found: emitted.instructions.len(),
            limit,
        });
    }
    Ok(Program {
        requirements: Requirements {
            major: CONTRACT_MAJOR,
            minor: CONTRACT_MINOR,
            features: features(model),
            geometry: g.clone(),
        },
        sequence: plan.sequence,
        hidden: plan.hidden,
        instructions: emitted.instructions,
        relocations: emitted.relocations,
        sizes: PerRegion {
            constants: Bytes(layout.bytes),
            input: Bytes(io.input_bytes),
            output: Bytes(io.y16.length.next_multiple_of(IO_ALIGNMENT)),
        },
        input_x8: io.x8,
        input_x16: io.x16,
        input_ranges: io.ranges,
        output_y16: io.y16,
    })
}

/// Feature bits that a model's programs use: attention is 8x8 with row ranges in any of them.
fn features(model: &QuantizedModel) -> u32 {
    let mut modes = model
        .layers
        .iter()
        .flat_map(|l| Linear::ALL.map(|w| l.linear(w).mode()));
    let packed = if modes.any(|m| m == Mode::W4) {
        feature::PACKED_8X4
    } else {
        0
    };
    packed | feature::WEIGHTS_8X8 | feature::ROW_RANGES | feature::GELU_TABLE
}
