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
    stages: PathBuf,
    checkpoint: Checkpoint,
    calibration: Calibration,
    options: QuantizeOptions,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Run {
            stages: folder.path().join("stages"),
            folder,
            checkpoint: load(1),
            calibration: calibration(0),
            options: QuantizeOptions::default(),
        }
    }

    fn open(&self) -> StageFolder {
        StageFolder::open(&self.stages).unwrap().unwrap()
    }

    fn job<'a>(&'a self, stages: &'a StageFolder) -> Job<'a> {
        Job {
            checkpoint: &self.checkpoint,
            tokenizer: None,
            calibration: &self.calibration,
            options: &self.options,
            stages: Some(stages),
        }
    }

    /// Runs `steps` steps; the number done and the model's and the report's bytes.
    fn go(&self, steps: usize) -> (usize, Result<(Vec<u8>, String), QuantizeError>) {
        let mut progress = Steps {
            left: steps,
            done: 0,
        };
        let stages = self.open();
        let made = self.job(&stages).quantize(&mut progress);
        let bytes = made.map(|(model, report)| {
            (
                model.to_bytes().unwrap(),
                serde_json::to_string(&report).unwrap(),
            )
        });
        (progress.done, bytes)
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(&self.stages) else {
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
    let stages = whole.open();
    let job = Job {
        stages: None,
        ..whole.job(&stages)
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
        let stages = run.open();
        let again = run.job(&stages).quantize(&mut Silent).unwrap().0;
        assert_eq!(again.to_bytes().unwrap(), wanted.0);
        stages.remove().unwrap();
        assert!(!run.stages.exists() && run.folder.path().exists());
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
        let stages = run.open();
        let made = run
            .job(&stages)
            .mix(&held_out, Goal::Budget(5.0), &mut progress);
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
    // The first line is in the digest, whatever its figures say.
    let figures = |change: &dyn Fn(&str) -> String| {
        let end = good.iter().position(|b| *b == b'\n').unwrap();
        let line = String::from_utf8(good[..end].to_vec()).unwrap();
        let changed = change(&line);
        assert_ne!(changed, line);
        spoiled(&|b| *b = [changed.as_bytes(), &good[end..]].concat())
    };
    let place = |line: &str| line.find("\"figures\":[[").unwrap() + 12;
    let edit = |from: usize, new: &str, line: &str| {
        let at = place(line) + from;
        let to = at + line[at..].find([',', ']']).unwrap();
        format!("{}{new}{}", &line[..at], &line[to..])
    };
    assert!(figures(&|l| edit(0, "8", l)).contains("damaged"));
    let nan = f64::NAN.to_bits().to_string();
    assert!(figures(&|l| edit(2, &nan, l)).contains("damaged"));
    // One that has the right digest of wrong figures was made so on purpose, and is refused too.
    let signed = |line: String| {
        let start = line.find("\"sha256\":\"").unwrap() + 10;
        let without = format!("{}{}", &line[..start], &line[start + 64..]);
        let end = good.iter().position(|b| *b == b'\n').unwrap();
        let digest = fqbert_files::sha256_hex([without.as_bytes(), &good[end + 1..]]);
        format!("{}{digest}{}", &line[..start], &line[start + 64..])
    };
    for (from, new) in [
        (0, "8"),
        (2, nan.as_str()),
        (2, &1e9f64.to_bits().to_string()),
        (2, &f64::INFINITY.to_bits().to_string()),
    ] {
        let said = figures(&|l| signed(edit(from, new, l)));
        assert!(said.contains("which cannot be"), "{said}");
    }
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
        run.stages.join(
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

#[test]
fn what_a_killed_run_left_half_written_is_deleted() {
    let run = Run::new();
    let _ = run.go(9);
    fs::write(run.stages.join(".fqbert-AbCdEf.tmp"), "half").unwrap();
    let stages = run.open();
    run.job(&stages).quantize(&mut Silent).unwrap();
    stages.remove().unwrap();
    assert!(!run.stages.exists());
}

#[test]
fn a_finished_run_leaves_the_stages_of_an_interrupted_one() {
    let interrupted = Run::new();
    let _ = interrupted.go(9);
    let left = interrupted.files();
    assert!(!left.is_empty());
    let finished = Run {
        options: QuantizeOptions::new(Scheme::W8A8),
        stages: interrupted.stages.clone(),
        ..Run::new()
    };
    let stages = finished.open();
    finished.job(&stages).quantize(&mut Silent).unwrap();
    assert!(finished.files().len() > left.len());
    stages.remove().unwrap();
    assert_eq!(interrupted.files(), left);
}

#[test]
fn one_run_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stages");
    let first = StageFolder::open(&path).unwrap().unwrap();
    assert!(StageFolder::open(&path).unwrap().is_none());
    drop(first);
    assert!(!path.exists(), "an empty folder does not stay");
    // Many that come and go at once: each gets it or does not, and none fails.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    if let Some(stages) = StageFolder::open(&path).unwrap() {
                        let file = path.join("mine.stage");
                        assert!(fs::File::create_new(&file).is_ok(), "two have it");
                        fs::remove_file(&file).unwrap();
                        stages.remove().unwrap();
                    }
                }
            });
        }
    });
    assert!(!path.exists());
    fs::write(&path, "a file").unwrap();
    let e = StageFolder::open(&path).unwrap_err().to_string();
    assert!(e.contains("cannot open it"), "{e}");
}

#[test]
fn a_stage_that_is_no_file_is_refused() {
    let run = Run::new();
    let _ = run.go(9);
    let file = run.files()[0].clone();
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    assert!(run.refused(&file).contains("a character device"));
}
