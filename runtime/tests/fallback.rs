//! A device that is not there, another in its place, and what the answers say of it.

use std::sync::Arc;

use fqbert_model::QuantizedModel;
use fqbert_model::testing::{Shape, random_model};
use fqbert_runtime::{AsyncSession, Classifier, HeadOutput, SessionOptions, Tokens, open_session};

/// No machine has it.
const ABSENT: &str = "uio:fqbert-no-such-device";

fn model() -> Arc<QuantizedModel> {
    let model = random_model(Shape::SMALL, 3);
    // Token ids are enough.
    Arc::new(QuantizedModel {
        tokenizer: None,
        ..model
    })
}

fn tokens() -> Tokens {
    Tokens::from_ids(vec![2, 5, 6, 7, 3])
}

fn bits(output: &HeadOutput) -> Vec<u32> {
    output.values().iter().map(|v| v.to_bits()).collect()
}

#[test]
fn a_device_that_cannot_be_opened_is_stood_in_for_if_that_is_asked_for() {
    let options = SessionOptions::default();
    let alone = open_session(model(), ABSENT, None, &options);
    assert!(alone.is_err(), "not asked for");

    let mut own = open_session(model(), "emu:tiny?threads=1", None, &options).unwrap();
    let mut stand_in =
        open_session(model(), ABSENT, Some("emu:zcu102?threads=1"), &options).unwrap();
    let output = stand_in.run(&tokens()).unwrap();
    assert_eq!(bits(&output), bits(&own.run(&tokens()).unwrap()));
    let record = stand_in.last_run();
    assert_eq!(record.geometry, "zcu102");
    let why = record.fallback.as_deref().unwrap();
    assert!(why.contains("fqbert-no-such-device"), "{why}");
    assert_eq!(stand_in.statistics().by_fallback, 1);
    assert_eq!(own.last_run().fallback, None);
}

#[test]
fn mistakes_are_not_stood_in_for() {
    let options = SessionOptions::default();
    let fallback = Some("emu:zcu102?threads=1");
    for (uri, fallback, says) in [
        ("emu:no-such", fallback, "no-such"),
        ("nothing:1", fallback, "nothing:1"),
        ("emu:tiny?threads=1", Some("emu:none"), "none"),
        // The model does not fit.
        ("emu:tiny?memory=4KiB", fallback, "device memory exhausted"),
    ] {
        let error = open_session(model(), uri, fallback, &options)
            .err()
            .unwrap();
        let causes: &dyn std::error::Error = &error;
        let mut text = causes.to_string();
        let mut cause = causes.source();
        while let Some(next) = cause {
            text += &format!(": {next}");
            cause = next.source();
        }
        assert!(text.contains(says), "{uri}: {text}");
    }
}

#[test]
fn answers_say_what_they_were_computed_by() {
    let model = model();
    let file = tempfile::NamedTempFile::new().unwrap();
    model.save(file.path()).unwrap();
    let (uri, options) = ("emu:tiny?threads=1", SessionOptions::default());
    let mut classifier = Classifier::open(file.path(), uri, &options).unwrap();
    classifier.classify_tokens(&tokens()).unwrap();
    let first = classifier.provenance().unwrap();
    let bytes = std::fs::read(file.path()).unwrap();
    assert_eq!(first.model_sha256, fqbert_files::sha256_hex([&*bytes]));
    assert_eq!(first.contract_sha256.len(), 64);
    assert_eq!(
        (first.device.as_deref(), first.kind()),
        (Some(uri), Some("emu"))
    );
    assert_eq!((first.run.geometry, first.run.runs), ("tiny", 1));
    assert_eq!(first.run.programs.len(), 1);

    classifier.classify_tokens(&tokens()).unwrap();
    assert_eq!(classifier.provenance().unwrap(), first, "the same again");

    let another = open_session(model, ABSENT, Some(uri), &options).unwrap();
    let mut another = Classifier::new(another).unwrap();
    another.classify_tokens(&tokens()).unwrap();
    let second = another.provenance().unwrap();
    assert_eq!(second.device, None, "a session was given");
    assert_eq!(second.run.programs, first.run.programs);
    assert!(second.run.fallback.is_some());
}

#[tokio::test]
async fn awaited_answers_say_it_too() {
    let options = SessionOptions::default();
    let session = open_session(model(), ABSENT, Some("emu:tiny?threads=1"), &options).unwrap();
    let session = AsyncSession::new(session).unwrap();
    let answer = session.answer(tokens()).await.unwrap();
    assert_eq!(answer.record.geometry, "tiny");
    assert!(answer.record.fallback.is_some());
}
