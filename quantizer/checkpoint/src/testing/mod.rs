//! Seeded random checkpoints, written as the Hugging Face folders that they would come as.
//!
//! For tests, here and in the crates above: a folder of any shape and family can be made in
//! milliseconds, so no test needs a download. The same [`Spec`] gives the same bytes.

mod files;
mod spec;

use std::io::Write;
use std::path::{Path, PathBuf};

use fqbert_host::{Family, Tokens};
use fqbert_random::Random;

pub use spec::{Spec, Storage, TokenizerFiles};

impl Spec {
    /// Writes the folder's files into `folder`, which exists.
    ///
    /// # Errors
    /// What the file system says; [`std::io::ErrorKind::InvalidInput`] for a spec that makes no
    /// sense.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        let sensible = self.heads > 0
            && self.hidden.is_multiple_of(self.heads)
            && self.vocab >= Spec::LEAST_VOCAB
            && self.shards > 0
            && !(self.family == Family::Roberta && self.tokenizer == TokenizerFiles::Vocab);
        if !sensible {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                format!("no such checkpoint can be: {self:?}"),
            ));
        }
        files::write(self, folder)
    }

    /// A random sequence of `tokens` ids between the tokens that open and close a text.
    pub fn sequence(&self, tokens: usize, seed: u64) -> Tokens {
        let mut rng = Random::new(seed);
        let (open, close) = if self.family == Family::Roberta {
            (0, 2)
        } else {
            (2, 3)
        };
        let last = tokens.saturating_sub(1);
        let ids = (0..tokens)
            .map(|i| match i {
                0 => open,
                i if i == last => close,
                _ => 5 + rng.below(self.vocab as u64 - 5) as u32,
            })
            .collect();
        Tokens {
            ids,
            type_ids: vec![0; tokens],
        }
    }

    /// A random text of `words` words of the vocabulary.
    pub fn text(&self, words: usize, seed: u64) -> String {
        let vocab = files::vocabulary(self);
        let whole: Vec<&str> = vocab
            .iter()
            .skip(5)
            .filter(|w| !w.starts_with("##"))
            .map(String::as_str)
            .collect();
        let mut rng = Random::new(seed);
        let words: Vec<&str> = (0..words)
            .map(|_| whole[rng.below(whole.len() as u64) as usize])
            .collect();
        words.join(" ")
    }
}

/// The folder of real checkpoints and labelled data: the environment variable `FQBERT_DATA`, or
/// `../shared/data` beside the repository. If there is none, says so on standard error and
/// returns `None`, for `test` to pass over what needs it.
pub fn data_folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FQBERT_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {test}: no data in {}; set FQBERT_DATA",
        folder.display()
    );
    None
}
