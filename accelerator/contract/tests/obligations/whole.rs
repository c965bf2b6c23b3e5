//! A small program of every kind of instruction, and how tests change it.

use fqbert_contract::Bytes;
use fqbert_contract::isa::{Instruction, Layernorm, Matmul, MemoryId, Nop, Operation, Store};
use fqbert_contract::program::{Program, Region, Relocation, Span};

use crate::support::{end, instruction, load, program};

/// Indices of [`whole`].
pub const LOAD_X8: usize = 0;
pub const LOAD_PAR: usize = 2;
pub const LOAD_LNP: usize = 4;
pub const ROWS: usize = 5;
pub const KEYS: usize = 6;
pub const SCORES: usize = 7;
pub const BRANCH: usize = 8;
pub const NORM: usize = 9;
pub const STORE: usize = 10;

/// Parts of the input region.
pub const X8: Span = Span {
    offset: 0,
    length: 32,
};
pub const X16: Span = Span {
    offset: 64,
    length: 64,
};
pub const RANGES: Span = Span {
    offset: 128,
    length: 16,
};
pub const OUTPUT: Span = Span {
    offset: 0,
    length: 64,
};

pub fn matmul(dest: u8, channels: u16, rest: Matmul) -> Operation {
    Operation::Matmul(Matmul {
        k_chunks: 1,
        row_tiles: 1,
        col_tiles: 1,
        channels,
        dest,
        ..rest
    })
}

/// Four tokens of eight channels: a product into ACT, its keys, scores with them, a branch, and a
/// layer norm whose y16 is the output.
pub fn whole() -> Program {
    let rows = Matmul {
        dst_base: 4,
        ..Matmul::default()
    };
    let second = Matmul {
        a_base: 4,
        ..Matmul::default()
    };
    let keys = Matmul {
        dst_stride: 1,
        ..second
    };
    let scores = Matmul {
        mode8: true,
        b_opd: true,
        ..second
    };
    let norm = Layernorm {
        y8_base: 8,
        channels: 8,
        row_tiles: 1,
        stride: 4,
        ..Layernorm::default()
    };
    let store = Store {
        memory: MemoryId::Resx.code(),
        address: 0,
        word_offset: 0,
        beats: 4,
    };
    let mut p = program(vec![
        instruction(load(MemoryId::Act, 0, 1, X8.offset), &[], &[]),
        instruction(load(MemoryId::Wgt0, 0, 1, 0), &[], &[]),
        instruction(load(MemoryId::Par, 0, 4, 32), &[], &[1]),
        instruction(load(MemoryId::Resx, 0, 4, X16.offset), &[], &[]),
        instruction(load(MemoryId::Lnp, 0, 6, 96), &[], &[5]),
        instruction(matmul(Matmul::DEST_ACT, 8, rows), &[1], &[2]),
        instruction(matmul(Matmul::DEST_KEYS, 8, keys), &[2], &[3]),
        instruction(matmul(Matmul::DEST_SCR, 4, scores), &[3], &[]),
        instruction(matmul(Matmul::DEST_RESB, 8, second), &[], &[4]),
        instruction(Operation::Layernorm(norm), &[4, 5], &[6]),
        instruction(Operation::Store(store), &[6], &[]),
        instruction(end(), &[], &[]),
    ]);
    for input in [LOAD_X8, 3] {
        p.relocations[input].region = Region::Input;
    }
    p.sizes.input = Bytes(256);
    (p.input_x8, p.input_x16) = (X8, X16);
    (p.input_ranges, p.output_y16) = (RANGES, OUTPUT);
    p
}

/// Inserts an instruction before END, with a relocation if it has a region.
pub fn append(p: &mut Program, new: Instruction, region: Option<Region>) {
    let at = p.instructions.len() - 1;
    p.instructions.insert(at, new);
    p.relocations.extend(region.map(|region| Relocation {
        instruction: at as u32,
        region,
    }));
}

pub fn nop(engine: u8, wait: &[u8], signal: &[u8]) -> Instruction {
    instruction(Operation::Nop(Nop { engine, port: 0 }), wait, signal)
}

pub fn matmul_at(p: &mut Program, at: usize) -> &mut Matmul {
    match &mut p.instructions[at].operation {
        Operation::Matmul(m) => m,
        other => panic!("{other:?}"),
    }
}

pub fn norm(p: &mut Program) -> &mut Layernorm {
    match &mut p.instructions[NORM].operation {
        Operation::Layernorm(l) => l,
        other => panic!("{other:?}"),
    }
}

pub fn store(p: &mut Program) -> &mut Store {
    match &mut p.instructions[STORE].operation {
        Operation::Store(s) => s,
        other => panic!("{other:?}"),
    }
}
