//! Folders of every family, task, storage and split load, and mean the same however they are
//! stored.

use std::path::Path;

use fqbert_checkpoint::testing::{Spec, Storage, TokenizerFiles};
use fqbert_checkpoint::{Checkpoint, LoadOptions, load_tokenizer};
use fqbert_host::{Activation, Family, HeadOutput, Pooling, Table, TaskKind};
use tempfile::TempDir;

fn folder(spec: &Spec) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    spec.write(folder.path()).unwrap();
    folder
}

fn load(folder: &Path) -> Checkpoint {
    Checkpoint::load(folder, &LoadOptions::default()).unwrap()
}

fn logits(checkpoint: &Checkpoint, spec: &Spec) -> Vec<f32> {
    let s = spec.sequence(17, 3);
    checkpoint
        .forward(&s.ids, &s.type_ids)
        .unwrap()
        .values()
        .to_vec()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn every_family_and_task_loads_and_runs() {
    for family in [Family::Bert, Family::DistilBert, Family::Roberta] {
        for task in [
            TaskKind::SequenceClassification,
            TaskKind::TokenClassification,
            TaskKind::Embedding,
        ] {
            let spec = Spec {
                family,
                task,
                labels: 5,
                layers: 3,
                ..Spec::default()
            };
            let folder = folder(&spec);
            let checkpoint = load(folder.path());
            assert_eq!(checkpoint.config.task.kind(), task);
            assert_eq!(checkpoint.config.family, family);
            assert_eq!(checkpoint.config.max_sequence(), spec.max_sequence);
            assert_eq!(checkpoint.layers.len(), 3);
            assert!(checkpoint.ignored.is_empty());
            assert!(checkpoint.embeddings.fits(&checkpoint.config));

            let tokenizer = load_tokenizer(folder.path()).unwrap();
            tokenizer.check_vocab(checkpoint.config.vocab).unwrap();
            let text = tokenizer
                .encode_pair(&spec.text(9, 1), &spec.text(3, 2), 128)
                .unwrap();
            let output = checkpoint.forward(&text.ids, &text.type_ids).unwrap();
            assert!(output.values().iter().all(|v| v.is_finite()));
            match (task, output) {
                (TaskKind::SequenceClassification, HeadOutput::Logits(v)) => assert_eq!(v.len(), 5),
                (TaskKind::TokenClassification, HeadOutput::TokenLogits { values, labels }) => {
                    assert_eq!((values.len(), labels), (5 * text.len(), 5));
                    assert_eq!(checkpoint.config.labels[4], "class 4");
                }
                (TaskKind::Embedding, HeadOutput::Embedding(v)) => {
                    assert_eq!(v.len(), 128);
                    let norm: f32 = v.iter().map(|v| v * v).sum();
                    assert!((norm - 1.0).abs() < 1e-5);
                }
                (task, output) => panic!("{task}: {output:?}"),
            }
        }
    }
}

#[test]
fn shards_and_prefixes_change_nothing() {
    let spec = Spec::default();
    let whole = load(folder(&spec).path());
    for (shards, prefix) in [(2, true), (7, true), (1, false), (3, false)] {
        let other = load(
            folder(&Spec {
                shards,
                prefix,
                ..spec.clone()
            })
            .path(),
        );
        assert_eq!(whole, other, "{shards} shards, prefix {prefix}");
    }
}

#[test]
fn half_precision_is_close_and_stays_half() {
    for family in [Family::Bert, Family::DistilBert, Family::Roberta] {
        let spec = Spec {
            family,
            ..Spec::default()
        };
        let single = logits(&load(folder(&spec).path()), &spec);
        for (storage, tolerance) in [(Storage::F16, 0.02), (Storage::Bf16, 0.2)] {
            let half = load(
                folder(&Spec {
                    storage,
                    ..spec.clone()
                })
                .path(),
            );
            assert_eq!(
                matches!(half.embeddings.tables().word, Table::F16(_)),
                storage == Storage::F16
            );
            let difference = largest_difference(&single, &logits(&half, &spec));
            assert!(
                difference > 0.0 && difference < tolerance,
                "{storage:?}: {difference}"
            );
        }
    }
}

#[test]
fn every_activation_has_its_own_results() {
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
        let spec = Spec {
            activation,
            ..Spec::default()
        };
        let checkpoint = load(folder(&spec).path());
        assert_eq!(checkpoint.config.activation, activation);
        let result = logits(&checkpoint, &spec);
        assert!(
            seen.iter()
                .all(|other| largest_difference(other, &result) > 0.0)
        );
        seen.push(result);
    }
    // The tanh form approximates the exact one.
    assert!(largest_difference(&seen[0], &seen[1]) < 0.01);
}

#[test]
fn a_larger_shape_with_many_labels() {
    let spec = Spec {
        hidden: 256,
        layers: 12,
        heads: 4,
        intermediate: 1024,
        labels: 50,
        vocab: 96,
        ..Spec::default()
    };
    let folder = folder(&spec);
    let checkpoint = load(folder.path());
    let result = logits(&checkpoint, &spec);
    assert_eq!(result.len(), 50);
    assert!(result.iter().all(|v| v.is_finite()));
}

#[test]
fn the_caller_may_choose_another_use() {
    let spec = Spec::default();
    let folder = folder(&spec);
    let options = LoadOptions {
        task: Some(TaskKind::Embedding),
        pooling: Some(Pooling::Cls),
        normalize: Some(false),
    };
    let checkpoint = Checkpoint::load(folder.path(), &options).unwrap();
    assert!(checkpoint.ignored.contains(&"classifier.weight".to_owned()));
    assert!(
        checkpoint
            .ignored
            .contains(&"bert.pooler.dense.bias".to_owned())
    );
    assert!(checkpoint.config.labels.is_empty());
    // CLS pooling without norm is the first row of the last hidden states.
    let s = spec.sequence(9, 1);
    let embedded = checkpoint.embeddings.embed(&s.ids, &s.type_ids).unwrap();
    let states = checkpoint
        .encode(embedded, &mut fqbert_checkpoint::NoObserver)
        .unwrap();
    let HeadOutput::Embedding(vector) = checkpoint.forward(&s.ids, &s.type_ids).unwrap() else {
        panic!("an embedding expected");
    };
    assert_eq!(vector, &states[..spec.hidden]);
}

#[test]
fn sentence_transformers_files_decide_the_pooling() {
    let spec = Spec {
        task: TaskKind::Embedding,
        ..Spec::default()
    };
    let folder = folder(&spec);
    let head = || load(folder.path()).head;
    let expect = |pooling, normalize| fqbert_host::Head::Embedding { pooling, normalize };
    assert_eq!(head(), expect(Pooling::Mean, true));

    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let pooling = |json: &str| {
        std::fs::write(folder.path().join("1_Pooling/config.json"), json).unwrap();
    };
    pooling(r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#);
    assert_eq!(head(), expect(Pooling::Cls, true));
    let modules = |json: &str| std::fs::write(folder.path().join("modules.json"), json).unwrap();
    modules(
        r#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling",
             "type": "sentence_transformers.models.Pooling"}]"#,
    );
    assert_eq!(head(), expect(Pooling::Cls, false));
    pooling(r#"{"word_embedding_dimension": 128, "pooling_mode": "mean"}"#);
    assert_eq!(head(), expect(Pooling::Mean, false));

    let refused = || {
        Checkpoint::load(folder.path(), &LoadOptions::default())
            .unwrap_err()
            .to_string()
    };
    pooling(r#"{"pooling_mode_max_tokens": true}"#);
    assert!(refused().contains("max_tokens"), "{}", refused());
    pooling(r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#);
    assert!(
        refused().contains("cls_token + mean_tokens"),
        "{}",
        refused()
    );
    pooling(r#"{"pooling_mode": ["mean", "cls"]}"#);
    assert!(refused().contains("mean + cls"), "{}", refused());
    pooling(r#"{"pooling_mode": 5}"#);
    assert!(refused().contains("list of names"), "{}", refused());
    pooling(r#"{"pooling_mode_cls_token": "yes"}"#);
    assert!(refused().contains("true or false"), "{}", refused());
    pooling(r#"{"pooling": "cls"}"#);
    assert!(refused().contains("no such key"), "{}", refused());
    for (json, expected) in [
        (r#"{"pooling_mode": ["cls"]}"#, Pooling::Cls),
        (
            r#"{"pooling_mode": "cls", "pooling_mode_mean_tokens": true}"#,
            Pooling::Cls,
        ),
        (r#"{"pooling_mode_mean_tokens": false}"#, Pooling::Mean),
        (r#"{"embedding_dimension": 128}"#, Pooling::Mean),
    ] {
        pooling(json);
        assert_eq!(head(), expect(expected, false), "{json}");
    }
    modules(r#"[{"path": "../elsewhere", "type": "sentence_transformers.models.Pooling"}]"#);
    assert!(refused().contains("../elsewhere"), "{}", refused());
    modules(r#"[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]"#);
    assert!(refused().contains("Dense"), "{}", refused());
    modules("[]");
    assert!(refused().contains("Pooling"), "{}", refused());
}

#[test]
fn a_vocabulary_file_makes_the_same_tokenizer() {
    let spec = Spec::default();
    let json = folder(&spec);
    let vocab = folder(&Spec {
        tokenizer: TokenizerFiles::Vocab,
        ..spec.clone()
    });
    let (json, vocab) = (
        load_tokenizer(json.path()).unwrap(),
        load_tokenizer(vocab.path()).unwrap(),
    );
    for seed in 0..20 {
        let text = format!("{}, Ünï {}!", spec.text(6, seed), spec.text(2, seed + 100));
        assert_eq!(
            json.encode(&text, 64).unwrap(),
            vocab.encode(&text, 64).unwrap()
        );
    }
}

#[test]
fn the_same_spec_gives_the_same_bytes() {
    let (a, b) = (folder(&Spec::default()), folder(&Spec::default()));
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let read = |f: &TempDir| std::fs::read(f.path().join(file)).unwrap();
        assert!(read(&a) == read(&b), "{file}");
    }
    let other = folder(&Spec {
        seed: 2,
        ..Spec::default()
    });
    let weights = |f: &TempDir| std::fs::read(f.path().join("model.safetensors")).unwrap();
    assert!(weights(&a) != weights(&other));
}
