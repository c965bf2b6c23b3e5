//! Whether a program was made for this contract and geometry, and asks for what it uses.

use super::violation::Violation;
use crate::capability::{Difference, Requirements};
use crate::geometry::{Geometry, PARAMETERS};
use crate::isa::{self, Operation, feature};
use crate::program::Program;

pub(super) fn check(program: &Program, g: &Geometry, found: &mut Vec<Violation>) {
    let Requirements {
        major,
        minor,
        features,
        geometry,
    } = &program.requirements;
    let mut differ = |field, needed: String, has: String| {
        let difference = Difference {
            field,
            needed,
            found: has,
        };
        found.push(Violation::Requirements(difference));
    };
    if *major != isa::CONTRACT_MAJOR || *minor > isa::CONTRACT_MINOR {
        differ(
            "contract version",
            format!("{major}.{minor}"),
            format!("{}.{}", isa::CONTRACT_MAJOR, isa::CONTRACT_MINOR),
        );
    }
    // Each parameter, those that only timing depends on too: the report's cycles are of this one.
    for parameter in &PARAMETERS {
        let (needed, has) = ((parameter.get)(geometry), (parameter.get)(g));
        if needed != has {
            differ(parameter.label, needed.to_string(), has.to_string());
        }
    }
    let unknown = features & !feature::ALL;
    if unknown != 0 {
        differ(
            "feature",
            format!("bits {unknown:#x}"),
            "no such feature".into(),
        );
    }
    let used = program.instructions.iter().map(|i| uses(&i.operation));
    let missing = used.fold(0, |all, bits| all | bits) & !features;
    for (bit, name, _) in feature::NAMES {
        if missing & bit != 0 {
            differ(
                "feature",
                "no".into(),
                format!("instructions that use {name}"),
            );
        }
    }
}

/// The features that an instruction is of.
fn uses(operation: &Operation) -> u32 {
    match operation {
        Operation::Matmul(m) => {
            let mode = if m.mode8 {
                feature::WEIGHTS_8X8
            } else {
                feature::PACKED_8X4
            };
            mode | if m.gelu { feature::GELU_TABLE } else { 0 }
        }
        Operation::Softmax(_) => feature::ROW_RANGES,
        _ => 0,
    }
}
