//! One run of a program that was verified, on any device.

use fqbert_contract::Bytes;
use fqbert_contract::device::Device;
use fqbert_contract::program::Program;
use fqbert_contract::registers as regs;
use fqbert_contract::timing::{Queue, UNITS};

use super::Base;
use crate::bench::{self, Bench};
use crate::random::placement;
use crate::report::{Failure, Options, ensure};

/// Runs a program in a window of exactly its buffers and returns the bytes of its output, `fill`
/// before.
pub(super) fn run(
    device: &mut dyn Device,
    base: &Base,
    program: &Program,
    fill: u8,
) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    let options = Options::default();
    let device: &mut (dyn Device + '_) = &mut *device;
    bench::with(device, &options, |b| {
        output = promised(b, base, program, fill)?;
        Ok(())
    })
    .map_err(|failure| failure.to_string())?;
    Ok(output)
}

fn promised(
    b: &mut Bench<'_>,
    base: &Base,
    program: &Program,
    fill: u8,
) -> Result<Vec<u8>, Failure> {
    let sized = |bytes: &[u8], size: Bytes| {
        let mut all = bytes.to_vec();
        all.resize((size.0 as usize).max(1), 0);
        all
    };
    let before = b.upload(&[0x33; 4096])?;
    let constants_bytes = sized(&base.constants, program.sizes.constants);
    let input_bytes = sized(&base.input, program.sizes.input);
    let constants = b.upload(&constants_bytes)?;
    let input = b.upload(&input_bytes)?;
    let output = b.upload(&vec![fill; (program.sizes.output.0 as usize).max(1)])?;
    let placement = placement(&constants, &input, &output);
    let code_bytes = program
        .bind(&placement)
        .map_err(|e| Failure::Wrong(format!("verified, and not bound: {e}")))?;
    let code = b.upload(&code_bytes)?;
    let behind = b.upload(&[0x44; 4096])?;
    b.configure(code.address.0, program.instructions.len() as u32)?;
    b.set_window(constants.address.0, code.address.0 + code.size.0)?;
    b.set(regs::DOORBELL, 1)?;
    b.completed()?;
    check_retired(b, program)?;
    for (name, buffer, expected) in [
        ("the page before", before, &[0x33; 4096][..]),
        ("the constants", constants, &constants_bytes),
        ("the input", input, &input_bytes),
        ("the code", code, &code_bytes),
        ("the page behind", behind, &[0x44; 4096]),
    ] {
        let found = b.download(&buffer)?;
        let differs = found.iter().zip(expected).position(|(f, e)| f != e);
        if let Some(at) = differs {
            return Err(Failure::Wrong(format!("byte {at} of {name} has changed")));
        }
    }
    b.download(&output)
}

/// Every instruction has completed, and FETCH has read each.
fn check_retired(b: &mut Bench<'_>, program: &Program) -> Result<(), Failure> {
    let mut counts = [0u32; UNITS];
    counts[0] = program.instructions.len() as u32;
    for instruction in &program.instructions {
        counts[Queue::of(&instruction.operation).unit()] += 1;
    }
    for (unit, expected) in counts.iter().enumerate() {
        let found = b.get(regs::retired(unit as u32))?;
        ensure!(
            found == *expected,
            "unit {unit} retired {found} instructions of {expected}"
        );
    }
    Ok(())
}
