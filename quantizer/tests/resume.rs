//! Interrupted runs go on to the bits of an uninterrupted one; stage files that are not theirs are
//! refused.

use std::fs;
use std::path::{Path, PathBuf};

use fqbert_checkpoint::testing::Spec;
use fqbert_checkpoint::{Checkpoint, LoadOptions};
use fqbert_quantizer::{
    Calibration, Goal, Job, Progress, QuantizeError, QuantizeOptions, Scheme, Silent, StageFolder,
};

fn spec(seed: u64) -> Spec {
    Spec {
        layers: 3,
        hidden: 32,
        heads: 2,
        intermediate: 64,
        seed,
        ..Spec::default()
    }
}

fn load(seed: u64) -> Checkpoint {
    let folder = tempfile::tempdir().unwrap();
    spec(seed).write(folder.path()).unwrap();
    Checkpoint::load(folder.path(), &LoadOptions::default()).unwrap()
}

fn calibration(from: u64) -> Calibration {
    let sequences = (from..from + 12).map(|i| spec(1).sequence(5 + i as usize % 7, i));
    Calibration::from_sequences(sequences.collect()).unwrap()
}

/// Stops after some steps, or counts them.
struct Steps {
    left: usize,
    done: usize,
}

impl Progress for Steps {
    fn phase(&mut self, _: &str, _: usize) {}

    fn step(&mut self) -> bool {
        self.done += 1;
        self.done < self.left
    }
}

struct Run {
    folder: tempfile::TempDir,
    stages: StageFolder,
    checkpoint: Checkpoint,
    calibration: Calibration,
    options: QuantizeOptions,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Run {
            stages: StageFolder::new(folder.path().join("stages")),
            folder,
            checkpoint: load(1),
            calibration: calibration(0),
            options: QuantizeOptions::default(),
        }
    }

    fn job(&self) -> Job<'_> {
        Job {
            checkpoint: &self.checkpoint,
            tokenizer: None,
            calibration: &self.calibration,
            options: &self.options,
            stages: Some(&self.stages),
        }
    }

    /// Runs `steps` steps; the number done and the model's and the report's bytes.
    fn go(&self, steps: usize) -> (usize, Result<(Vec<u8>, String), QuantizeError>) {
        let mut progress = Steps {
            left: steps,
            done: 0,
        };
        let made = self.job().quantize(&mut progress);
        let bytes = made.map(|(model, report)| {
            (
                model.to_bytes().unwrap(),
                serde_json::to_string(&report).unwrap(),
            )
        });
        (progress.done, bytes)
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(self.stages.path()) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = files.map(|f| f.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The error of going on, which names the file.
    fn refused(&self, file: &Path) -> String {
        let e = self.go(usize::MAX).1.unwrap_err();
        assert!(matches!(e, QuantizeError::Stage { .. }), "{e}");
        let e = e.to_string();
        assert!(
            e.contains(file.to_str().unwrap()) && e.contains("delete it"),
            "{e}"
        );
        e
    }
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    let whole = Run::new();
    let (all, wanted) = whole.go(usize::MAX);
    let wanted = wanted.unwrap();
    assert_eq!(whole.files().len(), 3);
    // Without stages nothing is different.
    let job = Job {
        stages: None,
        ..whole.job()
    };
    assert_eq!(
        job.quantize(&mut Silent).unwrap().0.to_bytes().unwrap(),
        wanted.0
    );
    // Stopped in the first, the second and after the last layer.
    for stop in [3, 9, all] {
        let run = Run::new();
        let (_, stopped) = run.go(stop);
        assert!(matches!(stopped, Err(QuantizeError::Cancelled)));
        let finished = run.files().len();
        let (rest, made) = run.go(usize::MAX);
        assert_eq!(made.unwrap(), wanted);
        // Finished layers are not fitted again: of their steps only the float one is left.
        assert_eq!(rest, all - 4 * finished, "{finished} layers finished");
        run.stages.remove().unwrap();
        assert!(!run.stages.path().exists() && run.folder.path().exists());
    }
}

#[test]
fn an_interrupted_mix_goes_on_to_the_same_bits() {
    let mix = |run: &Run, steps| {
        let held_out: Vec<_> = (50..56).map(|i| spec(1).sequence(8, i)).collect();
        let mut progress = Steps {
            left: steps,
            done: 0,
        };
        let made = run.job().mix(&held_out, Goal::Budget(5.0), &mut progress);
        made.map(|(model, _, mix)| {
            (
                model.to_bytes().unwrap(),
                serde_json::to_string(&mix).unwrap(),
                progress.done,
            )
        })
    };
    let (model, report, all) = mix(&Run::new(), usize::MAX).unwrap();
    for stop in [9, all - 4] {
        let run = Run::new();
        assert!(matches!(mix(&run, stop), Err(QuantizeError::Cancelled)));
        let resumed = mix(&run, usize::MAX).unwrap();
        assert!(resumed.0 == model && resumed.1 == report && resumed.2 < all);
    }
}

#[test]
fn damaged_stage_files_are_refused_by_name() {
    let run = Run::new();
    let _ = run.go(9);
    let file = run.files()[0].clone();
    let good = fs::read(&file).unwrap();
    let at = good.len() - 100;
    let spoiled = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(&file, bytes).unwrap();
        run.refused(&file)
    };
    assert!(spoiled(&|b| b[at] ^= 1).contains("damaged"));
    assert!(spoiled(&|b| b.truncate(at)).contains("damaged"));
    assert!(spoiled(&|b| b.truncate(40)).contains("no stage file"));
    assert!(spoiled(&|b| b.clear()).contains("no stage file"));
    assert!(spoiled(&|b| *b = b"{\"layers\": 1}\n".to_vec()).contains("no stage file"));
    // Whole again, it is taken.
    fs::write(&file, &good).unwrap();
    assert!(run.go(usize::MAX).1.is_ok());
}

#[test]
fn stage_files_of_another_run_are_refused_by_name() {
    let run = Run::new();
    let _ = run.go(9);
    let file = run.files()[0].clone();
    let other = Run {
        checkpoint: load(2),
        ..Run::new()
    };
    let other = Run {
        stages: run.stages.clone(),
        ..other
    };
    assert!(other.refused(&file).contains("another checkpoint"));
    let other = Run {
        calibration: calibration(5),
        stages: run.stages.clone(),
        ..Run::new()
    };
    assert!(other.refused(&file).contains("other calibration data"));

    // Another scheme keeps its stages under other names; a file that was renamed is found out.
    let other = Run {
        options: QuantizeOptions::new(Scheme::W8A8),
        stages: run.stages.clone(),
        ..Run::new()
    };
    let before = run.files();
    let _ = other.go(9);
    let added: Vec<PathBuf> = run
        .files()
        .into_iter()
        .filter(|f| !before.contains(f))
        .collect();
    fs::copy(&file, &added[0]).unwrap();
    assert!(other.refused(&added[0]).contains("other options"));
    fs::remove_file(&added[0]).unwrap();

    // A layer in another's place.
    fs::copy(
        &before[0],
        run.stages.path().join(
            before[0]
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .replace("-000", "-001"),
        ),
    )
    .unwrap();
    let e = run.go(usize::MAX).1.unwrap_err().to_string();
    assert!(e.contains("it holds layer 0"), "{e}");
}
