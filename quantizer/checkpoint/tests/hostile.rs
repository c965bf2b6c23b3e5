//! Damaged and malicious weight files: always an error or a correct load, never a panic, and no
//! allocation beyond the size of the file.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fqbert_checkpoint::store::TensorStore;
use fqbert_checkpoint::testing::Spec;
use fqbert_checkpoint::{Checkpoint, LoadOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

fn spec() -> Spec {
    Spec {
        layers: 1,
        hidden: 16,
        heads: 2,
        intermediate: 32,
        vocab: 96,
        max_sequence: 8,
        ..Spec::default()
    }
}

/// A good file's header and data.
fn good() -> &'static (Value, Vec<u8>) {
    static GOOD: OnceLock<(Value, Vec<u8>)> = OnceLock::new();
    GOOD.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        spec().write(folder.path()).unwrap();
        let file = std::fs::read(folder.path().join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        (
            serde_json::from_slice(&file[8..8 + header]).unwrap(),
            file[8 + header..].to_vec(),
        )
    })
}

fn file(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

fn load(bytes: &[u8]) -> Result<Checkpoint, String> {
    let folder = tempfile::tempdir().unwrap();
    spec().write(folder.path()).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    Checkpoint::load(folder.path(), &LoadOptions::default()).map_err(|e| e.to_string())
}

/// The error of a good file whose header is edited.
fn edited(edit: impl Fn(&mut Value)) -> String {
    let (header, data) = good();
    let mut header = header.clone();
    edit(&mut header);
    load(&file(header.to_string().as_bytes(), data)).expect_err("an edited header")
}

const NAME: &str = "bert.encoder.layer.0.attention.self.query.weight";

#[test]
fn headers_that_lie() {
    let (header, data) = good();
    let text = header.to_string();
    assert!(load(&file(text.as_bytes(), data)).is_ok());

    let truncated = load(&file(text.as_bytes(), &data[..data.len() - 1])).unwrap_err();
    assert!(truncated.contains("truncated") && truncated.contains(&data.len().to_string()));
    let longer = load(&file(text.as_bytes(), &[data, &[0][..]].concat())).unwrap_err();
    assert!(longer.contains("the file has"), "{longer}");
    for bytes in [
        &[][..],
        &[1, 2, 3],
        &[0; 8],
        &[0xff; 8],
        &[0xff; 16],
        b"PK\x03\x04aaaaaaaaaaaaaa",
    ] {
        assert!(
            load(bytes).unwrap_err().contains("model.safetensors"),
            "{bytes:?}"
        );
    }
    let claim = |n: u64| [&n.to_le_bytes()[..], text.as_bytes(), data].concat();
    for n in [
        u64::MAX,
        u64::MAX - 7,
        i64::MAX as u64,
        100_000_001,
        1 << 40,
    ] {
        assert!(load(&claim(n)).unwrap_err().contains(&n.to_string()), "{n}");
    }
    assert!(load(&file(&vec![b'['; 100_000], data)).is_err());
    assert!(load(&file(&[0xff, 0xfe], data)).is_err());
}

#[test]
fn tensors_that_lie() {
    let set = |key: &'static str, value: Value| edited(move |h| h[NAME][key] = value.clone());
    let end = good().1.len();
    for (key, value) in [
        ("data_offsets", json!([0, 1024])),
        ("data_offsets", json!([1024, 0])),
        ("data_offsets", json!([end, end + 1024])),
        ("data_offsets", json!([u64::MAX - 1023, u64::MAX])),
        ("data_offsets", json!([-1, 1023])),
        ("data_offsets", json!([0])),
        ("shape", json!([16, 17])),
        ("shape", json!([u64::MAX, u64::MAX])),
        ("shape", json!([1u64 << 33, 1u64 << 33, 0])),
        ("shape", json!("16x16")),
        ("dtype", json!("F33")),
        ("dtype", json!("F64")),
    ] {
        let text = set(key, value.clone());
        assert!(
            text.contains("model.safetensors"),
            "{key} = {value}: {text}"
        );
    }
    // Of the right size in bytes, but not what config.json says.
    assert!(
        set("shape", json!([8, 32]))
            .contains("expected shape [16, 16] from config.json, found [8, 32]")
    );
    assert!(set("dtype", json!("I32")).contains("type I32 is not read"));
    let renamed = edited(|h| {
        let tensor = h.as_object_mut().unwrap().remove(NAME).unwrap();
        h["bert.encoder.layer.0.attention.self.query.lora_A"] = tensor;
    });
    assert!(
        renamed.contains(NAME) && renamed.contains("missing"),
        "{renamed}"
    );
    assert!(edited(|h| *h = json!({})).contains("the header describes 0 bytes"));
}

#[test]
fn tensors_of_no_known_part() {
    let (header, data) = good();
    let add = |name: &str, dtype: &str| {
        let mut header = header.clone();
        let end = data.len();
        header[name] = json!({"dtype": dtype, "shape": [1, 2], "data_offsets": [end, end + 8]});
        load(&file(
            header.to_string().as_bytes(),
            &[data, &[0u8; 8][..]].concat(),
        ))
    };
    for (name, dtype) in [
        ("bert.embeddings.position_ids", "I32"),
        ("bert.embeddings.position_ids", "F32"),
        ("cls.predictions.bias", "I32"),
    ] {
        assert_eq!(add(name, dtype).unwrap().ignored, [name]);
    }
    for (name, dtype) in [
        ("bert.encoder.layer.1.output.dense.bias", "F32"),
        ("bert.encoder.layer.0.attention.self.query.lora_A", "F32"),
        (
            "bert.encoder.layer.0.attention.self.distance_embedding.weight",
            "F32",
        ),
        ("classifier.gate", "F32"),
        ("embeddings.word_embeddings.weight", "F32"),
    ] {
        let text = add(name, dtype).expect_err(name);
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn older_norm_names_are_read() {
    let (header, data) = good();
    let mut older = serde_json::Map::new();
    for (name, tensor) in header.as_object().unwrap() {
        let name = if name.contains("LayerNorm") {
            name.replace(".weight", ".gamma").replace(".bias", ".beta")
        } else {
            name.clone()
        };
        older.insert(name, tensor.clone());
    }
    let older = load(&file(Value::Object(older).to_string().as_bytes(), data)).unwrap();
    assert_eq!(
        older,
        load(&file(header.to_string().as_bytes(), data)).unwrap()
    );
}

/// Writes bytes to a file of their own and opens it as a store, reading whatever it holds.
fn open(folder: &Path, bytes: &[u8]) {
    let path: PathBuf = folder.join("x.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let Ok(store) = TensorStore::open_file(&path) else {
        return;
    };
    let names: Vec<String> = store.names().map(str::to_owned).collect();
    for name in names {
        let shape = store.shape(&name).unwrap().to_vec();
        if let Ok(values) = store.read(&name, &shape) {
            assert_eq!(values.len(), shape.iter().product::<usize>());
            assert!(values.iter().all(|v| v.is_finite()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        open(tempfile::tempdir().unwrap().path(), &bytes);
        open(tempfile::tempdir().unwrap().path(), &file(&bytes, b""));
    }

    #[test]
    fn mutated_headers_are_never_a_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let (header, data) = good();
        let mut bytes = file(header.to_string().as_bytes(), data);
        let header = bytes.len() - data.len();
        for (at, value, kind) in edits {
            let at = at.index(header);
            match kind {
                0 => bytes[at] = value,
                1 => bytes.insert(at, b"0123456789,[]{}\":-e"[usize::from(value) % 19]),
                _ => { bytes.remove(at); }
            }
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        open(tempfile::tempdir().unwrap().path(), &bytes);
    }

    #[test]
    fn random_numbers_in_headers_are_never_a_panic(
        tensor in any::<prop::sample::Index>(),
        shape in prop::collection::vec(prop_oneof![0..100u64, any::<u64>()], 0..5),
        offsets in (prop_oneof![0..9000u64, any::<u64>()], prop_oneof![0..9000u64, any::<u64>()]),
        dtype in prop::sample::select(
            vec!["F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "F4", "C64"],
        ),
    ) {
        let (header, data) = good();
        let mut header = header.clone();
        let names: Vec<String> = header.as_object().unwrap().keys().cloned().collect();
        let name = &names[tensor.index(names.len())];
        let offsets = [offsets.0, offsets.1];
        header[name] = json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
        open(tempfile::tempdir().unwrap().path(), &file(header.to_string().as_bytes(), data));
    }

    #[test]
    fn a_lone_tensor_is_read_or_refused(
        shape in prop::collection::vec(0..9usize, 0..4),
        dtype in prop::sample::select(vec![("F32", 4usize), ("F16", 2), ("BF16", 2), ("I8", 1)]),
        bytes in prop::collection::vec(any::<u8>(), 3000),
    ) {
        let n = shape.iter().product::<usize>() * dtype.1;
        let header = json!({"t": {"dtype": dtype.0, "shape": shape, "data_offsets": [0, n]}});
        let file = file(header.to_string().as_bytes(), &bytes[..n]);
        open(tempfile::tempdir().unwrap().path(), &file);
    }
}
