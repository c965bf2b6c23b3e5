//! What is not supported, missing or contradictory is refused by name, with numbers and remedy.

use std::path::Path;

use fqbert_checkpoint::testing::{Spec, Storage};
use fqbert_checkpoint::{Checkpoint, ConfigFile, LoadOptions};
use fqbert_host::{Family, TaskKind};
use serde_json::{Value, json};
use tempfile::TempDir;

fn folder(spec: &Spec) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    spec.write(folder.path()).unwrap();
    folder
}

fn error(folder: &Path) -> String {
    Checkpoint::load(folder, &LoadOptions::default())
        .unwrap_err()
        .to_string()
}

fn config_of(spec: &Spec) -> Value {
    let folder = folder(spec);
    serde_json::from_slice(&std::fs::read(folder.path().join("config.json")).unwrap()).unwrap()
}

/// The error of a configuration in which one field is replaced; null removes it.
fn with(family: Family, key: &str, value: Value) -> Result<ConfigFile, String> {
    let mut config = config_of(&Spec {
        family,
        ..Spec::default()
    });
    config[key] = value;
    ConfigFile::from_json(&config).map_err(|e| e.to_string())
}

/// Each of BERT's fields with a value that is refused, and what the refusal says.
fn refused(cases: &[(&str, Value, &str)]) {
    for (key, value, expected) in cases {
        let found = with(Family::Bert, key, value.clone()).expect_err(key);
        assert!(found.contains(expected), "{key} = {value}: {found}");
    }
}

#[test]
fn configurations_that_we_do_not_run() {
    refused(&[
        ("model_type", json!("deberta-v2"), "deberta-v2"),
        (
            "model_type",
            json!("roberta"),
            "RoBERTa, but architectures says BERT",
        ),
        ("model_type", json!(7), "expected a string"),
        (
            "architectures",
            json!(["BertModel", "BertModel"]),
            "list of one class",
        ),
        ("architectures", json!("BertModel"), "list of class names"),
        (
            "hidden_act",
            json!("swiglu"),
            "activation \"swiglu\" is not supported",
        ),
        ("hidden_act", Value::Null, "lacks \"hidden_act\""),
        (
            "position_embedding_type",
            json!("relative_key_query"),
            "relative_key_query",
        ),
        ("is_decoder", json!(true), "is_decoder"),
        ("is_decoder", json!("yes"), "true or false"),
        ("add_cross_attention", json!(true), "add_cross_attention"),
        (
            "quantization_config",
            json!({"bits": 8}),
            "quantization_config",
        ),
        ("problem_type", json!("ranking"), "ranking"),
    ]);
    for (key, value, expected) in [
        ("dim", Value::Null, "lacks \"dim\""),
        ("n_layers", Value::Null, "lacks \"n_layers\""),
        ("activation", json!("silu"), "silu"),
    ] {
        let found = with(Family::DistilBert, key, value).expect_err(key);
        assert!(found.contains(expected), "{key}: {found}");
    }
}

#[test]
fn a_class_that_is_not_known_needs_a_task() {
    for class in [
        "TFBertForSequenceClassification",
        "BertGenerationEncoder",
        "OurModel",
    ] {
        let file = with(Family::Bert, "architectures", json!([class])).unwrap();
        assert_eq!(file.config.family, Family::Bert);
        let said = file.stated_task().unwrap_err().to_string();
        assert!(
            said.contains(class) && said.contains("--task classification"),
            "{said}"
        );
    }
    let mut config = config_of(&Spec::default());
    config["architectures"] = json!(["OurModel"]);
    config["model_type"] = Value::Null;
    config["type_vocab_size"] = json!(1);
    let said = ConfigFile::from_json(&config).unwrap_err().to_string();
    assert!(said.contains("OurModel"), "{said}");
    // With a task the tensors decide.
    let spec = Spec::default();
    let folder = folder(&spec);
    config["model_type"] = json!("bert");
    config["type_vocab_size"] = json!(2);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    assert!(error(folder.path()).contains("OurModel"));
    let options = LoadOptions {
        task: Some(TaskKind::SequenceClassification),
        ..LoadOptions::default()
    };
    Checkpoint::load(folder.path(), &options).unwrap();
}

#[test]
fn numbers_and_labels_out_of_range() {
    refused(&[
        ("hidden_size", Value::Null, "lacks \"hidden_size\""),
        ("hidden_size", json!(129), "expected a divisor of 129"),
        ("hidden_size", json!(-128), "\"hidden_size\" is -128"),
        ("hidden_size", json!(128.5), "128.5"),
        ("hidden_size", json!("128"), "\"hidden_size\" is \"128\""),
        ("hidden_size", json!(0), "from 1 to 16777216"),
        ("hidden_size", json!(u64::MAX), "18446744073709551615"),
        ("num_attention_heads", json!(0), "from 1"),
        ("num_hidden_layers", json!(1025), "at most 1024"),
        (
            "intermediate_size",
            Value::Null,
            "lacks \"intermediate_size\"",
        ),
        ("vocab_size", json!([]), "\"vocab_size\" is []"),
        (
            "max_position_embeddings",
            json!(1e99),
            "max_position_embeddings",
        ),
        ("layer_norm_eps", json!(0), "between 0 and 1"),
        ("layer_norm_eps", json!("1e-12"), "between 0 and 1"),
        ("pad_token_id", json!(512), "less than vocab_size 512"),
        ("id2label", json!({"0": "a", "2": "b"}), "the keys 0 to 1"),
        ("id2label", json!({"0": "a", "00": "b"}), "the keys 0 to 1"),
        ("id2label", json!({"0": 1}), "the keys 0 to 0"),
        (
            "id2label",
            json!(["a", "b"]),
            "an object from number to name",
        ),
        (
            "num_labels",
            json!(3),
            "num_labels says 3, but id2label says 2 labels",
        ),
    ]);
    let found = with(Family::Roberta, "max_position_embeddings", json!(2)).unwrap_err();
    assert!(
        found.contains("more than the 2 positions kept for padding"),
        "{found}"
    );
    assert!(
        ConfigFile::from_json(&json!([]))
            .unwrap_err()
            .to_string()
            .contains("an object")
    );
}

#[test]
fn configurations_with_defaults() {
    // Google's small BERTs name neither class nor type, nor the norm's epsilon.
    let mut config = config_of(&Spec::default());
    for key in [
        "architectures",
        "model_type",
        "layer_norm_eps",
        "pad_token_id",
        "id2label",
    ] {
        config[key] = Value::Null;
    }
    let file = ConfigFile::from_json(&config).unwrap();
    let config = &file.config;
    assert_eq!((config.family, config.pad_token_id), (Family::Bert, 0));
    assert_eq!(config.layer_norm_eps, 1e-12);
    assert!(
        file.stated_task()
            .unwrap_err()
            .to_string()
            .contains("choose one")
    );
    assert_eq!(
        with(Family::Roberta, "pad_token_id", Value::Null)
            .unwrap()
            .config
            .position_offset,
        2
    );
    assert_eq!(
        with(Family::Roberta, "layer_norm_eps", Value::Null)
            .unwrap()
            .config
            .layer_norm_eps,
        1e-12
    );
    // A model without token types would not be told from others by guessing.
    let mut config = config_of(&Spec {
        family: Family::Roberta,
        ..Spec::default()
    });
    config["architectures"] = Value::Null;
    config["model_type"] = Value::Null;
    assert!(
        ConfigFile::from_json(&config)
            .unwrap_err()
            .to_string()
            .contains("model_type")
    );
}

#[test]
fn heads_that_we_do_not_run_may_still_embed() {
    let folder = folder(&Spec::default());
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["architectures"] = json!(["BertForQuestionAnswering"]);
    std::fs::write(&path, config.to_string()).unwrap();
    let text = error(folder.path());
    assert!(
        text.contains("BertForQuestionAnswering") && text.contains("embedding"),
        "{text}"
    );
    let options = LoadOptions {
        task: Some(TaskKind::Embedding),
        ..LoadOptions::default()
    };
    assert!(Checkpoint::load(folder.path(), &options).is_ok());
}

#[test]
fn configuration_and_weights_that_disagree() {
    for (key, value, expected) in [
        (
            "vocab_size",
            json!(511),
            "word_embeddings.weight: expected shape [511, 128]",
        ),
        (
            "num_hidden_layers",
            json!(3),
            "bert.encoder.layer.2.attention.self.query.weight",
        ),
        ("num_hidden_layers", json!(1), "16 tensors are not part of"),
        (
            "intermediate_size",
            json!(256),
            "expected shape [256, 128] from config.json, found [512, 128]",
        ),
        ("type_vocab_size", json!(1), "expected shape [1, 128]"),
        (
            "max_position_embeddings",
            json!(512),
            "expected shape [512, 128]",
        ),
        (
            "id2label",
            json!({"0": "x"}),
            "1 labels, but the classifier says 2 outputs",
        ),
        ("architectures", json!(["BertForTokenClassification"]), ""),
        ("id2label", Value::Null, ""),
    ] {
        let folder = folder(&Spec::default());
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[key] = value.clone();
        std::fs::write(&path, config.to_string()).unwrap();
        let result = Checkpoint::load(folder.path(), &LoadOptions::default());
        match result {
            Ok(_) => assert_eq!(expected, "", "{key} = {value}"),
            Err(e) => {
                assert!(
                    !expected.is_empty() && e.to_string().contains(expected),
                    "{key}: {e}"
                );
            }
        }
    }
    let folder = folder(&Spec {
        task: TaskKind::Embedding,
        ..Spec::default()
    });
    let options = LoadOptions {
        task: Some(TaskKind::SequenceClassification),
        ..LoadOptions::default()
    };
    let text = Checkpoint::load(folder.path(), &options)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("classifier.weight") && text.contains("no classifier"),
        "{text}"
    );
}

#[test]
fn files_that_are_not_there() {
    let empty = tempfile::tempdir().unwrap();
    assert!(error(empty.path()).contains("config.json"));
    let folder = folder(&Spec::default());
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert!(error(folder.path()).contains("no model.safetensors"));
    std::fs::write(folder.path().join("pytorch_model.bin"), "x").unwrap();
    assert!(error(folder.path()).contains("pickle"));
    std::fs::write(folder.path().join("config.json"), "{").unwrap();
    assert!(error(folder.path()).contains("not valid JSON"));
    let large = std::fs::File::create(folder.path().join("config.json")).unwrap();
    large.set_len(17 << 20).unwrap();
    assert!(error(folder.path()).contains("17825792 bytes, more than the 16777216"));
}

#[test]
fn shard_indices_that_lie() {
    let spec = Spec {
        shards: 2,
        ..Spec::default()
    };
    let index = |edit: &dyn Fn(&mut Value)| {
        let folder = folder(&spec);
        let path = folder.path().join("model.safetensors.index.json");
        let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        edit(&mut json);
        std::fs::write(&path, json.to_string()).unwrap();
        error(folder.path())
    };
    let set =
        |name: &'static str| move |v: &mut Value| v["weight_map"]["classifier.bias"] = json!(name);
    for name in [
        "../model.safetensors",
        "/etc/passwd",
        "a/b.safetensors",
        "..",
        "",
        "x.bin",
    ] {
        let text = index(&set(name));
        assert!(
            text.contains("not a plain .safetensors file name"),
            "{name}: {text}"
        );
    }
    let text = index(&set("gone.safetensors"));
    assert!(text.contains("gone.safetensors"), "{text}");
    let text = index(&set("model-00001-of-00002.safetensors"));
    assert!(
        text.contains("classifier.bias") && text.contains("model-00002"),
        "{text}"
    );
    let text = index(&|v| v["weight_map"]["phantom"] = json!("model-00001-of-00002.safetensors"));
    assert!(
        text.contains("phantom") && text.contains("no file holds it"),
        "{text}"
    );
    let text = index(&|v| {
        v["weight_map"]
            .as_object_mut()
            .unwrap()
            .remove("classifier.bias");
    });
    assert!(
        text.contains("there is no tensor classifier.bias"),
        "{text}"
    );
    assert!(index(&|v| *v = json!({})).contains("weight_map"));
    assert!(index(&|v| v["weight_map"] = json!({})).contains("word_embeddings"));
}

#[test]
fn values_that_are_not_finite() {
    let spec = Spec {
        layers: 1,
        ..Spec::default()
    };
    let bad: [(Storage, &[u8], &str); 4] = [
        (Storage::F32, &f32::NAN.to_le_bytes(), "NaN"),
        (Storage::F32, &f32::NEG_INFINITY.to_le_bytes(), "-inf"),
        (Storage::F16, &0x7c00u16.to_le_bytes(), "inf"),
        (Storage::Bf16, &0x7fc0u16.to_le_bytes(), "NaN"),
    ];
    for (storage, bytes, expected) in bad {
        let folder = folder(&Spec {
            storage,
            ..spec.clone()
        });
        let path = folder.path().join("model.safetensors");
        let mut file = std::fs::read(&path).unwrap();
        let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let json: Value = serde_json::from_slice(&file[8..8 + header]).unwrap();
        let name = "bert.encoder.layer.0.output.dense.weight";
        let start = json[name]["data_offsets"][0].as_u64().unwrap() as usize;
        let at = 8 + header + start + 1234 * bytes.len();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, file).unwrap();
        let text = error(folder.path());
        let start = format!("tensor {name}: element 1234 is {expected};");
        assert!(text.starts_with(&start), "{text}");
    }
}
