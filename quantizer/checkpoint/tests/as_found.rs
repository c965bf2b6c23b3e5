//! Checkpoints as people have them: what transformers takes is taken, and what is no checkpoint is
//! called by its name.

use std::collections::HashMap;
use std::path::Path;

use fqbert_checkpoint::testing::{Spec, TokenizerFiles};
use fqbert_checkpoint::{Checkpoint, ConfigFile, LoadOptions, load_tokenizer};
use fqbert_host::{Family, TaskKind, Tokens};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

fn folder(spec: &Spec) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    spec.write(folder.path()).unwrap();
    folder
}

fn load(folder: &Path) -> Result<Checkpoint, String> {
    Checkpoint::load(folder, &LoadOptions::default()).map_err(|e| e.to_string())
}

fn weights(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("model.safetensors")
}

/// The last hidden states of a few tokens.
fn states(checkpoint: &Checkpoint) -> Vec<f32> {
    let tokens = Tokens::from_ids(vec![2, 7, 9, 3]);
    let out = checkpoint.forward(&tokens.ids, &tokens.type_ids).unwrap();
    format!("{out:?}").bytes().map(f32::from).collect()
}

/// Writes the tensors of `folder` anew: `change` may add some, take some out, and say what the
/// header's own text is.
fn rewrite(
    folder: &TempDir,
    change: impl FnOnce(&mut Vec<(String, TensorView<'_>)>) -> Option<HashMap<String, String>>,
) {
    let bytes = std::fs::read(weights(folder)).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = stored.tensors();
    let text = change(&mut tensors);
    let made = safetensors::serialize(tensors, text).unwrap();
    std::fs::write(weights(folder), made).unwrap();
}

#[test]
fn a_buffer_of_positions_of_whatever_type() {
    let folder = folder(&Spec::default());
    let before = states(&load(folder.path()).unwrap());
    static POSITIONS: [u8; 4 * 128] = [0; 4 * 128];
    rewrite(&folder, |tensors| {
        let view = TensorView::new(Dtype::F32, vec![1, 128], &POSITIONS).unwrap();
        tensors.push(("bert.embeddings.position_ids".into(), view));
        None
    });
    assert_eq!(states(&load(folder.path()).unwrap()), before);
}

#[test]
fn a_tensor_that_shares_its_values_with_one_that_is_stored() {
    let folder = folder(&Spec {
        family: Family::Roberta,
        task: TaskKind::Embedding,
        ..Spec::default()
    });
    let before = states(&load(folder.path()).unwrap());
    let (name, stored) = (
        "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.weight",
    );
    rewrite(&folder, |tensors| {
        let at = tensors.iter().position(|(n, _)| n == name).unwrap();
        tensors[at].0 = stored.into();
        let text = [(name, stored), ("format", "pt"), ("gone", "nowhere")];
        Some(text.map(|(a, b)| (a.into(), b.into())).into())
    });
    assert_eq!(states(&load(folder.path()).unwrap()), before);
    rewrite(&folder, |_| None);
    assert!(load(folder.path()).unwrap_err().contains(name), "not said");
}

#[test]
fn epsilon_by_family() {
    let eps = |family, value: Option<Value>| {
        let folder = folder(&Spec {
            family,
            ..Spec::default()
        });
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config["layer_norm_eps"] = value.unwrap_or(Value::Null);
        ConfigFile::from_json(&config)
            .unwrap()
            .config
            .layer_norm_eps
    };
    for family in [Family::Bert, Family::Roberta, Family::DistilBert] {
        assert_eq!(eps(family, None), 1e-12, "{family}");
    }
    assert_eq!(eps(Family::Roberta, Some(json!(1e-5))), 1e-5);
    // Its code says so, whatever the file says.
    assert_eq!(eps(Family::DistilBert, Some(json!(1e-5))), 1e-12);
}

#[test]
fn of_a_token_that_stands_twice_the_last_one() {
    let folder = folder(&Spec {
        tokenizer: TokenizerFiles::Vocab,
        ..Spec::default()
    });
    let path = folder.path().join("vocab.txt");
    let vocab = std::fs::read_to_string(&path).unwrap();
    let line = vocab.lines().nth(20).unwrap();
    let twice = format!("{}\n{line}\n", vocab.trim_end());
    let last = twice.lines().count() as u32 - 1;
    std::fs::write(&path, &twice).unwrap();
    let tokenizer = load_tokenizer(folder.path()).unwrap();
    assert_eq!(tokenizer.encode(line, 9).unwrap().ids[1], last, "{line}");
}

#[test]
fn numbers_that_json_does_not_have() {
    let folder = folder(&Spec::default());
    let path = folder.path().join("config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    let with = |more: &str| {
        let text = config.replacen('{', &format!("{{{more},"), 1);
        std::fs::write(&path, text).unwrap();
        load(folder.path()).map(|_| ())
    };
    // In a key that nobody reads, in a list, and in a text that only looks like one.
    for more in [
        r#""x": NaN"#,
        r#""x": [Infinity, -Infinity]"#,
        r#""x": "a \" NaN", "y": NaN"#,
    ] {
        with(more).unwrap_or_else(|e| panic!("{more}: {e}"));
    }
    // The last of two values counts, as in Python.
    let text = config.replacen("1e-12", "NaN", 1);
    assert!(text.contains("NaN"));
    std::fs::write(&path, text).unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(
        error.contains("layer_norm_eps") && error.contains("NaN"),
        "{error}"
    );
    assert!(with(r#""x": NaNs"#).unwrap_err().contains("not valid JSON"));
}

#[test]
fn place_holders_of_git_lfs() {
    let pointer = "version https://git-lfs.example/spec/v1\noid sha256:00\nsize 133\n";
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        let folder = folder(&Spec::default());
        std::fs::write(folder.path().join(name), pointer).unwrap();
        let error = match name {
            "tokenizer.json" => load_tokenizer(folder.path()).unwrap_err().to_string(),
            _ => load(folder.path()).unwrap_err(),
        };
        assert!(
            error.contains(name) && error.contains("git lfs pull"),
            "{error}"
        );
    }
}

#[test]
fn adapters_name_their_base() {
    let adapter = json!({"peft_type": "LORA", "base_model_name_or_path": "bert-base-uncased"});
    let with_config = folder(&Spec::default());
    std::fs::remove_file(weights(&with_config)).unwrap();
    let alone = tempfile::tempdir().unwrap();
    for folder in [with_config.path(), alone.path()] {
        std::fs::write(folder.join("adapter_config.json"), adapter.to_string()).unwrap();
        let error = load(folder).unwrap_err();
        for part in ["LORA adapter of bert-base-uncased", "merge_and_unload"] {
            assert!(error.contains(part), "{error}");
        }
    }
    std::fs::write(alone.path().join("adapter_config.json"), "{}").unwrap();
    let error = load(alone.path()).unwrap_err();
    assert!(error.contains("a model that it does not name"), "{error}");
}

#[test]
fn weights_in_another_form() {
    let folder = folder(&Spec::default());
    std::fs::remove_file(weights(&folder)).unwrap();
    for (name, expected) in [
        ("model.onnx", "give the checkpoint"),
        ("flax_model.msgpack", "from_flax"),
        ("tf_model.h5", "from_tf"),
        ("pytorch_model.bin.index.json", "pickle"),
        ("pytorch_model.bin", "pickle"),
    ] {
        std::fs::write(folder.path().join(name), "x").unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(
            error.contains(name) && error.contains(expected),
            "{name}: {error}"
        );
    }
}
