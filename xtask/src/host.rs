//! The machine we run on: where the workspace and the cache are, and how programs are called.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::{env, fs};

/// The workspace root (the parent of `xtask/`).
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The folder for what is slow to make: `$FQBERT_CACHE`, else `.cache/` in the workspace.
/// Created when missing; safe to delete at any time.
pub fn cache() -> Result<PathBuf> {
    let dir = match env::var_os("FQBERT_CACHE") {
        Some(dir) if !dir.is_empty() => env::current_dir()?.join(dir),
        _ => root().join(".cache"),
    };
    fs::create_dir_all(&dir)
        .with_context(|| format!("cannot create the cache {}", dir.display()))?;
    Ok(dir)
}

/// Says on stderr what takes time, so that stdout stays the command's own.
pub fn note(text: impl AsRef<str>) {
    eprintln!("xtask: {}", text.as_ref());
}

/// The first match of a program's name on `PATH`.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

/// How a command reads in a message.
fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs to the end with our stdin, stdout and stderr; the status is the caller's to judge.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))
}

/// Runs to the end; any failure is an error that names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs to the end and gives stdout; on failure the error carries stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr);
        bail!(
            "`{}` ended with {}: {}",
            line(command),
            done.status,
            why.trim()
        );
    }
    String::from_utf8(done.stdout)
        .with_context(|| format!("`{}`: output is not UTF-8", line(command)))
}

/// A child's status as ours; one killed by a signal counts as 1.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}

/// Writes a file whole, in a folder that is made if it is missing.
///
/// # Errors
/// The folder or the file cannot be made.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    fqbert_files::write_atomically(path, |out| out.write_all(bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Holds `what` in the cache for one process at a time; released when dropped.
///
/// # Errors
/// The lock file cannot be made.
pub fn lock(what: &str) -> Result<fs::File> {
    let path = cache()?.join(format!("{what}.lock"));
    let file =
        fs::File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        note(format!(
            "waiting for another process that prepares `{what}`"
        ));
        file.lock()?;
    }
    Ok(file)
}

/// One file that a cargo build made.
#[derive(Debug)]
pub struct Artifact {
    /// The target's name: a binary's, a library's or an integration test's.
    pub target: String,
    /// A program, if it is one.
    pub executable: Option<PathBuf>,
    /// Whether it is a test program. A build of tests makes examples and binaries too.
    pub test: bool,
    /// All files of the artifact.
    pub files: Vec<PathBuf>,
}

/// Runs a cargo build and gives what it made; progress and diagnostics go to stderr.
///
/// # Errors
/// The build fails, or cargo's messages cannot be read.
pub fn artifacts(cargo: &mut Command) -> Result<Vec<Artifact>> {
    let done = cargo
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !done.status.success() {
        bail!("`{}` ended with {}", line(cargo), done.status);
    }
    let mut artifacts = Vec::new();
    for message in String::from_utf8_lossy(&done.stdout).lines() {
        let message: serde_json::Value =
            serde_json::from_str(message).context("cargo's messages")?;
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        let path = |value: &serde_json::Value| value.as_str().map(PathBuf::from);
        artifacts.push(Artifact {
            target: message["target"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            executable: path(&message["executable"]),
            test: message["profile"]["test"] == true,
            files: message["filenames"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(path)
                .collect(),
        });
    }
    Ok(artifacts)
}
