//! Where the kernel's interfaces are. Handed in, so that a test builds its own kernel of files.

use std::path::{Path, PathBuf};

/// The directories the crate reads and writes. [`Roots::system`] on a board, [`Roots::under`] in
/// a test.
#[derive(Clone, Debug)]
pub struct Roots {
    /// sysfs, `/sys`.
    pub sysfs: PathBuf,
    /// Device nodes, `/dev`.
    pub dev: PathBuf,
    /// procfs, `/proc`.
    pub proc: PathBuf,
    /// Firmware search path, first match wins, as the kernel's firmware loader has it.
    pub firmware: Vec<PathBuf>,
    /// Regular files stand in for device nodes; their numbers are then not compared with sysfs.
    pub(crate) files_for_nodes: bool,
}

impl Roots {
    /// The running system. The firmware search path is the kernel's default order
    /// (Documentation/driver-api/firmware/fw_search_path.rst), with the one directory that
    /// `firmware_class.path` may add in front.
    pub fn system() -> Self {
        let custom = std::fs::read_to_string("/sys/module/firmware_class/parameters/path")
            .ok()
            .map(|path| path.trim().to_owned())
            .filter(|path| path.starts_with('/'))
            .map(PathBuf::from);
        let defaults = ["/lib/firmware/updates", "/lib/firmware"].map(PathBuf::from);
        Self {
            sysfs: "/sys".into(),
            dev: "/dev".into(),
            proc: "/proc".into(),
            firmware: custom.into_iter().chain(defaults).collect(),
            files_for_nodes: false,
        }
    }

    /// A system made of files under `root`: `sys`, `dev`, `proc` and `lib/firmware`. Device nodes
    /// may be regular files here (a mapping of a file behaves as memory does), and a mapping that
    /// would end behind the end of its file is refused.
    pub fn under(root: &Path) -> Self {
        Self {
            sysfs: root.join("sys"),
            dev: root.join("dev"),
            proc: root.join("proc"),
            firmware: vec![root.join("lib/firmware")],
            files_for_nodes: true,
        }
    }

    /// `class/NAME` in sysfs.
    pub(crate) fn class(&self, name: &str) -> PathBuf {
        self.sysfs.join("class").join(name)
    }

    /// The configfs directory of device-tree overlays (vendor kernels; absent on mainline).
    pub fn overlays(&self) -> PathBuf {
        self.sysfs.join("kernel/config/device-tree/overlays")
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self::system()
    }
}
