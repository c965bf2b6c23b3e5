//! Where everything is in the virtual board's memory, and its device tree.

use crate::host;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

const TEMPLATE: &str = include_str!("zcu102.dts");

/// Physical addresses and sizes, in bytes.
#[derive(Clone, Debug)]
pub struct Layout {
    /// UIO name of the accelerator; its DMA memory is `NAME-dma`.
    pub name: String,
    /// DDR size, from address 0.
    pub ram: u64,
    /// The register block. In DDR: QEMU has nothing at a board's 0xA000_0000.
    pub registers: u64,
    /// Its size.
    pub registers_size: u64,
    /// Reserved memory for DMA.
    pub dma: u64,
    /// Its size.
    pub dma_size: u64,
    /// Shared peripheral interrupt.
    pub spi: u32,
}

impl Layout {
    /// The layout that `cargo xtask vm` boots.
    pub fn load() -> Result<Self> {
        let layout = Self {
            name: "fqbert0".to_owned(),
            ram: 1 << 30,
            registers: 0x2fff_0000,
            registers_size: 0x1000,
            dma: 0x3000_0000,
            dma_size: 256 << 20,
            spi: 89,
        };
        layout.check()?;
        Ok(layout)
    }

    fn check(&self) -> Result<()> {
        let fits = |base: u64, size: u64| base.checked_add(size).is_some_and(|end| end <= self.ram);
        if !fits(self.registers, self.registers_size)
            || !fits(self.dma, self.dma_size)
            || self.registers > self.dma
        {
            bail!("the virtual board's memory layout is inconsistent: {self:x?}");
        }
        Ok(())
    }

    /// Bytes an initramfs may have: QEMU puts it at 128 MiB, it must end below what is reserved, and
    /// the kernel holds its files a second time.
    pub fn initramfs_room(&self) -> u64 {
        self.registers.saturating_sub(128 << 20) / 2
    }

    fn source(&self) -> String {
        let hex = |value: u64| format!("{value:#x}");
        let mut text = TEMPLATE.to_owned();
        for (key, value) in [
            ("@REGISTERS_NODE@", format!("{:x}", self.registers)),
            ("@REGISTERS_SIZE@", hex(self.registers_size)),
            ("@REGISTERS@", hex(self.registers)),
            ("@DMA_NODE@", format!("{:x}", self.dma)),
            ("@DMA_SIZE@", hex(self.dma_size)),
            ("@DMA@", hex(self.dma)),
            ("@RAM@", hex(self.ram)),
            ("@NAME@", self.name.clone()),
            ("@SPI@", self.spi.to_string()),
        ] {
            text = text.replace(key, &value);
        }
        text
    }

    /// Compiles the device tree to `into`.
    ///
    /// # Errors
    /// dtc's own message.
    pub fn compile(&self, into: &Path) -> Result<()> {
        let source = into.with_extension("dts");
        host::write_atomically(&source, self.source().as_bytes())?;
        host::output(
            Command::new("dtc")
                .args(["-@", "-I", "dts", "-O", "dtb", "-o"])
                .arg(into)
                .arg(&source),
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_filled_in_completely() {
        let source = Layout::load().unwrap().source();
        assert!(source.contains("accelerator@2fff0000"));
        let leftover = source
            .lines()
            .find(|line| line.contains("@_") || line.matches('@').count() > 1);
        assert_eq!(
            leftover.filter(|line| !line.contains("/*") && !line.contains(" * ")),
            None
        );
    }
}
