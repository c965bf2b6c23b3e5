//! From a model and a length to a program.

use fqbert_contract::capability::Requirements;
use fqbert_contract::geometry::Mode;
use fqbert_contract::isa::{CONTRACT_MAJOR, CONTRACT_MINOR, PROGRAM_MAX, feature};
use fqbert_contract::program::{PerRegion, Program};
use fqbert_contract::{Bytes, Geometry};
use fqbert_model::{Linear, QuantizedModel};

use crate::constants::ConstantsLayout;
use crate::error::CompileError;
use crate::io::{IO_ALIGNMENT, Io};
use crate::options::CompileOptions;
use crate::plan::Plan;
use crate::schedule::Scheduler;
use crate::weights::Stream;

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
