//! Which program it is, in one number.

use fqbert_contract::program::{BindError, PerRegion, Placement, Program};
use fqbert_contract::{Bytes, DeviceAddress};
use fqbert_files::sha256_hex;

use crate::place::Placer;

/// Where each region begins: the strictest alignment that a device's allocator gives.
const ALIGNMENT: u64 = 4096;

/// SHA-256 of a program, wherever it is bound: of its code as if the regions lay one after the
/// other from address 0, and of where input and output lie in them.
///
/// # Errors
/// As [`Program::bind`], for a program that cannot be bound anywhere.
pub fn program_sha256(program: &Program) -> Result<String, BindError> {
    let mut regions = Placer::new(ALIGNMENT);
    let mut place = |size: Bytes| Placement {
        address: DeviceAddress(regions.place(size.0).offset),
        size,
    };
    let sizes = program.sizes;
    let code = program.bind(&PerRegion {
        constants: place(sizes.constants),
        input: place(sizes.input),
        output: place(sizes.output),
    })?;
    let spans = [
        program.input_x8,
        program.input_x16,
        program.input_ranges,
        program.output_y16,
    ];
    let shape = [u64::from(program.sequence), u64::from(program.hidden)];
    let regions = [sizes.constants.0, sizes.input.0, sizes.output.0];
    let numbers: Vec<u8> = shape
        .into_iter()
        .chain(regions)
        .chain(spans.into_iter().flat_map(|s| [s.offset, s.length]))
        .flat_map(u64::to_le_bytes)
        .collect();
    Ok(sha256_hex([numbers.as_slice(), code.as_slice()]))
}
