//! A model wired to memory and interrupt: what happens at a store, and what the worker does.

use crate::{DdrError, GuestDdr, IrqLine, RegisterModel};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A register block at `registers..registers + size` in DDR, alive behind it a model.
pub struct Board {
    shared: Arc<Shared>,
    registers: u64,
    size: u32,
}

struct Shared {
    state: Mutex<State>,
    /// Signalled when there is work for the worker, or when it shall stop.
    work: Condvar,
    /// Stores that wait for the lock. The worker lets them pass between steps: the lock alone is
    /// not fair, and a reset must not wait for the end of a long program.
    waiting: AtomicUsize,
}

struct State {
    model: Box<dyn RegisterModel>,
    ddr: GuestDdr,
    irq: Box<dyn IrqLine>,
    level: bool,
    registers: u64,
    /// The model's registers end here; the rest of the mapped range reads 0.
    block: u32,
    stop: bool,
}

impl State {
    /// Undoes a store behind the last register.
    fn clear(&mut self, offset: u64, bytes: u64) {
        let first = (offset & !3).max(u64::from(self.block));
        for at in (first..offset + bytes).step_by(4) {
            // The last words of a store that reaches over the end of DDR do not exist.
            let _ = self.ddr.write32(self.registers + at, 0);
        }
    }

    /// Brings page and line up to date with the model.
    fn publish(&mut self) {
        for offset in (0..self.block).step_by(4) {
            let (address, value) = (
                self.registers + u64::from(offset),
                self.model.read32(offset),
            );
            // `Board::new` checked that the page is inside DDR, so neither access can fail.
            if self.ddr.read32(address).is_ok_and(|have| have != value) {
                let _ = self.ddr.write32(address, value);
            }
        }
        let level = self.model.irq_level();
        if level != self.level {
            // A failure loses the edge; the guest's driver reports a timeout, we say why.
            match self.irq.set(level) {
                Ok(()) => self.level = level,
                Err(error) => {
                    eprintln!("board-sim: interrupt line to {}: {error}", u8::from(level))
                }
            }
        }
    }
}

impl Board {
    /// Wires the parts up, fills the register page and starts the worker.
    ///
    /// # Errors
    /// The register page is not inside DDR, or not aligned.
    pub fn new(
        model: Box<dyn RegisterModel>,
        ddr: GuestDdr,
        irq: Box<dyn IrqLine>,
        registers: u64,
        size: u32,
    ) -> Result<Self, DdrError> {
        for address in [
            registers,
            registers.saturating_add(u64::from(size).saturating_sub(4)),
        ] {
            ddr.read32(address)?;
        }
        let block = model.block_bytes().min(size) & !3;
        let mut state = State {
            model,
            ddr,
            irq,
            level: false,
            registers,
            block,
            stop: false,
        };
        state.clear(u64::from(block), u64::from(size - block));
        state.publish();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            waiting: AtomicUsize::new(0),
        });
        let worker = Arc::clone(&shared);
        thread::spawn(move || {
            // A model that panics leaves a device in no known state behind. Ending the virtual
            // machine with the message above is the only honest answer.
            if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                eprintln!("board-sim: the device model panicked; stopping the virtual board");
                std::process::abort();
            }
        });
        Ok(Self {
            shared,
            registers,
            size,
        })
    }

    /// Whether a physical address lies in the register block.
    pub fn contains(&self, address: u64) -> bool {
        address.wrapping_sub(self.registers) < u64::from(self.size)
    }

    /// The guest stored `value` at physical `address`, of `1 << size_shift` bytes. Addresses
    /// outside the register block are none of our business.
    pub fn store(&self, address: u64, size_shift: u32, value: u32) {
        let Some(offset) = address
            .checked_sub(self.registers)
            .filter(|offset| *offset < u64::from(self.size))
        else {
            return;
        };
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        let mut state = self.shared.lock();
        self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
        let State { model, ddr, .. } = &mut *state;
        let bytes = 1 << size_shift.min(8);
        match u32::try_from(offset) {
            Ok(offset) if size_shift == 2 && offset.is_multiple_of(4) => {
                model.write32(offset, value, ddr);
            }
            // What follows undoes it, as a register block without byte strobes would.
            _ => eprintln!(
                "board-sim: store of {bytes} bytes at register offset {offset:#x} ignored: \
                 registers are 32-bit"
            ),
        }
        state.clear(offset, bytes);
        state.publish();
        if state.model.busy() {
            self.shared.work.notify_one();
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Poisoned only if the model panicked in a store, which ends the process anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            while !state.stop && !state.model.busy() {
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.stop {
                return;
            }
            let State { model, ddr, .. } = &mut *state;
            model.step(ddr);
            state.publish();
            if self.waiting.load(Ordering::SeqCst) > 0 {
                drop(state);
                while self.waiting.load(Ordering::SeqCst) > 0 {
                    thread::yield_now();
                }
                state = self.lock();
            }
        }
    }
}
