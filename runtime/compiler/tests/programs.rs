//! Compiled programs pass the verifier and compute what the plain interpretation of the model
//! computes.

mod common;

use fqbert_compiler::{
    CompileError, CompileOptions, buckets, compile, most_blocks, pack_constants, program_sha256,
};
use fqbert_contract::Geometry;
use fqbert_contract::timing::Policy;
use fqbert_contract::verify::verify;
use fqbert_model::testing::{Shape, random_input, random_model};
use proptest::prelude::*;

/// Compiles, verifies, runs in two orders and compares with the reference.
fn check(shape: Shape, g: &Geometry, sequence: u32, overlap: bool, seed: u64) {
    check_blocks(shape, g, sequence, sequence, overlap, seed);
}

/// As [`check`], with attention in blocks.
fn check_blocks(shape: Shape, g: &Geometry, sequence: u32, block: u32, overlap: bool, seed: u64) {
    let model = random_model(shape, seed);
    let options = CompileOptions {
        overlap,
        block: Some(block),
    };
    let program = compile(&model, g, sequence, &options)
        .unwrap_or_else(|e| panic!("{shape:?} {} {sequence}: {e}", g.name));
    verify(&program, g).unwrap_or_else(|v| panic!("{shape:?} {} {sequence}: {}", g.name, v[0]));
    let constants = pack_constants(&model, g).unwrap();
    let tokens = sequence as usize;
    let mut input = random_input(shape.hidden, tokens, tokens, seed);
    // Three sequences packed into each block, then padding.
    let block = block as usize;
    let thirds = [block / 3, block / 2, block - block / 4];
    let mut whole = input.clone();
    for at in 0..tokens {
        let (first, t) = (at / block * block, at % block);
        let hi = thirds.iter().copied().find(|end| t < *end).unwrap_or(0);
        let lo = thirds
            .iter()
            .copied()
            .filter(|end| *end <= t && hi > 0)
            .max()
            .unwrap_or(0);
        input.ranges[at] = (lo as u16, hi as u16);
        let first = if hi > 0 { first } else { 0 };
        whole.ranges[at] = ((first + lo) as u16, (first + hi) as u16);
    }
    let expected = model.reference(&whole).unwrap();
    for policy in [Policy::Earliest, Policy::Seeded(seed)] {
        let found = common::run(&program, &constants, &input, policy);
        assert!(
            found == expected,
            "{shape:?} {} {sequence} overlap {overlap}",
            g.name
        );
    }
}

fn preset(name: &str) -> &'static Geometry {
    Geometry::by_name(name).unwrap()
}

#[test]
fn every_preset_computes_the_reference() {
    let shape = Shape {
        layers: 3,
        hidden: 64,
        heads: 4,
        intermediate: 152,
        ..Shape::SMALL
    };
    for g in Geometry::presets() {
        for overlap in [false, true] {
            check(shape, g, 64, overlap, 11);
        }
    }
}

#[test]
fn wide_weights_and_heads_compute_the_reference() {
    for (heads, wide) in [(1, u64::MAX), (2, 0b010_101), (8, 0b101_010)] {
        let shape = Shape {
            layers: 2,
            hidden: 128,
            heads,
            intermediate: 64,
            wide,
            ..Shape::SMALL
        };
        for name in ["tiny", "paper", "zcu102"] {
            check(shape, preset(name), 32, true, 5);
        }
    }
}

#[test]
fn attention_in_blocks_computes_the_reference() {
    let shape = Shape {
        layers: 2,
        hidden: 64,
        heads: 4,
        intermediate: 152,
        ..Shape::SMALL
    };
    for g in Geometry::presets() {
        let unit = g.rows.max(g.lanes);
        for block in [16u32, 32, 48]
            .into_iter()
            .filter(|b| b.is_multiple_of(unit))
        {
            check_blocks(shape, g, 96, block, true, 7);
        }
    }
    check_blocks(shape, preset("zcu102"), 96, 48, false, 7);
}

#[test]
fn blocks_are_counted_and_uneven_ones_refused() {
    let model = random_model(Shape::SMALL, 1);
    let g = preset("zcu102");
    let most = most_blocks(g, &model, 64, 512);
    assert!(most >= 2, "{most}");
    assert_eq!(most_blocks(g, &model, 1024, 512), 0);
    let options = CompileOptions {
        block: Some(64),
        ..CompileOptions::default()
    };
    compile(&model, g, most * 64, &options).unwrap();
    let error = compile(&model, g, 96, &options)
        .expect_err("uneven")
        .to_string();
    assert!(error.contains("64"), "{error}");
}

/// A geometry whose memories hold only some of the rows at every point where rows can be cut into
/// blocks.
fn cramped() -> Geometry {
    Geometry {
        name: "cramped",
        act_words: 2 * 6 * 8 + 3 * 24,
        resb_words: 4 * 32,
        scr_words: 5 * 2 * 12,
        prb_words: 2 * 2 * 3 + 3,
        wgt_words: 24,
        lnp_words: 2 * 34,
        ..preset("tiny").clone()
    }
}

#[test]
fn rows_in_blocks_compute_the_reference() {
    let shape = Shape {
        layers: 3,
        hidden: 64,
        heads: 2,
        intermediate: 192,
        ..Shape::SMALL
    };
    for (resb, act) in [
        (4, 96 + 72),
        (6, 96 + 72),
        (2, 96 + 72),
        (6, 96 + 200),
        (1, 48 + 50),
    ] {
        let g = Geometry {
            resb_words: resb * 32,
            act_words: act.max(96),
            ..cramped()
        };
        for overlap in [false, true] {
            check(shape, &g, 24, overlap, 3);
            check_blocks(shape, &g, 24, 8, overlap, 3);
        }
    }
}

#[test]
fn what_does_not_fit_is_named_with_numbers_and_remedy() {
    let model = random_model(
        Shape {
            hidden: 64,
            intermediate: 192,
            ..Shape::SMALL
        },
        1,
    );
    let refuse = |g: &Geometry, sequence| {
        compile(&model, g, sequence, &CompileOptions::default())
            .expect_err("fits")
            .to_string()
    };
    let g = Geometry {
        act_words: 95,
        ..cramped()
    };
    assert_eq!(
        refuse(&g, 24),
        "ACT of geometry cramped has 95 words, 24 tokens by 2 x 64 channels needs 96; \
         use a shorter sequence or a larger geometry"
    );
    let text = refuse(
        &Geometry {
            wgt_words: 23,
            ..cramped()
        },
        24,
    );
    assert!(
        text.contains("WGT0") && text.contains("192 terms (ffn_out) needs 24"),
        "{text}"
    );
    type Change = fn(&mut Geometry);
    let cases: [(Change, &str); 7] = [
        (|g| g.resx_words = 191, "RESX"),
        (|g| g.resb_words = 31, "RESB"),
        (|g| g.opd_words = 90, "OPD"),
        (|g| g.scr_words = 23, "SCR"),
        (|g| g.prb_words = 5, "PRB"),
        (|g| g.par_words = 129, "PAR"),
        (|g| g.lnp_words = 67, "LNP"),
    ];
    for (change, memory) in cases {
        let mut g = cramped();
        change(&mut g);
        assert!(refuse(&g, 24).starts_with(&format!("{memory} of geometry cramped")));
    }
    assert!(refuse(&cramped(), 20).contains("must be a multiple of 8"));
    assert!(refuse(&cramped(), 0).contains("must be a multiple of 8"));
    assert!(refuse(&cramped(), 520).contains("8..=512"));
    assert!(refuse(preset("zcu111"), 48).contains("multiple of 32"));
    let narrow = Geometry {
        max_hidden: 32,
        ..cramped()
    };
    assert!(refuse(&narrow, 24).contains("hidden size is 64; geometry cramped takes at most 32"));
    assert!(matches!(
        compile(&model, &narrow, 24, &CompileOptions::default()),
        Err(CompileError::Model { .. })
    ));
    // Row and column tiles are counted in 8 bits.
    let endless = Geometry {
        max_seq: 4096,
        ..cramped()
    };
    assert!(refuse(&endless, 4096).contains("8..=1016"));
}

#[test]
fn buckets_end_where_the_geometry_or_the_positions_do() {
    let base = Shape {
        layers: 1,
        ..Shape::BERT_BASE
    };
    let model = random_model(base, 1);
    assert_eq!(
        buckets(preset("zcu102"), &model),
        [16, 32, 48, 64, 96, 128, 192, 256, 320, 384],
        "BERT-base fits zcu102 up to 384"
    );
    assert_eq!(
        buckets(preset("paper"), &model),
        [8, 16, 24, 32, 48, 64, 96, 128]
    );
    let short = random_model(
        Shape {
            max_positions: 40,
            ..Shape::SMALL
        },
        1,
    );
    assert_eq!(buckets(preset("zcu111"), &short), [32, 64]);
    assert_eq!(buckets(preset("tiny"), &short), [8, 16, 24, 32, 40]);
    let wide = random_model(
        Shape {
            hidden: 1032,
            heads: 3,
            ..Shape::SMALL
        },
        1,
    );
    assert_eq!(buckets(preset("zcu102"), &wide), [0u32; 0]);
    assert_eq!(fqbert_compiler::choose_bucket(&[32, 64, 128], 33), Some(64));
    assert_eq!(fqbert_compiler::choose_bucket(&[32, 64], 65), None);
}

fn shapes() -> impl Strategy<Value = Shape> {
    (
        1usize..=3,
        1usize..=3,
        1usize..=3,
        1usize..=20,
        any::<u64>(),
    )
        .prop_map(|(layers, heads, eights, mid, wide)| Shape {
            layers,
            hidden: heads * eights * 8,
            heads,
            intermediate: mid * 8,
            wide,
            ..Shape::SMALL
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_computes_the_reference(
        shape in shapes(),
        preset in 0usize..4,
        units in 1u32..4,
        overlap: bool,
        seed: u64,
    ) {
        let g = Geometry::presets()[preset];
        check(shape, g, units * g.rows.max(8), overlap, seed);
    }

    /// Memories of any size: a program that passes the verifier and is right, or a refusal.
    #[test]
    fn any_memory_size_fits_or_is_refused(
        shape in shapes(),
        depths in prop::array::uniform9(4u32..400),
        seed: u64,
    ) {
        let [act, opd, resx, resb, scr, prb, wgt, par, lnp] = depths;
        let g = Geometry {
            name: "random",
            act_words: 2 * act,
            opd_words: 2 * opd,
            resx_words: 2 * resx,
            resb_words: resb,
            scr_words: scr,
            prb_words: prb,
            wgt_words: wgt,
            par_words: par,
            lnp_words: lnp,
            ..preset("tiny").clone()
        };
        let model = random_model(shape, seed);
        match compile(&model, &g, 24, &CompileOptions::default()) {
            Ok(_) => check(shape, &g, 24, true, seed),
            Err(e) => prop_assert!(e.to_string().contains("random"), "{}", e),
        }
    }
}

#[test]
fn the_digest_tells_programs_apart_and_not_builds_of_one() {
    let g = preset("tiny");
    let digest = |seed, sequence, overlap| {
        let options = CompileOptions {
            overlap,
            block: None,
        };
        let model = random_model(Shape::SMALL, seed);
        program_sha256(&compile(&model, g, sequence, &options).unwrap()).unwrap()
    };
    let one = digest(1, 16, true);
    assert_eq!(one, digest(1, 16, true));
    assert_eq!(one.len(), 64);
    // A program is of the model's shape: the weights have a digest of their own.
    assert_eq!(one, digest(2, 16, true));
    assert!(one != digest(1, 32, true));
    assert!(one != digest(1, 16, false));
}
