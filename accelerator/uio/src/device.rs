//! The accelerator: registers, interrupt and memory of an opened device.

use std::fmt;
use std::time::{Duration, Instant};

use fqbert_contract::capability::{Capabilities, Requirements};
use fqbert_contract::device::{
    Allocation, BufferId, Device, DeviceError, MemoryInfo, register_offset,
};
use fqbert_contract::region::{ALIGNMENT, Allocator};
use fqbert_contract::registers::{self, control, status};
use fqbert_contract::{Bytes, DeviceAddress, RegisterOffset, isa};
use tracing::{debug, info, warn};
use uio_driver::dma::{Direction, DmaMemory};
use uio_driver::fpga::{FpgaManager, Identity, Manifest, Value};
use uio_driver::{
    Completion, Deadline, Interrupt, IrqStats, LockWait, Registers, Roots, UioDevice, WaitError,
};

use crate::options::{ManagerCheck, UioOptions};
use crate::{OpenError, memory};

/// What to do about a memory that is too small.
const MORE_MEMORY: &str = "free buffers, or reserve more: enlarge dma_size in \
    device-tree/boards.toml and boot with the new tree (a u-dma-buf from CMA: enlarge its `size` \
    and boot with a larger cma=)";
/// Pause between two looks at a reset under way.
const RESET_POLL: Duration = Duration::from_micros(20);

/// What has happened on a device since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Doorbells rung.
    pub submissions: u64,
    /// Resets, the one at opening included.
    pub resets: u64,
    /// Interrupts, as the driver counts them.
    pub interrupts: IrqStats,
}

/// The accelerator on a board. Dropped, it is stopped: no DMA outlives its owner.
pub struct BoardDevice {
    registers: Registers,
    interrupt: Interrupt,
    memory: Box<dyn DmaMemory>,
    allocator: Allocator,
    capabilities: Capabilities,
    /// How long a reset may take.
    reset_limit: Duration,
    /// The kernel's interrupt count when the device was opened.
    first: u32,
    /// The kernel's interrupt count at the last wait or reset.
    seen: u32,
    submissions: u64,
    resets: u64,
}

impl fmt::Debug for BoardDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoardDevice")
            .field("device", &self.interrupt.name())
            .field("registers", &self.registers.addr())
            .field("memory", &self.memory)
            .field("capabilities", &self.capabilities)
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}

impl BoardDevice {
    /// Finds, locks, checks and resets the device. The order is that of the crate's documentation.
    ///
    /// # Errors
    /// What is wrong with the board, and what to do about it.
    pub fn open(roots: &Roots, options: &UioOptions) -> Result<Self, OpenError> {
        if options.manager == ManagerCheck::Operating {
            FpgaManager::find(roots)
                .and_then(|manager| manager.require_operating())
                .map_err(OpenError::Manager)?;
        }
        let manifest = options
            .manifest
            .as_deref()
            .map(Manifest::read)
            .transpose()?;
        let wait = if options.wait.is_zero() {
            LockWait::Refuse
        } else {
            LockWait::For(options.wait)
        };
        let device = UioDevice::open_with(roots, &options.name, wait)?;
        let memory = memory::open(roots, options, wait)?;
        let registers = device.registers(0, registers::BLOCK_BYTES.into())?;
        let device = Self::new(registers, device.interrupt()?, memory, options.deadline)?;
        if let Some(manifest) = manifest {
            manifest.check_identity(&identity(&device.capabilities))?;
        }
        Ok(device)
    }

    /// A device of opened parts, which hold the device's lock. Checks what the registers say it is,
    /// then resets it.
    ///
    /// # Errors
    /// [`OpenError::Identity`], [`OpenError::Contract`], [`OpenError::MemoryBase`],
    /// [`OpenError::Reset`].
    pub fn new(
        registers: Registers,
        interrupt: Interrupt,
        memory: Box<dyn DmaMemory>,
        reset_limit: Duration,
    ) -> Result<Self, OpenError> {
        if !memory.base().0.is_multiple_of(ALIGNMENT) {
            return Err(OpenError::MemoryBase {
                name: memory.name().to_owned(),
                base: memory.base(),
            });
        }
        let capabilities = Capabilities::read(|r| registers.read32(r.0))??;
        check_contract(&capabilities)?;
        let count = interrupt.count();
        let mut device = Self {
            allocator: Allocator::new(DeviceAddress(memory.base().0), memory.size()),
            registers,
            interrupt,
            memory,
            capabilities,
            reset_limit,
            first: count,
            seen: count,
            submissions: 0,
            resets: 0,
        };
        device.reset().map_err(OpenError::Reset)?;
        // What a predecessor's run left in the descriptor is not ours to count.
        device.first = device.seen;
        info!(
            device = device.interrupt.name(),
            registers = %device.registers.addr(),
            memory = device.memory.name(),
            base = %device.memory.base(),
            bytes = device.memory.size(),
            cache = ?device.memory.cache_mode(),
            geometry = device.capabilities.geometry.name,
            "device opened"
        );
        Ok(device)
    }

    /// What has happened since it was opened.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            submissions: self.submissions,
            resets: self.resets,
            interrupts: self.interrupt.stats(),
        }
    }

    /// Interrupts since the device was opened, of a count of the kernel's.
    fn since_opened(&self, count: u32) -> u32 {
        count.wrapping_sub(self.first)
    }

    /// Where byte `offset` of a buffer lies in the memory, if `length` bytes from it are the
    /// buffer's.
    fn locate(&self, buffer: BufferId, offset: Bytes, length: u64) -> Result<u64, DeviceError> {
        let block = self.allocator.covering(buffer, offset, length)?;
        Ok(block.start + offset.0)
    }

    /// Takes note of an interrupt that ended a wait.
    fn count(&mut self) -> Result<u32, DeviceError> {
        let before = std::mem::replace(&mut self.seen, self.interrupt.count());
        let new = self.seen.wrapping_sub(before);
        if new == 1 {
            return Ok(self.since_opened(self.seen));
        }
        Err(DeviceError::InterruptCount {
            before: self.since_opened(before),
            after: self.since_opened(self.seen),
            missed: new.wrapping_sub(1),
        })
    }
}

/// The contract's major version is the meaning of the registers: with another one nothing else may
/// be read or written.
fn check_contract(capabilities: &Capabilities) -> Result<(), OpenError> {
    let differences = capabilities.differences(&Requirements {
        major: isa::CONTRACT_MAJOR,
        minor: 0,
        features: 0,
        geometry: capabilities.geometry.clone(),
    });
    if differences.is_empty() {
        Ok(())
    } else {
        Err(OpenError::Contract(differences))
    }
}

/// The fields that a bitstream manifest's `[identity]` names.
pub fn identity(capabilities: &Capabilities) -> Identity {
    let g = &capabilities.geometry;
    [
        ("magic", isa::MAGIC),
        ("contract_major", capabilities.major.into()),
        ("contract_minor", capabilities.minor.into()),
        ("features", capabilities.features),
        ("build", capabilities.build),
        ("clock_hz", g.clock_hz),
        ("rows", g.rows),
        ("pairs", g.pairs),
        ("lanes", g.lanes),
        ("ports", g.ports),
        ("ln_channels", g.ln_channels),
        ("max_seq", g.max_seq),
        ("max_hidden", g.max_hidden),
        ("act_words", g.act_words),
        ("opd_words", g.opd_words),
        ("resx_words", g.resx_words),
        ("resb_words", g.resb_words),
        ("scr_words", g.scr_words),
        ("prb_words", g.prb_words),
        ("wgt_words", g.wgt_words),
        ("par_words", g.par_words),
        ("lnp_words", g.lnp_words),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Value::from(value)))
    .collect()
}

/// The driver's error with what was being done.
fn doing(context: &str) -> impl FnOnce(uio_driver::Error) -> DeviceError {
    move |source| DeviceError::Backend {
        context: context.to_owned(),
        source: Box::new(source),
    }
}

/// Whether the device raises its line: an event that is enabled and not cleared.
fn pending(registers: &Registers) -> Result<bool, uio_driver::Error> {
    let events = registers.read32(registers::IRQ_STATUS.0)?;
    Ok(events & registers.read32(registers::IRQ_ENABLE.0)? != 0)
}

/// Stops the accelerator and returns when it is idle. A reset drains outstanding bursts, which
/// takes as long as the memory takes.
fn reset_registers(registers: &Registers, limit: Duration) -> Result<(), DeviceError> {
    let access = || doing("resetting the accelerator");
    let deadline = Deadline::after(limit);
    registers
        .write32_ordered(registers::CONTROL.0, control::RESET)
        .map_err(access())?;
    loop {
        let control = registers.read32(registers::CONTROL.0).map_err(access())?;
        let status = registers.read32(registers::STATUS.0).map_err(access())?;
        let idle = status & (status::IDLE | status::BUSY) == status::IDLE;
        if control & control::RESET == 0 && idle {
            return Ok(());
        }
        if deadline.expired() {
            return Err(DeviceError::Unavailable {
                what: format!(
                    "the accelerator did not come out of its reset within {} ms (CONTROL {control:#x}, STATUS {status:#x})",
                    limit.as_millis()
                ),
                remedy: "a burst to memory does not end, or the logic's clock stands: check that the bitstream is that of this \
                         board (and `clk_ignore_unused` on the kernel command line), and load it again"
                    .to_owned(),
            });
        }
        std::thread::sleep(RESET_POLL);
    }
}

impl Device for BoardDevice {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn memory(&self) -> MemoryInfo {
        self.allocator.info()
    }

    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        // The driver refuses memory whose end overflows, so no address does.
        self.allocator.allocate(size, MORE_MEMORY)
    }

    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        self.allocator.free(buffer).map(drop)
    }

    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        let at = self.locate(buffer, offset, data.len() as u64)?;
        self.memory
            .write(at, data)
            .map_err(doing("writing DMA memory"))
    }

    fn read(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        let at = self.locate(buffer, offset, data.len() as u64)?;
        self.memory
            .read(at, data)
            .map_err(doing("reading DMA memory"))
    }

    fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        let at = self.locate(buffer, offset, length.0)?;
        self.memory
            .sync_for_device(at, length.0, Direction::ToDevice)
            .map_err(doing("handing DMA memory to the device"))
    }

    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        let at = self.locate(buffer, offset, length.0)?;
        self.memory
            .sync_for_cpu(at, length.0, Direction::FromDevice)
            .map_err(doing("taking DMA memory from the device"))
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        let offset = register_offset(register)?;
        self.registers
            .read32(offset)
            .map_err(doing("reading a register"))
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        let offset = register_offset(register)?;
        if register != registers::DOORBELL {
            return self
                .registers
                .write32(offset, value)
                .map_err(doing("writing a register"));
        }
        self.submissions += 1;
        self.registers
            .write32_ordered(offset, value)
            .map_err(doing("ringing the doorbell"))
    }

    /// Unmasks the interrupt only here, beside the running program: the line is a level, so an
    /// interrupt that was due meanwhile comes at once, and one that the caller has not cleared
    /// cannot fire twice.
    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        let access = || doing("waiting for the interrupt");
        let deadline = Deadline::after(deadline.saturating_duration_since(Instant::now()));
        if !self.interrupt.is_armed() {
            self.interrupt.arm().map_err(access())?;
        }
        let registers = &self.registers;
        match self.interrupt.wait_until(deadline, || pending(registers)) {
            Ok(Completion::Interrupt(_)) => self.count(),
            Ok(Completion::Lost) => {
                let count = self.since_opened(self.seen);
                Err(DeviceError::InterruptCount {
                    before: count,
                    after: count,
                    missed: 1,
                })
            }
            Err(WaitError::Irq(uio_driver::Error::IrqTimeout { waited, .. })) => {
                let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                Err(DeviceError::Timeout { waited_ms })
            }
            Err(WaitError::Irq(error) | WaitError::Condition(error)) => Err(access()(error)),
        }
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        self.resets += 1;
        reset_registers(&self.registers, self.reset_limit)?;
        // The line is low now. What came since the last wait belonged to a run that is gone.
        let stale = self
            .interrupt
            .arm()
            .map_err(doing("arming the interrupt after a reset"))?;
        if stale.count > 0 {
            debug!(
                count = stale.count,
                late = stale.late,
                "interrupts drained by a reset"
            );
        }
        self.seen = self.interrupt.count();
        Ok(())
    }
}

impl Drop for BoardDevice {
    fn drop(&mut self) {
        let stopped = reset_registers(&self.registers, self.reset_limit);
        if let Err(error) = stopped {
            warn!(%error, "the accelerator could not be stopped");
        }
        // The next owner arms it; meanwhile a stuck line shall not load the CPU.
        if let Err(error) = self.interrupt.disarm() {
            debug!(%error, "the interrupt was not masked");
        }
        let Statistics {
            submissions,
            resets,
            interrupts: irq,
        } = self.statistics();
        info!(
            device = self.interrupt.name(),
            submissions,
            resets,
            interrupts = irq.taken,
            missed = irq.missed,
            spurious = irq.spurious,
            late = irq.late,
            lost = irq.lost,
            timeouts = irq.timeouts,
            "device closed"
        );
    }
}
