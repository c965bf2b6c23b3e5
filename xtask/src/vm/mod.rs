//! `cargo xtask vm`: a ZCU102 without the board. The unmodified aarch64 binary on a real arm64
//! Linux, in QEMU's xlnx-zcu102, with the emulated accelerator behind its registers.

mod initramfs;
mod kernel;
mod layout;
mod qemu;

use crate::apt::{self, Tool};
use crate::cross::{Linkage, Toolchain};
use crate::host;
use anyhow::{Context, Result, bail};
use initramfs::{Guest, quote};
use layout::Layout;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const USAGE: &str = "\
  cargo xtask vm -- fqbert --device uio:fqbert0 classify \"a fine film\"
  cargo xtask vm --shell
  cargo xtask vm --test uio-driver -- --nocapture
  cargo xtask vm --model test --test fqbert-board-sim      self-test of the virtual hardware

The command's stdout, stderr and exit code are those of the command in the virtual board; 124 means
that it was stopped at the deadline. The first run builds a kernel (about 3 minutes); it is kept in
$FQBERT_CACHE (default .cache/).";

#[derive(clap::Args)]
#[command(after_help = USAGE)]
pub struct Args {
    /// An interactive shell on this terminal.
    #[arg(long, conflicts_with_all = ["test", "command"])]
    shell: bool,
    /// Run the tests of a workspace crate (repeatable); arguments after `--` go to each test
    /// program.
    #[arg(long, value_name = "CRATE")]
    test: Vec<String>,
    /// Copy a file or folder into the guest (repeatable).
    #[arg(long, value_name = "HOST:GUEST")]
    file: Vec<String>,
    /// Leave the `models/` folder out.
    #[arg(long)]
    no_models: bool,
    /// Set an environment variable in the guest (repeatable). RUST_LOG and RUST_BACKTRACE are
    /// passed on by themselves.
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// The device behind the registers: an accelerator's geometry (zcu102, paper, tiny, ...), or
    /// `test`.
    #[arg(long, default_value = "zcu102")]
    model: String,
    /// Stop after this many seconds.
    #[arg(long, default_value_t = 300)]
    deadline: u64,
    /// Keep the guest's console here, with all kernel messages (which then also mix with the
    /// command's stderr).
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Install missing Debian packages (needs root).
    #[arg(long)]
    install: bool,
    /// The command and its arguments. `fqbert` is built and copied when a word of it says so.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Host tools of this subcommand, beside those of [`crate::cross`].
pub const TOOLS: &[Tool] = &[
    Tool::backports("qemu-system-aarch64", "qemu-system-arm"),
    Tool::stable("dtc", "device-tree-compiler"),
    // For the kernel; asked for at once, so that one --install is enough.
    Tool::stable("make", "make"),
    Tool::stable("flex", "flex"),
    Tool::stable("bison", "bison"),
    Tool::stable("bc", "bc"),
    Tool::stable("xz", "xz-utils"),
];

/// Runs the subcommand.
pub fn main(args: &Args) -> Result<ExitCode> {
    if !args.shell && args.test.is_empty() && args.command.is_empty() {
        bail!("nothing to run: give `-- COMMAND...`, `--test CRATE` or `--shell`");
    }
    apt::require(TOOLS, args.install)?;
    let toolchain = Toolchain::prepare(args.install)?;
    let layout = Layout::load()?;
    let (kernel, mut guest) = {
        let _lock = host::lock("vm")?;
        (kernel::kernel()?, Guest::new()?)
    };
    let plugin = plugin()?;

    // A first byte that no text has, then something that no command can guess.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mark = format!("\u{1e}{:x}-{}", now.as_nanos(), std::process::id());
    guest.set("BOARD_MARK", &mark);
    guest.set("BOARD_EPOCH", &now.as_secs().to_string());
    set_environment(&mut guest, args)?;
    add_files(&mut guest, &toolchain, args)?;

    let folder = tempfile::tempdir()?;
    let initramfs = folder.path().join("initramfs");
    guest.finish(&kernel.gen_init_cpio, layout.initramfs_room(), &initramfs)?;
    let machine = qemu::Machine {
        kernel: &kernel.image,
        plugin: &plugin,
        layout: &layout,
        model: &args.model,
        initramfs: &initramfs,
    };
    if args.shell {
        machine.interact()
    } else {
        machine.run(
            &mark,
            Duration::from_secs(args.deadline),
            args.log.as_deref(),
        )
    }
}

/// What tests and programs in the guest may ask for, and what the user wants set.
fn set_environment(guest: &mut Guest, args: &Args) -> Result<()> {
    guest.set("FQBERT_VIRTUAL_BOARD", &args.model);
    for key in ["RUST_LOG", "RUST_BACKTRACE"] {
        if let Ok(value) = std::env::var(key) {
            guest.set(key, &value);
        }
    }
    for pair in &args.env {
        let (key, value) = pair
            .split_once('=')
            .with_context(|| format!("--env {pair}: KEY=VALUE is wanted"))?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if key.is_empty() || !key.bytes().all(legal) {
            bail!("--env {pair}: `{key}` is no variable name");
        }
        guest.set(key, value);
    }
    Ok(())
}

/// The programs, models and files that the command needs, and the command.
fn add_files(guest: &mut Guest, toolchain: &Toolchain, args: &Args) -> Result<()> {
    if !args.test.is_empty() {
        add_tests(guest, toolchain, &args.test, &args.command)?;
    } else if args.shell || args.command.iter().any(|word| word.contains("fqbert")) {
        add_fqbert(guest, toolchain)?;
    }
    let models = host::root().join("models");
    if !args.no_models && models.is_dir() {
        guest.copy(&models, "/models", &|_| true)?;
    }
    for pair in &args.file {
        let (from, to) = pair
            .rsplit_once(':')
            .filter(|(_, to)| to.starts_with('/'))
            .with_context(|| {
                format!("--file {pair}: HOST:GUEST is wanted, GUEST an absolute path")
            })?;
        guest.copy(Path::new(from), to, &|_| true)?;
    }
    if args.shell {
        guest.set("BOARD_SHELL", "1");
        guest.greet("fqbert0")?;
    } else if args.test.is_empty() {
        let words: Vec<String> = args.command.iter().map(|word| quote(word)).collect();
        guest.script(&format!("exec {}\n", words.join(" ")))?;
    }
    Ok(())
}

/// A host cargo command, with release optimisation: the plugin runs at every store.
fn host_cargo(verb: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(verb).current_dir(host::root());
    cargo
}

/// Builds the emulated hardware.
fn plugin() -> Result<PathBuf> {
    host::artifacts(host_cargo("build").args(["--quiet", "--release", "-p", "fqbert-board-sim"]))?
        .into_iter()
        .find(|artifact| artifact.target == "fqbert_board_sim")
        .and_then(|artifact| {
            artifact
                .files
                .into_iter()
                .find(|file| file.extension().is_some_and(|ext| ext == "so"))
        })
        .context("the build of fqbert-board-sim left no shared library")
}

fn add_fqbert(guest: &mut Guest, toolchain: &Toolchain) -> Result<()> {
    let mut cargo = toolchain.cargo("build", Linkage::Static);
    cargo
        .current_dir(host::root())
        .args(["--quiet", "--release", "--bin", "fqbert"]);
    let program = host::artifacts(&mut cargo)?
        .into_iter()
        .find(|artifact| artifact.target == "fqbert" && artifact.executable.is_some())
        .and_then(|artifact| artifact.executable)
        .context("the workspace has no binary fqbert")?;
    guest.program(&program, "/bin/fqbert")
}

/// Cross-builds the crates' test programs, puts them and their fixtures where the crates expect
/// them, and makes the command run them one after another.
fn add_tests(
    guest: &mut Guest,
    toolchain: &Toolchain,
    crates: &[String],
    arguments: &[String],
) -> Result<()> {
    // At the same absolute paths as here: tests find them by CARGO_MANIFEST_DIR.
    for folder in ["bitstreams", "device-tree"] {
        let path = host::root().join(folder);
        if path.is_dir() {
            guest.copy(&path, &path.to_string_lossy(), &|_| true)?;
        }
    }
    let mut script = String::from("status=0\n");
    let words: Vec<String> = arguments.iter().map(|word| quote(word)).collect();
    for name in crates {
        let mut cargo = toolchain.cargo("test", Linkage::Static);
        cargo
            .current_dir(host::root())
            .args(["--quiet", "--no-run", "-p", name]);
        let programs: Vec<(String, PathBuf)> = host::artifacts(&mut cargo)?
            .into_iter()
            .filter(|artifact| artifact.test)
            .filter_map(|artifact| Some((artifact.target, artifact.executable?)))
            .collect();
        if programs.is_empty() {
            bail!("crate {name} has no tests");
        }
        let manifest = manifest_dir(name)?;
        let fixtures = manifest.join("tests");
        if fixtures.is_dir() {
            let keep = |path: &Path| path.extension().is_none_or(|ext| ext != "rs");
            guest.copy(&fixtures, &fixtures.to_string_lossy(), &keep)?;
        }
        for (index, (target, program)) in programs.iter().enumerate() {
            let to = format!("/tests/{name}/{index}-{target}");
            guest.program(program, &to)?;
            script += &format!(
                "echo {} >&2\nmkdir -p {dir}; cd {dir}\n{} {} || status=$?\n",
                quote(&format!("--- {name}: {target}")),
                quote(&to),
                words.join(" "),
                dir = quote(&manifest.to_string_lossy()),
            );
        }
    }
    guest.script(&(script + "exit $status\n"))
}

/// A workspace crate's folder.
fn manifest_dir(name: &str) -> Result<PathBuf> {
    let metadata = host::output(host_cargo("metadata").args(["--format-version=1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == name)
        .and_then(|package| {
            Path::new(package["manifest_path"].as_str()?)
                .parent()
                .map(Path::to_path_buf)
        })
        .with_context(|| format!("no crate {name} in the workspace"))
}
