//! `cargo xtask compare OLD NEW`: that a change of structure changed no behaviour.
//!
//! Two checkouts give the same golden vectors, logits, program listings, plans and cycles, byte for
//! byte. Each checkout's program is built if it is not there (`cargo build --release`), and runs in
//! its checkout, so with its own model.
//!
//! Where the change has renamed the option for the device and its key in JSON outputs:
//!
//! ```text
//! cargo xtask compare OLD . --old-option=--fabric --renamed fabric=device
//! ```

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::host::{note, run};

/// `cargo xtask compare`.
#[derive(clap::Args)]
pub struct Args {
    /// The checkout before the change.
    old: PathBuf,
    /// The checkout after it.
    new: PathBuf,
    /// The old program, instead of target/release/fqbert in its checkout.
    #[arg(long, value_name = "FILE")]
    old_program: Option<PathBuf>,
    /// The new program.
    #[arg(long, value_name = "FILE")]
    new_program: Option<PathBuf>,
    /// The old program's option that names the device.
    #[arg(long, default_value = "--device", allow_hyphen_values = true)]
    old_option: String,
    /// The new program's.
    #[arg(long, default_value = "--device", allow_hyphen_values = true)]
    new_option: String,
    /// A JSON key that has another name in the new outputs (repeatable).
    #[arg(long, value_name = "OLD=NEW")]
    renamed: Vec<String>,
}

const TEXTS: &[&str] = &[
    "a gorgeous, witty, seductive movie.",
    "a dull, lifeless waste of two hours.",
    "fine",
    "?!",
    "it's not that the film is bad; it's that nobody would have missed it.",
    "naïve café, Zürich, 東京, emoji \u{1f600} and a\ttab",
    "UPPER lower MiXeD 1234567890 3.14159 1,000,000",
    "an unwieldy pseudohypoparathyroidism of antidisestablishmentarianism",
    "the plot thickens, then thins, then walks out; the actors stay, brave to the last, and carry \
     every scene that the script has dropped on them with a grace that it has not earned, so that \
     what could have been an evening lost is, at the very least, an evening spent among friends.",
];

/// Shapes whose programs are compared, beside the shipped model's (none).
const SHAPES: &[Option<&str>] = &[
    None,
    Some("bert-tiny"),
    Some("minilm-l6"),
    Some("distilbert"),
    Some("bert-base"),
    Some("3,192,3,768"),
];

const DEVICES: &[&str] = &["emu:zcu102", "emu:paper", "emu:zcu111", "emu:tiny"];

/// Tokens: the smallest bucket, one in between, the largest that all models have.
const SEQUENCES: &[&str] = &["16", "128", "512"];

/// One side.
struct Checkout<'a> {
    folder: PathBuf,
    program: PathBuf,
    option: &'a str,
}

/// A run of the program, without the option for the device.
struct Case {
    device: &'static str,
    arguments: Vec<String>,
    input: String,
}

/// Runs the subcommand.
pub fn main(args: &Args) -> Result<ExitCode> {
    let old = Checkout::open(&args.old, args.old_program.as_deref(), &args.old_option)?;
    let new = Checkout::open(&args.new, args.new_program.as_deref(), &args.new_option)?;
    let mut renamed = Vec::new();
    for pair in &args.renamed {
        let (from, to) = pair
            .split_once('=')
            .with_context(|| format!("--renamed {pair}: OLD=NEW is wanted"))?;
        renamed.push((format!("\"{from}\":"), format!("\"{to}\":")));
    }
    let vectors = compare_golden(&old.golden()?, &new.golden()?)?;
    println!("{vectors} files of golden vectors are equal");
    let (mut equal, mut refused, mut differ) = (0, 0, 0);
    for case in cases() {
        let name = format!("{} on {}", case.arguments.join(" "), case.device);
        note(&name);
        let (before, after) = (old.run(&case)?, new.run(&case)?);
        let before = rename(before, &renamed);
        if before != after {
            differ += 1;
            let difference = difference(&before.text, &after.text);
            println!("DIFFERENT: {name}: {difference}");
        } else if before.success {
            equal += 1;
        } else {
            refused += 1;
        }
    }
    println!("{equal} outputs and {refused} refusals are equal, {differ} differ");
    ensure!(equal > 0, "every run was refused");
    ensure!(differ == 0, "{differ} runs differ");
    Ok(ExitCode::SUCCESS)
}

/// What is run on both sides.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |device: &'static str, words: &[&str], input: &str| {
        cases.push(Case {
            device,
            arguments: words.iter().map(|word| (*word).to_owned()).collect(),
            input: input.to_owned(),
        });
    };
    for device in DEVICES {
        for text in TEXTS {
            add(device, &["classify", "--json", text], "");
        }
        let all = TEXTS.join("\n") + "\n";
        add(device, &["classify", "--json", "-"], &all);
        for shape in SHAPES {
            let shape: Vec<&str> = shape.iter().flat_map(|s| ["--shape", s]).collect();
            let words = |head: &[&'static str]| [head, &shape].concat();
            add(device, &words(&["inspect", "--json"]), "");
            for seq in SEQUENCES {
                let tail = ["--seq", seq];
                let listing = [words(&["disassemble"]), tail.to_vec()].concat();
                add(device, &listing, "");
                let bench = words(&["bench", "--cycles", "--stalls", "--json"]);
                add(device, &[bench, tail.to_vec()].concat(), "");
            }
        }
    }
    cases
}

/// How a run ended, and what it wrote: stdout, or stderr if it was refused.
#[derive(PartialEq, Eq)]
struct Outcome {
    success: bool,
    text: String,
}

fn rename(mut outcome: Outcome, renamed: &[(String, String)]) -> Outcome {
    for (from, to) in renamed {
        outcome.text = outcome.text.replace(from, to);
    }
    outcome
}

impl<'a> Checkout<'a> {
    fn open(folder: &Path, program: Option<&Path>, option: &'a str) -> Result<Self> {
        let folder = fs::canonicalize(folder)
            .with_context(|| format!("no checkout at {}", folder.display()))?;
        let built = folder.join("target/release/fqbert");
        let program = program.map_or(Ok(built), fs::canonicalize)?;
        if !program.is_file() {
            note(format!("building {}", folder.display()));
            run(Command::new("cargo").current_dir(&folder).args([
                "build",
                "--locked",
                "--release",
                "--bin",
                "fqbert",
            ]))?;
        }
        Ok(Self {
            folder,
            program,
            option,
        })
    }

    /// The folder of golden vectors, below whichever folder the accelerator has.
    fn golden(&self) -> Result<PathBuf> {
        let below = fs::read_dir(&self.folder)?.flatten();
        let mut golden = below.map(|entry| entry.path().join("numerics/golden"));
        golden
            .find(|folder| folder.is_dir())
            .with_context(|| format!("no numerics/golden in {}", self.folder.display()))
    }

    fn run(&self, case: &Case) -> Result<Outcome> {
        let mut child = Command::new(&self.program)
            .current_dir(&self.folder)
            .args([self.option, case.device])
            .args(&case.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut stdin = child.stdin.take().context("no pipe to the program")?;
        stdin.write_all(case.input.as_bytes())?;
        drop(stdin);
        let done = child.wait_with_output()?;
        let success = done.status.success();
        let bytes = if success { done.stdout } else { done.stderr };
        Ok(Outcome {
            success,
            text: String::from_utf8(bytes).context("output is not UTF-8")?,
        })
    }
}

/// Compares two folders file by file; gives their number.
fn compare_golden(old: &Path, new: &Path) -> Result<usize> {
    let names = |folder: &Path| -> Result<Vec<std::ffi::OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name());
        }
        names.sort();
        Ok(names)
    };
    let files = names(old)?;
    ensure!(
        files == names(new)?,
        "{} and {} have other files",
        old.display(),
        new.display()
    );
    ensure!(!files.is_empty(), "no golden vectors in {}", old.display());
    for file in &files {
        if fs::read(old.join(file))? != fs::read(new.join(file))? {
            bail!("{} differs", new.join(file).display());
        }
    }
    Ok(files.len())
}

/// The first line that differs.
fn difference(old: &str, new: &str) -> String {
    let (mut old, mut new) = (old.lines(), new.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (Some(a), Some(b)) if a == b => {}
            (None, None) => return "other line ends".to_owned(),
            (a, b) => {
                let shown = |line: Option<&str>| line.map_or("nothing", str::trim).to_owned();
                return format!("line {number}: {}\n  now: {}", shown(a), shown(b));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown() {
        assert_eq!(difference("a\nb\n", "a\nc\n"), "line 2: b\n  now: c");
        assert_eq!(difference("a\n", "a\nc\n"), "line 2: nothing\n  now: c");
    }

    #[test]
    fn golden_vectors_that_differ_are_an_error() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let compare = || compare_golden(old.path(), new.path());
        assert!(compare().is_err(), "nothing to compare");
        fs::write(old.path().join("a.json"), "1").unwrap();
        assert!(compare().is_err());
        fs::write(new.path().join("a.json"), "1").unwrap();
        assert_eq!(compare().unwrap(), 1);
        fs::write(new.path().join("a.json"), "2").unwrap();
        assert!(compare().is_err());
    }

    #[test]
    fn a_renamed_key_is_no_difference_and_a_value_is() {
        let outcome = |text: &str| Outcome {
            success: true,
            text: text.to_owned(),
        };
        let renamed = [("\"fabric\":".to_owned(), "\"device\":".to_owned())];
        let old = rename(outcome("{\"fabric\": \"fabric\"}"), &renamed);
        assert_eq!(old.text, "{\"device\": \"fabric\"}");
        assert!(old != outcome("{\"device\": \"device\"}"));
    }
}
