//! Quantizes a checkpoint and measures it against the float model, both in plain arithmetic.
//!
//! `accuracy sst2 MODEL-FOLDER DATA-FOLDER [scheme] [key=value...]`, or `accuracy sts ...`. The
//! data folder holds `sst2/train.tsv` and `sst2/dev.tsv`, or `stsb/sts-train.csv` and
//! `stsb/sts-dev.csv`.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use fqbert_checkpoint::{Checkpoint, LoadOptions, load_tokenizer};
use fqbert_evaluation::data::{Table, read_sts};
use fqbert_evaluation::metrics::argmax;
use fqbert_evaluation::metrics::classes::Confusion;
use fqbert_evaluation::metrics::correlation::{cosine, spearman};
use fqbert_evaluation::metrics::noise::Noise;
use fqbert_host::{Encoding, Tokenizer};
use fqbert_model::QuantizedModel;
use fqbert_numerics::host::{quantize_i8, quantize_i16};
use fqbert_quantizer::{
    Calibration, Columns, QuantizeOptions, RangeMethod, Rounding, Sample, Scheme, Silent, encode,
    quantize,
};
use rayon::prelude::*;

/// Tokens at which texts are cut.
const LONGEST: usize = 128;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Float and integer answer to each text.
fn answers(c: &Checkpoint, m: &QuantizedModel, texts: &[Encoding]) -> Outcome<Vec<[Vec<f32>; 2]>> {
    let hidden = c.config.hidden;
    let mut answers = Vec::with_capacity(texts.len());
    for texts in texts.chunks(128) {
        let (mut embedded, mut ranges) = (Vec::new(), Vec::new());
        for t in texts {
            let start = embedded.len() / hidden;
            embedded.extend(c.embeddings.embed(&t.ids, &t.type_ids)?);
            ranges.push(start..embedded.len() / hidden);
        }
        let (s8, s16) = m.input_scales();
        let x8: Vec<i8> = embedded.iter().map(|v| quantize_i8(*v, s8)).collect();
        let x16: Vec<i16> = embedded.iter().map(|v| quantize_i16(*v, s16)).collect();
        let y = encode(m, &x8, &x16, &ranges).ok_or("sequences")?;
        let scale = m.output_scale();
        let y: Vec<f32> = y.iter().map(|v| f32::from(*v) * scale).collect();
        let of_texts: Outcome<Vec<_>> = texts
            .par_iter()
            .zip(&ranges)
            .map(|(t, r)| {
                let integer = c.head.apply(&y[r.start * hidden..r.end * hidden], hidden)?;
                let float = c.forward(&t.ids, &t.type_ids)?;
                Ok([float.values().to_vec(), integer.values().to_vec()])
            })
            .collect();
        answers.extend(of_texts?);
    }
    Ok(answers)
}

/// What the arguments ask for.
struct Asked {
    sst2: bool,
    options: QuantizeOptions,
    sample: Sample,
}

impl Asked {
    fn parse(task: &str, rest: &[String]) -> Outcome<Self> {
        let scheme = match rest.first().map_or("w4a8", String::as_str) {
            "paper" => Scheme::Paper,
            "w8a8" => Scheme::W8A8,
            _ => Scheme::W4A8,
        };
        let (mut options, mut sample) = (QuantizeOptions::new(scheme), Sample::default());
        for pair in rest.iter().filter_map(|a| a.split_once('=')) {
            match pair {
                ("limit", v) => sample.limit = v.parse()?,
                ("seed", v) => sample.seed = v.parse()?,
                ("percentile", v) => options.ranges = RangeMethod::Percentile(v.parse()?),
                ("ema", v) => options.ranges = RangeMethod::EmaMax { decay: v.parse()? },
                ("nearest", _) => options.rounding = Rounding::Nearest,
                ("equalize", v) => options.equalize = v.parse()?,
                _ => return Err(format!("unknown option {}", pair.0).into()),
            }
        }
        Ok(Self {
            sst2: task == "sst2",
            options,
            sample,
        })
    }

    /// Calibration texts of the data folder, by column, and the file to measure on.
    fn files(&self, data: &Path) -> (PathBuf, Columns, PathBuf) {
        let (train, texts, dev) = if self.sst2 {
            ("sst2/train.tsv", vec![1], "sst2/dev.tsv")
        } else {
            ("stsb/sts-train.csv", vec![6, 7], "stsb/sts-dev.csv")
        };
        let columns = Columns {
            texts,
            header: self.sst2,
        };
        (data.join(train), columns, data.join(dev))
    }
}

/// Both models, and how texts are given to them.
struct Models {
    checkpoint: Checkpoint,
    quantized: QuantizedModel,
    tokenizer: Tokenizer,
}

impl Models {
    /// Float and integer answer to each text.
    fn answers(&self, texts: &[String]) -> Outcome<Vec<[Vec<f32>; 2]>> {
        let encode = |t: &String| Ok(self.tokenizer.encode(t, LONGEST)?);
        let encodings: Vec<Encoding> = texts.iter().map(encode).collect::<Outcome<_>>()?;
        answers(&self.checkpoint, &self.quantized, &encodings)
    }

    fn sst2(&self, dev: &Path) -> Outcome<()> {
        let table = Table::read(dev)?;
        let labels = table.parsed("label", str::parse::<usize>)?;
        let answers = self.answers(&table.column("sentence")?)?;
        let classes = |which: usize| answers.iter().map(move |a| argmax(&a[which]));
        let right = |which| Confusion::new(labels.iter().copied().zip(classes(which))).correct();
        let same = Confusion::new(classes(0).zip(classes(1)));
        let mut noise = Noise::default();
        answers.iter().for_each(|[f, i]| noise.add(f, i));
        writeln!(
            stdout(),
            "accuracy of {}: float {}, integer {}; agreement {} ({:.2} %); logits' SQNR {:.2} dB",
            same.total(),
            right(0),
            right(1),
            same.correct(),
            100.0 * same.accuracy().unwrap_or(0.0),
            noise.sqnr_db_bounded()
        )?;
        Ok(())
    }

    fn sts(&self, dev: &Path) -> Outcome<()> {
        let pairs = read_sts(dev)?;
        let scores: Vec<f64> = pairs.iter().map(|p| p.score).collect();
        let side = |which: usize| -> Vec<String> {
            pairs.iter().map(|p| p.sentences[which].clone()).collect()
        };
        let (first, second) = (self.answers(&side(0))?, self.answers(&side(1))?);
        let correlation = |which: usize| -> Outcome<f64> {
            let both = first.iter().zip(&second);
            let similar: Vec<f64> = both.map(|(a, b)| cosine(&a[which], &b[which])).collect();
            Ok(100.0 * spearman(&similar, &scores).ok_or("all scores are the same")?)
        };
        writeln!(
            stdout(),
            "Spearman of {}: float {:.2}, integer {:.2}",
            scores.len(),
            correlation(0)?,
            correlation(1)?
        )?;
        Ok(())
    }
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [task, model, data, rest @ ..] = args.as_slice() else {
        return Err("usage: accuracy sst2|sts MODEL DATA [w4a8|paper|w8a8] [key=value...]".into());
    };
    let asked = Asked::parse(task, rest)?;
    let (train, columns, dev) = asked.files(Path::new(data));
    let checkpoint = Checkpoint::load(Path::new(model), &LoadOptions::default())?;
    let tokenizer = load_tokenizer(Path::new(model))?;
    let start = Instant::now();
    let calibration = Calibration::from_tsv(&train, &columns, &tokenizer, &asked.sample)?;
    let (quantized, report) = quantize(
        &checkpoint,
        Some(&tokenizer),
        &calibration,
        &asked.options,
        &mut Silent,
    )?;
    writeln!(
        stdout(),
        "{report}\nquantized in {:.1} s",
        start.elapsed().as_secs_f64()
    )?;
    let models = Models {
        checkpoint,
        quantized,
        tokenizer,
    };
    if asked.sst2 {
        models.sst2(&dev)
    } else {
        models.sts(&dev)
    }
}
