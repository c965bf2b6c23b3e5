//! A plain interpreter of programs, written from the contract's documents, to run what the compiler
//! makes without any device.
//!
//! Whole instructions, one after the other in an order that the timing model gives; memories are
//! byte arrays of words.

use std::collections::HashMap;

use fqbert_compiler::ConstantsImage;
use fqbert_contract::geometry::{Geometry, Mode};
use fqbert_contract::isa::{Layernorm, Matmul, MemoryId, Operation, Softmax};
use fqbert_contract::layout::{
    decode_requant, pack_act, pack_ranges, pack_res, unpack_layer_norm, unpack_res,
};
use fqbert_contract::program::{Program, Region};
use fqbert_contract::timing::{Policy, simulate};
use fqbert_model::reference::EncoderInput;
use fqbert_numerics::layernorm::layernorm_row;
use fqbert_numerics::requant::Requant;
use fqbert_numerics::residual_add;
use fqbert_numerics::softmax::softmax_row;

struct Machine<'a> {
    g: &'a Geometry,
    memories: HashMap<MemoryId, Vec<u8>>,
}

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
    let mut place = |span: fqbert_contract::program::Span, image: Vec<u8>| {
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
    let memories = MemoryId::ALL
        .iter()
        .map(|m| (*m, vec![0xa5; (g.depth(*m) * g.word_bytes(*m)) as usize]))
        .collect();
    let mut machine = Machine { g, memories };
    let region: HashMap<u32, Region> = program
        .relocations
        .iter()
        .map(|r| (r.instruction, r.region))
        .collect();
    let order = simulate(g, &program.instructions, policy).unwrap().order;
    for index in order {
        match &program.instructions[index as usize].operation {
            Operation::Nop(_) | Operation::End(_) => {}
            Operation::Load(l) => {
                let from = match region[&index] {
                    Region::Constants => &constants.bytes,
                    Region::Input => &inputs,
                    Region::Output => &output,
                };
                let data = &from[l.address as usize..][..l.beats as usize * 16];
                let memory = MemoryId::from_code(l.memory).unwrap();
                let at = usize::from(l.word_offset) * g.word_bytes(memory) as usize;
                machine.memory(memory)[at..][..data.len()].copy_from_slice(data);
            }
            Operation::Store(s) => {
                let memory = MemoryId::from_code(s.memory).unwrap();
                let at = usize::from(s.word_offset) * g.word_bytes(memory) as usize;
                let length = s.beats as usize * 16;
                let data = machine.memory(memory)[at..][..length].to_vec();
                assert_eq!(region[&index], Region::Output);
                output[s.address as usize..][..length].copy_from_slice(&data);
            }
            Operation::Matmul(m) => machine.matmul(m),
            Operation::Softmax(s) => machine.softmax(s),
            Operation::Layernorm(l) => machine.layer_norm(l),
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

impl Machine<'_> {
    fn memory(&mut self, memory: MemoryId) -> &mut Vec<u8> {
        self.memories.get_mut(&memory).unwrap()
    }

    fn word(&self, memory: MemoryId, word: usize) -> &[u8] {
        let bytes = self.g.word_bytes(memory) as usize;
        &self.memories[&memory][word * bytes..][..bytes]
    }

    fn set(&mut self, memory: MemoryId, word: usize, byte: usize, value: &[u8]) {
        let bytes = self.g.word_bytes(memory) as usize;
        assert!(byte + value.len() <= bytes);
        self.memory(memory)[word * bytes + byte..][..value.len()].copy_from_slice(value);
    }

    fn params(&self, base: u16, channel: usize) -> Requant {
        let word = self.word(MemoryId::Par, usize::from(base) + channel / 2);
        decode_requant(word[channel % 2 * 8..][..8].try_into().unwrap())
    }

    fn matmul(&mut self, m: &Matmul) {
        let (rows, pairs, lanes) = (
            self.g.rows as usize,
            self.g.pairs as usize,
            self.g.lanes as usize,
        );
        let mode = if m.mode8 { Mode::W8 } else { Mode::W4 };
        let tile = self.g.tile_channels(mode) as usize;
        let slots = [
            MemoryId::Wgt0,
            MemoryId::Wgt1,
            MemoryId::Wgt2,
            MemoryId::Wgt3,
        ];
        let a_memory = if m.a_probs {
            MemoryId::Prb
        } else {
            MemoryId::Act
        };
        let b_memory = if m.b_opd {
            MemoryId::Opd
        } else {
            slots[usize::from(m.b_slot)]
        };
        let chunks = usize::from(m.k_chunks);
        let mut results = Vec::new();
        for o in 0..usize::from(m.channels) {
            let (j, n) = (o / tile, o % tile);
            let pair = if m.mode8 { n } else { n / 2 };
            let b: Vec<i32> = (0..chunks)
                .flat_map(|k| {
                    let word = usize::from(m.b_base) + j * usize::from(m.b_stride) + k;
                    let word = self.word(b_memory, word);
                    (0..lanes).map(move |l| {
                        let byte = word[pair * lanes + l];
                        i32::from(match (m.mode8, n % 2) {
                            (true, _) => byte as i8,
                            (false, 0) => ((byte << 4) as i8) >> 4,
                            (false, _) => (byte as i8) >> 4,
                        })
                    })
                })
                .collect();
            assert!(j < usize::from(m.col_tiles) && pair < pairs);
            let params = self.params(m.par_base, if m.uniform { 0 } else { o });
            for token in 0..usize::from(m.row_tiles) * rows {
                let (i, r) = (token / rows, token % rows);
                let mut sum = 0i32;
                for k in 0..chunks {
                    let word = usize::from(m.a_base) + i * usize::from(m.a_stride) + k;
                    let a = &self.word(a_memory, word)[r * lanes..][..lanes];
                    for (l, byte) in a.iter().enumerate() {
                        let a = if m.a_probs {
                            i32::from(*byte)
                        } else {
                            i32::from(*byte as i8)
                        };
                        sum += a * b[k * lanes + l];
                    }
                }
                results.push((o, i, r, params, sum));
            }
        }
        for (o, i, r, params, sum) in results {
            self.write(m, o, i, r, params, sum);
        }
    }

    fn write(&mut self, m: &Matmul, o: usize, i: usize, r: usize, params: Requant, sum: i32) {
        let (rows, pairs, lanes) = (
            self.g.rows as usize,
            self.g.pairs as usize,
            self.g.lanes as usize,
        );
        let (base, stride) = (usize::from(m.dst_base), usize::from(m.dst_stride));
        let ch = usize::from(m.dst_channel) + o;
        let token = (usize::from(m.row_tile0) + i) * rows + r;
        let mut y = params.apply_i8(sum);
        if m.gelu {
            let at = usize::from(m.table) * 256 + (i32::from(y) + 128) as usize;
            y = self.memories[&MemoryId::Gel][at] as i8;
        }
        match m.dest {
            Matmul::DEST_ACT => {
                self.set(
                    MemoryId::Act,
                    base + i * stride + ch / lanes,
                    r * lanes + ch % lanes,
                    &[y as u8],
                );
            }
            Matmul::DEST_RESB => {
                let y = params.apply_i16(sum).to_le_bytes();
                self.set(
                    MemoryId::Resb,
                    base + i * stride + ch / 2,
                    (r * 2 + ch % 2) * 2,
                    &y,
                );
            }
            Matmul::DEST_SCR => {
                self.set(
                    MemoryId::Scr,
                    base + i * stride + ch / 2,
                    r * 2 + ch % 2,
                    &[y as u8],
                );
            }
            Matmul::DEST_KEYS => {
                let word = base + token / pairs * stride + ch / lanes;
                self.set(
                    MemoryId::Opd,
                    word,
                    token % pairs * lanes + ch % lanes,
                    &[y as u8],
                );
            }
            Matmul::DEST_VALUES => {
                let head_dim = usize::from(m.head_dim);
                let (mut d, mut slot) = (
                    usize::from(m.dst_channel & 0xff),
                    usize::from(m.dst_channel >> 8),
                );
                let mut tile = base;
                for _ in 0..o {
                    d += 1;
                    slot += 1;
                    if d == head_dim {
                        (d, slot, tile) = (0, 0, tile + stride);
                    } else if slot == pairs {
                        (slot, tile) = (0, tile + stride);
                    }
                }
                self.set(
                    MemoryId::Opd,
                    tile + token / lanes,
                    slot * lanes + token % lanes,
                    &[y as u8],
                );
            }
            other => panic!("destination {other}"),
        }
    }

    fn softmax(&mut self, s: &Softmax) {
        let (rows, lanes) = (self.g.rows as usize, self.g.lanes as usize);
        let columns = usize::from(s.columns);
        let exp: Vec<u16> = self.memories[&MemoryId::Exp][usize::from(s.table) * 512..][..512]
            .chunks_exact(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
            .collect();
        let exp: [u16; 256] = exp.try_into().unwrap();
        for t in 0..usize::from(s.row_tiles) * rows {
            let (i, r) = (t / rows, t % rows);
            let row = usize::from(s.row0) + t;
            let range = &self.word(MemoryId::Rng, row / 4)[row % 4 * 4..][..4];
            let lo = u16::from_le_bytes([range[0], range[1]]);
            let hi = u16::from_le_bytes([range[2], range[3]]);
            let src = usize::from(s.src_base) + i * usize::from(s.src_stride);
            let x: Vec<i8> = (0..columns)
                .map(|c| self.word(MemoryId::Scr, src + c / 2)[r * 2 + c % 2] as i8)
                .collect();
            let mut p = vec![0u8; columns];
            softmax_row(&x, lo.into()..hi.into(), &exp, &mut p);
            let dst = usize::from(s.dst_base) + i * usize::from(s.dst_stride);
            for (c, p) in p.iter().enumerate() {
                self.set(MemoryId::Prb, dst + c / lanes, r * lanes + c % lanes, &[*p]);
            }
        }
    }

    fn layer_norm(&mut self, l: &Layernorm) {
        let (rows, lanes) = (self.g.rows as usize, self.g.lanes as usize);
        let n = usize::from(l.channels);
        let lnp = &self.memories[&MemoryId::Lnp][usize::from(l.par_base) * 16..];
        let params = unpack_layer_norm(lnp, n);
        for t in 0..usize::from(l.row_tiles) * rows {
            let (i, r) = (t / rows, t % rows);
            let at = |base: u16, c: usize| usize::from(base) + i * usize::from(l.stride) + c / 2;
            let read = |memory, base, c: usize| {
                let b = &self.word(memory, at(base, c))[(r * 2 + c % 2) * 2..][..2];
                i16::from_le_bytes([b[0], b[1]])
            };
            let x: Vec<i16> = (0..n)
                .map(|c| {
                    residual_add(
                        read(MemoryId::Resx, l.x_base, c),
                        read(MemoryId::Resb, l.b_base, c),
                    )
                })
                .collect();
            let (mut y16, mut y8) = (vec![0; n], vec![0; n]);
            layernorm_row(&x, &params, &mut y16, &mut y8);
            for c in 0..n {
                let byte = (r * 2 + c % 2) * 2;
                self.set(
                    MemoryId::Resx,
                    at(l.y16_base, c),
                    byte,
                    &y16[c].to_le_bytes(),
                );
                let word = usize::from(l.y8_base) + i * usize::from(l.y8_stride) + c / lanes;
                self.set(MemoryId::Act, word, r * lanes + c % lanes, &[y8[c] as u8]);
            }
        }
    }
}
