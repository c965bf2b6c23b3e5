//! The model file: round trip, determinism, and refusal of whatever is not a model.

use fqbert_files::InputError;
use fqbert_model::testing::{Shape, random_model};
use fqbert_model::{ModelError, QuantizedModel, Table, TokenizerFile};
use proptest::prelude::*;

fn small() -> QuantizedModel {
    random_model(
        Shape {
            layers: 2,
            wide: 0b0000_0100_0010,
            ..Shape::SMALL
        },
        7,
    )
}

/// The header's JSON and the tensors' bytes.
fn split(bytes: &[u8]) -> (serde_json::Value, Vec<u8>) {
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (
        serde_json::from_slice(&bytes[8..8 + n]).unwrap(),
        bytes[8 + n..].to_vec(),
    )
}

fn join(header: &serde_json::Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        data,
    ]
    .concat()
}

/// As files of before the digest were.
fn without_digest(bytes: &[u8]) -> Vec<u8> {
    let (mut header, data) = split(bytes);
    let metadata = header["__metadata__"].as_object_mut().unwrap();
    assert!(metadata.remove("fqbert.sha256").is_some());
    join(&header, &data)
}

fn refusal(bytes: &[u8]) -> String {
    QuantizedModel::from_bytes(bytes)
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn what_is_saved_is_loaded_and_saves_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = small();
    model.save(&path).unwrap();
    let loaded = QuantizedModel::load(&path).unwrap();
    assert_eq!(loaded, model);
    let file = std::fs::read(&path).unwrap();
    assert_eq!(loaded.to_bytes().unwrap(), file);
    assert_eq!(loaded.sha256().unwrap(), fqbert_files::sha256_hex([&*file]));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn other_safetensors_readers_open_it() {
    let bytes = small().to_bytes().unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let weight = tensors.tensor("layer.0.q.weight").unwrap();
    assert_eq!(
        (weight.dtype(), weight.shape()),
        (safetensors::Dtype::U8, &[16, 32][..])
    );
    let wide = tensors.tensor("layer.0.k.weight").unwrap();
    assert_eq!(
        (wide.dtype(), wide.shape()),
        (safetensors::Dtype::I8, &[32, 32][..])
    );
    // Every tensor is aligned to its type.
    for (name, view) in tensors.iter() {
        let offset = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(offset % (view.dtype().bitsize() / 8), 0, "{name}");
    }
}

#[test]
fn a_missing_file_a_folder_and_an_empty_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    assert!(matches!(
        QuantizedModel::load(&path),
        Err(ModelError::Input(e)) if e.is_missing()
    ));
    assert!(matches!(
        QuantizedModel::load(folder.path()),
        Err(ModelError::Input(InputError::NotRegular { .. }))
    ));
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(
        QuantizedModel::load(&path),
        Err(ModelError::Container { .. })
    ));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = small().to_bytes().unwrap();
    for end in (0..bytes.len())
        .step_by(97)
        .chain(bytes.len() - 8..bytes.len())
    {
        assert!(
            QuantizedModel::from_bytes(&bytes[..end]).is_err(),
            "{end} bytes"
        );
    }
}

#[test]
fn hostile_lengths_are_refused() {
    let bytes = small().to_bytes().unwrap();
    for length in [0, 1, 1 << 20, 1 << 40, u64::MAX, u64::MAX - 7] {
        let mut bad = bytes.clone();
        bad[..8].copy_from_slice(&length.to_le_bytes());
        assert!(refusal(&bad).contains("not a whole safetensors file"));
    }
    let (header, data) = split(&bytes);
    for (field, value) in [
        ("shape", serde_json::json!([u64::MAX, 2])),
        ("shape", serde_json::json!([1u64 << 40, 1u64 << 40])),
        ("data_offsets", serde_json::json!([0, u64::MAX])),
        ("data_offsets", serde_json::json!([64, 0])),
    ] {
        let mut bad = header.clone();
        bad["layer.0.q.weight"][field] = value;
        assert!(QuantizedModel::from_bytes(&join(&bad, &data)).is_err());
    }
}

#[test]
fn a_float_checkpoint_and_other_versions_are_named() {
    let (header, data) = split(&small().to_bytes().unwrap());
    let with = |key: &str, value: Option<&str>| {
        let mut header = header.clone();
        let metadata = header["__metadata__"].as_object_mut().unwrap();
        match value {
            Some(v) => drop(metadata.insert(key.into(), v.into())),
            None => drop(metadata.remove(key)),
        }
        refusal(&join(&header, &data))
    };
    assert!(with("fqbert.format", None).contains("must be quantized first"));
    assert!(with("fqbert.format", Some("2")).contains("is 2, expected 1"));
    assert!(with("fqbert.contract", Some("9.0")).contains("contract major version"));
    assert!(with("fqbert.contract", Some("1.77")).contains("needs at least 77"));
    assert!(with("fqbert.contract", Some("-1")).contains("fqbert.contract is -1"));
    assert!(with("fqbert.tokenizer_sha256", Some("00")).contains("SHA-256"));
    assert!(with("fqbert.tokenizer_sha256", None).contains("absent"));
    assert!(with("fqbert.config", Some("{}")).contains("fqbert.config"));
    let config = header["__metadata__"]["fqbert.config"].as_str().unwrap();
    let edited = config.replace("\"heads\":2", "\"heads\":3");
    assert!(with("fqbert.config", Some(&edited)).contains("heads is 3"));
    let edited = config.replace("\"layers\":2", "\"layers\":1");
    assert!(with("fqbert.config", Some(&edited)).contains("has no part in this model"));
    let edited = config.replace("\"layers\":2", "\"layers\":3");
    assert!(with("fqbert.config", Some(&edited)).contains("layer.2.q.weight is missing"));
    let edited = config.replace("\"vocab\":50", "\"vocab\":51");
    assert!(with("fqbert.config", Some(&edited)).contains("[50, 32], expected F16 [51, 32]"));
}

#[test]
fn values_out_of_range_are_named() {
    let refused = |edit: &dyn Fn(&mut QuantizedModel), message: &str| {
        let mut model = small();
        edit(&mut model);
        let error = model.to_bytes().expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    };
    refused(
        &|m| m.layers[1].q.params[3].shift = 41,
        "layer.1.q.shift[3] is 41",
    );
    refused(
        &|m| m.layers[1].scores.shift = 0,
        "layer.1.scores.shift[0] is 0",
    );
    refused(
        &|m| m.layers[0].context.bias = 1,
        "layer.0.context[0] is 1, expected a bias of 0",
    );
    refused(
        &|m| m.layers[0].exp_table[0] = 0,
        "layer.0.exp_table[0] is 0",
    );
    refused(
        &|m| m.layers[0].exp_table[9] = u16::MAX,
        "layer.0.exp_table[9] is 65535",
    );
    refused(
        &|m| m.layers[0].gelu_table[2] = -128,
        "layer.0.gelu_table[2] is -128",
    );
    refused(
        &|m| m.layers[0].ln_out.eps = 0,
        "layer.0.ln_out.header[1] is 0",
    );
    refused(&|m| m.layers[0].ln_out.inv ^= 1, "layer.0.ln_out.header[0]");
    refused(
        &|m| m.layers[0].ln_out.s8 = 63,
        "layer.0.ln_out.header[5] is 63",
    );
    refused(
        &|m| m.layers[0].ln_attn.gamma.truncate(31),
        "layer.0.ln_attn.gamma is 31 values",
    );
    refused(&|m| m.layers[1].scales.x8 = 2.0, "layer.1.scales[0] is 2");
    refused(
        &|m| m.layers[1].scales.q = f32::NAN,
        "layer.1.scales[2] is NaN",
    );
    refused(
        &|m| m.embeddings.beta[1] = f32::INFINITY,
        "embeddings.norm.beta[1] is inf",
    );
    refused(
        &|m| m.embeddings.position = Table::F32(vec![0.0; 31]),
        "embeddings.position is 31",
    );
    refused(
        &|m| m.classifier = None,
        "head.classifier.weight is missing",
    );
    refused(
        &|m| m.layers[0].k = m.layers[0].ffn_in.clone(),
        "layer.0.k.weight is [64][32]",
    );
    refused(
        &|m| m.layers.truncate(1),
        "layer is 1 values, expected 2 values",
    );
}

#[test]
fn codes_the_quantizer_never_makes_are_refused_in_a_file() {
    let bytes = small().to_bytes().unwrap();
    let (header, data) = split(&bytes);
    for (name, byte, text) in [
        ("layer.1.o.weight", 0x80, "layer.1.o.weight[5] is -8"),
        ("layer.1.o.weight", 0x08, "layer.1.o.weight[5] is -8"),
        ("layer.0.k.weight", 0x80, "layer.0.k.weight[5] is -128"),
    ] {
        let mut data = data.clone();
        let start = header[name]["data_offsets"][0].as_u64().unwrap() as usize;
        data[start + 5] = byte;
        let error = refusal(&join(&header, &data));
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn a_model_without_tokenizer_or_token_types_round_trips() {
    let mut model = small();
    model.tokenizer = None;
    model.config.type_vocab = 0;
    model.embeddings.token_type = Table::F16(Vec::new());
    model.embeddings.word = Table::F32(vec![0.5; 50 * 32]);
    let loaded = QuantizedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(loaded, model);
}

#[test]
fn the_digest_is_sha256() {
    let empty = TokenizerFile::new(Vec::new());
    let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(empty.sha256(), expected);
}

/// Two models of one shape, so that their files differ in nothing but values.
fn alike() -> [QuantizedModel; 2] {
    [7, 8].map(|seed| {
        random_model(
            Shape {
                layers: 2,
                ..Shape::SMALL
            },
            seed,
        )
    })
}

#[test]
fn every_byte_is_in_the_digest() {
    let [a, b] = alike().map(|m| m.to_bytes().unwrap());
    assert_eq!(a.len(), b.len());
    let refused = |bytes: &[u8]| QuantizedModel::from_bytes(bytes).expect_err("no model was so");
    // What a writer leaves who is half-way, wherever that is.
    let mut digests = 0;
    for at in (8..a.len()).step_by(a.len() / 97) {
        let mixed = [&a[..at], &b[at..]].concat();
        if mixed != a && mixed != b {
            digests += usize::from(matches!(refused(&mixed), ModelError::Digest { .. }));
        }
    }
    assert!(
        digests > 50,
        "{digests} of the mixtures are consistent but for the digest"
    );
    // The header too: no check of values knows which licence is right.
    let mut spoiled = a.clone();
    let license = a.windows(7).position(|w| w == b"license").unwrap();
    spoiled[license + 11] ^= 1;
    refused(&spoiled);
    // A bit of a bias, which any value may have.
    let (header, data) = split(&a);
    let start = header["layer.0.q.bias"]["data_offsets"][0]
        .as_u64()
        .unwrap() as usize;
    let mut spoiled = a.clone();
    spoiled[a.len() - data.len() + start] ^= 1;
    let said = refused(&spoiled).to_string();
    assert!(
        said.contains("SHA-256") && said.contains("renaming"),
        "{said}"
    );
    // Files of before are taken.
    assert!(QuantizedModel::from_bytes(&without_digest(&a)).is_ok());
}

#[test]
fn a_file_written_over_while_it_is_loaded_is_one_model_or_an_error() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let models = alike();
    let bytes = models.each_ref().map(|m| m.to_bytes().unwrap());
    std::fs::write(&path, &bytes[0]).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (mut right, mut wrong) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 1usize.. {
                let bytes = &bytes[i % 2];
                if i % 3 == 0 {
                    // In place, in parts, without a change of length.
                    let file = std::fs::File::options().write(true).open(&path).unwrap();
                    for (n, part) in bytes.chunks(4096).enumerate() {
                        file.write_all_at(part, 4096 * n as u64).unwrap();
                    }
                } else {
                    // As cp does.
                    std::fs::write(&path, bytes).unwrap();
                }
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..300 {
            match QuantizedModel::load(&path) {
                Ok(model) => {
                    right += 1;
                    assert!(models.contains(&model), "a mixture");
                }
                Err(_) => wrong += 1,
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(right + wrong, 300);
    assert!(wrong > 0, "no load met the writer");
}

proptest! {
    /// Changed bytes are refused or give a model that is valid; nothing panics.
    #[test]
    fn mutated_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        in_header in any::<bool>(),
    ) {
        use std::sync::OnceLock;
        static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
        // Without the digest, which would refuse all of them.
        let bytes = BYTES.get_or_init(|| without_digest(&small().to_bytes().unwrap()));
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut bad = bytes.clone();
        for (at, value) in changes {
            let at = at.index(if in_header { header } else { bad.len() });
            bad[at] = value;
        }
        if let Ok(model) = QuantizedModel::from_bytes(&bad) {
            prop_assert!(model.validate().is_ok());
        }
    }
}
