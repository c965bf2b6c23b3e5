//! How fast each kernel of this CPU computes the matrix products of a BERT-base layer at 128
//! tokens.
//!
//! Those of `FQBERT_KERNEL` alone where it is set. `cargo run --release -p fqbert-emulator
//! --example kernel_rates -- [GEOMETRY] [THREADS]`

use std::io::{self, Write, stdout};
use std::time::Instant;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{End, Header, Instruction, Layernorm, Matmul, Operation, Softmax};
use fqbert_contract::registers as regs;
use fqbert_contract::timing::Policy;
use fqbert_emulator::{Accelerator, AxiFault, Ddr, Kernel};

/// Memory that holds the program and nothing else.
struct Code(Vec<u8>);

impl Ddr for Code {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), AxiFault> {
        let bytes = self.0.get(address as usize..).ok_or(AxiFault::Decerr)?;
        out.copy_from_slice(bytes.get(..out.len()).ok_or(AxiFault::Decerr)?);
        Ok(())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), AxiFault> {
        Err(AxiFault::Slverr)
    }
}

/// The best of several runs of `count` copies of an operation, in seconds for one.
fn seconds(g: &Geometry, kernel: Kernel, operation: Operation, count: usize) -> f64 {
    let header = Header::default();
    let mut program = vec![Instruction { header, operation }; count];
    program.push(Instruction {
        header,
        operation: Operation::End(End {}),
    });
    let code: Vec<u8> = program
        .iter()
        .flat_map(|i| i.to_bytes().expect("fields fit"))
        .collect();
    let limit = code.len() as u32;
    let mut ddr = Code(code);
    let mut accelerator = Accelerator::with(g, kernel, Policy::Earliest);
    accelerator.write32(regs::WINDOW_LIMIT_LOW.0, limit);
    accelerator.write32(regs::PROGRAM_LENGTH.0, limit / 32);
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        accelerator.write32(regs::DOORBELL.0, 1);
        let began = Instant::now();
        accelerator.run_pending(&mut ddr, &mut || false);
        best = best.min(began.elapsed().as_secs_f64());
        assert_eq!(accelerator.read32(regs::FAULT_CAUSE.0), 0, "{operation:?}");
    }
    best / count as f64
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "zcu102".into());
    let threads = arguments
        .next()
        .map_or(0, |n| n.parse().expect("a number of threads"));
    let g = Geometry::by_name(&name).expect("a geometry");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads");
    writeln!(stdout(), "{name}, {} threads", pool.current_num_threads())?;
    // As the emulated accelerator does: inside the pool, so that work is not handed over to it each
    // time.
    pool.install(|| report(g))
}

/// What is timed: a name and the operation.
fn matmuls(g: &Geometry) -> [(&'static str, Matmul); 4] {
    let row_tiles = (128 / g.rows) as u8;
    let matmul = |mode8: bool, k_chunks: u16| {
        let per_tile = g.pairs * if mode8 { 1 } else { 2 };
        let col_tiles = (g.wgt_words as u16 / k_chunks) as u8;
        Matmul {
            mode8,
            a_stride: if k_chunks == 384 {
                384.min(g.act_words / u32::from(row_tiles)) as u16
            } else {
                k_chunks
            },
            b_stride: k_chunks,
            k_chunks,
            row_tiles,
            col_tiles,
            channels: per_tile as u16 * u16::from(col_tiles),
            dst_base: (g.act_words / 2) as u16,
            dst_stride: 24,
            ..Matmul::default()
        }
    };
    let keys = 128u16.div_ceil(g.pairs as u16);
    let scores = Matmul {
        b_opd: true,
        b_stride: 8,
        col_tiles: keys as u8,
        channels: 128,
        dest: Matmul::DEST_SCR,
        dst_base: 0,
        dst_stride: 64,
        ..matmul(true, 8)
    };
    [
        ("matmul 8x4, K = 768", matmul(false, 96)),
        ("matmul 8x4, K = 3072", matmul(false, 384)),
        ("matmul 8x8, K = 768", matmul(true, 96)),
        ("scores of a head", scores),
    ]
}

/// The same of the vector engine, with its elements.
fn vector_operations(g: &Geometry) -> [(&'static str, Operation, f64); 2] {
    let row_tiles = (128 / g.rows) as u8;
    let softmax = Softmax {
        src_stride: 64,
        dst_stride: 16,
        columns: 128,
        row_tiles,
        ..Softmax::default()
    };
    let norm = Layernorm {
        stride: 384,
        y8_stride: 96,
        channels: 768,
        row_tiles,
        ..Layernorm::default()
    };
    let (softmax, norm) = (Operation::Softmax(softmax), Operation::Layernorm(norm));
    [
        ("softmax of a head", softmax, 128.0 * 128.0),
        ("layer norm of 768", norm, 128.0 * 768.0),
    ]
}

fn report(g: &Geometry) -> io::Result<()> {
    let forced = Kernel::from_env().expect("a kernel of this CPU");
    for kernel in Kernel::supported().filter(|k| forced.is_none_or(|f| f == *k)) {
        let count = if kernel == Kernel::Scalar { 1 } else { 50 };
        writeln!(stdout(), "{kernel}")?;
        for (name, m) in matmuls(g) {
            let s = seconds(g, kernel, Operation::Matmul(m), count);
            let macs = 128.0 * f64::from(m.channels) * f64::from(m.k_chunks) * f64::from(g.lanes);
            let (us, rate) = (s * 1e6, macs / s * 1e-9);
            writeln!(stdout(), "  {name:22} {us:9.1} us  {rate:6.1} GMAC/s")?;
        }
        for (name, operation, elements) in vector_operations(g) {
            let s = seconds(g, kernel, operation, count);
            let (us, each) = (s * 1e6, s / elements * 1e9);
            writeln!(
                stdout(),
                "  {name:22} {us:9.1} us  {each:6.2} ns an element"
            )?;
        }
    }
    Ok(())
}
