//! The plugin's arguments: `-plugin FILE,key=value,...`.

use std::num::ParseIntError;
use std::path::PathBuf;

/// Where everything is in the virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginOptions {
    /// `ddr=PATH`: the file behind the guest's memory.
    pub ddr: PathBuf,
    /// `ddr-base=ADDRESS`: physical address of its first byte (default 0).
    pub ddr_base: u64,
    /// `registers=ADDRESS`: physical address of the register block.
    pub registers: u64,
    /// `registers-size=BYTES`: its size (default 4096).
    pub registers_size: u32,
    /// `qtest=PATH`: QEMU's qtest socket.
    pub qtest: PathBuf,
    /// `spi=N`: shared peripheral interrupt number of the line (default 89, `pl_ps_irq0[0]`).
    pub spi: u32,
    /// `model=NAME`: the device; see [`crate::plugin::model`].
    pub model: String,
}

/// What is wrong with the arguments.
#[derive(Debug, thiserror::Error)]
pub enum PluginOptionsError {
    /// Not `key=value`, or a key we do not know.
    #[error(
        "`{0}` is no option of board-sim; known are ddr, ddr-base, registers, registers-size, \
         qtest, spi, model"
    )]
    Unknown(String),
    /// A number that is none.
    #[error("{key}={value}: {source}")]
    Number {
        /// The option.
        key: String,
        /// Its text.
        value: String,
        /// The cause.
        source: ParseIntError,
    },
    /// An option without a default was not given.
    #[error("option {0}= is missing")]
    Missing(&'static str),
    /// The size is not a whole number of words up to 64 KiB.
    #[error("registers-size={0}: must be a multiple of 4 up to 65536")]
    RegistersSize(u64),
}

impl PluginOptions {
    /// Parses `key=value` arguments; numbers are decimal or `0x` hexadecimal.
    ///
    /// # Errors
    /// See [`PluginOptionsError`].
    pub fn parse<'a>(
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, PluginOptionsError> {
        let (mut ddr, mut qtest, mut registers) = (None, None, None);
        let (mut ddr_base, mut size, mut spi) = (0, 4096, 89);
        let mut model = "test".to_owned();
        for argument in arguments {
            let unknown = || PluginOptionsError::Unknown(argument.to_owned());
            let (key, value) = argument.split_once('=').ok_or_else(unknown)?;
            match key {
                "ddr" => ddr = Some(PathBuf::from(value)),
                "ddr-base" => ddr_base = number(key, value)?,
                "registers" => registers = Some(number(key, value)?),
                "registers-size" => size = number(key, value)?,
                "qtest" => qtest = Some(PathBuf::from(value)),
                "spi" => spi = number(key, value)?,
                "model" => value.clone_into(&mut model),
                _ => return Err(unknown()),
            }
        }
        let registers_size = u32::try_from(size)
            .ok()
            .filter(|bytes| (4..=65536).contains(bytes) && bytes.is_multiple_of(4))
            .ok_or(PluginOptionsError::RegistersSize(size))?;
        Ok(Self {
            ddr: ddr.ok_or(PluginOptionsError::Missing("ddr"))?,
            ddr_base,
            registers: registers.ok_or(PluginOptionsError::Missing("registers"))?,
            registers_size,
            qtest: qtest.ok_or(PluginOptionsError::Missing("qtest"))?,
            spi: u32::try_from(spi)
                .map_err(|_| PluginOptionsError::Unknown(format!("spi={spi}")))?,
            model,
        })
    }
}

fn number(key: &str, value: &str) -> Result<u64, PluginOptionsError> {
    let parsed = match value.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => value.parse(),
    };
    parsed.map_err(|source| PluginOptionsError::Number {
        key: key.to_owned(),
        value: value.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_faults_named() {
        let options = PluginOptions::parse([
            "ddr=/d",
            "registers=0x1000",
            "qtest=/q",
            "spi=90",
            "model=test",
        ])
        .unwrap();
        assert_eq!(
            (options.registers, options.registers_size, options.spi),
            (0x1000, 4096, 90)
        );
        for (arguments, says) in [
            (&["ddr=/d", "qtest=/q"][..], "registers= is missing"),
            (&["ddr"], "`ddr` is no option"),
            (&["registers=0xg"], "registers=0xg: invalid digit"),
            (
                &["registers-size=6", "ddr=/d", "registers=0", "qtest=/q"],
                "multiple of 4",
            ),
        ] {
            let error = PluginOptions::parse(arguments.iter().copied())
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
