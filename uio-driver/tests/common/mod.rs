//! A kernel made of files: sysfs, `/dev` and `/proc` in a temporary directory.
#![allow(dead_code)] // each test binary uses a part of it

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use uio_driver::{Interrupt, Roots};

pub const PAGE: u64 = 4096;

/// Writes a file and the directories above it.
pub fn put(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub struct Board {
    dir: TempDir,
    pub roots: Roots,
}

impl Board {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        fs::create_dir_all(dir.path().join("dev")).unwrap();
        fs::create_dir_all(dir.path().join("lib/firmware")).unwrap();
        Self { dir, roots }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn put(&self, relative: &str, content: impl AsRef<[u8]>) {
        put(&self.path(relative), content);
    }

    /// A UIO device with maps of (address, size, offset), its node a file as long as the maps.
    pub fn uio(&self, number: u32, name: &str, maps: &[(u64, u64, u64)]) -> &Self {
        let base = format!("sys/class/uio/uio{number}");
        self.put(&format!("{base}/name"), format!("{name}\n"));
        self.put(&format!("{base}/event"), "0\n");
        self.put(&format!("{base}/dev"), format!("243:{number}\n"));
        let mut end = 0;
        for (index, (addr, size, offset)) in maps.iter().enumerate() {
            let map = format!("{base}/maps/map{index}");
            self.put(&format!("{map}/name"), format!("{name}@{addr:x}\n"));
            self.put(&format!("{map}/addr"), format!("{addr:#018x}\n"));
            self.put(&format!("{map}/size"), format!("{size:#018x}\n"));
            self.put(&format!("{map}/offset"), format!("{offset:#x}\n"));
            end = end.max((index as u64 * PAGE).saturating_add(*size));
        }
        self.put(&format!("dev/uio{number}"), "");
        let node = fs::OpenOptions::new()
            .write(true)
            .open(self.path(&format!("dev/uio{number}")))
            .unwrap();
        node.set_len(end.min(1 << 30)).unwrap();
        self
    }

    pub fn manager(&self, entry: &str, state: &str) -> &Self {
        self.put(
            &format!("sys/class/fpga_manager/{entry}/state"),
            format!("{state}\n"),
        );
        self.put(
            &format!("sys/class/fpga_manager/{entry}/name"),
            "Xilinx ZynqMP FPGA Manager\n",
        );
        self
    }

    /// A u-dma-buf buffer, its node a file of the size.
    pub fn udmabuf(&self, name: &str, phys: u64, size: u64, mode: u32, coherent: u32) -> &Self {
        let base = format!("sys/class/u-dma-buf/{name}");
        self.put(&format!("{base}/phys_addr"), format!("{phys:#018x}\n"));
        self.put(&format!("{base}/size"), format!("{size}\n"));
        self.put(&format!("{base}/sync_mode"), format!("{mode}\n"));
        self.put(&format!("{base}/dma_coherent"), format!("{coherent}\n"));
        self.put(&format!("{base}/sync_for_cpu"), "0");
        self.put(&format!("{base}/sync_for_device"), "0");
        self.put(&format!("dev/{name}"), vec![0; size as usize]);
        self
    }

    pub fn text(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }
}

/// The kernel's end of an interrupt descriptor.
pub struct Kernel(pub UnixStream);

/// An interrupt whose kernel is a socket, its count at `count`.
pub fn interrupt(count: u32) -> (Interrupt, Kernel) {
    let (ours, kernel) = UnixStream::pair().unwrap();
    (
        Interrupt::from_fd("accel0", OwnedFd::from(ours), count).unwrap(),
        Kernel(kernel),
    )
}

impl Kernel {
    /// The interrupt with this count fires.
    pub fn fire(&mut self, count: u32) {
        self.0.write_all(&count.to_ne_bytes()).unwrap();
    }

    /// The mask word that was written; blocks until there is one.
    pub fn control(&mut self) -> u32 {
        let mut word = [0; 4];
        self.0.read_exact(&mut word).unwrap();
        u32::from_ne_bytes(word)
    }
}
