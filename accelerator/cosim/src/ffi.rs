//! The C boundary: the functions of `shim/shim.h`, and the table of tops that build/main.rs found.
#![allow(unsafe_code, reason = "the C boundary of verilated models")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

/// `FqbertPort` of `shim/shim.h`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RawPort {
    name: *const c_char,
    data: *mut c_void,
    bits: u32,
    output: u32,
}

/// The functions of one top.
#[derive(Clone, Copy)]
pub(crate) struct Functions {
    pub(crate) name: &'static str,
    new: unsafe extern "C" fn(seed: u32) -> *mut c_void,
    delete: unsafe extern "C" fn(model: *mut c_void),
    eval: unsafe extern "C" fn(model: *mut c_void),
    assertions: unsafe extern "C" fn(model: *mut c_void, on: bool),
    trace: unsafe extern "C" fn(model: *mut c_void, path: *const c_char) -> bool,
    dump: unsafe extern "C" fn(model: *mut c_void, time: u64),
    ports: unsafe extern "C" fn(model: *mut c_void, ports: *mut RawPort, room: usize) -> usize,
}

#[allow(unused_macros, reason = "not used without Verilator")]
macro_rules! declare_top {
    ($name:ident) => {
        mod $name {
            use super::{Functions, RawPort};
            use std::ffi::{c_char, c_void};

            unsafe extern "C" {
                #[link_name = concat!("fqbert_", stringify!($name), "_new")]
                fn new(seed: u32) -> *mut c_void;
                #[link_name = concat!("fqbert_", stringify!($name), "_delete")]
                fn delete(model: *mut c_void);
                #[link_name = concat!("fqbert_", stringify!($name), "_eval")]
                fn eval(model: *mut c_void);
                #[link_name = concat!("fqbert_", stringify!($name), "_assertions")]
                fn assertions(model: *mut c_void, on: bool);
                #[link_name = concat!("fqbert_", stringify!($name), "_trace")]
                fn trace(model: *mut c_void, path: *const c_char) -> bool;
                #[link_name = concat!("fqbert_", stringify!($name), "_dump")]
                fn dump(model: *mut c_void, time: u64);
                #[link_name = concat!("fqbert_", stringify!($name), "_ports")]
                fn ports(model: *mut c_void, ports: *mut RawPort, room: usize) -> usize;
            }

            pub(super) const FUNCTIONS: Functions = Functions {
                name: stringify!($name),
                new,
                delete,
                eval,
                assertions,
                trace,
                dump,
                ports,
            };
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/tops.rs"));

/// A port's place in the model.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    data: NonNull<u8>,
    pub(crate) bits: u32,
    pub(crate) output: bool,
}

/// An instance of a top; freed when dropped.
pub(crate) struct Instance {
    functions: Functions,
    model: *mut c_void,
}

// SAFETY: a verilated model and its context are used by one thread at a time, which `&mut self`
// ensures, and keep nothing in thread-local storage between calls (each eval sets the context that
// it uses).
unsafe impl Send for Instance {}

// SAFETY: slots are only used through an `Instance` of the same model.
unsafe impl Send for Place {}

impl Instance {
    pub(crate) fn new(functions: Functions, seed: u32) -> Self {
        // SAFETY: the function allocates a model and has no preconditions.
        let model = unsafe { (functions.new)(seed) };
        Self { functions, model }
    }

    /// Names and places of the ports.
    pub(crate) fn ports(&self) -> Vec<(String, Place)> {
        // SAFETY: no room is given, so nothing is written; the model is alive.
        let count = unsafe { (self.functions.ports)(self.model, std::ptr::null_mut(), 0) };
        let mut raw = vec![
            RawPort {
                name: std::ptr::null(),
                data: std::ptr::null_mut(),
                bits: 0,
                output: 0,
            };
            count
        ];
        // SAFETY: there is room for `count` ports.
        unsafe { (self.functions.ports)(self.model, raw.as_mut_ptr(), count) };
        raw.iter()
            .filter_map(|port| {
                // SAFETY: names are string literals of the shim.
                let name = unsafe { CStr::from_ptr(port.name) };
                let slot = Place {
                    data: NonNull::new(port.data.cast())?,
                    bits: port.bits,
                    output: port.output != 0,
                };
                Some((name.to_string_lossy().into_owned(), slot))
            })
            .collect()
    }

    pub(crate) fn eval(&mut self) {
        // SAFETY: the model is alive and borrowed exclusively.
        unsafe { (self.functions.eval)(self.model) }
    }

    /// Whether assertions of the RTL are looked at; they are at first.
    pub(crate) fn assertions(&mut self, on: bool) {
        // SAFETY: the model is alive and borrowed exclusively.
        unsafe { (self.functions.assertions)(self.model, on) }
    }

    /// Writes waveforms of everything from now on to a file; false if it cannot be written, or this
    /// build writes none.
    pub(crate) fn trace(&mut self, path: &CStr) -> bool {
        // SAFETY: the model is alive and borrowed exclusively; the path is only read during the
        // call.
        unsafe { (self.functions.trace)(self.model, path.as_ptr()) }
    }

    /// Writes the values of now to the waveforms.
    pub(crate) fn dump(&mut self, time: u64) {
        // SAFETY: the model is alive and borrowed exclusively.
        unsafe { (self.functions.dump)(self.model, time) }
    }

    /// The bytes of a port, little endian (the host's order is: Verilator keeps words of 1, 2, 4
    /// and 8 bytes).
    pub(crate) fn bytes(&self, slot: Place) -> &[u8] {
        // SAFETY: the slot came from this model's table and lies inside it for as long as it lives;
        // `self` is borrowed, so nothing evaluates or writes meanwhile.
        unsafe { std::slice::from_raw_parts(slot.data.as_ptr(), storage_bytes(slot.bits)) }
    }

    /// As [`Self::bytes`], to write.
    pub(crate) fn bytes_mut(&mut self, slot: Place) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(slot.data.as_ptr(), storage_bytes(slot.bits)) }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the model came from `new` and is freed once.
        unsafe { (self.functions.delete)(self.model) }
    }
}

/// Bytes Verilator keeps a vector in.
fn storage_bytes(bits: u32) -> usize {
    match bits {
        0..=8 => 1,
        9..=16 => 2,
        17..=32 => 4,
        33..=64 => 8,
        _ => bits.div_ceil(32) as usize * 4,
    }
}

#[cfg(target_endian = "big")]
compile_error!("ports are read as little-endian bytes");
