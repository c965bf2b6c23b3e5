//! The device against a memory of the test's own: what a board model relies on, and bus errors no
//! other test can make.

use fqbert_contract::isa::{
    End, Engine, FaultCause, Header, Instruction, Load, MemoryId, Nop, Operation, Store,
};
use fqbert_contract::registers::{self as regs, control, irq_status, status};
use fqbert_contract::timing::Policy;
use fqbert_contract::{Geometry, RegisterOffset};
use fqbert_emulator::{Accelerator, AxiFault, Ddr, Kernel, RunState};
use proptest::prelude::*;

/// 1 MiB at address 0 with a page that fails.
struct Memory(Vec<u8>);

const BROKEN: std::ops::Range<u64> = 0x8000..0x9000;

impl Memory {
    fn range(&self, address: u64, length: usize) -> Result<std::ops::Range<usize>, AxiFault> {
        if BROKEN.contains(&address) {
            return Err(AxiFault::Slverr);
        }
        let end = address.checked_add(length as u64).ok_or(AxiFault::Decerr)?;
        if end > self.0.len() as u64 {
            return Err(AxiFault::Decerr);
        }
        Ok(address as usize..end as usize)
    }
}

impl Ddr for Memory {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), AxiFault> {
        out.copy_from_slice(&self.0[self.range(address, out.len())?]);
        Ok(())
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), AxiFault> {
        let range = self.range(address, data.len())?;
        self.0[range].copy_from_slice(data);
        Ok(())
    }
}

fn tiny() -> &'static Geometry {
    Geometry::by_name("tiny").expect("a preset")
}

/// A device with the program at address 0 and everything in its window, and the memory.
fn with_program(instructions: &[Operation]) -> (Accelerator, Memory) {
    let mut memory = Memory(vec![0; 1 << 20]);
    let end = Operation::End(End {});
    let program = instructions.iter().chain([&end]);
    for (at, operation) in program.enumerate() {
        let instruction = Instruction {
            header: Header::default(),
            operation: *operation,
        };
        let bytes = instruction.to_bytes().expect("fields fit");
        memory.0[32 * at..32 * (at + 1)].copy_from_slice(&bytes);
    }
    let mut accelerator = Accelerator::new(tiny());
    accelerator.write32(regs::WINDOW_LIMIT_HIGH.0, 1);
    accelerator.write32(regs::PROGRAM_LENGTH.0, instructions.len() as u32 + 1);
    accelerator.write32(regs::IRQ_ENABLE.0, 3);
    (accelerator, memory)
}

fn nop() -> Operation {
    Operation::Nop(Nop {
        engine: Engine::Vector.code(),
        port: 0,
    })
}

fn load(address: u64) -> Operation {
    let memory = MemoryId::Act.code();
    Operation::Load(Load {
        memory,
        port: 0,
        address,
        word_offset: 0,
        beats: 2,
    })
}

fn store(address: u64) -> Operation {
    let memory = MemoryId::Act.code();
    Operation::Store(Store {
        memory,
        address,
        word_offset: 0,
        beats: 2,
    })
}

#[test]
fn bus_errors_become_faults() {
    for (operation, cause) in [
        (load(0x8000), FaultCause::AxiSlverr),
        (store(0x8100), FaultCause::AxiSlverr),
        (load(1 << 20), FaultCause::AxiDecerr),
        (store((1 << 20) - 16), FaultCause::AxiDecerr),
    ] {
        let (mut accelerator, mut memory) = with_program(&[nop(), operation]);
        let before = memory.0.clone();
        accelerator.write32(regs::DOORBELL.0, 1);
        assert_eq!(
            accelerator.run_pending(&mut memory, &mut || false),
            RunState::Idle
        );
        assert_eq!(
            accelerator.read32(regs::STATUS.0),
            status::IDLE | status::FAULT
        );
        assert_eq!(
            accelerator.read32(regs::FAULT_CAUSE.0),
            u32::from(cause.code())
        );
        assert_eq!(accelerator.read32(regs::FAULT_INDEX.0), 1);
        let (Operation::Load(Load { address, .. }) | Operation::Store(Store { address, .. })) =
            operation
        else {
            unreachable!()
        };
        assert_eq!(
            u64::from(accelerator.read32(regs::FAULT_ADDRESS_LOW.0)),
            address
        );
        assert_eq!(accelerator.read32(regs::IRQ_STATUS.0), irq_status::FAULT);
        assert!(memory.0 == before);
    }
    // FETCH too.
    let (mut accelerator, mut memory) = with_program(&[]);
    accelerator.write32(regs::PROGRAM_ADDRESS_LOW.0, 0x8000);
    accelerator.write32(regs::DOORBELL.0, 1);
    accelerator.run_pending(&mut memory, &mut || false);
    let found = (
        accelerator.read32(regs::FAULT_CAUSE.0),
        accelerator.read32(regs::FAULT_ADDRESS_LOW.0),
    );
    assert_eq!(found, (u32::from(FaultCause::AxiSlverr.code()), 0x8000));
}

#[test]
fn a_doorbell_only_accepts_and_a_run_can_be_split() {
    let (mut accelerator, mut memory) = with_program(&[nop(), nop(), nop()]);
    accelerator.write32(regs::DOORBELL.0, 1);
    assert_eq!(accelerator.read32(regs::STATUS.0), status::BUSY);
    assert!(!accelerator.irq_level() && accelerator.is_busy());
    for retired in 0..4 {
        let mut asked = 0;
        let state = accelerator.run_pending(&mut memory, &mut || {
            asked += 1;
            asked > 1
        });
        assert_eq!(
            state,
            if retired == 3 {
                RunState::Idle
            } else {
                RunState::Paused
            }
        );
    }
    assert_eq!(
        accelerator.read32(regs::STATUS.0),
        status::IDLE | status::DONE
    );
    assert_eq!(accelerator.read32(regs::retired(regs::unit::VECTOR).0), 3);
    assert!(accelerator.irq_level());
    assert_eq!(accelerator.interrupts(), 1);
    accelerator.write32(regs::IRQ_STATUS.0, irq_status::DONE);
    assert!(!accelerator.irq_level());
    assert_eq!(
        accelerator.run_pending(&mut memory, &mut || false),
        RunState::Idle
    );
}

#[test]
fn a_reset_drops_a_paused_run() {
    let (mut accelerator, mut memory) = with_program(&[nop(), nop()]);
    accelerator.write32(regs::DOORBELL.0, 1);
    assert_eq!(
        accelerator.run_pending(&mut memory, &mut || true),
        RunState::Paused
    );
    accelerator.write32(regs::CONTROL.0, control::RESET);
    assert_eq!(accelerator.read32(regs::STATUS.0), status::IDLE);
    assert_eq!(
        accelerator.run_pending(&mut memory, &mut || false),
        RunState::Idle
    );
    assert_eq!(accelerator.read32(regs::RUNS_COMPLETED.0), 0);
    assert_eq!(accelerator.interrupts(), 0);
}

#[test]
fn a_changed_program_is_not_taken_from_the_cache() {
    let (mut accelerator, mut memory) = with_program(&[nop(), nop()]);
    let run = |accelerator: &mut Accelerator, memory: &mut Memory| {
        accelerator.write32(regs::DOORBELL.0, 1);
        accelerator.run_pending(memory, &mut || false);
        accelerator.read32(regs::retired(regs::unit::VECTOR).0)
    };
    assert_eq!(run(&mut accelerator, &mut memory), 2);
    assert_eq!(run(&mut accelerator, &mut memory), 2);
    // The second NOP becomes the END, which may only be the last instruction.
    let end: Vec<u8> = memory.0[64..96].to_vec();
    memory.0[32..64].copy_from_slice(&end);
    run(&mut accelerator, &mut memory);
    assert_eq!(accelerator.read32(regs::FAULT_INDEX.0), 1);
}

/// Each of 103 LOADs raises a semaphore three times, and 103 NOPs of STORE take that. LOADs raise
/// 60 cycles after they start, which gives the NOPs time; in an order of whole instructions they
/// have none, since FETCH comes to them when 87 LOADs have started.
#[test]
fn an_order_that_overflows_a_semaphore_faults_and_is_not_done() {
    let taker = Nop {
        engine: Engine::Store.code(),
        port: 0,
    };
    let operations: Vec<Operation> = [load(0x4000), Operation::Nop(taker)]
        .into_iter()
        .flat_map(|operation| [operation; 103])
        .collect();
    let (_, mut memory) = with_program(&operations);
    // Of the second word of an instruction, three waits from bit 0 and three signals from bit 15.
    for (at, word) in (0..206).map(|i| (i, 1u32 | 1 << 5 | 1 << 10)) {
        let word = if at < 103 { word << 15 } else { word };
        memory.0[32 * at + 4..32 * at + 8].copy_from_slice(&word.to_le_bytes());
    }
    let mut run = |policy| {
        let mut accelerator = Accelerator::with(tiny(), Kernel::detect(), policy);
        accelerator.write32(regs::WINDOW_LIMIT_HIGH.0, 1);
        accelerator.write32(regs::PROGRAM_LENGTH.0, 207);
        accelerator.write32(regs::DOORBELL.0, 1);
        let state = accelerator.run_pending(&mut memory, &mut || false);
        assert_eq!(state, RunState::Idle);
        let read = |register: RegisterOffset| accelerator.read32(register.0);
        (
            read(regs::STATUS),
            read(regs::FAULT_CAUSE),
            read(regs::FAULT_INDEX),
            read(regs::retired(regs::unit::LOAD0)),
            read(regs::retired(regs::unit::STORE)),
        )
    };
    let done = (status::IDLE | status::DONE, 0, 0, 103, 104);
    assert_eq!(run(Policy::Earliest), done);
    let semaphore = u32::from(FaultCause::Semaphore.code());
    for seed in 0..20 {
        let fault = (status::IDLE | status::FAULT, semaphore, 85, 86, 0);
        assert_eq!(run(Policy::Seeded(seed)), fault, "seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever software writes to registers and memory, the device neither panics nor touches
    /// memory outside the window.
    #[test]
    fn anything_goes(
        writes in proptest::collection::vec((0u32..0x120, any::<u32>()), 0..30),
        words in proptest::collection::vec((0usize..7, any::<[u32; 7]>(), any::<u32>()), 1..12),
        window in (0u32..0x20000, 0u32..0x20000),
    ) {
        let mut memory = Memory((0..1 << 20).map(|i| (i * 7) as u8).collect());
        for (at, (opcode, rest, flags)) in words.iter().enumerate() {
            let opcode = [0x01u32, 0x10, 0x20, 0x2f, 0x30, 0x40, 0x41][*opcode];
            // Small fields are legal more often.
            let words = std::iter::once(opcode | (flags & 0x3) << 8)
                .chain(rest.iter().enumerate().map(|(i, w)| {
                    if i == 0 { w & 0x21 } else { w & 0x00ff_0ff0 }
                }));
            for (word, bytes) in words.zip(memory.0[32 * at..].chunks_exact_mut(4)) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
        let before = memory.0.clone();
        let mut accelerator = Accelerator::new(tiny());
        for (offset, value) in writes {
            accelerator.write32(offset, value);
            accelerator.read32(offset);
        }
        accelerator.write32(regs::CONTROL.0, control::RESET);
        let (base, limit) = window;
        accelerator.write32(regs::WINDOW_BASE_LOW.0, base);
        accelerator.write32(regs::WINDOW_LIMIT_LOW.0, limit);
        accelerator.write32(regs::PROGRAM_LENGTH.0, words.len() as u32);
        accelerator.write32(regs::DOORBELL.0, 1);
        let state = accelerator.run_pending(&mut memory, &mut || false);
        prop_assert!(state != RunState::Paused);
        for (at, (a, b)) in memory.0.iter().zip(&before).enumerate() {
            let inside = (base..limit).contains(&(at as u32));
            prop_assert!(inside || a == b, "byte {:#x} outside {:#x}..{:#x}", at, base, limit);
        }
    }
}
