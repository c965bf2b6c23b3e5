//! Checkpoints, calibration text and models, made once for all tests.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use fqbert_checkpoint::testing::Spec;
use fqbert_host::TaskKind;

use super::common::{command, fqbert, s, stderr};

/// A folder with a checkpoint, calibration text and the quantized model, made once for all tests.
pub struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

pub fn spec(task: TaskKind) -> Spec {
    Spec {
        layers: 2,
        hidden: 64,
        heads: 2,
        intermediate: 128,
        labels: 3,
        max_sequence: 64,
        task,
        ..Spec::default()
    }
}

pub fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let fixture = Fixture {
            folder: tempfile::tempdir().unwrap(),
        };
        let tasks = [
            ("classes", TaskKind::SequenceClassification),
            ("vectors", TaskKind::Embedding),
            ("tags", TaskKind::TokenClassification),
        ];
        for (name, task) in tasks {
            let spec = spec(task);
            fs::create_dir_all(fixture.path(name)).unwrap();
            spec.write(&fixture.path(name)).unwrap();
            let text: String = (0..40).map(|i| spec.text(8, i) + "\n").collect();
            fs::write(fixture.path("text.txt"), text).unwrap();
            let model = fixture.path(&format!("{name}.safetensors"));
            let calibrate = fixture.path("text.txt");
            let out = fqbert(&[
                "quantize",
                s(&fixture.path(name)),
                "-o",
                s(&model),
                "--calibrate",
                s(&calibrate),
                "--license",
                "MIT",
            ]);
            assert!(out.status.success(), "{}", stderr(&out));
        }
        fixture
    })
}

/// Sets all values of an f32 tensor of a safetensors file.
pub fn fill(file: &Path, tensor: &str, value: f32) {
    let mut bytes = fs::read(file).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let offset = |i: usize| header[tensor]["data_offsets"][i].as_u64().unwrap() as usize;
    for place in bytes[8 + length + offset(0)..8 + length + offset(1)].chunks_exact_mut(4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    fs::write(file, bytes).unwrap();
}

/// A copy of the classifier's checkpoint under another name.
pub fn copy(name: &str) -> PathBuf {
    let folder = fixture().path(name);
    fs::create_dir_all(&folder).unwrap();
    for file in fs::read_dir(fixture().path("classes")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    folder
}

pub fn model(name: &str) -> String {
    s(&fixture().path(&format!("{name}.safetensors"))).to_owned()
}

/// The program with `input` on its standard input.
pub fn with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments may be gone before it reads.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}
