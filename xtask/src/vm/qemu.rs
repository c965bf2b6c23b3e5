//! QEMU: the machine's command line, and a run from power-on to the command's exit code.

use super::layout::Layout;
use anyhow::{Context, Result, bail};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What the machine is made of.
pub struct Machine<'a> {
    /// The kernel `Image`.
    pub kernel: &'a Path,
    /// The board-sim plugin.
    pub plugin: &'a Path,
    /// Memory map.
    pub layout: &'a Layout,
    /// The device model behind the registers.
    pub model: &'a str,
    /// The initramfs.
    pub initramfs: &'a Path,
}

/// The exit code of a command that was stopped at its deadline, as timeout(1) has it.
const TIMED_OUT: u8 = 124;

/// Console log levels: panics and oopses alone, which leaves the console to the command's stderr;
/// or everything but debug messages.
const SERIOUS: u8 = 2;
const ALL: u8 = 7;

/// A machine's files and memory; both vanish with it.
struct Prepared {
    command: Command,
    dir: tempfile::TempDir,
    /// The guest's DDR: memory without a name, so that nothing is left behind however we end.
    _ddr: File,
}

impl Machine<'_> {
    fn prepare(&self, loglevel: u8) -> Result<Prepared> {
        let dir = tempfile::tempdir()?;
        let path = |name: &str| dir.path().join(name);
        let layout = self.layout;
        layout.compile(&path("board.dtb"))?;
        // Inherited by QEMU (no close-on-exec), which opens it by number, as does the plugin in it.
        let ddr = File::from(memfd_create(c"fqbert-ddr", MFdFlags::empty())?);
        ddr.set_len(layout.ram)?;
        let ddr_path = format!("/proc/self/fd/{}", ddr.as_raw_fd());
        let qtest = path("qtest");
        let mut plugin = self.plugin.display().to_string();
        for (key, value) in [
            ("ddr", ddr_path.clone()),
            ("registers", format!("{:#x}", layout.board.regs_base)),
            ("registers-size", layout.board.regs_size.to_string()),
            ("qtest", qtest.display().to_string()),
            ("spi", layout.board.interrupt_spi.to_string()),
            ("model", self.model.to_owned()),
        ] {
            if value.contains(',') {
                bail!("{key}={value}: QEMU's option syntax has no comma in a value");
            }
            plugin += &format!(",{key}={value}");
        }
        let mut command = Command::new("qemu-system-aarch64");
        command
            .args([
                "-M",
                "xlnx-zcu102,audiodev=none,memory-backend=ddr",
                "-audiodev",
                "none,id=none",
            ])
            .args([
                "-accel",
                "tcg",
                "-smp",
                "2",
                "-no-reboot",
                "-display",
                "none",
            ])
            .args(["-m", &format!("{}M", layout.ram >> 20)])
            .args([
                "-object",
                &format!(
                    "memory-backend-file,id=ddr,size={},mem-path={ddr_path},share=on",
                    layout.ram
                ),
            ])
            .args([
                "-qtest",
                &format!("unix:{},server=on,wait=off", qtest.display()),
                "-qtest-log",
                "none",
            ])
            .args(["-plugin", &plugin])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            .arg("-dtb")
            .arg(path("board.dtb"))
            .args([
                "-append",
                &format!(
                    "console=ttyPS0,115200 loglevel={loglevel} \
                     uio_pdrv_genirq.of_id=generic-uio panic=-1"
                ),
            ]);
        Ok(Prepared {
            command,
            dir,
            _ddr: ddr,
        })
    }

    /// An interactive session on our terminal.
    ///
    /// # Errors
    /// QEMU cannot be started or fails.
    pub fn interact(&self) -> Result<ExitCode> {
        let mut machine = self.prepare(SERIOUS)?;
        let command = machine
            .command
            .args(["-serial", "mon:stdio", "-serial", "null"]);
        let status = command
            .status()
            .context("cannot start qemu-system-aarch64")?;
        if !status.success() {
            bail!("QEMU ended with {status}");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Runs the command in the initramfs. Its stdout and stderr become ours, as it writes them.
    /// `mark` is what init puts before its own lines on the console. The console is kept in `log`
    /// if one is given.
    ///
    /// # Errors
    /// QEMU fails, or the guest stops without a report; with the end of the console.
    pub fn run(&self, mark: &str, deadline: Duration, log: Option<&Path>) -> Result<ExitCode> {
        let mut machine = self.prepare(if log.is_some() { ALL } else { SERIOUS })?;
        let path = |name: &str| machine.dir.path().join(name);
        let (console, output, errors) = (path("console"), path("output"), path("qemu"));
        for file in [&console, &output] {
            File::create(file)?;
        }
        let mut child = machine
            .command
            .args(["-monitor", "none"])
            .args(["-serial", &format!("file:{}", console.display())])
            .args(["-serial", &format!("file:{}", output.display())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors)?)
            .spawn()
            .context("cannot start qemu-system-aarch64")?;
        let mut console = Tail::open(console)?;
        let mut output = Tail::open(output)?;
        let mut report = Report::new(mark);
        let start = Instant::now();
        let ended = loop {
            let ended = child.try_wait()?;
            std::io::stdout().write_all(&output.more()?)?;
            std::io::stdout().flush()?;
            std::io::stderr().write_all(&report.filter(&console.more()?))?;
            if ended.is_some() || start.elapsed() > deadline {
                break ended;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        if ended.is_none() {
            stop(&mut child)?;
        }
        if let Some(log) = log {
            std::fs::write(log, &console.seen)
                .with_context(|| format!("cannot write {}", log.display()))?;
        }
        let said = std::fs::read_to_string(&errors).unwrap_or_default();
        if !said.trim().is_empty() {
            crate::host::note(format!("QEMU: {}", said.trim()));
        }
        match (report.code, ended) {
            (Some(code), _) => Ok(ExitCode::from(code)),
            (None, None) => {
                crate::host::note(format!(
                    "stopped at the deadline of {} s (--deadline)",
                    deadline.as_secs()
                ));
                Ok(ExitCode::from(TIMED_OUT))
            }
            (None, Some(status)) => bail!(
                "the virtual board stopped without a report (QEMU: {status}); \
                 the end of its console:\n{}",
                console.last_lines(15)
            ),
        }
    }
}

fn stop(child: &mut Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// A file that QEMU writes and we follow.
struct Tail {
    file: File,
    seen: Vec<u8>,
}

impl Tail {
    fn open(path: PathBuf) -> Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            seen: Vec::new(),
        })
    }

    fn more(&mut self) -> Result<Vec<u8>> {
        let mut new = Vec::new();
        self.file.read_to_end(&mut new)?;
        self.seen.extend_from_slice(&new);
        Ok(new)
    }

    fn last_lines(&self, count: usize) -> String {
        let text = String::from_utf8_lossy(&self.seen).replace('\r', "");
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

/// Takes the console apart, by a mark whose first byte is nowhere else in it: what init says, what
/// is before and after, and the command's stderr.
struct Report<'a> {
    mark: &'a str,
    line: Vec<u8>,
    running: bool,
    code: Option<u8>,
}

impl<'a> Report<'a> {
    fn new(mark: &'a str) -> Self {
        Self {
            mark,
            line: Vec::new(),
            running: false,
            code: None,
        }
    }

    /// Eats console bytes; gives back the command's.
    fn filter(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' {
                self.end_of_line(&mut out);
            } else if self.running
                && !self.mark.as_bytes().starts_with(&self.line)
                && !self.marked()
            {
                // Not one of init's: a prompt or progress bar shows at once. The byte that broke a
                // match may begin the next one.
                let keep =
                    usize::from(self.line.len() > 1 && self.mark.as_bytes().first() == Some(&byte));
                out.extend(self.line.drain(..self.line.len() - keep));
            }
        }
        out
    }

    fn marked(&self) -> bool {
        self.line.starts_with(self.mark.as_bytes())
    }

    fn end_of_line(&mut self, out: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        // A command may end without a newline, so the mark is looked for inside the line as well.
        if let Some((before, after)) = text.split_once(self.mark) {
            let mut words = after.split_whitespace();
            match (
                words.next(),
                words.next().and_then(|code| code.parse().ok()),
            ) {
                (Some("begin"), _) => self.running = true,
                (Some("end"), Some(code)) => {
                    out.extend_from_slice(before.as_bytes());
                    self.running = false;
                    self.code = Some(code);
                }
                _ => {}
            }
            self.line.clear();
        } else if self.running {
            out.append(&mut self.line);
        } else {
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(chunks: &[&str]) -> (String, Option<u8>) {
        let mut report = Report::new("@@7f");
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend(report.filter(chunk.as_bytes()));
        }
        (String::from_utf8(out).unwrap(), report.code)
    }

    #[test]
    fn only_the_command_is_heard() {
        let boot = "[    0.1] kernel\r\n@@7f begin\n";
        assert_eq!(
            filtered(&[boot, "hello\nworld\n", "@@7f end 3\n", "bye\n"]),
            ("hello\nworld\n".into(), Some(3))
        );
        assert_eq!(
            filtered(&[boot, "@@7", "f end 0\n"]),
            (String::new(), Some(0))
        );
        assert_eq!(
            filtered(&[boot, "@@8 not ours\n"]),
            ("@@8 not ours\n".into(), None)
        );
        assert_eq!(filtered(&["panic\n"]), (String::new(), None));
    }

    #[test]
    fn output_without_a_newline_does_not_hide_the_end() {
        let (out, code) = filtered(&["@@7f begin\n", "50 %", "@@7f end 0\n"]);
        assert_eq!((out.as_str(), code), ("50 %", Some(0)));
        let mut report = Report::new("\u{1e}7f");
        let mut out = report.filter("\u{1e}7f begin\n\u{1e}".as_bytes());
        out.extend(report.filter("\u{1e}7f end 1\n".as_bytes()));
        assert_eq!((out.as_slice(), report.code), (&b"\x1e"[..], Some(1)));
    }
}
