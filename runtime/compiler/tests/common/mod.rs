//! Runs what the compiler makes without any device: whole instructions, one after the other in an
//! order that the timing model gives, on the plain memories of the conformance suite.

use std::collections::HashMap;

use fqbert_compiler::ConstantsImage;
use fqbert_conformance::interpreter::Memories;
use fqbert_contract::isa::{BEAT_BYTES, Operation};
use fqbert_contract::layout::{pack_act, pack_ranges, pack_res, unpack_res};
use fqbert_contract::program::{Program, Region, Span};
use fqbert_contract::timing::{Policy, simulate};
use fqbert_model::reference::EncoderInput;

/// Runs a program and returns y16, `[sequence][hidden]`. `input` has one entry per token of the
/// bucket.
pub fn run(
    program: &Program,
    constants: &ConstantsImage,
    input: &EncoderInput,
    policy: Policy,
) -> Vec<i16> {
    let g = &program.requirements.geometry;
    let (tokens, hidden) = (program.sequence as usize, program.hidden as usize);
    let mut inputs = vec![0u8; program.sizes.input.0 as usize];
    let mut place = |span: Span, image: Vec<u8>| {
        assert_eq!(span.length as usize, image.len());
        inputs[span.offset as usize..][..image.len()].copy_from_slice(&image);
    };
    place(
        program.input_x8,
        pack_act(g, &input.x8, tokens, hidden).unwrap(),
    );
    place(
        program.input_x16,
        pack_res(g, &input.x16, tokens, hidden).unwrap(),
    );
    place(
        program.input_ranges,
        pack_ranges(&input.ranges, tokens).unwrap(),
    );
    let mut output = vec![0u8; program.sizes.output.0 as usize];
    assert_eq!(constants.bytes.len() as u64, program.sizes.constants.0);

    // Garbage, not zeros: nothing may depend on what a memory held.
    let mut memories = Memories::filled(g, 0xa5);
    let region: HashMap<u32, Region> = program
        .relocations
        .iter()
        .map(|r| (r.instruction, r.region))
        .collect();
    let order = simulate(g, &program.instructions, policy).unwrap().order;
    for index in order {
        match &program.instructions[index as usize].operation {
            Operation::Load(l) => {
                let from = match region[&index] {
                    Region::Constants => &constants.bytes,
                    Region::Input => &inputs,
                    Region::Output => &output,
                };
                let length = l.beats as usize * BEAT_BYTES;
                memories.load(l, &from[l.address as usize..][..length]);
            }
            Operation::Store(s) => {
                assert_eq!(region[&index], Region::Output);
                let data = memories.store(s);
                output[s.address as usize..][..data.len()].copy_from_slice(data);
            }
            other => memories.execute(other),
        }
    }
    let y = program.output_y16;
    unpack_res(
        g,
        &output[y.offset as usize..][..y.length as usize],
        tokens,
        hidden,
    )
    .unwrap()
}
