//! The virtual board's kernel: Debian's source, our configuration.
//!
//! Debian's own arm64 kernel lacks `UIO_PDRV_GENIRQ`, the FPGA manager and overlays, so a small one
//! is built: about three minutes once, then cached by source version and configuration.

use crate::apt::Apt;
use crate::host;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's source package (bookworm-security), a long-term series.
const SOURCE: &str = "linux-source-6.12";
const FRAGMENT: &str = include_str!("kernel/fragment.config");
/// The kernel's side of the virtual programmable logic, built in.
const DRIVER: &str = include_str!("kernel/fqbert-virtual-pl.c");

/// What comes of the kernel's source.
pub struct Kernel {
    /// The kernel `Image`.
    pub image: PathBuf,
    /// The kernel's tool that makes an initramfs archive. It is kept beside the image, since the
    /// source need not be there any more.
    pub gen_init_cpio: PathBuf,
}

/// The kernel, built if this version and configuration is not in the cache.
///
/// # Errors
/// The source cannot be fetched, or the build fails (its log is named).
pub fn kernel() -> Result<Kernel> {
    let kernels = host::cache()?.join("kernel");
    // A cached kernel is used without asking the mirror: CI and offline machines start at once.
    let hash = &fqbert_files::sha256_hex([FRAGMENT.as_bytes(), DRIVER.as_bytes()])[..12];
    if let Some(kernel) = cached(&kernels, hash) {
        return Ok(kernel);
    }
    let apt = Apt::open()?;
    let version = apt.version(SOURCE)?;
    let archive = apt.download(SOURCE)?;
    let tree = kernels.join(format!("linux-{version}"));
    unpack(&archive, &tree)?;
    build(&tree)?;
    let kernel = Kernel::named(kernels.join(format!("Image-{version}-{hash}")))
        .context("the cache has no folder")?;
    host::run(
        Command::new("cc")
            .args(["-O2", "-o"])
            .arg(&kernel.gen_init_cpio)
            .arg(tree.join("usr/gen_init_cpio.c")),
    )?;
    // Last: an image says that all is there.
    host::write_atomically(
        &kernel.image,
        &fs::read(tree.join("arch/arm64/boot/Image"))?,
    )?;
    Ok(kernel)
}

impl Kernel {
    /// The kernel of an image's path: its version, and so its tool, is in the name.
    fn named(image: PathBuf) -> Option<Self> {
        let name = image.file_name()?.to_str()?;
        let tool = name.replacen("Image-", "gen_init_cpio-", 1);
        Some(Self {
            gen_init_cpio: image.with_file_name(tool),
            image,
        })
    }
}

/// The newest cached kernel of this configuration.
fn cached(kernels: &Path, hash: &str) -> Option<Kernel> {
    fs::read_dir(kernels)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("Image-") && name.ends_with(&format!("-{hash}"))
        })
        .filter_map(Kernel::named)
        .filter(|kernel| kernel.gen_init_cpio.is_file())
        .max_by(|a, b| a.image.cmp(&b.image))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_kernel_has_its_tool() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(folder.path().join(name), "").unwrap();
        put("Image-6.12.2-abc");
        put("Image-6.12.3-other");
        assert!(cached(folder.path(), "abc").is_none());
        put("gen_init_cpio-6.12.2-abc");
        let kernel = cached(folder.path(), "abc").unwrap();
        assert!(kernel.image.ends_with("Image-6.12.2-abc"));
        put("Image-6.12.3-abc");
        let kernel = cached(folder.path(), "abc").unwrap();
        assert!(
            kernel.image.ends_with("Image-6.12.2-abc"),
            "the newer one has no tool"
        );
    }

    #[test]
    fn a_dropped_option_is_named() {
        let all: String = FRAGMENT.to_owned();
        check_options(&all).unwrap();
        let error = check_options(&all.replace("CONFIG_UIO=y", "")).unwrap_err();
        assert!(error.to_string().contains("CONFIG_UIO=y"), "{error}");
    }
}
