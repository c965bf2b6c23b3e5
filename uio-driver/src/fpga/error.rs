//! What can go wrong around a bitstream; each with its remedy.

use std::path::PathBuf;
use std::time::Duration;

use super::{ManagerState, Mismatch};
use crate::Error;

/// A refusal or failure of the FPGA manager, of a bitstream file or of an overlay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FpgaError {
    /// Of a file or attribute underneath.
    #[error(transparent)]
    System(#[from] Error),

    /// The kernel has no FPGA manager.
    #[error(
        "no FPGA manager in {}: the kernel lacks CONFIG_FPGA_MGR_ZYNQMP_FPGA, or the PMU firmware \
         that it talks to did not start",
        class.display()
    )]
    NoManager {
        /// `/sys/class/fpga_manager`.
        class: PathBuf,
    },

    /// Several managers: which one is meant?
    #[error("{} FPGA managers ({}): name the one that is meant", names.len(), names.join(", "))]
    SeveralManagers {
        /// Their entries in the class.
        names: Vec<String>,
    },

    /// The programmable logic is not configured; a register access could hang the system.
    #[error(
        "FPGA manager {manager} reports `{state}`, not `operating`: the programmable logic holds \
         no design, and a register access could hang the system. Load the bitstream first (at \
         boot, or by firmware name)"
    )]
    NotOperating {
        /// The manager.
        manager: String,
        /// What it reports.
        state: ManagerState,
    },

    /// Another load is under way.
    #[error(
        "FPGA manager {manager} is busy ({state}): another load is under way; try again when it \
         has ended"
    )]
    ManagerBusy {
        /// The manager.
        manager: String,
        /// What it is doing.
        state: ManagerState,
    },

    /// The kernel can't load by name.
    #[error(
        "{} does not exist: this kernel (mainline) loads a bitstream only through an fpga-region \
         overlay with `firmware-name`; apply one at boot, or load the bitstream in U-Boot (`fpga \
         load`)",
        attribute.display()
    )]
    NoLoadByName {
        /// The attribute that a vendor kernel has.
        attribute: PathBuf,
    },

    /// A firmware name that the kernel would not accept, or that leaves the firmware directory.
    #[error(
        "`{name}` is no firmware name: a plain file name of at most {max} bytes, without `/`, is \
         needed"
    )]
    BadFirmwareName {
        /// The name.
        name: String,
        /// Longest name.
        max: usize,
    },

    /// No such firmware file.
    #[error(
        "firmware `{name}` is in none of {}: copy the .bin there",
        searched.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    FirmwareAbsent {
        /// The name.
        name: String,
        /// Directories searched.
        searched: Vec<PathBuf>,
    },

    /// The kernel refused or failed.
    #[error(
        "loading `{firmware}` failed, the manager reports `{state}`{}. Look into dmesg; a .bit \
         must be converted to the byte order of a .bin first",
        source.as_ref().map(|e| format!(" ({e})")).unwrap_or_default()
    )]
    LoadFailed {
        /// The firmware.
        firmware: String,
        /// State afterwards.
        state: ManagerState,
        /// The error of the write, if it was that.
        #[source]
        source: Option<Box<Error>>,
    },

    /// The load took longer than allowed.
    #[error(
        "loading `{firmware}` took longer than {} s, the manager reports `{state}`: the PMU \
         firmware does not answer; power-cycle the board",
        limit.as_secs_f64()
    )]
    LoadTimeout {
        /// The firmware.
        firmware: String,
        /// Time allowed.
        limit: Duration,
        /// State at the end of it.
        state: ManagerState,
    },

    /// Not a `.bit` file.
    #[error("not a .bit file: {reason}. Is the file truncated, or a .bin (which has no header)?")]
    NotABitfile {
        /// What was found where.
        reason: String,
    },

    /// The file ends before its own length says.
    #[error(
        "the .bit file is truncated: its header announces {announced} bytes of configuration data, \
         {have} are there. Copy it again"
    )]
    Truncated {
        /// Bytes announced.
        announced: u64,
        /// Bytes there.
        have: u64,
    },

    /// For another part than the board's.
    #[error(
        "the bitstream is for `{bitstream}`, the board has `{board}` ({reason}): build it for the \
         part of the board"
    )]
    WrongPart {
        /// Part of the bitstream.
        bitstream: String,
        /// Part of the board.
        board: String,
        /// Which field differs.
        reason: String,
    },

    /// Not the name of a part.
    #[error("`{text}` is no part name: expected a form like `xczu9eg-ffvb1156-2-e`")]
    BadPart {
        /// The text.
        text: String,
    },

    /// The kernel has no configfs overlays.
    #[error(
        "{} does not exist: no configfs overlays in this kernel (they are a vendor-kernel feature; \
         is configfs mounted on /sys/kernel/config?). Apply the overlay at boot with fdtoverlay or \
         U-Boot's `fdt apply`",
        dir.display()
    )]
    NoOverlays {
        /// The directory.
        dir: PathBuf,
    },

    /// An overlay of the name is applied already.
    #[error(
        "an overlay `{name}` exists already: it is applied, or left from a failed try; remove it \
         first"
    )]
    OverlayExists {
        /// Its name.
        name: String,
    },

    /// The kernel did not take the overlay.
    #[error(
        "overlay `{name}` was not applied, its status is `{status}`: look into dmesg; the base \
         tree must be built with symbols (dtc -@)"
    )]
    OverlayRefused {
        /// Its name.
        name: String,
        /// What `status` reads.
        status: String,
    },
}

/// A bitstream manifest that can't be used, or that the hardware contradicts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not TOML of the manifest's form.
    #[error("{origin} is no bitstream manifest: {reason}")]
    Malformed {
        /// File or description.
        origin: String,
        /// The parser's message, with line and column.
        reason: String,
    },

    /// It describes a design that was not built.
    #[error(
        "bitstream `{name}` has not been built: run `vivado -mode batch -source \
         bitstreams/build.tcl -tclargs {board}` and record the result in its manifest"
    )]
    NotBuilt {
        /// Name of the bitstream.
        name: String,
        /// Its board.
        board: String,
    },

    /// The file is not the one the manifest describes.
    #[error(
        "{} has {what} {have}, the manifest says {want}: the file was rebuilt, cut or mixed up; \
         copy both again",
        path.display()
    )]
    WrongFile {
        /// The file.
        path: PathBuf,
        /// `SHA-256` or `size`.
        what: &'static str,
        /// Of the file.
        have: String,
        /// Of the manifest.
        want: String,
    },

    /// The loaded logic is not what the manifest describes.
    #[error(
        "the loaded logic is not `{name}`:{}\nLoad the bitstream that belongs to this manifest, or \
         take the manifest of the loaded one",
        table(mismatches)
    )]
    WrongIdentity {
        /// Name of the bitstream.
        name: String,
        /// Every field that differs.
        mismatches: Vec<Mismatch>,
    },

    /// Of a file or attribute.
    #[error(transparent)]
    System(#[from] Error),

    /// Of the bitstream itself.
    #[error(transparent)]
    Fpga(#[from] FpgaError),
}

/// One line a field.
fn table(mismatches: &[Mismatch]) -> String {
    mismatches
        .iter()
        .map(|mismatch| format!("\n  {mismatch}"))
        .collect()
}
