//! The float reference against a real checkpoint and the logits that PyTorch computed for it.

use std::path::PathBuf;

use fqbert_checkpoint::testing::data_folder;
use fqbert_checkpoint::{Checkpoint, LoadOptions, load_tokenizer};
use fqbert_host::{HeadOutput, Tokenizer, Tokens};

struct Sst2 {
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    folder: PathBuf,
}

fn sst2(test: &str) -> Option<Sst2> {
    let folder = data_folder(test)?;
    let model = folder.join("minilm-l6-sst2");
    let checkpoint = Checkpoint::load(&model, &LoadOptions::default()).unwrap();
    let tokenizer = load_tokenizer(&model).unwrap();
    tokenizer.check_vocab(checkpoint.config.vocab).unwrap();
    Some(Sst2 {
        checkpoint,
        tokenizer,
        folder,
    })
}

impl Sst2 {
    fn sequence(&self, text: &str) -> Tokens {
        let encoding = self.tokenizer.encode(text, 128).unwrap();
        Tokens {
            ids: encoding.ids,
            type_ids: encoding.type_ids,
        }
    }

    /// Sentence, label and the two reference logits of each row.
    fn dev(&self) -> Vec<(String, usize, [f32; 2])> {
        let read =
            |name: &str| std::fs::read_to_string(self.folder.join("sst2").join(name)).unwrap();
        let (sentences, logits) = (read("dev.tsv"), read("dev-float-logits.tsv"));
        sentences
            .lines()
            .zip(logits.lines())
            .skip(1)
            .map(|(sentence, logits)| {
                let (text, label) = sentence.rsplit_once('\t').unwrap();
                let (a, b) = logits.split_once('\t').unwrap();
                let logits = [a.parse().unwrap(), b.parse().unwrap()];
                (text.to_owned(), label.parse().unwrap(), logits)
            })
            .collect()
    }

    /// Largest difference from the reference logits, and the number of correct rows.
    fn compare(&self, rows: &[(String, usize, [f32; 2])]) -> (f32, usize) {
        let sequences: Vec<_> = rows.iter().map(|(text, ..)| self.sequence(text)).collect();
        let outputs = self.checkpoint.forward_batch(&sequences).unwrap();
        let mut worst = 0.0f32;
        let mut correct = 0;
        for (output, (_, label, expected)) in outputs.iter().zip(rows) {
            let HeadOutput::Logits(logits) = output else {
                panic!("logits expected")
            };
            assert_eq!(logits.len(), 2);
            for (got, expected) in logits.iter().zip(expected) {
                worst = worst.max((got - expected).abs());
            }
            correct += usize::from(usize::from(logits[1] > logits[0]) == *label);
        }
        (worst, correct)
    }
}

#[test]
fn logits_of_the_documented_sentences() {
    let Some(model) = sst2("logits_of_the_documented_sentences") else {
        return;
    };
    for (text, expected) in [
        ("a gorgeous, witty, seductive movie.", [-3.6659, 3.6181]),
        ("a dull, lifeless waste of two hours.", [3.3020, -3.2686]),
    ] {
        let s = model.sequence(text);
        let output = model.checkpoint.forward(&s.ids, &s.type_ids).unwrap();
        for (got, expected) in output.values().iter().zip(expected) {
            assert!(
                (got - expected).abs() < 1e-3,
                "{text}: {got} for {expected}"
            );
        }
    }
    assert_eq!(model.checkpoint.config.labels, ["negative", "positive"]);
}

#[test]
fn a_sample_of_the_dev_logits() {
    let Some(model) = sst2("a_sample_of_the_dev_logits") else {
        return;
    };
    let rows: Vec<_> = model.dev().into_iter().step_by(29).collect();
    assert_eq!(rows.len(), 31);
    let (worst, _) = model.compare(&rows);
    assert!(worst < 1e-3, "logits differ by up to {worst}");
}

#[test]
#[ignore = "slow: all 872 sentences"]
fn all_dev_logits_and_the_accuracy() {
    let Some(model) = sst2("all_dev_logits_and_the_accuracy") else {
        return;
    };
    let rows = model.dev();
    assert_eq!(rows.len(), 872);
    let start = std::time::Instant::now();
    let (worst, correct) = model.compare(&rows);
    eprintln!(
        "872 sentences in {:.1?}, worst difference {worst:e}",
        start.elapsed()
    );
    assert!(worst < 1e-3, "logits differ by up to {worst}");
    assert_eq!(correct, 785);
}
