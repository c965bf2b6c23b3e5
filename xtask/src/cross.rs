//! `cargo xtask cross`: cargo for aarch64-unknown-linux-gnu without a container engine.
//!
//! The C side is Debian's `gcc-aarch64-linux-gnu`. The Rust side is the running toolchain if its
//! aarch64 standard library is installed (`rustup target add aarch64-unknown-linux-gnu`). Where
//! rustup cannot fetch that, because only a Debian mirror is in reach, it is Debian's `rustc-web`
//! packages (a current rustc with an arm64 standard library), unpacked into the cache. Those bring
//! their own rustc, so build products live in a target folder of their own: the metadata of two
//! rustc versions does not mix.
//!
//! cargo-zigbuild would replace the C side alone: it asks for the same standard library, and the
//! tests need Debian's arm64 libraries under qemu-user anyway.

use crate::apt::{self, Apt, Tool};
use crate::host;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The board's target triple.
pub const TARGET: &str = "aarch64-unknown-linux-gnu";

const USAGE: &str = "\
With no cargo arguments: `build --release --bin fqbert`.
  cargo xtask cross                          the static binary for the board
  cargo xtask cross --dynamic build --release
  cargo xtask cross test -p uio-driver       aarch64 tests under qemu-user
  cargo xtask cross clippy -p fqbert-runtime lint for the target";

#[derive(clap::Args)]
#[command(after_help = USAGE)]
pub struct Args {
    /// Link glibc statically (the default): one file that runs on any board image.
    #[arg(long = "static", conflicts_with = "dynamic")]
    fixed: bool,
    /// Link against the board's glibc (2.36 or newer).
    #[arg(long)]
    dynamic: bool,
    /// Install missing Debian packages (needs root).
    #[arg(long)]
    install: bool,
    /// The cargo command and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo: Vec<OsString>,
}

/// How the binary finds glibc.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// Linked in.
    Static,
    /// From the board's root file system.
    Dynamic,
}

/// Host tools of this subcommand.
pub const TOOLS: &[Tool] = &[
    Tool::stable("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    Tool::stable(
        "/usr/aarch64-linux-gnu/include/stdio.h",
        "libc6-dev-arm64-cross",
    ),
];

/// For running what was built.
pub const EMULATOR: Tool = Tool::backports("qemu-aarch64-static", "qemu-user-static");

/// Runs the subcommand.
pub fn main(args: &Args) -> Result<ExitCode> {
    let linkage = if args.dynamic {
        Linkage::Dynamic
    } else {
        Linkage::Static
    };
    let default = ["build", "--release", "--bin", "fqbert"].map(OsString::from);
    let cargo = if args.cargo.is_empty() {
        &default[..]
    } else {
        &args.cargo
    };
    // `cross --release` means `cross build --release`.
    let (verb, rest) = match cargo.split_first() {
        Some((first, rest)) if !first.to_string_lossy().starts_with('-') => {
            (first.to_string_lossy().into_owned(), rest)
        }
        _ => ("build".to_owned(), cargo),
    };
    let toolchain = Toolchain::prepare(args.install)?;
    if matches!(verb.as_str(), "test" | "run" | "bench" | "nextest") {
        apt::require(&[EMULATOR], args.install)?;
    }
    let mut command = toolchain.cargo(&verb, linkage);
    let status = host::status(command.args(rest).current_dir(std::env::current_dir()?))?;
    if status.success() && args.cargo.is_empty() {
        println!(
            "{}",
            toolchain.artifact(linkage, "release", "fqbert").display()
        );
    }
    Ok(host::exit_code(status))
}

/// A Rust compiler with an aarch64 standard library.
pub struct Toolchain {
    /// The wrappers' folder of the unpacked packages; `None`: the running toolchain does it.
    wrappers: Option<PathBuf>,
}

impl Toolchain {
    /// Finds or makes the toolchain.
    ///
    /// # Errors
    /// Missing packages, by name; or no way to fetch the Rust ones.
    pub fn prepare(install: bool) -> Result<Self> {
        apt::require(TOOLS, install)?;
        if has_target_std()? {
            return Ok(Self { wrappers: None });
        }
        let _lock = host::lock("cross")?;
        Ok(Self {
            wrappers: Some(unpack_rustc_web()?),
        })
    }

    /// A cargo command for the target, complete but for its arguments.
    pub fn cargo(&self, verb: &str, linkage: Linkage) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Cargo has no clippy of ours to run: its driver wraps a check, as `cargo clippy` does.
        let verb = match (&self.wrappers, verb) {
            (Some(bin), "clippy") => {
                command.env("RUSTC_WORKSPACE_WRAPPER", bin.join("clippy-driver"));
                command.env("CLIPPY_ARGS", "-Dwarnings");
                "check"
            }
            (_, verb) => verb,
        };
        command.arg(verb);
        if verb == "nextest" {
            command.arg("run");
        }
        command
            .args(["--target", TARGET, "--target-dir"])
            .arg(self.target_dir(linkage));
        if let Some(bin) = &self.wrappers {
            // RUSTDOC too: without it doctests look for std in the host's toolchain.
            command
                .env("RUSTC", bin.join("rustc"))
                .env("RUSTDOC", bin.join("rustdoc"));
        }
        command
            .env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc")
            .env("CXX_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-g++")
            .env("AR_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-ar")
            .env(
                "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER",
                "aarch64-linux-gnu-gcc",
            )
            // binfmt_misc is often not mounted (containers): always through the runner.
            .env(
                "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER",
                "qemu-aarch64-static -L /usr/aarch64-linux-gnu",
            );
        if linkage == Linkage::Static {
            command.env(
                "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
                "-C target-feature=+crt-static",
            );
        }
        // It would hide the target's own flags.
        command.env_remove("RUSTFLAGS");
        command
    }

    /// The compiler, if it is not the running toolchain's.
    pub fn rustc(&self) -> Option<PathBuf> {
        self.wrappers.as_ref().map(|bin| bin.join("rustc"))
    }

    /// One target folder per linkage: RUSTFLAGS differ, and so would every output.
    fn target_dir(&self, linkage: Linkage) -> PathBuf {
        let name = match linkage {
            Linkage::Static => "cross-static",
            Linkage::Dynamic => "cross-dynamic",
        };
        host::root().join("target").join(name)
    }

    /// Where cargo leaves a binary.
    pub fn artifact(&self, linkage: Linkage, profile: &str, name: &str) -> PathBuf {
        self.target_dir(linkage)
            .join(TARGET)
            .join(profile)
            .join(name)
    }
}

/// Whether the running toolchain can already compile for the board.
fn has_target_std() -> Result<bool> {
    let sysroot = host::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let lib = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(TARGET)
        .join("lib");
    Ok(fs::read_dir(lib).is_ok_and(|mut entries| entries.next().is_some()))
}

/// Unpacks Debian's rustc-web for this version, once; gives the folder of wrappers named `rustc`,
/// `rustdoc` and `clippy-driver` (clippy's driver insists on the exact name).
fn unpack_rustc_web() -> Result<PathBuf> {
    let apt = Apt::open()?;
    let version = apt.version("rustc-web")?;
    let home = host::cache()?
        .join("cross")
        .join(format!("rustc-web-{}", version.replace(':', "_")));
    let bin = home.join("bin");
    if bin.join("clippy-driver").exists() {
        return Ok(bin);
    }
    // The compiler's shared library carries the release in its package name, and LLVM's soname
    // package is a dependency of it: both float with security updates, so they are looked up.
    let depends = apt.field("libstd-rust-web-dev:arm64", "Depends")?;
    let release = dependency(&depends, "libstd-rust-web-")
        .with_context(|| format!("no libstd-rust-web-X in `{depends}`"))?;
    let depends = apt.field(&format!("{release}:amd64"), "Depends")?;
    let llvm =
        dependency(&depends, "libllvm").with_context(|| format!("no libllvmX in `{depends}`"))?;
    let packages = [
        "rustc-web:amd64".to_owned(),
        "rust-web-clippy:amd64".to_owned(),
        "libstd-rust-web-dev:amd64".to_owned(),
        "libstd-rust-web-dev:arm64".to_owned(),
        format!("{release}:amd64"),
        format!("{llvm}:amd64"),
    ];
    let files = home.join("root");
    for package in &packages {
        apt::unpack(&apt.download(package)?, &files)?;
    }
    for tool in ["rustc", "rustdoc", "clippy-driver"] {
        let (lib, program) = (
            files.join("usr/lib/x86_64-linux-gnu"),
            files.join("usr/bin").join(tool),
        );
        if !program.exists() {
            bail!("rustc-web {version} brought no {tool}");
        }
        let script = format!(
            "#!/bin/sh\nexport LD_LIBRARY_PATH='{}'\nexec '{}' \"$@\"\n",
            lib.display(),
            program.display()
        );
        let path = bin.join(tool);
        host::write_atomically(&path, script.as_bytes())?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    host::note(host::output(Command::new(bin.join("rustc")).arg("-V"))?.trim());
    Ok(bin)
}

/// The first package in a Depends field whose name starts with `prefix` and goes on with a digit.
fn dependency<'a>(depends: &'a str, prefix: &str) -> Option<&'a str> {
    depends
        .split([',', '|'])
        .filter_map(|entry| entry.split_whitespace().next())
        .map(|name| name.split(':').next().unwrap_or(name))
        .find(|name| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
}

#[cfg(test)]
mod tests {
    use super::dependency;

    #[test]
    fn a_dependency_is_found_by_prefix_and_digit() {
        let depends =
            "gcc, libc-dev, libstd-rust-web-dev (= 1.2), libstd-rust-web-1.96 (= 1.96.0+dfsg)";
        assert_eq!(
            dependency(depends, "libstd-rust-web-"),
            Some("libstd-rust-web-1.96")
        );
        assert_eq!(
            dependency("libc6 (>= 2.36), libllvm22:amd64 (>= 1)", "libllvm"),
            Some("libllvm22")
        );
        assert_eq!(dependency("libc6", "libllvm"), None);
    }
}
