//! The files of a made-up checkpoint.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Error};
use std::path::Path;

use fqbert_host::{Activation, Family, TaskKind};
use fqbert_random::Random;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use super::spec::{Spec, Storage, TokenizerFiles};
use crate::names::{Names, Part};

struct Tensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

pub(super) fn write(spec: &Spec, folder: &Path) -> io::Result<()> {
    fs::write(
        folder.join("config.json"),
        serde_json::to_vec_pretty(&config(spec))?,
    )?;
    write_weights(spec, folder)?;
    write_tokenizer(spec, folder)
}

fn config(spec: &Spec) -> Value {
    let class = match spec.family {
        Family::Bert => "Bert",
        Family::DistilBert => "DistilBert",
        Family::Roberta => "Roberta",
    };
    let head = match spec.task {
        TaskKind::SequenceClassification => "ForSequenceClassification",
        TaskKind::TokenClassification => "ForTokenClassification",
        TaskKind::Embedding => "Model",
    };
    let mut config = json!({
        "architectures": [format!("{class}{head}")],
        "model_type": class.to_lowercase(),
        "vocab_size": spec.vocab,
        "max_position_embeddings": position_rows(spec),
        "pad_token_id": if spec.family == Family::Roberta { 1 } else { 0 },
    });
    let more = if spec.family == Family::DistilBert {
        json!({
            "dim": spec.hidden, "n_layers": spec.layers, "n_heads": spec.heads,
            "hidden_dim": spec.intermediate, "activation": activation_name(spec),
        })
    } else {
        json!({
            "hidden_size": spec.hidden, "num_hidden_layers": spec.layers,
            "num_attention_heads": spec.heads, "intermediate_size": spec.intermediate,
            "hidden_act": activation_name(spec), "layer_norm_eps": 1e-12,
            "type_vocab_size": types(spec),
        })
    };
    let labels: serde_json::Map<String, Value> = (0..spec.labels)
        .map(|i| (i.to_string(), json!(format!("class {i}"))))
        .collect();
    for (key, value) in more.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    if spec.task != TaskKind::Embedding {
        config["id2label"] = Value::Object(labels);
    }
    config
}

/// The activation's name in `config.json`.
fn activation_name(spec: &Spec) -> &'static str {
    match spec.activation {
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::Relu => "relu",
    }
}

fn position_rows(spec: &Spec) -> usize {
    spec.max_sequence + if spec.family == Family::Roberta { 2 } else { 0 }
}

fn types(spec: &Spec) -> usize {
    match spec.family {
        Family::Bert => 2,
        Family::DistilBert => 0,
        Family::Roberta => 1,
    }
}

fn tensors(spec: &Spec) -> Vec<Tensor> {
    let names = Names::new(spec.family, spec.prefix);
    let (h, m) = (spec.hidden, spec.intermediate);
    let mut made = Maker {
        rng: Random::new(spec.seed),
        tensors: Vec::new(),
    };
    made.table(names.word(), spec.vocab, h);
    made.table(names.position(), position_rows(spec), h);
    if types(spec) > 0 {
        made.table(names.token_type(), types(spec), h);
    }
    made.norm(&names.embedding_norm(), h);
    for layer in 0..spec.layers {
        let part = |part| names.part(layer, part);
        for square in [Part::Query, Part::Key, Part::Value, Part::AttentionOutput] {
            made.linear(&part(square), h, h);
        }
        made.norm(&part(Part::AttentionNorm), h);
        made.linear(&part(Part::FfnIn), m, h);
        made.linear(&part(Part::FfnOut), h, m);
        made.norm(&part(Part::OutputNorm), h);
    }
    match (spec.task, spec.family) {
        (TaskKind::Embedding, _) => {}
        (TaskKind::TokenClassification, _) => made.linear("classifier", spec.labels, h),
        (TaskKind::SequenceClassification, Family::Bert) => {
            made.linear(&names.pooler(), h, h);
            made.linear("classifier", spec.labels, h);
        }
        (TaskKind::SequenceClassification, Family::DistilBert) => {
            made.linear("pre_classifier", h, h);
            made.linear("classifier", spec.labels, h);
        }
        (TaskKind::SequenceClassification, Family::Roberta) => {
            made.linear("classifier.dense", h, h);
            made.linear("classifier.out_proj", spec.labels, h);
        }
    }
    made.tensors
}

struct Maker {
    rng: Random,
    tensors: Vec<Tensor>,
}

impl Maker {
    fn push(&mut self, name: String, shape: &[usize], mean: f32, deviation: f32) {
        let values = (0..shape.iter().product())
            .map(|_| mean + deviation * self.rng.bell())
            .collect();
        self.tensors.push(Tensor {
            name,
            shape: shape.to_vec(),
            values,
        });
    }

    fn table(&mut self, name: String, rows: usize, cols: usize) {
        self.push(name, &[rows, cols], 0.0, 0.05);
    }

    /// Outputs of about the inputs' size, so that nothing fades or grows over many layers.
    fn linear(&mut self, stem: &str, outputs: usize, inputs: usize) {
        let deviation = 1.0 / (inputs as f32).sqrt();
        self.push(format!("{stem}.weight"), &[outputs, inputs], 0.0, deviation);
        self.push(format!("{stem}.bias"), &[outputs], 0.0, 0.05);
    }

    fn norm(&mut self, stem: &str, width: usize) {
        self.push(format!("{stem}.weight"), &[width], 1.0, 0.1);
        self.push(format!("{stem}.bias"), &[width], 0.0, 0.05);
    }
}

fn write_weights(spec: &Spec, folder: &Path) -> io::Result<()> {
    let tensors = tensors(spec);
    if spec.shards == 1 {
        return write_file(spec, &folder.join("model.safetensors"), &tensors);
    }
    let mut map = serde_json::Map::new();
    let each = tensors.len().div_ceil(spec.shards);
    for (index, part) in tensors.chunks(each).enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", index + 1, spec.shards);
        write_file(spec, &folder.join(&name), part)?;
        map.extend(part.iter().map(|t| (t.name.clone(), json!(name))));
    }
    let index = json!({"metadata": {}, "weight_map": map});
    fs::write(
        folder.join("model.safetensors.index.json"),
        serde_json::to_vec(&index)?,
    )
}

fn write_file(spec: &Spec, path: &Path, tensors: &[Tensor]) -> io::Result<()> {
    let dtype = match spec.storage {
        Storage::F32 => Dtype::F32,
        Storage::F16 => Dtype::F16,
        Storage::Bf16 => Dtype::BF16,
    };
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|t| encode(spec.storage, &t.values))
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(t, b)| Ok((&t.name, TensorView::new(dtype, t.shape.clone(), b)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    // Without it other readers of the format take no Hugging Face checkpoint.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = views
        .and_then(|v| safetensors::serialize(v, Some(metadata)))
        .map_err(Error::other)?;
    fs::write(path, file)
}

fn encode(storage: Storage, values: &[f32]) -> Vec<u8> {
    match storage {
        Storage::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Storage::F16 => values
            .iter()
            .flat_map(|v| f16::from_f32(*v).to_le_bytes())
            .collect(),
        Storage::Bf16 => values
            .iter()
            .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
            .collect(),
    }
}

/// Special tokens, then letters and digits alone and as continuations, punctuation, and made-up
/// words until the vocabulary is full.
pub(super) fn vocabulary(spec: &Spec) -> Vec<String> {
    let special: [&str; 5] = if spec.family == Family::Roberta {
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    } else {
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    };
    let mut vocab: Vec<String> = special.iter().map(|s| (*s).to_owned()).collect();
    let letters = ('a'..='z').chain('0'..='9');
    vocab.extend(letters.clone().map(String::from));
    vocab.extend(letters.map(|c| format!("##{c}")));
    vocab.extend(".,!?'\"-:;()/&%$#@*+".chars().map(String::from));
    let mut known: HashSet<String> = vocab.iter().cloned().collect();
    let mut rng = Random::new(0x776f_7264);
    while vocab.len() < spec.vocab {
        let syllables = 2 + rng.below(3);
        let word: String = (0..syllables)
            .flat_map(|_| {
                [
                    pick(&mut rng, b"bcdfghklmnprstvw"),
                    pick(&mut rng, b"aeiou"),
                ]
            })
            .collect();
        if known.insert(word.clone()) {
            vocab.push(word);
        }
    }
    vocab.truncate(spec.vocab);
    vocab
}

fn pick(rng: &mut Random, from: &[u8]) -> char {
    char::from(from[rng.below(from.len() as u64) as usize])
}

fn write_tokenizer(spec: &Spec, folder: &Path) -> io::Result<()> {
    let vocab = vocabulary(spec).join("\n");
    let path = folder.join("tokenizer_config.json");
    let config = if spec.family == Family::Roberta {
        json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "do_lower_case": true, "pad_token": "<pad>", "unk_token": "<unk>",
            "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>",
        })
    } else {
        json!({"do_lower_case": true})
    };
    fs::write(&path, serde_json::to_vec(&config)?)?;
    if spec.tokenizer == TokenizerFiles::Vocab {
        return fs::write(folder.join("vocab.txt"), vocab);
    }
    let vocab = crate::vocab::parse(vocab.as_bytes()).map_err(Error::other)?;
    let config = config.as_object().cloned().unwrap_or_default();
    let mut json = crate::settings::word_piece_json(&vocab, config).map_err(Error::other)?;
    if spec.family == Family::Roberta {
        // One token type only.
        for piece in json["post_processor"]["pair"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            for inner in piece
                .as_object_mut()
                .into_iter()
                .flat_map(|p| p.values_mut())
            {
                inner["type_id"] = json!(0);
            }
        }
    }
    fs::write(folder.join("tokenizer.json"), serde_json::to_vec(&json)?)
}
