//! Which class of transformers makes the tokenizer.

use serde_json::Value;

use crate::error::CheckpointError;
use crate::keys::{Object, bad_value};

/// What is known of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// WordPiece with BERT's normalizer and template.
    Bert,
    /// Byte-level BPE.
    Roberta,
    /// SentencePiece's unigrams.
    XlmRoberta,
    /// `tokenizer.json` as it stands.
    AsItStands,
}

/// Classes by their names without `Fast`.
const CLASSES: [(&str, Class); 15] = [
    ("BertTokenizer", Class::Bert),
    ("DistilBertTokenizer", Class::Bert),
    ("ElectraTokenizer", Class::Bert),
    ("MobileBertTokenizer", Class::Bert),
    ("ConvBertTokenizer", Class::Bert),
    ("LayoutLMTokenizer", Class::Bert),
    ("SqueezeBertTokenizer", Class::Bert),
    ("LxmertTokenizer", Class::Bert),
    ("RobertaTokenizer", Class::Roberta),
    ("LongformerTokenizer", Class::Roberta),
    ("BartTokenizer", Class::Roberta),
    ("XLMRobertaTokenizer", Class::XlmRoberta),
    ("PreTrainedTokenizer", Class::AsItStands),
    ("TokenizersBackend", Class::AsItStands),
    ("HfTokenizer", Class::AsItStands),
];

impl Class {
    /// By the names of tokenizer_config.json and config.json, or else by the model's type.
    ///
    /// # Errors
    /// A class that is none of these, by its name.
    pub(super) fn of(tokenizer: &Object, config: &Object) -> Result<Self, CheckpointError> {
        let name = match tokenizer.str("tokenizer_class")? {
            Some(name) => Some((tokenizer.file, name)),
            None => config
                .str("tokenizer_class")?
                .map(|name| (config.file, name)),
        };
        let Some((file, name)) = name else {
            let model_type = config.map.get("model_type").and_then(Value::as_str);
            return Ok(match model_type {
                Some("bert" | "distilbert") => Class::Bert,
                Some("roberta") => Class::Roberta,
                Some("xlm-roberta") => Class::XlmRoberta,
                _ => Class::AsItStands,
            });
        };
        let bare = name.strip_suffix("Fast").unwrap_or(name);
        let known = CLASSES.iter().find(|(class, _)| *class == bare);
        known.map(|(_, class)| *class).ok_or_else(|| {
            let found = Value::String(name.into());
            bad_value(
                file,
                "tokenizer_class",
                Some(&found),
                "BertTokenizer, RobertaTokenizer, XLMRobertaTokenizer or PreTrainedTokenizerFast, \
                 which takes tokenizer.json as it stands; where AutoTokenizer of transformers \
                 loads the folder as a fast tokenizer, save its backend_tokenizer as \
                 tokenizer.json and name PreTrainedTokenizerFast here",
            )
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Bert => "BertTokenizer",
            Class::Roberta => "RobertaTokenizer",
            Class::XlmRoberta => "XLMRobertaTokenizer",
            Class::AsItStands => "PreTrainedTokenizerFast",
        }
    }

    /// Special tokens that the class has without being told.
    pub(super) fn defaults(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Class::Bert => &[
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Class::Roberta | Class::XlmRoberta => &[
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("unk_token", "<unk>"),
                ("sep_token", "</s>"),
                ("pad_token", "<pad>"),
                ("cls_token", "<s>"),
                ("mask_token", "<mask>"),
            ],
            Class::AsItStands => &[],
        }
    }
}
