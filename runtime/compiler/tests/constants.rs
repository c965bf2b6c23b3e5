//! The constants region against the contract's own packing.

use fqbert_compiler::{ConstantsLayout, ParamSet, pack_constants};
use fqbert_contract::Geometry;
use fqbert_contract::layout::{encode_requant, pack_params, pack_weight_tile};
use fqbert_model::Linear;
use fqbert_model::testing::{Shape, random_model};

#[test]
fn every_tile_is_what_the_contract_packs() {
    let shape = Shape {
        layers: 2,
        hidden: 88,
        heads: 1,
        intermediate: 72,
        wide: 0b0110_1001_0010,
        ..Shape::SMALL
    };
    let model = random_model(shape, 9);
    for g in Geometry::presets() {
        let image = pack_constants(&model, g).unwrap();
        assert_eq!(image.layout, ConstantsLayout::new(&model, g));
        for (layer, at) in model.layers.iter().zip(&image.layout.layers) {
            for which in Linear::ALL {
                let weights = &layer.linear(which).weights;
                let (codes, k) = (weights.to_codes(), weights.inputs());
                let tile = g.tile_channels(weights.mode()) as usize;
                let expected: Vec<u8> = codes
                    .chunks(tile * k)
                    .flat_map(|c| pack_weight_tile(g, weights.mode(), c, c.len() / k, k).unwrap())
                    .collect();
                let span = at.matrix(which).span;
                assert_eq!(span.offset % 64, 0);
                let found = &image.bytes[span.offset as usize..][..span.length as usize];
                assert!(found == expected, "{} {which:?}", g.name);
            }
            let span = at.params(ParamSet::Attention);
            let found = &image.bytes[span.offset as usize..][..span.length as usize];
            let q = pack_params(&layer.q.params);
            assert_eq!(found[..q.len()], q);
            // Scores and context: the last two words, which a uniform MATMUL reads.
            assert_eq!(found[found.len() - 32..][..8], encode_requant(layer.scores));
            assert_eq!(
                found[found.len() - 16..][..8],
                encode_requant(layer.context)
            );
        }
    }
}

#[test]
fn a_model_that_contradicts_itself_is_refused() {
    let g = Geometry::by_name("tiny").unwrap();
    let refuse = |edit: &dyn Fn(&mut fqbert_model::QuantizedModel)| {
        let mut model = random_model(
            Shape {
                layers: 2,
                ..Shape::SMALL
            },
            9,
        );
        edit(&mut model);
        let packed = pack_constants(&model, g).unwrap_err();
        let compiled = fqbert_compiler::compile(&model, g, 8, &Default::default()).unwrap_err();
        assert_eq!(packed, compiled);
        packed.to_string()
    };
    assert!(refuse(&|m| m.layers.truncate(1)).contains("number of layers is 1"));
    assert!(refuse(&|m| m.layers[1].k = m.layers[1].ffn_in.clone()).contains("outputs"));
    assert!(refuse(&|m| m.layers[0].o.params.truncate(3)).contains("records"));
    assert!(refuse(&|m| m.layers[0].ln_out.gamma.truncate(3)).contains("layer-norm"));
    assert!(refuse(&|m| m.layers[0].ln_attn.beta.truncate(3)).contains("layer-norm"));
    assert!(refuse(&|m| m.config.heads = 0).contains("heads"));
}
