//! A quantized model from its layers and from what is carried over from the checkpoint as it is.

use fqbert_checkpoint::Checkpoint;
use fqbert_host::Tokenizer;
use fqbert_model::{Provenance, Quantization, QuantizedLayer, QuantizedModel, TokenizerFile};

use crate::error::QuantizeError;

/// The model of `layers` between the checkpoint's embeddings and head.
pub(crate) fn assemble(
    checkpoint: &Checkpoint,
    tokenizer: Option<&Tokenizer>,
    layers: Vec<QuantizedLayer>,
    quantization: Quantization,
    provenance: Provenance,
) -> Result<QuantizedModel, QuantizeError> {
    let (_, head_pre, classifier) = checkpoint.head.parts();
    let model = QuantizedModel {
        config: checkpoint.config.clone(),
        quantization,
        provenance,
        embeddings: checkpoint.embeddings.tables().clone(),
        layers,
        head_pre: head_pre.cloned(),
        classifier: classifier.cloned(),
        tokenizer: tokenizer.map(TokenizerFile::of),
    };
    model.validate()?;
    Ok(model)
}
