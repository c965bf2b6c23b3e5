//! What is in the virtual board's file system, and its archive.
//!
//! The archive is made by the kernel's own `gen_init_cpio`, from a list with one line for each
//! file: that makes device nodes without root.

use crate::apt::{self, Apt};
use crate::host;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const INIT: &str = include_str!("init");
const MOTD: &str =
    "\nThe virtual ZCU102. The accelerator is uio:NAME; `exit` or Ctrl-A X ends it.\n\n";

/// The guest's files, under construction.
pub struct Guest {
    /// Lines of the list by path, without the leading `/`. Sorted, so that a folder comes before
    /// what is in it; a second file of a path replaces the first.
    entries: BTreeMap<String, String>,
    /// What the lines of files name: files, or links to files, numbered. So no path of the host
    /// stands in the list, whose words end at blanks.
    staged: TempDir,
    /// How many there are.
    number: usize,
    /// `export KEY='value'` lines that init and the command see.
    environment: String,
}

impl Guest {
    /// busybox, init and empty mount points.
    ///
    /// # Errors
    /// busybox-static for arm64 cannot be fetched.
    pub fn new() -> Result<Self> {
        let mut guest = Self::empty()?;
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
            guest.insert(dir, "dir", "755 0 0")?;
        }
        guest.insert("dev/console", "nod", "600 0 0 c 5 1")?;
        guest.link(&busybox()?, "bin/busybox", 0o755)?;
        guest.file("init", INIT, 0o755)?;
        guest.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)?;
        guest.file("etc/hosts", "127.0.0.1 localhost zcu102\n", 0o644)?;
        guest.set("PATH", "/bin");
        guest.set("HOME", "/root");
        Ok(guest)
    }

    fn empty() -> Result<Self> {
        Ok(Self {
            entries: BTreeMap::new(),
            staged: tempfile::tempdir()?,
            number: 0,
            environment: String::new(),
        })
    }

    /// Sets an environment variable.
    pub fn set(&mut self, key: &str, value: &str) {
        self.environment += &format!("export {key}={}\n", quote(value));
    }

    /// The greeting of an interactive shell.
    pub fn greet(&mut self, device: &str) -> Result<()> {
        self.file("board/motd", MOTD.replace("NAME", device), 0o644)
    }

    /// The shell script that is the command.
    pub fn script(&mut self, script: &str) -> Result<()> {
        self.file("board/run", script, 0o755)
    }

    /// Copies a program, without its debug information: that would be tens of megabytes of guest
    /// memory.
    pub fn program(&mut self, from: &Path, to: &str) -> Result<()> {
        let staged = self.stage(to, 0o755)?;
        host::run(
            Command::new("aarch64-linux-gnu-strip")
                .arg("-o")
                .arg(staged)
                .arg(from),
        )
    }

    /// Copies a file, or a folder with all that is in it, to the guest's path `to`. Files that
    /// `keep` rejects stay behind.
    pub fn copy(&mut self, from: &Path, to: &str, keep: &dyn Fn(&Path) -> bool) -> Result<()> {
        let context = || format!("cannot copy {}", from.display());
        let meta = fs::metadata(from).with_context(context)?;
        if meta.is_dir() {
            self.insert(to, "dir", "755 0 0")?;
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
            self.link(from, to, mode).with_context(context)?;
        }
        Ok(())
    }

    /// Writes the archive with `gen_init_cpio` to `into`, not compressed: reading it costs the
    /// guest less than inflating it.
    ///
    /// # Errors
    /// More than `room` bytes, which would not leave the guest enough memory; or the tool's own.
    pub fn finish(mut self, gen_init_cpio: &Path, room: u64, into: &Path) -> Result<()> {
        let environment = std::mem::take(&mut self.environment);
        self.file("board/env", environment, 0o644)?;
        let list = self.staged.path().join("list");
        let lines: String = self.entries.values().map(String::as_str).collect();
        fs::write(&list, lines)?;
        let status = host::status(
            Command::new(gen_init_cpio)
                .args(["-t", "0"])
                .arg(&list)
                .current_dir(self.staged.path())
                .stdout(fs::File::create(into)?),
        )?;
        ensure!(status.success(), "gen_init_cpio ended with {status}");
        let size = fs::metadata(into)?.len();
        if size > room {
            bail!(
                "the files for the virtual board are {} MiB, and its memory holds {} MiB of them; \
                 leave some out (--no-models, fewer --file)",
                size >> 20,
                room >> 20
            );
        }
        Ok(())
    }

    fn file(&mut self, path: &str, bytes: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        Ok(fs::write(self.stage(path, mode)?, bytes)?)
    }

    fn link(&mut self, from: &Path, path: &str, mode: u32) -> Result<()> {
        let (from, staged) = (fs::canonicalize(from)?, self.stage(path, mode)?);
        Ok(std::os::unix::fs::symlink(from, staged)?)
    }

    /// Lists a file; gives the path where its content is expected.
    fn stage(&mut self, path: &str, mode: u32) -> Result<PathBuf> {
        self.number += 1;
        let name = self.number.to_string();
        self.insert(path, "file", &format!("{name} {mode:o} 0 0"))?;
        Ok(self.staged.path().join(name))
    }

    /// Lists a node, and the folders above it.
    fn insert(&mut self, path: &str, kind: &str, rest: &str) -> Result<()> {
        let path = path.trim_matches('/');
        ensure!(
            !path.contains(char::is_whitespace),
            "`{path}`: blanks in a path of the virtual board"
        );
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            self.entries
                .entry(parent.to_owned())
                .or_insert_with(|| format!("dir /{parent} 755 0 0\n"));
        }
        let line = format!("{kind} /{path} {rest}\n");
        self.entries.insert(path.to_owned(), line);
        Ok(())
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
    use super::*;

    #[test]
    fn a_folder_is_listed_before_what_is_in_it() {
        let mut guest = Guest::empty().unwrap();
        guest.file("b/c/run", "#!/bin/sh\n", 0o755).unwrap();
        guest
            .insert("/dev/console", "nod", "600 0 0 c 5 1")
            .unwrap();
        guest.insert("b", "dir", "755 0 0").unwrap();
        let lines: Vec<&str> = guest.entries.values().map(String::as_str).collect();
        assert_eq!(
            lines,
            [
                "dir /b 755 0 0\n",
                "dir /b/c 755 0 0\n",
                "file /b/c/run 1 755 0 0\n",
                "dir /dev 755 0 0\n",
                "nod /dev/console 600 0 0 c 5 1\n",
            ]
        );
        let staged = fs::read_to_string(guest.staged.path().join("1")).unwrap();
        assert_eq!(staged, "#!/bin/sh\n");
        assert!(guest.file("a b", "", 0o644).is_err(), "a blank");
    }

    /// The tool stands for `gen_init_cpio`: it gets the list and writes the archive to stdout.
    #[test]
    fn an_archive_larger_than_the_memory_is_refused() {
        let archive = tempfile::NamedTempFile::new().unwrap();
        let finish = |room| {
            let tool = tempfile::NamedTempFile::new().unwrap().into_temp_path();
            fs::write(&tool, "#!/bin/sh\ntest \"$1 $2\" = '-t 0' && cat \"$3\"\n").unwrap();
            fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
            let guest = Guest::empty().unwrap();
            guest.finish(&tool, room, archive.path())
        };
        finish(1000).unwrap();
        let list = fs::read_to_string(archive.path()).unwrap();
        assert!(list.ends_with("file /board/env 1 644 0 0\n"), "{list}");
        assert!(
            finish(10)
                .unwrap_err()
                .to_string()
                .contains("leave some out")
        );
    }

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
