//! Checkpoints, calibration text and models, made once for all tests.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use fqbert_checkpoint::testing::Spec;
use fqbert_host::TaskKind;

use super::common::{fqbert, s, stderr};

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

pub fn model(name: &str) -> String {
    s(&fixture().path(&format!("{name}.safetensors"))).to_owned()
}
