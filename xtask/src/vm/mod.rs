//! vm
mod kernel;
use crate::apt::{self, Tool};
use anyhow::Result;
#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    install: bool,
}
const TOOLS: &[Tool] = &[
    Tool::backports("qemu-system-aarch64", "qemu-system-arm"),
    Tool::stable("dtc", "device-tree-compiler"),
];
const KERNEL_TOOLS: &[Tool] = &[
    Tool::stable("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    Tool::stable("flex", "flex"),
    Tool::stable("bison", "bison"),
    Tool::stable("bc", "bc"),
    Tool::stable("make", "make"),
    Tool::stable("xz", "xz-utils"),
];
/// x
pub fn main(args: &Args) -> Result<std::process::ExitCode> {
    apt::require(TOOLS, args.install)?;
    apt::require(KERNEL_TOOLS, args.install)?;
    let _lock = crate::host::lock("kernel")?;
    println!("{}", kernel::image()?.display());
    Ok(std::process::ExitCode::SUCCESS)
}
