//! Options of `fqbert eval`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use super::RunArgs;

/// What eval measures.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EvalTask {
    /// A classifier, a tagger or a regression on a TSV file with a header line.
    #[value(alias = "accuracy")]
    Labels,
    /// Correlation of the similarity of two sentences with a score, on STS-B's files.
    Sts,
}

/// `--worst`, `--slices` and `--svg` say what quantization changes, so they need the float model's
/// answers.
#[derive(Args)]
#[command(group = ArgGroup::new("reference"))]
pub struct Eval {
    /// Quantized model file [default: the model that ships in models/].
    #[arg(env = "FQBERT_MODEL")]
    pub model: Option<PathBuf>,
    /// Labelled data: TSV with columns sentence and label, or STS-B's file for --task sts; "-"
    /// reads standard input.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// What to measure [default: sts for embeddings, labels for all others].
    #[arg(long, value_enum)]
    pub task: Option<EvalTask>,
    /// Name of the TSV column with the text.
    #[arg(long, default_value = "sentence", value_name = "NAME")]
    pub column: String,
    /// Name of the TSV column with a second text, for models that take pairs.
    #[arg(long, value_name = "NAME")]
    pub second_column: Option<String>,
    /// The column holds token ids, special tokens included, in place of texts.
    #[arg(long, conflicts_with = "second_column")]
    pub ids: bool,
    /// Name of the TSV column with the label: a class's name or number; several with commas for a
    /// multi-label model; one for each word, with spaces, for a tagger; a number for a regression.
    #[arg(long, default_value = "label", value_name = "NAME")]
    pub label_column: String,
    /// The float checkpoint (Hugging Face folder), run here in f32 on the same tokens: agreement,
    /// matched pairs and the error of each layer are reported.
    #[arg(long, value_name = "FOLDER", group = "reference")]
    pub float: Option<PathBuf>,
    /// Logits of the float model on the same rows (TSV with a header line), instead of --float:
    /// agreement and matched pairs are reported.
    #[arg(long, value_name = "FILE", group = "reference")]
    pub float_logits: Option<PathBuf>,
    /// Use the first N rows only.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Rows that the error of each layer is measured on, spread over the data evenly; 0 leaves it
    /// out.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub sqnr_samples: usize,
    /// Show the N rows whose logits differ most from the float model's, and all rows up to N whose
    /// answer changes.
    #[arg(
        long,
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=10000),
        value_name = "N",
        requires = "reference"
    )]
    pub worst: u32,
    /// Report slices of the data: negation, contrast, length, rare words, the float model's
    /// confidence.
    #[arg(long, requires = "reference")]
    pub slices: bool,
    /// Draw the error of each layer as SVG.
    #[arg(long, value_name = "FILE", requires = "float")]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
}
