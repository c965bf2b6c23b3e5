//! What is in the virtual board's file system.

use super::cpio::Archive;
use crate::apt::{self, Apt};
use crate::host;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const INIT: &str = include_str!("init");
const MOTD: &str =
    "\nThe virtual ZCU102. The accelerator is uio:NAME; `exit` or Ctrl-A X ends it.\n\n";

/// The guest's files, under construction.
pub struct Guest {
    archive: Archive,
    /// `export KEY='value'` lines that init and the command see.
    environment: String,
}

impl Guest {
    /// busybox, init and empty mount points.
    ///
    /// # Errors
    /// busybox-static for arm64 cannot be fetched.
    pub fn new() -> Result<Self> {
        let mut archive = Archive::default();
        for dir in [
            "dev",
            "proc",
            "sys",
            "tmp",
            "root",
            "lib/firmware",
            "var",
            "run",
        ] {
            archive.dir(dir);
        }
        archive.device("dev/console", 5, 1);
        archive.file("bin/busybox", fs::read(busybox()?)?, 0o755);
        archive.file("init", INIT, 0o755);
        archive.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644);
        archive.file("etc/hosts", "127.0.0.1 localhost zcu102\n", 0o644);
        let mut guest = Self {
            archive,
            environment: String::new(),
        };
        guest.set("PATH", "/bin");
        guest.set("HOME", "/root");
        Ok(guest)
    }

    /// Sets an environment variable.
    pub fn set(&mut self, key: &str, value: &str) {
        self.environment += &format!("export {key}={}\n", quote(value));
    }

    /// The greeting of an interactive shell.
    pub fn greet(&mut self, device: &str) {
        self.archive
            .file("board/motd", MOTD.replace("NAME", device), 0o644);
    }

    /// The shell script that is the command.
    pub fn script(&mut self, script: &str) {
        self.archive.file("board/run", script, 0o755);
    }

    /// Copies a program, without its debug information: that would be tens of megabytes of guest
    /// memory.
    pub fn program(&mut self, from: &Path, to: &str) -> Result<()> {
        let stripped = tempfile::NamedTempFile::new()?;
        host::output(
            Command::new("aarch64-linux-gnu-strip")
                .arg("-o")
                .arg(stripped.path())
                .arg(from),
        )?;
        self.archive.file(to, fs::read(stripped.path())?, 0o755);
        Ok(())
    }

    /// Copies a file, or a folder with all that is in it, to the guest's path `to`. Files that
    /// `keep` rejects stay behind.
    pub fn copy(&mut self, from: &Path, to: &str, keep: &dyn Fn(&Path) -> bool) -> Result<()> {
        let context = || format!("cannot copy {}", from.display());
        let meta = fs::metadata(from).with_context(context)?;
        if meta.is_dir() {
            self.archive.dir(to);
            for entry in fs::read_dir(from).with_context(context)? {
                let path = entry?.path();
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                self.copy(&path, &format!("{}/{name}", to.trim_end_matches('/')), keep)?;
            }
        } else if keep(from) {
            let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777;
            self.archive
                .file(to, fs::read(from).with_context(context)?, mode);
        }
        Ok(())
    }

    /// The finished archive, if it leaves the guest enough memory.
    ///
    /// # Errors
    /// More than `room` bytes.
    pub fn finish(mut self, room: u64) -> Result<Vec<u8>> {
        self.archive.file("board/env", self.environment, 0o644);
        let size = self.archive.size();
        if size > room {
            bail!(
                "the files for the virtual board are {} MiB, and its memory holds {} MiB of them; \
                 leave some out (--no-models, fewer --file)",
                size >> 20,
                room >> 20
            );
        }
        Ok(self.archive.to_bytes())
    }
}

/// A word for a POSIX shell, whatever is in it.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Debian's static arm64 busybox, from the cache.
fn busybox() -> Result<PathBuf> {
    let dir = host::cache()?.join("busybox");
    let path = dir.join("bin/busybox");
    if !path.exists() {
        apt::unpack(&Apt::open()?.download("busybox-static:arm64")?, &dir)?;
    }
    if !path.exists() {
        bail!("busybox-static brought no {}", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::quote;
    use std::process::Command;

    #[test]
    fn a_shell_gives_every_word_back() {
        for word in ["plain", "", "it's", "a b", "$HOME `x` \\ \"", "line\nline"] {
            let out = Command::new("sh")
                .args(["-c", &format!("printf %s {}", quote(word))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
        }
    }
}
