//! Every kernel against the scalar one on whatever fields the contract allows, on memories full of
//! random bytes.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Layernorm, Matmul, MemoryId, Operation, Softmax};
use fqbert_contract::verify::check_operation;
use proptest::prelude::*;

use super::*;
use crate::memories::Memories;

fn random_memories(g: &Geometry, seed: u64) -> Memories {
    let mut memories = Memories::new(g);
    let mut state = seed;
    for &memory in MemoryId::ALL {
        scribble(&mut memories, memory, &mut state);
    }
    // Columns below 256: ranges that begin and end inside of a row.
    for bound in memories
        .words_from_mut(MemoryId::Rng, 0)
        .chunks_exact_mut(2)
    {
        bound[1] = 0;
    }
    memories
}

fn scribble(memories: &mut Memories, memory: MemoryId, state: &mut u64) {
    for byte in memories.words_from_mut(memory, 0) {
        // Knuth's MMIX generator; its high bits are good enough to fill a memory.
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *byte = (*state >> 56) as u8;
    }
}

fn contents(memories: &Memories) -> Vec<&[u8]> {
    MemoryId::ALL
        .iter()
        .map(|m| memories.words_from(*m, 0))
        .collect()
}

/// What computes: a kernel of this CPU, or a kernel's functions on a model of its instructions.
#[derive(Clone, Copy)]
enum Under {
    Kernel(Kernel),
    #[cfg(target_arch = "x86_64")]
    Model(usize, Kernel),
}

/// All but the scalar reference.
fn under_test() -> Vec<Under> {
    let kernels = Kernel::supported().filter(|k| *k != Kernel::Scalar);
    let all: Vec<Under> = kernels.map(Under::Kernel).collect();
    #[cfg(target_arch = "x86_64")]
    let all = {
        let models = 0..vector::vnni::tests::MODELS.len();
        let models = models.filter(|_| Kernel::Avx2.is_supported());
        let models = models.map(|at| Under::Model(at, Kernel::Avx2));
        all.into_iter().chain(models).collect()
    };
    all
}

impl Under {
    fn execute(self, g: &Geometry, o: &Operation, memories: &mut Memories, w: &mut Workspace) {
        let kernel = match self {
            Self::Kernel(kernel) => kernel,
            #[cfg(target_arch = "x86_64")]
            Self::Model(_, kernel) => kernel,
        };
        match (o, self) {
            #[cfg(target_arch = "x86_64")]
            (Operation::Matmul(m), Self::Model(at, _)) => {
                let set = &vector::vnni::tests::MODELS[at];
                operands::read_params(memories, m, &mut w.params);
                if !matmul::by_instruction_set(set, g, m, memories, w) {
                    matmul::in_plain_code(g, m, memories, w, kernel);
                }
            }
            (Operation::Matmul(m), Self::Kernel(_)) => matmul(g, m, memories, w, kernel),
            (Operation::Softmax(s), _) => softmax(g, s, memories, kernel),
            (Operation::Layernorm(l), _) => layer_norm(g, l, memories, w, kernel),
            _ => {}
        }
    }

    fn name(self) -> String {
        match self {
            Self::Kernel(kernel) => kernel.to_string(),
            #[cfg(target_arch = "x86_64")]
            Self::Model(at, _) => format!("model {at} of vpdpbusd"),
        }
    }
}

/// A step of a sequence.
#[derive(Clone, Debug)]
enum Step {
    Execute(Operation),
    /// A memory gets new contents, as by a LOAD.
    Replace(MemoryId),
}

/// Executes on every kernel and compares all memories after each step; false where nothing is
/// legal.
fn agree(g: &Geometry, steps: &[Step], seed: u64) -> bool {
    let legal: Vec<&Step> = steps
        .iter()
        .filter(|step| match step {
            Step::Execute(o) => check_operation(g, o).is_ok(),
            Step::Replace(_) => true,
        })
        .collect();
    if !legal.iter().any(|step| matches!(step, Step::Execute(_))) {
        return false;
    }
    let (mut state, mut scalar) = (seed, random_memories(g, seed));
    let mut workspace = Workspace::default();
    let mut others: Vec<_> = under_test()
        .into_iter()
        .map(|under| (under, scalar.clone(), Workspace::default()))
        .collect();
    for step in legal {
        let operation = match step {
            Step::Execute(operation) => operation,
            Step::Replace(memory) => {
                let before = state;
                scribble(&mut scalar, *memory, &mut state);
                for (_, memories, _) in &mut others {
                    scribble(memories, *memory, &mut before.clone());
                }
                continue;
            }
        };
        Under::Kernel(Kernel::Scalar).execute(g, operation, &mut scalar, &mut workspace);
        for (under, memories, workspace) in &mut others {
            under.execute(g, operation, memories, workspace);
            for ((memory, a), b) in MemoryId::ALL
                .iter()
                .zip(contents(&scalar))
                .zip(contents(memories))
            {
                assert!(
                    a == b,
                    "{}: {} differs after {operation:?}",
                    under.name(),
                    memory.name()
                );
            }
        }
    }
    true
}

/// Of one instruction.
fn agree_on(g: &Geometry, operation: Operation, seed: u64) -> bool {
    agree(g, &[Step::Execute(operation)], seed)
}

prop_compose! {
    /// Mostly legal: the fields that must agree with each other are derived.
    fn matmuls(g: &'static Geometry)(
        flags in (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        (dest, b_slot, table) in (0u8..5, 0u8..4, 0u8..2),
        shape in (1u16..20, 1u8..5, 1u8..4, 0u16..40),
        places in (0u16..300, 0u16..40, 0u16..100, 0u16..40, 0u16..300, 0u16..200, 0u16..50),
        (channel, head, row_tile0) in (0u16..20, 1u8..20, 0u8..4),
    ) -> Matmul {
        let (mode8, a_probs, b_opd, gelu, uniform) = flags;
        let (k_chunks, row_tiles, col_tiles, unused) = shape;
        let (a_base, a_stride, b_base, b_stride, dst_base, dst_stride, par_base) = places;
        let tile = (g.pairs * if mode8 { 1 } else { 2 }) as u16;
        let (b_opd, gelu) = (b_opd && mode8, gelu && dest == 0);
        let (keys, values) = (dest == Matmul::DEST_KEYS, dest == Matmul::DEST_VALUES);
        let head_dim = if values { 2 * head } else { 0 };
        let slot = 2 * (channel / 2 % (g.pairs as u16 / 2));
        let first = (2 * channel % (2 * u16::from(head))) | (slot << 8);
        Matmul {
            mode8,
            a_probs: a_probs && mode8,
            b_opd,
            b_slot: if b_opd { 0 } else { b_slot },
            gelu,
            table: if gelu { table } else { 0 },
            uniform,
            dest,
            a_base,
            a_stride,
            b_base,
            b_stride,
            k_chunks,
            row_tiles,
            col_tiles,
            channels: tile * u16::from(col_tiles) - 2 * (unused % (tile / 2)),
            dst_channel: if values { first } else { 2 * channel },
            dst_base,
            dst_stride,
            par_base,
            head_dim,
            row_tile0: if keys || values { row_tile0 } else { 0 },
        }
    }
}

fn small() -> &'static Geometry {
    Geometry::by_name("tiny").expect("a preset")
}

fn large() -> &'static Geometry {
    Geometry::by_name("zcu102").expect("a preset")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn matmul_on_tiny(m in matmuls(small()), seed: u64) {
        prop_assume!(agree_on(small(), Operation::Matmul(m), seed));
    }

    #[test]
    fn matmul_on_zcu102(m in matmuls(large()), seed: u64) {
        prop_assume!(agree_on(large(), Operation::Matmul(m), seed));
    }

    #[test]
    fn softmax_of_any_fields(
        (src_base, src_stride, dst_base, dst_stride) in (0u16..500, 0u16..80, 0u16..300, 0u16..20),
        (eights, row_tiles, row0, table) in (1u16..20, 1u8..5, 0u16..20, 0u8..2),
        seed: u64,
    ) {
        let g = large();
        let s = Softmax {
            table, src_base, src_stride, dst_base, dst_stride,
            columns: 8 * eights,
            row_tiles,
            row0: row0 * g.rows as u16,
        };
        prop_assume!(agree_on(g, Operation::Softmax(s), seed));
    }

    #[test]
    fn layer_norm_of_any_fields(
        (x_base, b_base, y16_base, y8_base) in (0u16..500, 0u16..300, 0u16..500, 0u16..300),
        (stride, y8_stride, eights, row_tiles) in (0u16..80, 0u16..20, 1u16..20, 1u8..4),
        (par_base, in_place) in (0u16..200, any::<bool>()),
        seed: u64,
    ) {
        let l = Layernorm {
            x_base, b_base, y8_base, stride, y8_stride,
            y16_base: if in_place { x_base } else { y16_base },
            channels: 8 * eights,
            row_tiles,
            par_base,
        };
        prop_assume!(agree_on(large(), Operation::Layernorm(l), seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// What kernels keep from instruction to instruction holds only as long as it may.
    #[test]
    fn matmuls_one_after_the_other(
        (a, b) in (matmuls(large()), matmuls(large())),
        (rows, channels, replaced) in (0u16..3, 0u16..3, 0usize..4),
        seed: u64,
    ) {
        let elsewhere = Matmul {
            a_base: a.a_base + 2 * rows,
            dst_channel: a.dst_channel + 2 * channels,
            ..a
        };
        let memory = [MemoryId::Act, MemoryId::Opd, MemoryId::Wgt0, MemoryId::Par][replaced];
        let steps = [a, elsewhere, a, b, a].map(|m| Step::Execute(Operation::Matmul(m)));
        let mut steps = steps.to_vec();
        steps.insert(3, Step::Replace(memory));
        prop_assume!(agree(large(), &steps, seed));
    }
}

/// The corners of the 16-bit sums and of the packed multiplier: all weights and activations at one
/// extreme, K at its bound.
#[test]
fn extreme_codes_at_the_longest_sum() {
    let g = large();
    for weight in [0x77u8, 0x88, 0x78, 0x87, 0x80, 0x08, 0x8f, 0x7f, 0xff] {
        for activation in [0x7fu8, 0x80, 0xff] {
            for mode8 in [false, true] {
                let m = Matmul {
                    mode8,
                    k_chunks: 512,
                    a_stride: 512,
                    b_stride: 512,
                    row_tiles: 1,
                    col_tiles: 1,
                    channels: if mode8 { 18 } else { 36 },
                    dest: Matmul::DEST_RESB,
                    dst_stride: 18,
                    ..Matmul::default()
                };
                let run = |kernel| {
                    let (mut memories, mut workspace) = (Memories::new(g), Workspace::default());
                    memories.words_from_mut(MemoryId::Act, 0).fill(activation);
                    memories.words_from_mut(MemoryId::Wgt0, 0).fill(weight);
                    // Bias 0, multiplier 2^14, shift 25: sums below 2^26 fit 16 bits.
                    let record = [0, 0, 0, 0, 0, 0x40, 25, 0];
                    for r in memories
                        .words_from_mut(MemoryId::Par, 0)
                        .chunks_exact_mut(8)
                    {
                        r.copy_from_slice(&record);
                    }
                    matmul(g, &m, &mut memories, &mut workspace, kernel);
                    memories.words_from(MemoryId::Resb, 0)[..4 * 16].to_vec()
                };
                let scalar = run(Kernel::Scalar);
                for kernel in Kernel::supported() {
                    let case = format!("{kernel} {weight:#x} {activation:#x} {mode8}");
                    assert_eq!(run(kernel), scalar, "{case}");
                }
            }
        }
    }
}

#[test]
fn names_read_back_and_errors_say_what_exists() {
    for kernel in Kernel::supported() {
        assert_eq!(kernel.name().parse(), Ok(kernel));
    }
    let e = "fast".parse::<Kernel>().unwrap_err().to_string();
    assert!(
        e.contains("\"fast\"") && e.contains("scalar, portable, avx2, avx-vnni, avx512-vnni, neon"),
        "{e}"
    );
    assert!(Kernel::detect().is_supported());
}

#[test]
fn a_kernel_of_another_cpu_is_refused_with_what_there_is() {
    for kernel in Kernel::ALL.into_iter().filter(|k| !k.is_supported()) {
        let e = kernel.name().parse::<Kernel>().unwrap_err().to_string();
        assert!(
            e.contains(&format!("cannot run the kernel {kernel}"))
                && e.contains("it can run scalar, portable"),
            "{e}"
        );
    }
}

/// What was compared with the scalar reference, aloud. `FQBERT_EXPECT_KERNELS` names kernels that
/// must be among them, where one knows the CPU: QEMU's has all of aarch64's.
#[test]
fn kernels_under_test() {
    let compared: Vec<String> = under_test().into_iter().map(Under::name).collect();
    println!(
        "compared with the scalar reference: {}",
        compared.join(", ")
    );
    for kernel in Kernel::ALL.into_iter().filter(|k| !k.is_supported()) {
        println!("SKIPPED: this CPU cannot run the kernel {kernel}");
    }
    let expected = std::env::var("FQBERT_EXPECT_KERNELS").unwrap_or_default();
    for name in expected.split(',').filter(|name| !name.is_empty()) {
        assert!(
            compared.iter().any(|c| c == name),
            "{name} was not compared"
        );
    }
}

#[test]
fn odd_shapes_fall_back() {
    let mut g = Geometry::presets()[0].clone();
    g.lanes = 4;
    assert_eq!(Kernel::detect().usable_for(&g), Kernel::Portable);
    assert_eq!(Kernel::Scalar.usable_for(&g), Kernel::Scalar);
}
