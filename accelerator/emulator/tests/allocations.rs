//! What a warm run allocates: nothing for itself or for an instruction that moves bytes, and for
//! one that computes a few lists, whose number is stated here.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use fqbert_contract::Geometry;
use fqbert_contract::isa::{
    BEAT_BYTES, End, Engine, Header, Instruction, Layernorm, Load, Matmul, MemoryId, Nop,
    Operation, Softmax, Store,
};
use fqbert_contract::registers as regs;
use fqbert_contract::timing::Policy;
use fqbert_emulator::{Accelerator, Ddr, Kernel, RunState};
use fqbert_simulated::Dram;

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

const BYTES: u64 = 1 << 22;
/// Where the memory has what programs load and store.
const DATA: u64 = 1 << 21;

/// Allocations of the third run of `operations`, `times` times over, on a thread of a pool of one:
/// the first two have filled what is kept.
fn allocations(g: &Geometry, kernel: Kernel, operations: &[Operation], times: usize) -> usize {
    let mut memory = Dram::new(0, BYTES);
    let program = (0..times).flat_map(|_| operations.iter().copied());
    let program: Vec<Operation> = program.chain([Operation::End(End {})]).collect();
    for (at, operation) in program.iter().enumerate() {
        let instruction = Instruction {
            header: Header::default(),
            operation: *operation,
        };
        let bytes = instruction.to_bytes().expect("fields fit");
        memory.write(32 * at as u64, &bytes).expect("memory");
    }
    let mut accelerator = Accelerator::with(g, kernel, Policy::Earliest);
    accelerator.write32(regs::WINDOW_LIMIT_HIGH.0, 1);
    accelerator.write32(regs::PROGRAM_LENGTH.0, program.len() as u32);
    let mut run = || {
        accelerator.write32(regs::DOORBELL.0, 1);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let state = accelerator.run_pending(&mut memory, &mut || false);
        let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(state, RunState::Idle);
        let status = accelerator.read32(regs::STATUS.0);
        assert_eq!(status & regs::status::FAULT, 0, "{program:?}");
        count
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("a thread").install(|| {
        run();
        run();
        run()
    })
}

/// Of eight words.
fn load(g: &Geometry, memory: MemoryId) -> Operation {
    Operation::Load(Load {
        memory: memory.code(),
        address: DATA,
        beats: 8 * g.word_bytes(memory) / BEAT_BYTES as u32,
        ..Load::default()
    })
}

/// What the pool's queues allocate as they fill.
const NOW_AND_THEN: usize = 4;

/// What is run, and the most that one of them may allocate: what is not 0 is
/// its kernel's, but where it says so.
fn cases(g: &Geometry) -> Vec<(&'static str, Vec<Operation>, usize)> {
    let store = Store {
        memory: MemoryId::Act.code(),
        address: DATA,
        beats: 8 * g.word_bytes(MemoryId::Act) / BEAT_BYTES as u32,
        ..Store::default()
    };
    let engine = Engine::Vector.code();
    let product = Matmul {
        a_stride: 8,
        b_stride: 8,
        k_chunks: 8,
        row_tiles: 2,
        col_tiles: 1,
        channels: 2 * g.pairs as u16,
        dst_base: 64,
        dst_stride: 24,
        ..Matmul::default()
    };
    let softmax = Softmax {
        src_stride: 64,
        dst_stride: 16,
        columns: 64,
        row_tiles: 2,
        ..Softmax::default()
    };
    let norm = Layernorm {
        channels: 64,
        row_tiles: 2,
        ..Layernorm::default()
    };
    vec![
        ("nop", vec![Operation::Nop(Nop { engine, port: 0 })], 0),
        ("load", vec![load(g, MemoryId::Act)], 0),
        ("load of weights", vec![load(g, MemoryId::Wgt0)], 0),
        ("store", vec![Operation::Store(store)], 0),
        // Of pieces, column tiles, strips and channels; outside of the kernel, of the pages that
        // memory lends.
        (
            "load of weights, matmul",
            vec![load(g, MemoryId::Wgt0), Operation::Matmul(product)],
            6,
        ),
        // A row's scores and exponentials.
        ("softmax", vec![Operation::Softmax(softmax)], 2),
        // Parameters, results, and two row tiles' rows as numbers; where it is held back, outside
        // of the kernel, what it reads and writes.
        ("layer norm", vec![Operation::Layernorm(norm)], 11),
    ]
}

/// One test: others in this process would be counted too.
#[test]
fn a_warm_run_allocates_nothing_but_lists_of_instructions_that_compute() {
    let g = Geometry::by_name("zcu102").expect("a preset");
    for kernel in Kernel::supported() {
        for (name, operations, most) in cases(g) {
            // The scalar functions allocate their results; they are for comparison, not for speed.
            if kernel == Kernel::Scalar && most > 0 {
                continue;
            }
            let (once, more) = (10, 50);
            let few = allocations(g, kernel, &operations, once);
            let many = allocations(g, kernel, &operations, more);
            println!("{kernel}, {name}: {few} for {once}, {many} for {more}");
            assert!(
                many <= few + (more - once) * most + NOW_AND_THEN,
                "{kernel}, {name}: {few} allocations for {once}, {many} for {more}; at most {most} \
                 each were expected"
            );
            assert!(most > 0 || few == 0, "{kernel}, {name}: {few} in a run");
        }
    }
}
