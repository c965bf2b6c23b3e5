//! Checkpoints, models and data, made once for all tests.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::sync::OnceLock;

use fqbert_checkpoint::testing::Spec;
use fqbert_host::TaskKind;

use super::common::{fqbert, s, stderr};

pub const ROWS: usize = 24;
pub const LAYERS: usize = 3;

/// Checkpoints, models and data, made once for all tests.
pub struct Fixture(tempfile::TempDir);

impl Fixture {
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        s(&self.path(name)).to_owned()
    }
}

pub fn spec(task: TaskKind, labels: usize) -> Spec {
    Spec {
        layers: LAYERS,
        hidden: 64,
        heads: 2,
        intermediate: 128,
        labels,
        max_sequence: 64,
        task,
        ..Spec::default()
    }
}

pub fn text(i: usize) -> String {
    spec(TaskKind::Embedding, 1).text(3 + i % 9, i as u64)
}

pub fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let fixture = Fixture(tempfile::tempdir().unwrap());
        let lines: String = (0..40).map(|i| text(i) + "\n").collect();
        let calibrate = fixture.write("text.txt", &lines);
        let multi = r#""problem_type": "multi_label_classification", "#;
        for (name, task, labels, more) in [
            ("classes", TaskKind::SequenceClassification, 2, ""),
            ("sets", TaskKind::SequenceClassification, 3, multi),
            ("number", TaskKind::SequenceClassification, 1, ""),
            ("vectors", TaskKind::Embedding, 1, ""),
            ("tags", TaskKind::TokenClassification, 3, ""),
        ] {
            let folder = fixture.path(name);
            fs::create_dir_all(&folder).unwrap();
            spec(task, labels).write(&folder).unwrap();
            let config = fs::read_to_string(folder.join("config.json")).unwrap();
            let config = config.replacen('{', &format!("{{{more}"), 1);
            fs::write(folder.join("config.json"), config).unwrap();
            let out = fqbert(&[
                "quantize",
                s(&folder),
                "-o",
                &model(&fixture, name),
                "--calibrate",
                &calibrate,
            ]);
            assert!(out.status.success(), "{}", stderr(&out));
        }
        let rows = |label: &dyn Fn(usize) -> String| -> String {
            let rows = (0..ROWS).map(|i| format!("{}\t{}\n", text(i), label(i)));
            format!("sentence\tlabel\n{}", rows.collect::<String>())
        };
        fixture.write("classes.tsv", &rows(&|i| (i % 2).to_string()));
        fixture.write("one.tsv", &rows(&|_| "1".into()));
        fixture.write(
            "sets.tsv",
            &rows(&|i| ["", "0", "1,2", "0,2"][i % 4].into()),
        );
        fixture.write("number.tsv", &rows(&|i| format!("{}.5", i * 7 % 11)));
        fixture.write(
            "tags.tsv",
            &rows(&|i| {
                let words = text(i).split_whitespace().count();
                (0..words)
                    .map(|w| ((i + w) % 3).to_string())
                    .collect::<Vec<_>>()
                    .join(" ")
            }),
        );
        let pairs = (0..ROWS).map(|i| {
            format!(
                "a\tb\tc\t{i}\t{}\t{}\t{}\n",
                i * 7 % 11,
                text(i),
                text(i + 1)
            )
        });
        fixture.write("pairs.csv", &pairs.collect::<String>());
        fixture
    })
}

pub fn model(fixture: &Fixture, name: &str) -> String {
    s(&fixture.path(&format!("{name}.safetensors"))).to_owned()
}

/// `fqbert eval --json` of a model of the fixture on a file of the fixture.
pub fn eval(name: &str, data: &str, more: &[&str]) -> Output {
    let f = fixture();
    let (model, data) = (model(f, name), f.path(data));
    let mut args = vec!["eval", "--json", &model, "--data", s(&data)];
    args.extend(more);
    fqbert(&args)
}
