//! CPU time of the driver per inference, beside embeddings: everything a session does around a run
//! of 128 tokens of MiniLM-L6, with an emptied program.
//!
//! `cargo run --release -p fqbert-uio --example driver_time`
//!
//! The accelerator is a thread behind files, which ends each run at once and interrupts through a
//! socket, so that the calls of the kernel are counted. Copies go to ordinary cached memory here:
//! uncached memory of a board is slower, and not measured.

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::Write;
use std::time::{Duration, Instant};

use common::{Board, act};
use fqbert_contract::device::Device;
use fqbert_contract::registers::{self as regs, irq_enable};
use fqbert_contract::{Bytes, Geometry, layout};
use nix::time::{ClockId, clock_gettime};

const ROWS: usize = 128;
const HIDDEN: usize = 384;
const RUNS: u32 = 2000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let geometry = Geometry::by_name("zcu102").ok_or("no geometry zcu102")?;
    let board = Board::new(geometry);
    let (device, _accelerator) = board.device(Duration::from_secs(5));
    let mut device = device?;
    let values8 = vec![1i8; ROWS * HIDDEN];
    let values16 = vec![1i16; ROWS * HIDDEN];
    let ranges = vec![(0, ROWS as u16); ROWS];
    let pack = || -> Result<[Vec<u8>; 3], layout::LayoutError> {
        Ok([
            layout::pack_act(geometry, &values8, ROWS, HIDDEN)?,
            layout::pack_res(geometry, &values16, ROWS, HIDDEN)?,
            layout::pack_ranges(&ranges, ROWS)?,
        ])
    };
    let images = pack()?;
    let bytes: usize = images.iter().map(Vec::len).sum();
    let input = device.allocate(Bytes(bytes as u64))?;
    let mut result = vec![0; images[1].len()];
    let output = device.allocate(Bytes(result.len() as u64))?;
    device.write32(regs::IRQ_ENABLE, irq_enable::DONE)?;

    let layouts = measure(|| {
        std::hint::black_box(pack()?);
        layout::unpack_res(geometry, &result, ROWS, HIDDEN)?;
        Ok(())
    })?;
    let copy_in = measure(|| {
        let mut offset = 0;
        for image in &images {
            device.write(input.id, Bytes(offset), image)?;
            offset += image.len() as u64;
        }
        Ok(device.sync_to_device(input.id, Bytes(0), input.size)?)
    })?;
    let copy_out = measure(|| {
        device.sync_to_cpu(output.id, Bytes(0), output.size)?;
        Ok(device.read(output.id, Bytes(0), &mut result)?)
    })?;
    let control = measure(|| {
        for (register, value) in [
            (regs::PROGRAM_ADDRESS_LOW, input.address.low()),
            (regs::PROGRAM_ADDRESS_HIGH, input.address.high()),
            (regs::PROGRAM_LENGTH, 1),
            (regs::DOORBELL, act::END),
        ] {
            device.write32(register, value)?;
        }
        device.wait_interrupt(Instant::now() + Duration::from_secs(10))?;
        for register in [regs::STATUS, regs::CYCLES_LOW, regs::CYCLES_HIGH] {
            device.read32(register)?;
        }
        Ok(device.write32(regs::IRQ_STATUS, 0)?)
    })?;
    let found = device.statistics();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "CPU time of one inference of {ROWS} tokens, hidden {HIDDEN}, mean of {RUNS}:"
    )?;
    for (name, time) in [
        ("registers, doorbell, interrupt", control),
        ("copy and sync of the input", copy_in),
        ("sync and copy of the output", copy_out),
        ("driver", control + copy_in + copy_out),
        ("layout of input and output (session)", layouts),
    ] {
        writeln!(out, "  {name:38} {:7.1} us", time.as_secs_f64() * 1e6)?;
    }
    writeln!(
        out,
        "{bytes} bytes in, {} out; {} submissions, {} interrupts",
        result.len(),
        found.submissions,
        found.interrupts.taken
    )?;
    Ok(())
}

/// Mean CPU time of this thread for one call.
fn measure(mut call: impl FnMut() -> Outcome) -> Result<Duration, Box<dyn std::error::Error>> {
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    for _ in 0..RUNS / 10 {
        call()?;
    }
    let began = now()?;
    for _ in 0..RUNS {
        call()?;
    }
    Ok((now()? - began) / RUNS)
}
