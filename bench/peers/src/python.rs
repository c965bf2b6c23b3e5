//! Peers that are Python packages: an environment of pinned versions, and one child process that
//! answers line by line.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::peer::{Job, Name, Peer, Sample};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");
const SCRIPT: &str = include_str!("../python/peers.py");
/// Making and quantizing models and loading them; minutes on a small or busy machine.
const PREPARE: Duration = Duration::from_secs(3600);
/// One inference.
const INFER: Duration = Duration::from_secs(120);

/// The interpreter of the environment, made where it is not there or has other packages.
pub fn environment(python: &Path, cache: &Path) -> Result<PathBuf> {
    let home = cache.join("peers-venv");
    let interpreter = home.join("bin/python");
    let stamp = home.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|s| s == REQUIREMENTS) {
        return Ok(interpreter);
    }
    eprintln!(
        "making the Python environment {} (about 1.5 GB from PyPI, once)",
        home.display()
    );
    std::fs::create_dir_all(cache).with_context(|| format!("folder {}", cache.display()))?;
    execute(
        Command::new(python).args(["-m", "venv"]).arg(&home),
        "Python's venv; Debian has it in python3-venv",
    )?;
    let wanted = home.join("requirements.txt.tmp");
    std::fs::write(&wanted, REQUIREMENTS).with_context(|| format!("file {}", wanted.display()))?;
    let mut pip = Command::new(&interpreter);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "-r",
    ])
    .arg(&wanted);
    execute(
        &mut pip,
        "PyPI and wheels for this Python; --peers candle-fp32 needs neither",
    )?;
    // The stamp is the last to come, so that an environment that was interrupted is made again.
    std::fs::rename(&wanted, &stamp).with_context(|| format!("file {}", stamp.display()))?;
    Ok(interpreter)
}

fn execute(command: &mut Command, needs: &str) -> Result<()> {
    let status = command.stdout(Stdio::null()).status();
    let status =
        status.with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(
        status.success(),
        "{command:?} failed ({status}); it needs {needs}"
    );
    Ok(())
}

/// The child process. Ends with its input, and is killed if it does not.
struct Server {
    child: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Server {
    fn ask(&mut self, line: &str, deadline: Duration) -> Result<Value> {
        let requests = self
            .requests
            .as_mut()
            .context("the Python process has ended")?;
        writeln!(requests, "{line}")
            .and_then(|()| requests.flush())
            .context("the Python process does not listen")?;
        let answer = match self.answers.recv_timeout(deadline) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => bail!(
                "no answer from the Python process within {} s",
                deadline.as_secs()
            ),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the Python process ended without an answer; its messages are above")
            }
        };
        let answer: Value = serde_json::from_str(&answer)
            .with_context(|| format!("answer {answer:?} of the Python process"))?;
        match answer.get("error") {
            Some(error) => bail!(
                "the Python process failed: {}",
                error.as_str().unwrap_or("?")
            ),
            None => Ok(answer),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.requests = None;
        // Answered requests leave it idle: nothing is lost, and a stuck one must not keep the
        // command from ending.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of the child's runtimes.
struct Remote {
    server: Rc<RefCell<Server>>,
    name: Name,
    version: String,
}

impl Peer for Remote {
    fn name(&self) -> &'static str {
        self.name.as_str()
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn infer(&mut self) -> Result<Sample> {
        let answer = self
            .server
            .borrow_mut()
            .ask(self.name.as_str(), INFER)
            .context(self.name.as_str())?;
        let field = |name| answer.get(name).and_then(Value::as_f64);
        Ok(Sample {
            seconds: field("seconds").context("an answer without seconds")?,
            cpu_seconds: field("cpu_seconds"),
        })
    }
}

/// Makes the model files that are not there yet.
pub fn prepare(interpreter: &Path, cache: &Path, job: &Job, names: &[Name]) -> Result<()> {
    ready(interpreter, cache, job, names, false).map(drop)
}

/// Starts the child and waits until it has made and loaded its models.
pub fn start(
    interpreter: &Path,
    cache: &Path,
    job: &Job,
    names: &[Name],
) -> Result<Vec<Box<dyn Peer>>> {
    let (server, versions) = ready(interpreter, cache, job, names, true)?;
    let server = Rc::new(RefCell::new(server));
    Ok(names
        .iter()
        .map(|name| {
            Box::new(Remote {
                server: Rc::clone(&server),
                name: *name,
                version: versions
                    .get(name.as_str())
                    .and_then(Value::as_str)
                    .unwrap_or("")
                    .to_owned(),
            }) as Box<dyn Peer>
        })
        .collect())
}

/// The child once its models are made, and loaded if `load`, with their versions.
fn ready(
    interpreter: &Path,
    cache: &Path,
    job: &Job,
    names: &[Name],
    load: bool,
) -> Result<(Server, Value)> {
    let mut child = Command::new(interpreter)
        .args(["-c", SCRIPT])
        // Telemetry of a package is nobody's business here, and costs its time.
        .env("CI", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", interpreter.display()))?;
    let requests = child.stdin.take();
    let output = child
        .stdout
        .take()
        .context("the Python process has no output")?;
    let (sender, answers) = channel();
    // Ends with the child's output.
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut server = Server {
        child,
        requests,
        answers,
    };
    let s = &job.shape;
    let folder = format!(
        "{}-{}-{}-{}-s{}",
        s.layers,
        s.hidden,
        s.heads,
        s.intermediate,
        job.ids.len()
    );
    let peers: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
    let request = json!({
        "directory": cache.join("peers").join(folder),
        "shape": [s.layers, s.hidden, s.heads, s.intermediate],
        "sequence": job.ids.len(),
        "threads": job.threads,
        "ids": job.ids,
        "peers": peers,
        "load": load,
    });
    let answer = server.ask(&request.to_string(), PREPARE)?;
    let versions = answer.get("ready").cloned().unwrap_or_default();
    Ok((server, versions))
}
