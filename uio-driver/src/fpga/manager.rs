//! `/sys/class/fpga_manager` (Documentation/ABI/testing/sysfs-class-fpga-manager).

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::error::FpgaError;
use super::state::ManagerState;
use crate::{Deadline, Error, LockWait, Roots, UioDevice, sysfs};

/// What to load and how.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// File name in the firmware directory.
    pub firmware: &'a str,
    /// How long it may take. A full ZU9EG stream (26 MB) takes well under a second.
    pub limit: Duration,
    /// UIO devices that live in the programmable logic: those that exist must be free, and are held
    /// while it is reconfigured, so that nobody's registers vanish under them.
    pub devices: &'a [&'a str],
}

/// One FPGA manager.
#[derive(Clone, Debug)]
pub struct FpgaManager {
    entry: String,
    dir: PathBuf,
}

/// Longest name the kernel's firmware loader takes here (NAME_MAX).
const NAME_BYTES_MAX: usize = 255;
const POLL: Duration = Duration::from_millis(2);

impl FpgaManager {
    /// The only manager of the system.
    ///
    /// # Errors
    /// [`FpgaError::NoManager`], [`FpgaError::SeveralManagers`].
    pub fn find(roots: &Roots) -> Result<Self, FpgaError> {
        let class = roots.class("fpga_manager");
        let mut entries = match sysfs::entries(&class) {
            Err(Error::ClassAbsent { class }) => return Err(FpgaError::NoManager { class }),
            other => other?,
        };
        match (entries.pop(), entries.is_empty()) {
            (None, _) => Err(FpgaError::NoManager { class }),
            (Some(entry), true) => Ok(Self {
                dir: class.join(&entry),
                entry,
            }),
            (Some(last), false) => {
                entries.push(last);
                Err(FpgaError::SeveralManagers { names: entries })
            }
        }
    }

    /// Its entry in the class, `fpga0`.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// What it reports.
    ///
    /// # Errors
    /// [`FpgaError::System`].
    pub fn state(&self) -> Result<ManagerState, FpgaError> {
        Ok(ManagerState::parse(&sysfs::read(&self.dir.join("state"))?))
    }

    /// Returns only when a design is loaded: to be called before the first register access.
    ///
    /// # Errors
    /// [`FpgaError::NotOperating`], [`FpgaError::ManagerBusy`].
    pub fn require_operating(&self) -> Result<(), FpgaError> {
        let manager = self.entry.clone();
        match self.state()? {
            ManagerState::Operating => Ok(()),
            state @ ManagerState::Loading(_) => Err(FpgaError::ManagerBusy { manager, state }),
            state => Err(FpgaError::NotOperating { manager, state }),
        }
    }

    /// Loads a bitstream by firmware name, and returns when the programmable logic operates.
    ///
    /// # Errors
    /// [`FpgaError::BadFirmwareName`], [`FpgaError::FirmwareAbsent`], [`FpgaError::NoLoadByName`]
    /// on mainline, [`FpgaError::ManagerBusy`], [`Error::Busy`] when a device of the programmable
    /// logic is in use, [`FpgaError::LoadFailed`], [`FpgaError::LoadTimeout`].
    pub fn load(&self, roots: &Roots, load: &Load<'_>) -> Result<(), FpgaError> {
        check_name(load.firmware)?;
        let attribute = self.dir.join("firmware");
        if !attribute.exists() {
            return Err(FpgaError::NoLoadByName { attribute });
        }
        if !roots
            .firmware
            .iter()
            .any(|dir| dir.join(load.firmware).is_file())
        {
            let (name, searched) = (load.firmware.to_owned(), roots.firmware.clone());
            return Err(FpgaError::FirmwareAbsent { name, searched });
        }
        let state = self.state()?;
        if let ManagerState::Loading(_) = state {
            return Err(FpgaError::ManagerBusy {
                manager: self.entry.clone(),
                state,
            });
        }
        let _held = hold(roots, load.devices)?;
        // Flags of the vendor kernel: 0 is a full, unencrypted stream. Left over from a former
        // load they would apply to ours.
        let flags = self.dir.join("flags");
        if flags.exists() {
            sysfs::write(&flags, b"0")?;
        }
        let deadline = Deadline::after(load.limit);
        match self.write_firmware(&attribute, load, deadline)? {
            Ok(()) => self.await_operating(load, deadline),
            Err(Error::Io { source, .. }) if source.raw_os_error() == Some(libc::EBUSY) => {
                Err(FpgaError::ManagerBusy {
                    manager: self.entry.clone(),
                    state: self.state()?,
                })
            }
            Err(error @ Error::Permission { .. }) => Err(error.into()),
            Err(error) => Err(FpgaError::LoadFailed {
                firmware: load.firmware.to_owned(),
                state: self.state()?,
                source: Some(Box::new(error)),
            }),
        }
    }

    /// The write returns when the kernel is done and can't be interrupted: a thread does it, so
    /// that our wait has an end even where the firmware of the PMU does not answer.
    fn write_firmware(
        &self,
        attribute: &Path,
        load: &Load<'_>,
        deadline: Deadline,
    ) -> Result<Result<(), Error>, FpgaError> {
        let (sender, receiver) = mpsc::channel();
        let (path, name) = (attribute.to_owned(), load.firmware.to_owned());
        let thread = std::thread::Builder::new().name("fpga-load".to_owned());
        thread
            .spawn(move || {
                // Nobody listens any more after a timeout; there is nothing to do about it here.
                let _ = sender.send(sysfs::write(&path, name.as_bytes()));
            })
            .map_err(|source| Error::io("start a thread for", attribute, source))?;
        receiver
            .recv_timeout(deadline.remaining())
            .map_err(|_| self.timed_out(load))
    }

    fn await_operating(&self, load: &Load<'_>, deadline: Deadline) -> Result<(), FpgaError> {
        loop {
            match self.state()? {
                ManagerState::Operating => {
                    tracing::info!(firmware = load.firmware, "programmable logic configured");
                    return Ok(());
                }
                ManagerState::Loading(_) if !deadline.expired() => std::thread::sleep(POLL),
                ManagerState::Loading(_) => return Err(self.timed_out(load)),
                state => {
                    let firmware = load.firmware.to_owned();
                    return Err(FpgaError::LoadFailed {
                        firmware,
                        state,
                        source: None,
                    });
                }
            }
        }
    }

    fn timed_out(&self, load: &Load<'_>) -> FpgaError {
        let state = self
            .state()
            .unwrap_or_else(|_| ManagerState::Idle("unreadable".to_owned()));
        FpgaError::LoadTimeout {
            firmware: load.firmware.to_owned(),
            limit: load.limit,
            state,
        }
    }
}

/// Locks every device of the list that exists.
fn hold(roots: &Roots, devices: &[&str]) -> Result<Vec<UioDevice>, Error> {
    let mut held = Vec::new();
    for name in devices {
        match UioDevice::open_with(roots, name, LockWait::Refuse) {
            Ok(device) => held.push(device),
            Err(Error::NoSuchDevice { .. } | Error::ClassAbsent { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}

/// A name the kernel takes, that stays in the firmware directory.
fn check_name(name: &str) -> Result<(), FpgaError> {
    let plain = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && !name.contains(|c: char| c == '/' || c.is_control());
    if plain {
        return Ok(());
    }
    let name = name
        .chars()
        .take(NAME_BYTES_MAX)
        .collect::<String>()
        .escape_debug()
        .to_string();
    Err(FpgaError::BadFirmwareName {
        name,
        max: NAME_BYTES_MAX,
    })
}

/// Puts a bitstream, in the manager's byte order, into the last directory of the firmware search
/// path, under a temporary name first: a reader sees the old file or the new one.
///
/// # Errors
/// [`FpgaError::BadFirmwareName`], [`FpgaError::System`].
pub fn install_firmware(roots: &Roots, name: &str, bytes: &[u8]) -> Result<PathBuf, FpgaError> {
    check_name(name)?;
    let dir = roots.firmware.last().ok_or_else(|| Error::BadRequest {
        reason: "the firmware search path is empty".to_owned(),
    })?;
    let (path, part) = (
        dir.join(name),
        dir.join(format!(".{name}.{}.tmp", std::process::id())),
    );
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, &path)
    };
    write().map_err(|source| {
        // Best effort: the error that matters is the first.
        let _ = fs::remove_file(&part);
        Error::io("write", &path, source)
    })?;
    Ok(path)
}
