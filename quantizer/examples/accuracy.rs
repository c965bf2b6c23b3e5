//! Quantizes a checkpoint and measures it against the float model, both in plain arithmetic.
//!
//! `accuracy sst2 MODEL-FOLDER DATA-FOLDER [scheme] [key=value...]`, or `accuracy sts ...`. The
//! data folder holds `sst2/train.tsv` and `sst2/dev.tsv`, or `stsb/sts-train.csv` and
//! `stsb/sts-dev.csv`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use fqbert_checkpoint::{Checkpoint, LoadOptions, load_tokenizer};
use fqbert_host::Encoding;
use fqbert_model::QuantizedModel;
use fqbert_numerics::host::{quantize_i8, quantize_i16};
use fqbert_quantizer::{
    Calibration, Columns, QuantizeOptions, RangeMethod, Rounding, Sample, Scheme, Silent, encode,
    quantize,
};
use rayon::prelude::*;

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

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [task, model, data, rest @ ..] = args.as_slice() else {
        return Err("usage: accuracy sst2|sts MODEL DATA [w4a8|paper|w8a8] [key=value...]".into());
    };
    let (model, data) = (Path::new(model), Path::new(data));
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
    let checkpoint = Checkpoint::load(model, &LoadOptions::default())?;
    let tokenizer = load_tokenizer(model)?;
    let sst2 = task == "sst2";
    let (train, dev) = if sst2 {
        (data.join("sst2/train.tsv"), data.join("sst2/dev.tsv"))
    } else {
        (
            data.join("stsb/sts-train.csv"),
            data.join("stsb/sts-dev.csv"),
        )
    };
    let texts = if sst2 { vec![1] } else { vec![6, 7] };
    let columns = Columns {
        texts,
        header: sst2,
    };
    let start = Instant::now();
    let calibration = Calibration::from_tsv(&train, &columns, &tokenizer, &sample)?;
    let (quantized, report) = quantize(
        &checkpoint,
        Some(&tokenizer),
        &calibration,
        &options,
        &mut Silent,
    )?;
    println!(
        "{report}\nquantized in {:.1} s",
        start.elapsed().as_secs_f64()
    );

    let text = fs::read_to_string(&dev)?;
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(usize::from(sst2))
        .map(|l| l.split('\t').collect())
        .collect();
    let encode = |column: usize| -> Outcome<Vec<Encoding>> {
        rows.iter()
            .map(|r| Ok(tokenizer.encode(r.get(column).ok_or("a row is too short")?, 128)?))
            .collect()
    };
    if sst2 {
        let labels: Vec<usize> = rows
            .iter()
            .map(|r| Ok(r[1].parse()?))
            .collect::<Outcome<_>>()?;
        let answers = answers(&checkpoint, &quantized, &encode(0)?)?;
        let class = |v: &[f32]| usize::from(v[1] > v[0]);
        let count = |f: &dyn Fn(usize, &[Vec<f32>; 2]) -> bool| {
            answers.iter().enumerate().filter(|(i, a)| f(*i, a)).count()
        };
        let float = count(&|i, a| class(&a[0]) == labels[i]);
        let integer = count(&|i, a| class(&a[1]) == labels[i]);
        let agree = count(&|_, a| class(&a[0]) == class(&a[1]));
        let (mut signal, mut noise) = (0.0, 0.0);
        for [f, i] in &answers {
            for (f, i) in f.iter().zip(i) {
                signal += f * f;
                noise += (f - i) * (f - i);
            }
        }
        let n = answers.len();
        println!(
            "accuracy of {n}: float {float}, integer {integer}; agreement {agree} ({:.2} %); \
             logits' SQNR {:.2} dB",
            100.0 * agree as f32 / n as f32,
            10.0 * (signal / noise).log10()
        );
    } else {
        let scores: Vec<f32> = rows
            .iter()
            .map(|r| Ok(r[4].parse()?))
            .collect::<Outcome<_>>()?;
        let a = answers(&checkpoint, &quantized, &encode(5)?)?;
        let b = answers(&checkpoint, &quantized, &encode(6)?)?;
        let cosine = |which: usize| -> Vec<f32> {
            let dot = |(a, b): (&[Vec<f32>; 2], &[Vec<f32>; 2])| {
                a[which].iter().zip(&b[which]).map(|(a, b)| a * b).sum()
            };
            a.iter().zip(&b).map(dot).collect()
        };
        let [float, integer] = [0, 1].map(|w| 100.0 * pearson(&ranks(&cosine(w)), &ranks(&scores)));
        println!(
            "Spearman of {}: float {float:.2}, integer {integer:.2}",
            scores.len()
        );
    }
    Ok(())
}

/// Ranks, the mean of them for equals.
fn ranks(v: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..v.len()).collect();
    order.sort_by(|a, b| v[*a].total_cmp(&v[*b]));
    let mut ranks = vec![0.0; v.len()];
    for equal in order.chunk_by(|a, b| v[*a] == v[*b]) {
        let first = order.partition_point(|i| v[*i] < v[equal[0]]);
        let rank = first as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|i| ranks[*i] = rank);
    }
    ranks
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let cov = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
    };
    cov(a, ma, b, mb) / (cov(a, ma, a, ma) * cov(b, mb, b, mb)).sqrt()
}
