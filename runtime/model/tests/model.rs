//! Packing, compression and the plain interpretation.

use fqbert_contract::geometry::Mode;
use fqbert_model::testing::{Shape, random_input, random_model};
use fqbert_model::{ScaleScheme, WeightCodes};
use fqbert_random::Random;
use proptest::prelude::*;

/// The paper's Table I: 7.94x for BERT-base's encoder (85,054,464 parameters).
#[test]
fn bert_base_is_7_94_times_smaller_as_the_paper_counts() {
    // One layer has the ratio of twelve.
    let mut model = random_model(
        Shape {
            layers: 1,
            ..Shape::BERT_BASE
        },
        1,
    );
    model.quantization.scheme = ScaleScheme::Paper;
    let c = model.weight_compression();
    assert_eq!(12 * c.float_bytes, 4 * 85_054_464);
    assert_eq!(12 * c.weight_bytes, 42_467_328);
    assert_eq!(12 * c.scale_bytes, 216);
    assert_eq!(format!("{:.2}", c.paper_ratio()), "7.94");
    assert!(c.stored_ratio() < c.paper_ratio());
    model.quantization.scheme = ScaleScheme::W4a8;
    assert_eq!(
        format!("{:.2}", model.weight_compression().paper_ratio()),
        "7.90"
    );
}

#[test]
fn eight_bit_matrices_count_eight_bits() {
    let model = random_model(
        Shape {
            wide: 0b11_1111,
            ..Shape::SMALL
        },
        1,
    );
    assert_eq!(
        model.weight_compression().weight_bytes,
        model.config.encoder_weights()
    );
}

#[test]
fn tokens_outside_the_range_change_nothing_inside() {
    let model = random_model(
        Shape {
            layers: 2,
            ..Shape::SMALL
        },
        3,
    );
    let input = random_input(32, 12, 7, 4);
    let mut other = input.clone();
    for x in &mut other.x8[7 * 32..] {
        *x = x.wrapping_neg() / 2;
    }
    let (a, b) = (
        model.reference(&input).unwrap(),
        model.reference(&other).unwrap(),
    );
    assert_eq!(a[..7 * 32], b[..7 * 32]);
    assert_ne!(a, b);
    // And a padded run gives what the sequence alone gives.
    let alone = fqbert_model::reference::EncoderInput {
        x8: input.x8[..7 * 32].to_vec(),
        x16: input.x16[..7 * 32].to_vec(),
        ranges: input.ranges[..7].to_vec(),
    };
    assert_eq!(model.reference(&alone).unwrap(), a[..7 * 32]);
}

#[test]
fn random_models_use_their_ranges() {
    let model = random_model(
        Shape {
            hidden: 64,
            heads: 4,
            ..Shape::SMALL
        },
        5,
    );
    let input = random_input(64, 16, 16, 6);
    model
        .reference_layers(&input, |_, t| {
            let spread = |v: &[i8]| v.iter().filter(|x| x.unsigned_abs() == 127).count();
            for (name, v) in [
                ("q", &t.q),
                ("k", &t.k),
                ("v", &t.v),
                ("scores", &t.scores),
                ("context", &t.context),
                ("attn8", &t.attn8),
                ("mid", &t.mid),
                ("y8", &t.y8),
            ] {
                assert!(spread(v) * 4 < v.len(), "{name} saturates");
                let large = v.iter().filter(|x| x.unsigned_abs() > 8).count();
                assert!(
                    large * 5 > v.len(),
                    "{name} is near zero: {large} of {}",
                    v.len()
                );
            }
            assert!(t.probs.iter().any(|p| *p > 20));
        })
        .unwrap();
}

#[test]
fn a_wrong_input_length_is_refused() {
    let model = random_model(Shape::SMALL, 3);
    let mut input = random_input(32, 4, 4, 1);
    input.x16.pop();
    let error = model.reference(&input).unwrap_err();
    assert_eq!(
        error.to_string(),
        "x16: 127 values for 4 tokens, expected 128"
    );
}

proptest! {
    #[test]
    fn packed_codes_unpack(rows in 1usize..6, k in 1usize..20, wide: bool, seed: u64) {
        let (mode, limit) = if wide { (Mode::W8, 127) } else { (Mode::W4, 7) };
        let mut r = Random::new(seed);
        let mut code = || (r.within(0, 2 * limit as u64) as i64 - limit) as i8;
        let codes: Vec<i8> = (0..2 * rows * k).map(|_| code()).collect();
        let packed = WeightCodes::from_codes(mode, 2 * rows, k, &codes).unwrap();
        prop_assert_eq!(packed.to_codes(), codes);
    }

    #[test]
    fn codes_out_of_range_are_refused(at in 0usize..12, wide: bool, low: bool) {
        let (mode, bad) = match (wide, low) {
            (true, _) => (Mode::W8, -128),
            (false, true) => (Mode::W4, -8),
            (false, false) => (Mode::W4, 8),
        };
        let mut codes = [1i8; 12];
        codes[at] = bad;
        let error = WeightCodes::from_codes(mode, 4, 3, &codes).unwrap_err().to_string();
        prop_assert!(error.contains(&format!("weight[{at}] is {bad}")), "{}", error);
    }
}
