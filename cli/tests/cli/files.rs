//! Every input that is no file of its kind, and every output that must not be written: refused at
//! once, with its name, and nothing is lost.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::common::{command, fqbert, json, refused, s, stderr};
use super::fixture::{fixture, model};

/// Longer than any refusal takes, a FIFO's two seconds included, and no wait without an end.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs the program, which must end within [`LIMIT`].
fn run(args: &[&str]) -> Output {
    let mut command = command(args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (mut child, start) = (command.spawn().unwrap(), Instant::now());
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("it waits: {args:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// What stands in a file's place, and a word of what is said of it.
const KINDS: &[(&str, &str)] = &[
    ("fifo", "pipe"),
    ("device", "a character device"),
    ("folder", "a folder"),
    ("large", "1099511627776 bytes, more than"),
    ("unreadable", "denied"),
    ("socket", "a socket"),
];

/// Makes it; whether it is what it should be, which nothing is unreadable for root.
fn make(kind: &str, path: &Path) -> bool {
    let _ = fs::remove_file(path);
    match kind {
        "fifo" => mkfifo(path),
        "device" => symlink("/dev/zero", path).unwrap(),
        "folder" => fs::create_dir(path).unwrap(),
        "large" => File::create(path).unwrap().set_len(1 << 40).unwrap(),
        "socket" => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        _ => {
            File::create(path).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(0o0)).unwrap();
            return File::open(path).is_err();
        }
    }
    true
}

#[test]
fn inputs_that_are_no_files() {
    let (f, folder) = (fixture(), tempfile::tempdir().unwrap());
    let (checkpoint, out) = (f.path("classes"), folder.path().join("out"));
    let (model, checkpoint, out) = (model("classes"), s(&checkpoint), s(&out));
    let data = folder.path().join("data.tsv");
    fs::write(&data, "sentence\tlabel\na\t0\nb\t1\n").unwrap();
    let data = s(&data);
    let commands: &[&[&str]] = &[
        &["classify", "a", "--model", "?"],
        &["classify", "--model", &model, "--tsv", "?"],
        &["inspect", "?"],
        &["eval", &model, "--data", "?"],
        &["eval", &model, "--data", data, "--float-logits", "?"],
        &["quantize", checkpoint, "-o", out, "--calibrate", "?"],
        &[
            "quantize",
            checkpoint,
            "-o",
            out,
            "--column",
            "a",
            "--calibrate",
            "?",
        ],
    ];
    std::thread::scope(|scope| {
        for (kind, word) in KINDS {
            let path = folder.path().join(kind);
            if make(kind, &path) {
                scope.spawn(move || {
                    for command in commands {
                        let args: Vec<&str> = command
                            .iter()
                            .map(|a| if *a == "?" { s(&path) } else { a })
                            .collect();
                        refused(&run(&args), &[word, s(&path)]);
                    }
                });
            }
        }
    });
    for command in commands {
        let gone = folder.path().join("gone");
        let args = command.iter().map(|a| if *a == "?" { s(&gone) } else { a });
        refused(&run(&args.collect::<Vec<_>>()), &[s(&gone), "No such file"]);
    }
    assert!(!Path::new(out).exists());
}

#[test]
fn files_of_a_checkpoint_that_are_none() {
    let (f, folder) = (fixture(), tempfile::tempdir().unwrap());
    let (text, out) = (f.path("text.txt"), folder.path().join("out"));
    let names = [
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "fqbert-scales.json",
    ];
    std::thread::scope(|scope| {
        for name in names {
            let (folder, text, out) = (folder.path(), s(&text), s(&out));
            scope.spawn(move || {
                for (kind, word) in KINDS {
                    let copy = folder.join(format!("{name}-{kind}"));
                    fs::create_dir(&copy).unwrap();
                    for file in fs::read_dir(f.path("classes")).unwrap() {
                        let file = file.unwrap();
                        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
                    }
                    if name.ends_with("index.json") {
                        fs::remove_file(copy.join("model.safetensors")).unwrap();
                    }
                    if make(kind, &copy.join(name)) {
                        let args = ["quantize", s(&copy), "-o", out, "--calibrate", text];
                        refused(&run(&args), &[word, name]);
                    }
                }
            });
        }
    });
    assert!(!out.exists());
}

#[test]
fn texts_come_through_pipes_and_standard_input() {
    let (f, folder) = (fixture(), tempfile::tempdir().unwrap());
    let (model, checkpoint) = (model("classes"), f.path("classes"));
    let table = "sentence\tlabel\nabc\t0\nabd\t1\n";
    let with_input = |args: &[&str]| {
        let mut child = command(args);
        child
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(table.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    for path in ["-", "/dev/stdin"] {
        let said = with_input(&["classify", "--json", "--model", &model, "--tsv", path]);
        assert_eq!(json(&said)["results"].as_array().map(Vec::len), Some(2));
    }
    let fifo = folder.path().join("fifo");
    mkfifo(&fifo);
    let lines = fs::read_to_string(f.path("text.txt")).unwrap();
    let lines = format!("text\n{lines}");
    let path = fifo.clone();
    let writer = std::thread::spawn(move || fs::write(path, lines).unwrap());
    let out = folder.path().join("model");
    let (checkpoint, calibrate) = (s(&checkpoint), ["--calibrate", s(&fifo)]);
    let args = ["quantize", checkpoint, "-o", s(&out), "--column", "text"];
    let made = run(&[&args[..], &calibrate].concat());
    assert!(made.status.success(), "{}", stderr(&made));
    writer.join().unwrap();
}

/// A folder with a copy of the checkpoint and what else a command reads.
struct Inputs {
    folder: tempfile::TempDir,
}

impl Inputs {
    fn new() -> Self {
        let (f, folder) = (fixture(), tempfile::tempdir().unwrap());
        fs::create_dir(folder.path().join("float")).unwrap();
        for file in fs::read_dir(f.path("classes")).unwrap() {
            let file = file.unwrap();
            fs::copy(
                file.path(),
                folder.path().join("float").join(file.file_name()),
            )
            .unwrap();
        }
        fs::copy(f.path("text.txt"), folder.path().join("text.txt")).unwrap();
        fs::copy(model("classes"), folder.path().join("model")).unwrap();
        let rows = "sentence\tlabel\nabc\t0\nabd\t1\n";
        fs::write(folder.path().join("data.tsv"), rows).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.starts_with('/') {
            return name.into();
        }
        self.folder.path().join(name)
    }

    /// `quantize` with further options, of which those with `@` name a file in the folder.
    fn quantize(&self, more: &[&str]) -> Output {
        let (float, text) = (self.path("float"), self.path("text.txt"));
        let args = [
            "quantize",
            s(&float),
            "--calibrate",
            s(&text),
            "--samples",
            "20",
        ];
        self.run(&args, more)
    }

    fn eval(&self, more: &[&str]) -> Output {
        let (model, data, float) = (
            self.path("model"),
            self.path("data.tsv"),
            self.path("float"),
        );
        let args = ["eval", s(&model), "--data", s(&data), "--float", s(&float)];
        self.run(&args, more)
    }

    fn run(&self, args: &[&str], more: &[&str]) -> Output {
        let more: Vec<String> = more
            .iter()
            .map(|word| match word.strip_prefix('@') {
                Some(name) => s(&self.path(name)).to_owned(),
                None => (*word).to_owned(),
            })
            .collect();
        let more = more.iter().map(String::as_str);
        run(&args.iter().copied().chain(more).collect::<Vec<_>>())
    }

    /// Names, and the contents of what is small and regular.
    fn all(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let inside = [self.folder.path().to_owned(), self.path("float")];
        let files = inside.iter().flat_map(|f| fs::read_dir(f).unwrap());
        let files = files.map(|f| f.unwrap().path());
        let mut all: Vec<_> = files
            .map(|path| match fs::metadata(&path) {
                Ok(m) if m.is_file() => (path.clone(), fs::read(&path).unwrap()),
                _ => (path, Vec::new()),
            })
            .collect();
        all.sort();
        all
    }
}

#[test]
fn outputs_that_would_destroy_something() {
    let inputs = Inputs::new();
    mkfifo(&inputs.path("fifo"));
    fs::create_dir(inputs.path("sub")).unwrap();
    symlink("/dev/full", inputs.path("full")).unwrap();
    symlink("text.txt", inputs.path("to-text")).unwrap();
    fs::hard_link(inputs.path("text.txt"), inputs.path("hard")).unwrap();
    symlink("data.tsv", inputs.path("to-data")).unwrap();
    let before = inputs.all();
    let kinds = [
        ("@fifo", "a pipe"),
        ("@sub", "a folder"),
        ("@full", "a character device"),
        ("@no/such", "does not exist"),
        ("@float/config.json", "which this command reads"),
        ("@float/model.safetensors", "which this command reads"),
        ("@float/vocab.txt", "which this command reads"),
        ("@float/fqbert-scales.json", "which this command reads"),
        ("@text.txt", "which this command reads"),
        ("@to-text", "which this command reads"),
        ("@hard", "which this command reads"),
    ];
    for (path, word) in kinds {
        let name = path.trim_start_matches('@');
        refused(&inputs.quantize(&["-o", path]), &[word, name]);
        for option in ["--report", "--sensitivity"] {
            refused(
                &inputs.quantize(&["-o", "@out", option, path]),
                &[word, name],
            );
        }
        if !name.contains("text") && !name.contains("scales") && !name.contains("hard") {
            refused(&inputs.eval(&["--svg", path]), &[word, name]);
        }
    }
    for path in ["@data.tsv", "@to-data", "@model"] {
        refused(
            &inputs.eval(&["--svg", path]),
            &["which this command reads"],
        );
    }
    for path in ["/dev/null", "/dev/stdout", "/dev/fd/1"] {
        refused(
            &inputs.quantize(&["-o", path]),
            &[path, "name a regular file"],
        );
    }
    for twice in [
        &["--report", "@out"][..],
        &["--report", "@r", "--sensitivity", "@r"],
        &["--report", "@out.stages", "--resume"],
        &["--report", "@sub/../out"],
    ] {
        let args = [&["-o", "@out"][..], twice].concat();
        refused(&inputs.quantize(&args), &["another output of this command"]);
    }
    assert!(inputs.all() == before, "something was written or lost");
    assert!(
        fs::metadata("/dev/null")
            .unwrap()
            .file_type()
            .is_char_device()
    );
}

#[test]
fn links_permissions_and_pipes_of_outputs() {
    let inputs = Inputs::new();
    let target = inputs.path("target");
    fs::write(&target, "old").unwrap();
    fs::set_permissions(&target, PermissionsExt::from_mode(0o600)).unwrap();
    symlink("target", inputs.path("link")).unwrap();
    let made = inputs.quantize(&["-o", "@link", "--report", "/dev/stdout", "--resume"]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(inputs.path("link").is_symlink());
    assert_eq!(
        fs::metadata(&target).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(said.starts_with("{\n") && said.contains("wrote "), "{said}");
    assert!(
        fqbert(&["classify", "a", "--model", s(&target)])
            .status
            .success()
    );

    let drawn = inputs.eval(&["--svg", "/dev/stdout"]);
    assert!(String::from_utf8(drawn.stdout).unwrap().contains("</svg>"));
    assert!(Path::new("/dev/stdout").is_symlink());
    assert!(inputs.eval(&["--svg", "/dev/null"]).status.success());
    // Folders that only root may write to.
    let closed = inputs.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, PermissionsExt::from_mode(0o500)).unwrap();
    if File::create(closed.join("probe")).is_err() {
        let said = inputs.quantize(&["-o", "@closed/out"]);
        refused(&said, &["no file can be made", "closed"]);
    }
}

#[test]
fn runs_to_one_output_do_not_disturb_each_other() {
    let inputs = Inputs::new();
    let args = ["-o", "@out", "--resume"];
    let alone = inputs.quantize(&args);
    assert!(alone.status.success(), "{}", stderr(&alone));
    let wanted = fs::read(inputs.path("out")).unwrap();
    for _ in 0..4 {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let made = inputs.quantize(&args);
                    assert!(made.status.success(), "{}", stderr(&made));
                });
            }
        });
        assert!(fs::read(inputs.path("out")).unwrap() == wanted);
        assert!(!inputs.path("out.stages").exists());
    }
}
