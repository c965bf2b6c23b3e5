//! The hardware of the virtual board: an emulated accelerator behind memory-mapped registers, in
//! QEMU.
//!
//! QEMU's `xlnx-zcu102` has no programmable logic. Its DDR, however, is a file we can map, and a
//! TCG plugin is called back at every store the guest makes. So one page of DDR, reserved in the
//! device tree, becomes the register block:
//!
//! - **Stores** to the page reach a [`RegisterModel`] synchronously: when the guest's next
//!   instruction runs, the model has seen the value. A write-one-to-clear is done before the next
//!   load.
//! - **Loads** read the page itself (a load's callback comes after the load). Therefore the model's
//!   register values are copied into the page after every store and every step of work. Registers
//!   with a side effect on reading cannot be modelled; the contract has none.
//! - **The interrupt** is a level: the GIC's input is set over QEMU's qtest socket, and the answer
//!   awaited, so that an acknowledge has lowered the line before the guest goes on.
//! - **DMA** is the model reading and writing the DDR file.
//! - **Long work** (a program run) must not stop the guest's CPU inside a store: a write only
//!   starts it ([`RegisterModel::busy`]), and a worker thread carries it out in steps
//!   ([`RegisterModel::step`]). Between steps stores are served (a reset gets through) and
//!   registers refreshed (the guest sees BUSY, counters, and at the end the interrupt).
//!
//! What differs from silicon: between the guest's store and the refresh, which is well under the
//! time of a bus write, another CPU could read back the value just stored; only aligned 32-bit
//! stores reach the model (others are reported and undone); caches are not modelled, so a missing
//! cache flush is not seen here but in the emulator's two views of a buffer.
//!
//! [`Board`] is the mechanism without QEMU and is tested on its own; [`plugin`] is the C boundary.

mod board;
mod guest_ddr;
mod irq;
mod options;
pub mod plugin;
mod register_block;
mod register_model;
pub mod testdev;

pub use board::Board;
pub use guest_ddr::{DdrError, GuestDdr};
pub use irq::{IrqLine, QtestLine};
pub use options::{PluginOptions, PluginOptionsError};
pub use register_block::RegisterBlock;
pub use register_model::RegisterModel;
