//! What opening refuses, on a board made of files. Each message names what is wrong and what to do.

mod common;

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use common::{Board, MEMORY, PAGE};
use fqbert_contract::capability::{Capabilities, IdentityError};
use fqbert_contract::registers as regs;
use fqbert_contract::{Geometry, isa};
use fqbert_uio::{BoardDevice, ManagerCheck, OpenError, UioOptions};
use uio_driver::{LockWait, UioDevice};

fn tiny() -> &'static Geometry {
    Geometry::by_name("tiny").unwrap()
}

/// What the device `name` is refused with on a board.
fn refused(board: &Board, name: &str) -> OpenError {
    refused_with(board, |options| options.name = name.to_owned())
}

/// What the device `fqbert0` is refused with on a board, opened with other options.
fn refused_with(board: &Board, change: impl FnOnce(&mut UioOptions)) -> OpenError {
    let mut options = UioOptions::new("fqbert0");
    change(&mut options);
    BoardDevice::open(&board.roots, &options).unwrap_err()
}

/// Message and causes.
fn text(error: &OpenError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[track_caller]
fn says(error: &OpenError, parts: &[&str]) {
    let text = text(error);
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

#[test]
fn no_register_is_touched_before_the_manager_operates() {
    let board = Board::new(tiny());
    // Registers that cannot even be opened: if they were touched, the error would be another.
    board.remove("sys/class/uio");
    for state in ["unknown", "power off", "write error", "write"] {
        board.manager(state);
        let error = refused(&board, "fqbert0");
        assert!(matches!(error, OpenError::Manager(_)), "{error}");
        says(&error, &[state, "manager=none"]);
    }
    board.remove("sys/class/fpga_manager");
    says(
        &refused(&board, "fqbert0"),
        &["no FPGA manager", "manager=none"],
    );
    let error = refused_with(&board, |options| options.manager = ManagerCheck::None);
    assert!(matches!(error, OpenError::Device(_)), "{error}");
    says(&error, &["uio_pdrv_genirq"]);
}

#[test]
fn absent_devices_are_named_with_those_that_are_there() {
    let board = Board::new(tiny());
    says(
        &refused(&board, "fqbert1"),
        &["`fqbert1`", "fqbert0", "device-tree overlay"],
    );
    let error = refused_with(&board, |options| options.memory = "pool".into());
    assert!(matches!(error, OpenError::NoMemory { .. }), "{error}");
    says(
        &error,
        &["`pool`", "fqbert0-dma", "u-dma-buf", "memory=NAME"],
    );
    board.udmabuf("other", MEMORY, 4 * PAGE);
    says(
        &refused_with(&board, |options| options.memory = "pool".into()),
        &["(there: other)", "boot with `cma="],
    );
    board.uio(9, "fqbert0", 0xB000_0000, PAGE);
    says(&refused(&board, "fqbert0"), &["2 devices", "uio3", "uio9"]);
}

#[test]
fn maps_that_do_not_fit_are_refused_with_their_numbers() {
    let board = Board::new(tiny());
    board.put("sys/class/uio/uio3/maps/map0/offset", "0x1000\n");
    says(&refused(&board, "fqbert0"), &["offset 0x1000"]);
    board.put("sys/class/uio/uio3/maps/map0/offset", "0x0\n");
    board.put("sys/class/uio/uio3/maps/map0/size", "0x100\n");
    says(
        &refused(&board, "fqbert0"),
        &["0xa0000000", "0x100", &format!("{:#x}", regs::BLOCK_BYTES)],
    );
    board.put("sys/class/uio/uio1/maps/map0/size", "0x0\n");
    says(
        &refused(&board, "fqbert0"),
        &["fqbert0-dma", "0 bytes", "4096 are needed"],
    );
}

#[test]
fn a_second_owner_is_refused_with_the_first_ones_number_or_waits() {
    let board = Board::new(tiny());
    let held = UioDevice::open(&board.roots, "fqbert0").unwrap();
    let node = std::fs::metadata(board.path("dev/uio3")).unwrap();
    let (major, minor) = ((node.dev() >> 8) & 0xfff, node.dev() & 0xff);
    let line = format!(
        "1: FLOCK  ADVISORY  WRITE 4711 {major:02x}:{minor:02x}:{} 0 EOF\n",
        node.ino()
    );
    board.put("proc/locks", line);
    let error = refused(&board, "fqbert0");
    let OpenError::Busy { holder, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*holder, Some(4711));
    says(&error, &["uio3", "process 4711", "wait=SECONDS"]);
    let began = Instant::now();
    says(
        &refused_with(&board, |options| options.wait = Duration::from_secs(1)),
        &["in use"],
    );
    assert!(began.elapsed() >= Duration::from_secs(1));

    // The memory alone in other hands is refused too; then nothing is left locked.
    drop(held);
    let memory = UioDevice::open(&board.roots, "fqbert0-dma").unwrap();
    says(&refused(&board, "fqbert0"), &["uio1", "in use"]);
    drop(memory);
    UioDevice::open_with(&board.roots, "fqbert0", LockWait::Refuse).unwrap();
}

#[test]
fn registers_of_another_design_or_contract_are_refused_field_by_field() {
    let board = Board::new(tiny());
    let registers = board.register_file();
    registers.set(regs::ID, 0xFFFF_FFFF);
    let error = refused(&board, "fqbert0");
    assert!(
        matches!(error, OpenError::Identity(IdentityError::NotOurs { .. })),
        "{error}"
    );
    says(&error, &["0xffffffff", "load an fqbert bitstream"]);

    let mut capabilities = Capabilities::of(tiny());
    capabilities.geometry.max_seq = 3;
    board.identify(&capabilities);
    says(
        &refused(&board, "fqbert0"),
        &["max_seq reads 3", "8..=4096"],
    );

    let mut capabilities = Capabilities::of(tiny());
    capabilities.major = isa::CONTRACT_MAJOR + 1;
    board.identify(&capabilities);
    let error = refused(&board, "fqbert0");
    assert!(matches!(error, OpenError::Contract(_)), "{error}");
    let found = format!("device has {}.", isa::CONTRACT_MAJOR + 1);
    says(&error, &["contract version", &found, "load a bitstream"]);
    assert_eq!(registers.get(regs::CONTROL), 0, "not ours, so not reset");
}

#[test]
fn a_manifest_is_read_before_and_compared_after() {
    let board = Board::new(tiny());
    let path = board.path("absent.toml");
    says(
        &refused_with(&board, |options| options.manifest = Some(path)),
        &["absent.toml"],
    );
    // Every field of the identity that the shipped manifests name is one the registers tell.
    let shipped = [
        (
            "zcu102",
            include_str!("../../../bitstreams/fqbert-zcu102.toml"),
        ),
        (
            "zcu111",
            include_str!("../../../bitstreams/fqbert-zcu111.toml"),
        ),
    ];
    for (name, text) in shipped {
        let path = board.path(name);
        std::fs::write(&path, text).unwrap();
        let manifest = uio_driver::fpga::Manifest::read(&path).unwrap();
        let same = Capabilities::of(Geometry::by_name(name).unwrap());
        manifest
            .check_identity(&fqbert_uio::identity(&same))
            .unwrap();
        let error = manifest
            .check_identity(&fqbert_uio::identity(&Capabilities::of(tiny())))
            .unwrap_err()
            .to_string();
        assert!(error.contains("rows"), "{error}");
    }
}

#[test]
fn a_reset_that_does_not_end_is_bounded_and_explained() {
    // Nobody answers CONTROL in this file.
    let board = Board::new(tiny());
    let began = Instant::now();
    let error = refused_with(&board, |options| {
        options.deadline = Duration::from_millis(50)
    });
    assert!(matches!(error, OpenError::Reset(_)), "{error}");
    says(
        &error,
        &["within 50 ms", "CONTROL 0x1", "clk_ignore_unused"],
    );
    assert!(began.elapsed() < Duration::from_secs(5));
}
