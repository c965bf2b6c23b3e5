//! An initramfs archive: cpio in its "newc" form, as the kernel's `init/initramfs.c` reads it.

use std::collections::BTreeMap;

enum Node {
    Dir,
    File {
        bytes: Vec<u8>,
        mode: u32,
    },
    /// A character device: major, minor.
    Device(u32, u32),
}

/// Files by absolute path. Parent folders come by themselves; a second file of a path replaces the
/// first.
#[derive(Default)]
pub struct Archive {
    // Sorted, so that a folder comes before what is in it.
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// Adds a file; `mode` is its permission bits.
    pub fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>, mode: u32) {
        self.insert(
            path,
            Node::File {
                bytes: bytes.into(),
                mode,
            },
        );
    }

    /// Adds an empty folder.
    pub fn dir(&mut self, path: &str) {
        self.insert(path, Node::Dir);
    }

    /// Adds a character device node.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.insert(path, Node::Device(major, minor));
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        let bytes = |node: &Node| {
            if let Node::File { bytes, .. } = node {
                bytes.len() as u64
            } else {
                0
            }
        };
        self.nodes.values().map(bytes).sum()
    }

    fn insert(&mut self, path: &str, node: Node) {
        let path = path.trim_matches('/');
        for (at, _) in path.match_indices('/') {
            self.nodes.entry(path[..at].to_owned()).or_insert(Node::Dir);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// The archive's bytes, not compressed: reading it costs the guest less than inflating it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, (path, node)) in self.nodes.iter().enumerate() {
            let (mode, bytes, (major, minor)) = match node {
                Node::Dir => (0o040_755, &[][..], (0, 0)),
                Node::File { bytes, mode } => (0o100_000 | mode, &bytes[..], (0, 0)),
                Node::Device(major, minor) => (0o020_600, &[][..], (*major, *minor)),
            };
            entry(&mut out, index + 1, path, mode, bytes, (major, minor));
        }
        entry(&mut out, 0, "TRAILER!!!", 0, &[], (0, 0));
        out
    }
}

fn entry(out: &mut Vec<u8>, inode: usize, path: &str, mode: u32, bytes: &[u8], rdev: (u32, u32)) {
    let (size, name) = (bytes.len(), path.len() + 1);
    // magic; inode, mode, uid, gid, links, mtime, size, device, device of the node, name size,
    // check
    let header = format!(
        "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}{0:08x}{0:08x}{2:08x}{3:08x}{name:08x}{0:08x}",
        0, 1, rdev.0, rdev.1
    );
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(bytes);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// Each entry's name, by walking the sizes as the kernel does.
    fn names(bytes: &[u8]) -> Vec<String> {
        let field = |at: usize, index: usize| {
            let from = at + 6 + index * 8;
            usize::from_str_radix(std::str::from_utf8(&bytes[from..from + 8]).unwrap(), 16).unwrap()
        };
        let (mut at, mut names) = (0, Vec::new());
        while at < bytes.len() {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let (size, name) = (field(at, 6), field(at, 11));
            names.push(String::from_utf8(bytes[at + 110..at + 110 + name - 1].to_vec()).unwrap());
            at = (at + 110 + name).next_multiple_of(4) + size.next_multiple_of(4);
        }
        names
    }

    #[test]
    fn parents_come_first_and_sizes_add_up() {
        let mut archive = Archive::default();
        archive.file("/b/c/file", *b"12345", 0o644);
        archive.device("/dev/console", 5, 1);
        archive.dir("/proc");
        let names = names(&archive.to_bytes());
        assert_eq!(
            names,
            [
                "b",
                "b/c",
                "b/c/file",
                "dev",
                "dev/console",
                "proc",
                "TRAILER!!!"
            ]
        );
    }

    #[test]
    fn cpio_reads_it() {
        if crate::host::which("cpio").is_none() {
            eprintln!("SKIPPED: cpio is not installed");
            return;
        }
        let mut archive = Archive::default();
        archive.file("/bin/run", *b"#!/bin/sh\n", 0o755);
        let mut cpio = Command::new("cpio")
            .args(["-itv", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        cpio.stdin
            .take()
            .unwrap()
            .write_all(&archive.to_bytes())
            .unwrap();
        let listing = String::from_utf8(cpio.wait_with_output().unwrap().stdout).unwrap();
        assert!(
            listing
                .lines()
                .any(|line| line.starts_with("-rwxr-xr-x") && line.ends_with("bin/run")),
            "{listing}"
        );
    }
}
