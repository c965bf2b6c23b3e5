//! An edge application: reads customer reviews from standard input, one a line, and prints those
//! that need a human.
//!
//! `printf '%s\n' "loved it" "a dull waste of two hours" | cargo run --release -p review-alarm --
//! emu:zcu102` On a board the same binary takes `uio:fqbert0`.

use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};

use fqbert_runtime::{Classifier, SessionOptions};

const MODEL: &str = "models/minilm-l6-sst2/model.safetensors";

fn main() -> Result<(), Box<dyn Error>> {
    let device = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "emu:zcu102".into());
    let mut classifier = Classifier::open(MODEL, &device, &SessionOptions::default())?;
    for line in stdin().lock().lines() {
        let review = line?;
        if review.trim().is_empty() {
            continue;
        }
        let answer = classifier.classify(&review)?;
        if answer.label == "negative" && answer.scores[answer.index] > 0.9 {
            writeln!(
                stdout(),
                "{:.1} % negative: {review}",
                100.0 * answer.scores[answer.index]
            )?;
        }
    }
    Ok(())
}
