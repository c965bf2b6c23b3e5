//! The C boundary: QEMU's TCG plugin interface, version 4 (QEMU 10).
//!
//! Debian ships no `qemu-plugin.h`, so the few prototypes used are written out here, from
//! `include/qemu/qemu-plugin.h` of QEMU 10.0. They are looked up in the running process rather than
//! linked, so that this crate's tests link without QEMU and a QEMU that lacks one is told by name.
#![allow(unsafe_code, non_upper_case_globals)]

use crate::testdev::TestDevice;
use crate::{Board, GuestDdr, PluginOptions, QtestLine, RegisterBlock, RegisterModel};
use fqbert_contract::Geometry;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

/// The interface version this plugin is written for; QEMU reads it before anything else.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 4;

/// The device for a `model=` name: a geometry's name (`zcu102`, `tiny`, ...) is the emulated
/// accelerator of that geometry, `test` the self-test device.
///
/// # Errors
/// The names there are.
pub fn model(name: &str) -> Result<Box<dyn RegisterModel>, String> {
    if name == "test" {
        return Ok(Box::<TestDevice>::default());
    }
    let geometry = Geometry::by_name(name).ok_or_else(|| {
        let names: Vec<&str> = Geometry::presets()
            .iter()
            .map(|geometry| geometry.name)
            .collect();
        format!(
            "no device model `{name}`; there are {}, test",
            names.join(", ")
        )
    })?;
    Ok(Box::new(RegisterBlock::new(geometry)))
}

/// Opaque `struct qemu_plugin_tb`, `qemu_plugin_insn`, `qemu_plugin_hwaddr`.
type Opaque = c_void;

/// `qemu_plugin_mem_value`: a tag and a union of up to 16 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
struct MemValue {
    kind: c_int,
    data: [u64; 2],
}

type MemCallback = unsafe extern "C" fn(u32, u32, u64, *mut c_void);
type TranslateCallback = unsafe extern "C" fn(u64, *mut Opaque);

/// The functions of QEMU that are called.
struct Api {
    register_translate: unsafe extern "C" fn(u64, TranslateCallback),
    tb_n_insns: unsafe extern "C" fn(*const Opaque) -> usize,
    tb_get_insn: unsafe extern "C" fn(*const Opaque, usize) -> *mut Opaque,
    register_mem: unsafe extern "C" fn(*mut Opaque, MemCallback, c_int, c_int, *mut c_void),
    get_hwaddr: unsafe extern "C" fn(u32, u64) -> *mut Opaque,
    hwaddr_phys_addr: unsafe extern "C" fn(*const Opaque) -> u64,
    mem_size_shift: unsafe extern "C" fn(u32) -> u32,
    mem_get_value: unsafe extern "C" fn(u32) -> MemValue,
}

/// `enum qemu_plugin_cb_flags`: registers are not touched.
const CB_NO_REGS: c_int = 0;
/// `enum qemu_plugin_mem_rw`: writes only.
const MEM_W: c_int = 2;

struct Plugin {
    api: Api,
    board: Board,
}

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// The address of a function in the running process.
///
/// # Safety
/// `F` must be the function's pointer type.
unsafe fn symbol<F: Copy>(name: &CStr) -> Result<F, String> {
    // SAFETY: a lookup by a NUL-terminated name.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if address.is_null() {
        return Err(format!(
            "this QEMU has no {}; version 10 is needed",
            name.to_string_lossy()
        ));
    }
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: a non-null address of a function whose type the caller vouches for.
    Ok(unsafe { std::mem::transmute_copy(&address) })
}

impl Api {
    fn find() -> Result<Self, String> {
        // SAFETY: every field's type is the C prototype of the function it is named for.
        unsafe {
            Ok(Self {
                register_translate: symbol(c"qemu_plugin_register_vcpu_tb_trans_cb")?,
                tb_n_insns: symbol(c"qemu_plugin_tb_n_insns")?,
                tb_get_insn: symbol(c"qemu_plugin_tb_get_insn")?,
                register_mem: symbol(c"qemu_plugin_register_vcpu_mem_cb")?,
                get_hwaddr: symbol(c"qemu_plugin_get_hwaddr")?,
                hwaddr_phys_addr: symbol(c"qemu_plugin_hwaddr_phys_addr")?,
                mem_size_shift: symbol(c"qemu_plugin_mem_size_shift")?,
                mem_get_value: symbol(c"qemu_plugin_mem_get_value")?,
            })
        }
    }
}

fn start(id: u64, arguments: &[&str]) -> Result<(), String> {
    // The virtual board never outlives the command that started it, however that ends.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| error.to_string())?;
    let options =
        PluginOptions::parse(arguments.iter().copied()).map_err(|error| error.to_string())?;
    let model = model(&options.model)?;
    let ddr = GuestDdr::open(&options.ddr, options.ddr_base).map_err(|error| error.to_string())?;
    let irq = Box::new(QtestLine::new(options.qtest, options.spi));
    let board = Board::new(model, ddr, irq, options.registers, options.registers_size)
        .map_err(|error| format!("register page: {error}"))?;
    let api = Api::find()?;
    let register_translate = api.register_translate;
    PLUGIN
        .set(Plugin { api, board })
        .map_err(|_| "loaded twice".to_owned())?;
    // SAFETY: QEMU gave us `id`; the callback matches its type and never goes away.
    unsafe { register_translate(id, on_translate) };
    Ok(())
}

/// QEMU's entry: `argc` strings `key=value`. Returns 0, or 1 after saying what is wrong.
///
/// # Safety
/// Called by QEMU: `argv` points to `argc` C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    let arguments: Result<Vec<&str>, _> = (0..count)
        // SAFETY: the caller's promise.
        .map(|index| unsafe { CStr::from_ptr(*argv.add(index)) }.to_str())
        .collect();
    let started = match arguments {
        Ok(arguments) => start(id, &arguments),
        Err(error) => Err(error.to_string()),
    };
    match started {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("board-sim: {error}");
            1
        }
    }
}

/// A block of guest code was translated: watch the stores in it.
unsafe extern "C" fn on_translate(_id: u64, block: *mut Opaque) {
    let Some(Plugin { api, .. }) = PLUGIN.get() else {
        return;
    };
    // SAFETY: `block` is valid during this callback, and the index is below its length.
    unsafe {
        for index in 0..(api.tb_n_insns)(block) {
            let instruction = (api.tb_get_insn)(block, index);
            (api.register_mem)(
                instruction,
                on_store,
                CB_NO_REGS,
                MEM_W,
                std::ptr::null_mut(),
            );
        }
    }
}

/// The guest stored something somewhere.
unsafe extern "C" fn on_store(_cpu: u32, info: u32, address: u64, _data: *mut c_void) {
    let Some(Plugin { api, board }) = PLUGIN.get() else {
        return;
    };
    // SAFETY: `info` and `address` are those of this callback, as the four functions require; the
    // address handle is null where there is no physical address.
    unsafe {
        let handle = (api.get_hwaddr)(info, address);
        if handle.is_null() {
            return;
        }
        let physical = (api.hwaddr_phys_addr)(handle);
        if board.contains(physical) {
            // The union's first four bytes; the guest and all our hosts are little-endian.
            let value = (api.mem_get_value)(info).data[0] as u32;
            board.store(physical, (api.mem_size_shift)(info), value);
        }
    }
}
