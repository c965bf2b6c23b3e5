//! The checkpoint: every tensor of an encoder and its head, checked, by what it does.

use std::collections::BTreeSet;
use std::path::Path;

use fqbert_host::{
    Dense, EmbeddingTables, Embeddings, Family, Head, HeadActivation, InputError, ModelConfig,
    Pooling, Table, TaskKind,
};

use crate::config::ConfigFile;
use crate::error::CheckpointError;
use crate::layout::Layout;
use crate::linear::{FloatLinear, LayerNorm};
use crate::names::{Names, Part};
use crate::pooling::{Assumed, embedding_head};
use crate::store::{TensorStore, Values};

/// Choices of the caller.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Use, if not the one that `config.json` states.
    pub task: Option<TaskKind>,
    /// Of [`TaskKind::Embedding`], how token vectors become one, if not as the
    /// sentence-transformers files say.
    pub pooling: Option<Pooling>,
    /// Of [`TaskKind::Embedding`], whether the vector is scaled to length 1, if not as those files
    /// say.
    pub normalize: Option<bool>,
}

/// One encoder layer. Widths: `h` the hidden width, `m` the intermediate width.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderLayer {
    /// Query projection, h to h; head `i` is outputs `i * head_dim ..`.
    pub q: FloatLinear,
    /// Key projection, h to h.
    pub k: FloatLinear,
    /// Value projection, h to h.
    pub v: FloatLinear,
    /// Attention output projection, h to h.
    pub o: FloatLinear,
    /// Norm of input plus attention.
    pub ln_attn: LayerNorm,
    /// First feed-forward layer, h to m.
    pub ffn_in: FloatLinear,
    /// Second feed-forward layer, m to h.
    pub ffn_out: FloatLinear,
    /// Norm of attention plus feed-forward.
    pub ln_out: LayerNorm,
}

/// A float model, ready to be run or quantized.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What the model is. Task and labels are the head's, whatever `config.json` leaves out.
    pub config: ModelConfig,
    /// Tokens to the first layer's input.
    pub embeddings: Embeddings,
    /// The encoder.
    pub layers: Vec<EncoderLayer>,
    /// The last layer's output to the answer.
    pub head: Head,
    /// Tensors of the folder that this use of the model has no part for, such as another task's
    /// head, by name.
    pub ignored: Vec<String>,
    /// What of the head neither the folder nor the caller said.
    pub assumed: Assumed,
}

impl Checkpoint {
    /// Loads a Hugging Face folder.
    ///
    /// # Errors
    /// [`CheckpointError`]: whatever is missing, damaged, contradictory or not supported.
    pub fn load(folder: &Path, options: &LoadOptions) -> Result<Self, CheckpointError> {
        // All that computes with a checkpoint does so in rayon's own pool.
        fqbert_threads::check()?;
        let layout = Layout::of(folder)?;
        let file = ConfigFile::load(layout.transformer())?;
        let task = match options.task {
            Some(task) => task,
            // sentence-transformers folders are complete even where the class is not named.
            None if file.architecture.is_none() && layout.is_sentence_transformers() => {
                TaskKind::Embedding
            }
            None => file.stated_task()?,
        };
        let mut config = file.config;
        let store = TensorStore::open(layout.transformer())?;
        let names = Names::detect(&store, &config)?;
        let mut loader = Loader {
            store: &store,
            names: &names,
            config: &config,
            read: BTreeSet::new(),
        };
        let embeddings = loader.embeddings()?;
        let layers = (0..config.layers)
            .map(|i| loader.layer(i))
            .collect::<Result<Vec<_>, _>>()?;
        let mut assumed = Assumed::default();
        let head = match task {
            TaskKind::SequenceClassification => loader.sequence_head()?,
            TaskKind::TokenClassification => Head::TokenClassification {
                out: loader.classifier("classifier")?,
            },
            TaskKind::Embedding => {
                let (head, missing) = embedding_head(&layout, options.pooling, options.normalize)?;
                assumed = missing;
                head
            }
        };
        let ignored = loader.ignored(task)?;
        settle(&mut config, &head)?;
        Ok(Checkpoint {
            config,
            embeddings,
            layers,
            head,
            ignored,
            assumed,
        })
    }
}

/// Makes the configuration fit the head: its task, and labels with default names where there are
/// none, none for embeddings.
fn settle(config: &mut ModelConfig, head: &Head) -> Result<(), CheckpointError> {
    config.task = head.task();
    let Some(outputs) = head.labels() else {
        config.labels.clear();
        return Ok(());
    };
    if config.labels.is_empty() {
        config.labels = (0..outputs).map(|i| format!("LABEL_{i}")).collect();
    }
    if config.labels.len() == outputs {
        return Ok(());
    }
    Err(CheckpointError::Disagreement {
        left: "config.json id2label".into(),
        left_value: format!("{} labels", config.labels.len()),
        right: "the classifier".into(),
        right_value: format!("{outputs} outputs"),
    })
}

struct Loader<'a> {
    store: &'a TensorStore,
    names: &'a Names,
    config: &'a ModelConfig,
    /// Names of the tensors in use.
    read: BTreeSet<String>,
}

impl Loader<'_> {
    fn tensor(&mut self, name: String, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let values = self.store.read(&name, shape)?;
        self.read.insert(self.store.stored_name(&name).to_owned());
        Ok(values)
    }

    fn linear(
        &mut self,
        stem: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<FloatLinear, CheckpointError> {
        let Dense { weight, bias } = self.dense(stem, outputs, inputs)?;
        FloatLinear::new(weight, bias, inputs).map_err(|e| internal_shape(stem, &e))
    }

    fn dense(
        &mut self,
        stem: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Dense, CheckpointError> {
        Ok(Dense {
            weight: self.tensor(format!("{stem}.weight"), &[outputs, inputs])?,
            bias: self.tensor(format!("{stem}.bias"), &[outputs])?,
        })
    }

    fn norm(&mut self, stem: &str) -> Result<LayerNorm, CheckpointError> {
        let (gamma, beta) = self.norm_values(stem)?;
        LayerNorm::new(gamma, beta, self.config.layer_norm_eps)
            .map_err(|e| internal_shape(stem, &e))
    }

    /// Scale and offset of a layer norm.
    fn norm_values(&mut self, stem: &str) -> Result<(Vec<f32>, Vec<f32>), CheckpointError> {
        let shape = [self.config.hidden];
        // Checkpoints converted from TensorFlow say gamma and beta.
        let name = |new: &str, old: &str| {
            let (new, old) = (format!("{stem}.{new}"), format!("{stem}.{old}"));
            if !self.store.contains(&new) && self.store.contains(&old) {
                old
            } else {
                new
            }
        };
        let (gamma, beta) = (name("weight", "gamma"), name("bias", "beta"));
        Ok((self.tensor(gamma, &shape)?, self.tensor(beta, &shape)?))
    }

    fn embeddings(&mut self) -> Result<Embeddings, CheckpointError> {
        let config = self.config;
        let hidden = config.hidden;
        let name = self.names.word();
        let word = match self.store.read_stored(&name, &[config.vocab, hidden])? {
            Values::F32(v) => Table::F32(v),
            Values::F16(v) => Table::F16(v),
        };
        self.read.insert(self.store.stored_name(&name).to_owned());
        let positions = [config.max_positions, hidden];
        let position = Table::F32(self.tensor(self.names.position(), &positions)?);
        let token_type = Table::F32(match config.type_vocab {
            0 => Vec::new(),
            types => self.tensor(self.names.token_type(), &[types, hidden])?,
        });
        let (gamma, beta) = self.norm_values(&self.names.embedding_norm())?;
        let tables = EmbeddingTables {
            word,
            position,
            token_type,
            gamma,
            beta,
        };
        Embeddings::new(tables, config.layer_norm_eps, config.position_offset)
            .map_err(|e| internal_shape("embeddings", &e))
    }

    fn layer(&mut self, layer: usize) -> Result<EncoderLayer, CheckpointError> {
        let (h, m) = (self.config.hidden, self.config.intermediate);
        let names = self.names;
        let stem = |part| names.part(layer, part);
        Ok(EncoderLayer {
            q: self.linear(&stem(Part::Query), h, h)?,
            k: self.linear(&stem(Part::Key), h, h)?,
            v: self.linear(&stem(Part::Value), h, h)?,
            o: self.linear(&stem(Part::AttentionOutput), h, h)?,
            ln_attn: self.norm(&stem(Part::AttentionNorm))?,
            ffn_in: self.linear(&stem(Part::FfnIn), m, h)?,
            ffn_out: self.linear(&stem(Part::FfnOut), h, m)?,
            ln_out: self.norm(&stem(Part::OutputNorm))?,
        })
    }

    fn sequence_head(&mut self) -> Result<Head, CheckpointError> {
        let h = self.config.hidden;
        let (pre, activation, out) = match self.config.family {
            Family::Bert => (self.names.pooler(), HeadActivation::Tanh, "classifier"),
            Family::DistilBert => ("pre_classifier".into(), HeadActivation::Relu, "classifier"),
            Family::Roberta => (
                "classifier.dense".into(),
                HeadActivation::Tanh,
                "classifier.out_proj",
            ),
        };
        let out = self.classifier(out)?;
        let pre = Some((self.dense(&pre, h, h)?, activation));
        Ok(Head::SequenceClassification { pre, out })
    }

    /// A classifier takes its number of labels from its own shape, as `config.json` need not
    /// name two labels.
    fn classifier(&mut self, stem: &str) -> Result<Dense, CheckpointError> {
        let hidden = self.config.hidden;
        let weight = format!("{stem}.weight");
        let named = self.config.labels.len();
        match self.store.shape(&weight) {
            Some(&[labels, _]) if labels > 0 => self.dense(stem, labels, hidden),
            Some(found) => Err(CheckpointError::Shape {
                name: weight,
                expected: vec![named.max(1), hidden],
                found: found.to_vec(),
            }),
            None => Err(CheckpointError::MissingTensor {
                name: weight,
                shape: vec![named.max(1), hidden],
                context: "the checkpoint has no classifier; ask for embedding, or fine-tune it \
                          for the task"
                    .into(),
            }),
        }
    }

    /// The tensors not read, all of which must be known to be without effect.
    fn ignored(&self, task: TaskKind) -> Result<Vec<String>, CheckpointError> {
        let unread = self.store.names().filter(|n| !self.read.contains(*n));
        let (ignored, unexpected): (Vec<&str>, Vec<&str>) =
            unread.partition(|n| self.names.may_ignore(n, task));
        match unexpected.first() {
            None => Ok(ignored.into_iter().map(str::to_owned).collect()),
            Some(&first) => Err(CheckpointError::UnexpectedTensors {
                first: first.into(),
                count: unexpected.len(),
                family: self.config.family,
                task,
            }),
        }
    }
}

/// The store already compared every shape with the configuration; should a builder still object,
/// it is reported instead of trusted never to happen.
fn internal_shape(stem: &str, error: &InputError) -> CheckpointError {
    CheckpointError::Disagreement {
        left: "config.json".into(),
        left_value: "shapes that fit".into(),
        right: stem.into(),
        right_value: error.to_string(),
    }
}
