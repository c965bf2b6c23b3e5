//! Commands and their options.

mod eval;

pub use eval::{Eval, EvalTask};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Fully quantized BERT: on the accelerator of a Zynq UltraScale+ board, or bit for bit the same on
/// this CPU.
#[derive(Parser)]
#[command(name = "fqbert", version, about, max_term_width = 100)]
pub struct Cli {
    /// The device to run on: emu:GEOMETRY[?threads=N] with GEOMETRY tiny, paper, zcu102 or zcu111,
    /// or uio:NAME, the accelerator on this board by the name of its UIO device; record:FILE,URI
    /// records what is done with a device, and replay:FILE answers from that.
    #[arg(
        long,
        global = true,
        env = "FQBERT_DEVICE",
        default_value = "emu:zcu102",
        value_name = "URI"
    )]
    pub device: String,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Classes of texts, with probabilities.
    Classify(Classify),
    /// Vectors of texts.
    Embed(Embed),
    /// A class for each word of texts.
    Tag(Tag),
    /// Texts in the order of how well they fit a query: by a cross-encoder with one output, or by
    /// the cosine of an embedder's vectors.
    Rank(Rank),
    /// A float checkpoint (Hugging Face folder) to a quantized model file.
    Quantize(Quantize),
    /// Accuracy or correlation on labelled data.
    Eval(Eval),
    /// What a model is and what it needs: shape, compression, memory plan, instructions per layer.
    Inspect(Inspect),
    /// The instructions of a model's program, as text.
    Disassemble(Disassemble),
    /// Time of an inference, and cycles of the accelerator.
    Bench(Bench),
    /// Whether a model's programs keep what the verifier promises; nothing is opened or run.
    Verify(Verify),
    /// A recording (--device record:FILE,URI) carried out on another device: the first instruction
    /// and element that differ. Exit code 3 where something differs.
    Diff(Diff),
}

/// The model file, and how requests run.
#[derive(Args, Clone)]
pub struct ModelArgs {
    /// Quantized model file [default: the MiniLM-L6 SST-2 model that ships in models/].
    #[arg(long, env = "FQBERT_MODEL", value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// A device that answers where --device cannot be opened or fails; the answers are the same bit
    /// for bit. Standard error and the JSON say so.
    #[arg(long, env = "FQBERT_FALLBACK", value_name = "URI")]
    pub fallback: Option<String>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// How requests run.
#[derive(Args, Clone)]
pub struct RunArgs {
    /// Seconds one run of the accelerator may take before it counts as hung.
    #[arg(
        long,
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=86400),
        value_name = "SECONDS"
    )]
    pub deadline: u64,
    /// Give each text a run of its own instead of packing short ones together. The answers are the
    /// same bit for bit.
    #[arg(long)]
    pub no_packing: bool,
    /// Prepare texts and read answers only while the device does nothing, instead of beside its
    /// runs. The answers are the same bit for bit.
    #[arg(long)]
    pub no_overlap: bool,
    /// After every N runs, read weights, program and input back from device memory before
    /// answering, and repeat the run if anything has changed; 0 is never.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub scrub: u32,
}

/// Where texts come from: exactly one source.
#[derive(Args, Clone)]
#[group(required = true, multiple = true)]
pub struct Texts {
    /// Texts; "-" alone reads one text a line from standard input.
    #[arg(value_name = "TEXT", conflicts_with_all = ["tsv", "ids"])]
    pub texts: Vec<String>,
    /// A TSV file with a header line, or "-" for standard input; texts are in the column --column.
    #[arg(long, value_name = "FILE", conflicts_with = "ids")]
    pub tsv: Option<PathBuf>,
    /// Name of the TSV column with the texts.
    #[arg(long, default_value = "sentence", value_name = "NAME")]
    pub column: String,
    /// Token ids of one sequence, special tokens included, for models of other vocabularies; an id
    /// may have its token type behind a colon (102:1). May be repeated.
    #[arg(long, value_name = "\"ID[:TYPE] ID ...\"")]
    pub ids: Vec<String>,
}

#[derive(Args)]
pub struct Classify {
    #[command(flatten)]
    pub texts: Texts,
    /// Pairs of texts, for models that take them: TEXTs two by two, or on each line of standard
    /// input two with a tab between them. Of a table --second-column has the second texts.
    #[arg(long, conflicts_with_all = ["tsv", "ids"])]
    pub pair: bool,
    /// Name of the TSV column with second texts, for models that take pairs.
    #[arg(long, requires = "tsv", value_name = "NAME")]
    pub second_column: Option<String>,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Args)]
pub struct Embed {
    #[command(flatten)]
    pub texts: Texts,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Args)]
#[command(mut_arg("ids", |ids| ids.hide(true)))]
pub struct Tag {
    #[command(flatten)]
    pub texts: Texts,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Args)]
pub struct Rank {
    /// The query.
    pub query: String,
    /// A file with one text a line; "-" is standard input.
    #[arg(default_value = "-", value_name = "FILE")]
    pub texts: PathBuf,
    /// Print only the best K.
    #[arg(long, value_parser = at_least_one, value_name = "K")]
    pub top: Option<usize>,
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Which rules choose the scales.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemeArg {
    /// 4-bit weights with a scale per output channel, 8-bit activations.
    W4a8,
    /// The paper's: one scale per tensor, 8-bit scale factors.
    Paper,
    /// 8-bit weights with a scale per output channel.
    W8a8,
}

/// How the range of an activation is chosen from what calibration saw.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RangeArg {
    /// Moving average of the largest value, as in the paper.
    Ema,
    /// A percentile of the absolute values.
    Percentile,
    /// The range with the smallest squared error.
    Mse,
}

/// What a checkpoint is used for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TaskArg {
    /// One class for a text.
    Classification,
    /// A class for each token.
    Tagging,
    /// A vector for a text.
    Embedding,
}

/// How the vectors of all tokens become one.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PoolingArg {
    /// Their mean.
    Mean,
    /// The first token's.
    Cls,
}

/// An answer.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum YesNo {
    /// It is done.
    Yes,
    /// It is not done.
    No,
}

#[derive(Args)]
pub struct Quantize {
    /// Folder with config.json, model.safetensors and tokenizer.json or vocab.txt.
    pub checkpoint: PathBuf,
    /// File to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Texts to measure activation ranges on: one a line, or a TSV file with --column; "-" reads
    /// standard input. Needed unless all scales were learned in training and lie in the folder
    /// (fqbert-scales.json).
    #[arg(long, value_name = "FILE")]
    pub calibrate: Option<PathBuf>,
    /// The calibration file is TSV, texts are in this column: a name of its header line, or, for a
    /// file without one, numbers from 1 such as 6,7.
    #[arg(long, value_name = "NAME|N,N")]
    pub column: Option<String>,
    /// Each line of the calibration file is a pair of texts with a tab between them, for models
    /// that take pairs.
    #[arg(long, requires = "calibrate", conflicts_with_all = ["column", "ids"])]
    pub pair: bool,
    /// The name in the header line of the column with second texts, for models that take pairs;
    /// --column is then the name of that with the first ones.
    #[arg(long, requires = "column", conflicts_with = "ids", value_name = "NAME")]
    pub second_column: Option<String>,
    /// The calibration file (or its column) holds token ids, special tokens included, in place of
    /// texts: for vocabularies that no tokenizer here has.
    #[arg(long, requires = "calibrate")]
    pub ids: bool,
    /// Texts to take of the calibration file, drawn at random.
    #[arg(long, default_value_t = 512, value_parser = at_least_one, value_name = "N")]
    pub samples: usize,
    /// Seed of the draw; nothing else is random.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Tokens at which calibration texts are cut.
    #[arg(long, default_value_t = 128, value_parser = at_least_one, value_name = "N")]
    pub max_tokens: usize,
    /// Rules for the scales.
    #[arg(long, value_enum, default_value = "w4a8")]
    pub scheme: SchemeArg,
    /// How activation ranges are chosen [default: the scheme's own].
    #[arg(long, value_enum)]
    pub range: Option<RangeArg>,
    /// What the model is for [default: what the checkpoint says].
    #[arg(long, value_enum)]
    pub task: Option<TaskArg>,
    /// How the token vectors of an embedder become one [default: as the sentence-transformers
    /// files say, or the mean where there are none].
    #[arg(long, value_enum)]
    pub pooling: Option<PoolingArg>,
    /// Whether the vector of an embedder is scaled to length 1 [default: as those files say, or yes
    /// where there are none].
    #[arg(long, value_enum)]
    pub normalize: Option<YesNo>,
    /// Licence of the weights, for the file's metadata.
    #[arg(long, default_value = "unknown", value_name = "TEXT")]
    pub license: String,
    /// A figure of the float checkpoint to keep in the file, such as "accuracy,SST-2
    /// dev,90.02,872".
    #[arg(long, value_name = "NAME,DATA,VALUE,N")]
    pub float_metric: Option<String>,
    /// Write the per-layer report as JSON too.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Mean bits of the encoder's weights, 4 to 8, such as 4.25bits: the matrices that need it most
    /// get 8-bit weights, the others 4.
    #[arg(long, value_parser = parse_bits, value_name = "BITS", conflicts_with = "max_drop")]
    pub budget: Option<f64>,
    /// The fewest 8-bit matrices with which at most this share of held-out texts changes its class,
    /// such as 0.02; for embeddings the bound is on 1 less the mean cosine with the float vector.
    #[arg(long, value_name = "SHARE")]
    pub max_drop: Option<f64>,
    /// Measure what 4 bits cost in each matrix, print it and write it as JSON.
    #[arg(long, value_name = "FILE")]
    pub sensitivity: Option<PathBuf>,
    /// Further texts of the calibration file that mixes and sensitivity are judged on.
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub held_out: usize,
    /// Keep finished layers in OUTPUT.stages and go on from those that an interrupted run left
    /// there, to the same bits.
    #[arg(long)]
    pub resume: bool,
}

/// A number of things of which there must be some.
fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| *n > 0);
    number.ok_or_else(|| "give a whole number from 1".to_owned())
}

/// A number of bits, with or without the word.
fn parse_bits(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("bits").unwrap_or(text).trim();
    number
        .parse()
        .map_err(|_| "give a number of bits such as 4.25 or 4.25bits".to_owned())
}

/// A model file, or a shape with random weights.
#[derive(Args, Clone)]
pub struct Subject {
    /// Quantized model file [default: the model that ships in models/].
    #[arg(conflicts_with = "shape", env = "FQBERT_MODEL")]
    pub model: Option<PathBuf>,
    /// Random weights of a shape: bert-base, bert-large, bert-tiny, minilm-l6, distilbert, or
    /// LAYERS,HIDDEN,HEADS,INTERMEDIATE.
    #[arg(long, value_name = "SHAPE")]
    pub shape: Option<String>,
    /// Tokens of the sequence; the smallest bucket that holds them is used [default: 128, or the
    /// longest sequence of the model on the device].
    #[arg(long, value_parser = at_least_one, value_name = "TOKENS")]
    pub seq: Option<usize>,
}

#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    pub subject: Subject,
}

#[derive(Args)]
pub struct Disassemble {
    #[command(flatten)]
    pub subject: Subject,
}

#[derive(Args)]
pub struct Verify {
    /// Quantized model file [default: the model that ships in models/].
    #[arg(conflicts_with = "shape", env = "FQBERT_MODEL")]
    pub model: Option<PathBuf>,
    /// Random weights of a shape, as for inspect.
    #[arg(long, value_name = "SHAPE")]
    pub shape: Option<String>,
    /// The geometry to compile for: tiny, paper, zcu102 or zcu111 [default: each of them].
    /// --device has no part in this command.
    #[arg(long, value_name = "NAME")]
    pub geometry: Option<String>,
    /// Only the program of the smallest bucket that holds so many tokens [default: all buckets, and
    /// for each the longest program that texts are packed into].
    #[arg(long, value_name = "TOKENS")]
    pub seq: Option<usize>,
}

#[derive(Args)]
pub struct Bench {
    #[command(flatten)]
    pub subject: Subject,
    /// Timed inferences.
    #[arg(
        long,
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=10000),
        value_name = "N"
    )]
    pub runs: u32,
    /// Only the cycles of the timing model, with busy and stalled cycles of each unit; nothing is
    /// run.
    #[arg(long)]
    pub cycles: bool,
    /// With --cycles: what each unit waits for.
    #[arg(long, requires = "cycles")]
    pub stalls: bool,
    /// The time of each kernel of the emulator that this CPU runs, one run each in turn, and
    /// whether the one that it takes by default is the fastest.
    #[arg(long, conflicts_with = "cycles")]
    pub kernels: bool,
    /// Sequences a second in batches of N, each with a run of its own, with the host's part of a
    /// run beside the device's part of another and without (--no-overlap), in turn.
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "64",
        value_parser = clap::value_parser!(u32).range(2..=100_000),
        conflicts_with_all = ["cycles", "kernels"]
    )]
    pub overlap: Option<u32>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Args)]
pub struct Diff {
    /// The recording.
    pub file: PathBuf,
    /// The device to compare with [default: emu: and the recorded geometry].
    #[arg(long, value_name = "URI")]
    pub against: Option<String>,
    /// Seconds one run of that device may take.
    #[arg(
        long,
        default_value_t = 600,
        value_parser = clap::value_parser!(u64).range(1..=86400),
        value_name = "SECONDS"
    )]
    pub deadline: u64,
}
