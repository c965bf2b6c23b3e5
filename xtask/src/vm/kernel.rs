//! The virtual board's kernel: Debian's source, our configuration.
//!
//! Debian's own arm64 kernel lacks `UIO_PDRV_GENIRQ`, the FPGA manager and overlays, so a small one
//! is built: about three minutes once, then cached by source version and configuration.

use crate::apt::Apt;
use crate::host;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's source package (bookworm-security), a long-term series.
const SOURCE: &str = "linux-source-6.12";
const FRAGMENT: &str = include_str!("kernel/fragment.config");
/// The kernel's side of the virtual programmable logic, built in.
const DRIVER: &str = include_str!("kernel/fqbert-virtual-pl.c");

/// The kernel `Image`, built if this version and configuration is not in the cache.
///
/// # Errors
/// The source cannot be fetched, or the build fails (its log is named).
pub fn image() -> Result<PathBuf> {
    let kernels = host::cache()?.join("kernel");
    // A cached image is used without asking the mirror: CI and offline machines start at once.
    let digest = Sha256::new()
        .chain_update(FRAGMENT)
        .chain_update(DRIVER)
        .finalize();
    let hash: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if let Some(image) = cached(&kernels, &hash) {
        return Ok(image);
    }
    let apt = Apt::open()?;
    let version = apt.version(SOURCE)?;
    let archive = apt.download(SOURCE)?;
    let tree = kernels.join(format!("linux-{version}"));
    unpack(&archive, &tree)?;
    build(&tree)?;
    let image = kernels.join(format!("Image-{version}-{hash}"));
    host::write_atomically(&image, &fs::read(tree.join("arch/arm64/boot/Image"))?)?;
    Ok(image)
}

/// The newest cached image of this configuration.
fn cached(kernels: &Path, hash: &str) -> Option<PathBuf> {
    let mut images: Vec<PathBuf> = fs::read_dir(kernels)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("Image-") && name.ends_with(&format!("-{hash}"))
        })
        .collect();
    images.sort();
    images.pop()
}

fn unpack(archive: &Path, tree: &Path) -> Result<()> {
    if tree.join("Makefile").exists() {
        return Ok(());
    }
    host::note("unpacking the kernel source (1.7 GB)");
    let parent = tree.parent().context("the cache has no parent folder")?;
    fs::create_dir_all(parent)?;
    let scratch = tempfile::tempdir_in(parent)?;
    let mut outer = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut middle = Command::new("tar")
        .args(["-xO", "--wildcards", "./usr/src/linux-source-*.tar.xz"])
        .stdin(outer.stdout.take().context("no pipe from dpkg-deb")?)
        .stdout(Stdio::piped())
        .spawn()?;
    let unpacked = Command::new("tar")
        .args(["-xJ", "--strip-components=1", "-C"])
        .arg(scratch.path())
        .stdin(middle.stdout.take().context("no pipe from tar")?)
        .status()?;
    let (outer, middle) = (outer.wait()?, middle.wait()?);
    if !(outer.success() && middle.success() && unpacked.success()) {
        bail!(
            "cannot unpack {}: damaged? delete it and try again",
            archive.display()
        );
    }
    fs::rename(scratch.keep(), tree)?;
    Ok(())
}

fn build(tree: &Path) -> Result<()> {
    host::note("building the kernel (about 3 minutes, once)");
    let fragment = tree.join("fqbert.config");
    host::write_atomically(&fragment, FRAGMENT.as_bytes())?;
    add_driver(&tree.join("drivers/fpga"))?;
    let log = tree.join("fqbert-build.log");
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    for targets in [&["allnoconfig"][..], &["Image", "modules_prepare"]] {
        let out = fs::File::options().create(true).append(true).open(&log)?;
        let status = host::status(
            Command::new("nice")
                .args([
                    "make",
                    "-s",
                    "ARCH=arm64",
                    "CROSS_COMPILE=aarch64-linux-gnu-",
                ])
                .arg(format!("-j{jobs}"))
                .arg(format!("KCONFIG_ALLCONFIG={}", fragment.display()))
                .args(targets)
                .current_dir(tree)
                // Cargo's environment means something else to kbuild.
                .env_remove("CARGO")
                .env_remove("RUSTC")
                .stdin(Stdio::null())
                .stdout(out.try_clone()?)
                .stderr(out),
        )?;
        if !status.success() {
            bail!("the kernel build failed ({status}); see {}", log.display());
        }
    }
    check_options(&fs::read_to_string(tree.join(".config"))?)
}

/// Puts our driver into the tree, once.
fn add_driver(dir: &Path) -> Result<()> {
    host::write_atomically(&dir.join("fqbert-virtual-pl.c"), DRIVER.as_bytes())?;
    let makefile = dir.join("Makefile");
    let (text, line) = (
        fs::read_to_string(&makefile)?,
        "obj-y += fqbert-virtual-pl.o\n",
    );
    if !text.ends_with(line) {
        host::write_atomically(&makefile, (text + line).as_bytes())?;
    }
    Ok(())
}

/// Kconfig drops a line whose dependency is missing without a word: refuse instead.
fn check_options(config: &str) -> Result<()> {
    let missing: Vec<&str> = FRAGMENT
        .lines()
        .filter(|line| line.starts_with("CONFIG_"))
        .filter(|line| !config.lines().any(|have| have == *line))
        .collect();
    if !missing.is_empty() {
        bail!("the kernel configuration dropped: {}", missing.join(" "));
    }
    Ok(())
}
