use fqbert_model::QuantizedModel;
use fqbert_model::testing::{Shape, random_model};

/// A model of few bytes, so that a change meets something.
const SHAPE: Shape = Shape {
    vocab: 8,
    max_positions: 8,
    ..Shape::SMALL
};

pub(crate) fn run(input: &[u8]) {
    let Ok(model) = QuantizedModel::from_bytes(input) else {
        return;
    };
    let written = model.to_bytes().expect("an accepted model is written");
    let again = QuantizedModel::from_bytes(&written).expect("what was written is read");
    let rewritten = again.to_bytes().expect("an accepted model is written");
    assert!(
        written == rewritten,
        "a model is another once written and read"
    );
    // Its host part is made or refused.
    let _ = model.host();
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let shapes = [
        SHAPE,
        Shape {
            wide: 0b10_1101,
            ..SHAPE
        },
    ];
    let models = shapes
        .into_iter()
        .zip(0..)
        .map(|(shape, seed)| random_model(shape, seed));
    models
        .map(|model| model.to_bytes().expect("a random model is written"))
        .collect()
}
