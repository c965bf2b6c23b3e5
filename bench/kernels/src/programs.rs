//! Programs of one instruction many times over, on a device without memory: what a kernel takes,
//! and next to nothing else.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{
    End, Header, INSTRUCTION_BYTES, Instruction, Layernorm, Matmul, Operation, Softmax,
};
use fqbert_contract::registers as regs;
use fqbert_contract::timing::Policy;
use fqbert_emulator::{Accelerator, AxiFault, Ddr, Kernel};

/// Tokens of all operations.
pub const TOKENS: u32 = 128;

/// An operation to measure.
pub struct Case {
    /// What it is in the model.
    pub name: &'static str,
    /// The instruction.
    pub operation: Operation,
    /// Multiply-accumulates of it; of softmax and layer norm, elements.
    pub work: u64,
}

/// The operations of a BERT-base layer on [`TOKENS`] tokens, as its compiler cuts them for geometry
/// `g` of 8 lanes.
pub fn cases(g: &Geometry) -> Vec<Case> {
    let row_tiles = (TOKENS / g.rows) as u8;
    let product = |mode8: bool, k_chunks: u16| {
        let per_tile = g.pairs * if mode8 { 1 } else { 2 };
        let col_tiles = (g.wgt_words / u32::from(k_chunks)) as u8;
        Matmul {
            mode8,
            a_stride: k_chunks.min((g.act_words / u32::from(row_tiles)) as u16),
            b_stride: k_chunks,
            k_chunks,
            row_tiles,
            col_tiles,
            channels: per_tile as u16 * u16::from(col_tiles),
            dst_stride: 24,
            ..Matmul::default()
        }
    };
    let one_tile = Matmul {
        row_tiles: 1,
        ..product(false, 96)
    };
    let scores = Matmul {
        b_opd: true,
        b_stride: 8,
        col_tiles: TOKENS.div_ceil(g.pairs) as u8,
        channels: TOKENS as u16,
        dest: Matmul::DEST_SCR,
        dst_stride: 64,
        ..product(true, 8)
    };
    let matmul = |name, m: Matmul| Case {
        name,
        operation: Operation::Matmul(m),
        work: u64::from(m.row_tiles)
            * u64::from(g.rows)
            * u64::from(m.channels)
            * u64::from(m.k_chunks)
            * u64::from(g.lanes),
    };
    vec![
        matmul("matmul 8x4, K = 768", product(false, 96)),
        matmul("matmul 8x4, K = 768, one row tile", one_tile),
        matmul("matmul 8x4, K = 3072", product(false, 384)),
        matmul("matmul 8x8, K = 768", product(true, 96)),
        matmul("scores of a head", scores),
        Case {
            name: "softmax of a head",
            operation: Operation::Softmax(Softmax {
                src_stride: 64,
                dst_stride: 16,
                columns: TOKENS as u16,
                row_tiles,
                ..Softmax::default()
            }),
            work: u64::from(TOKENS * TOKENS),
        },
        Case {
            name: "layer norm of 768",
            operation: Operation::Layernorm(Layernorm {
                stride: 384,
                y8_stride: 96,
                channels: 768,
                row_tiles,
                ..Layernorm::default()
            }),
            work: u64::from(TOKENS * 768),
        },
    ]
}

/// Memory that holds the program and nothing else.
struct Code(Vec<u8>);

impl Ddr for Code {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), AxiFault> {
        let start = usize::try_from(address).map_err(|_| AxiFault::Decerr)?;
        let bytes = self.0.get(start..).and_then(|b| b.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(AxiFault::Decerr)?);
        Ok(())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), AxiFault> {
        Err(AxiFault::Slverr)
    }
}

/// A device and a program for it.
pub struct Bench {
    accelerator: Accelerator,
    code: Code,
    instructions: u32,
}

impl Bench {
    /// `count` copies of `operation`, then END; `None` for fields that are not the contract's.
    pub fn new(g: &Geometry, kernel: Kernel, operation: Operation, count: usize) -> Option<Self> {
        let header = Header::default();
        let mut program = vec![Instruction { header, operation }; count];
        let operation = Operation::End(End {});
        program.push(Instruction { header, operation });
        let mut code = Vec::new();
        for instruction in &program {
            code.extend_from_slice(&instruction.to_bytes().ok()?);
        }
        let mut bench = Self {
            accelerator: Accelerator::with(g, kernel, Policy::Earliest),
            instructions: (code.len() / INSTRUCTION_BYTES) as u32,
            code: Code(code),
        };
        bench.run()?;
        Some(bench)
    }

    /// Runs the program once; `None` if it faulted.
    pub fn run(&mut self) -> Option<()> {
        let bytes = self.code.0.len() as u32;
        self.accelerator.write32(regs::WINDOW_LIMIT_LOW.0, bytes);
        self.accelerator
            .write32(regs::PROGRAM_LENGTH.0, self.instructions);
        self.accelerator.write32(regs::DOORBELL.0, 1);
        self.accelerator.run_pending(&mut self.code, &mut || false);
        (self.accelerator.read32(regs::FAULT_CAUSE.0) == 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_a_legal_instruction() {
        let g = Geometry::by_name("zcu102").expect("a geometry");
        for case in cases(g) {
            assert!(
                Bench::new(g, Kernel::Portable, case.operation, 1).is_some(),
                "{}",
                case.name
            );
        }
    }
}
