//! Where everything is in the virtual board's memory, and its device tree.

use crate::{dt, host};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// The board of `device-tree/boards.toml` whose registers are in DDR, and its tree.
const BOARD: &str = "qemu";
const TREE: &str = "qemu-zcu102.dts";
/// DDR of the virtual board; [`TREE`] says the same.
const RAM: u64 = 1 << 30;
/// QEMU puts an initramfs behind the first 128 MiB (`hw/arm/boot.c`).
const INITRAMFS: u64 = 128 << 20;
/// What only the virtual board has: second UART, seed, FPGA manager.
const OVERLAY: &str = include_str!("virtual-board.dtso");

/// The memory map.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Addresses and interrupt, bytes.
    pub board: dt::Board,
    /// DDR size, from address 0.
    pub ram: u64,
}

impl Layout {
    /// The layout that `cargo xtask vm` boots.
    ///
    /// # Errors
    /// `boards.toml` has no such board, or its ranges do not fit.
    pub fn load() -> Result<Self> {
        let board = dt::boards(&host::root())?
            .into_iter()
            .find(|board| board.name == BOARD)
            .with_context(|| format!("device-tree/boards.toml has no board `{BOARD}`"))?;
        let layout = Self { board, ram: RAM };
        layout.check()?;
        Ok(layout)
    }

    fn check(&self) -> Result<()> {
        let (board, fits) = (&self.board, |base: u64, size: u64| base + size <= self.ram);
        if !fits(board.regs_base, board.regs_size) || !fits(board.dma_base, board.dma_size) {
            bail!(
                "board `{BOARD}` does not fit its {} MiB of DDR: {board:x?}",
                self.ram >> 20
            );
        }
        Ok(())
    }

    /// Bytes an initramfs may have: it must end below what is reserved, and the kernel holds its
    /// files a second time.
    pub fn initramfs_room(&self) -> u64 {
        let reserved = self.board.regs_base.min(self.board.dma_base);
        reserved.saturating_sub(INITRAMFS) / 2
    }

    /// Compiles the device tree to `into`.
    ///
    /// # Errors
    /// dtc's own message.
    pub fn compile(&self, into: &Path) -> Result<()> {
        let file = |name: &str| into.with_file_name(name);
        let (base, source, overlay) =
            (file("base.dtb"), file("virtual.dtso"), file("virtual.dtbo"));
        dt::compile(&host::root(), TREE, &base)?;
        std::fs::write(&source, OVERLAY)?;
        host::output(
            Command::new("dtc")
                .args(["-@", "-I", "dts", "-O", "dtb", "-o"])
                .arg(&overlay)
                .arg(&source),
        )?;
        host::output(
            Command::new("fdtoverlay")
                .arg("-i")
                .arg(&base)
                .arg("-o")
                .arg(into)
                .arg(&overlay),
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_fits_and_leaves_room() {
        let mut layout = Layout::load().unwrap();
        assert!(
            layout.board.dma_size >= 192 << 20,
            "the largest model needs it"
        );
        assert!(layout.initramfs_room() > 200 << 20);
        layout.ram = 512 << 20;
        assert!(layout.check().unwrap_err().to_string().contains("512 MiB"));
    }
}
