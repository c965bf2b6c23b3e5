//! FPGA manager and overlays, on files.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Board, PAGE};
use uio_driver::fpga::{FpgaError, FpgaManager, Load, ManagerState, Overlay, install_firmware};
use uio_driver::{Error, UioDevice};

fn load<'a>(firmware: &'a str, devices: &'a [&'a str]) -> Load<'a> {
    Load {
        firmware,
        limit: Duration::from_secs(10),
        devices,
    }
}

#[test]
fn state_decides_about_the_first_access() {
    let board = Board::new();
    let find = || FpgaManager::find(&board.roots);
    assert!(matches!(find(), Err(FpgaError::NoManager { .. })));
    board.manager("fpga0", "operating");
    find().unwrap().require_operating().unwrap();
    for state in [
        "unknown",
        "power off",
        "power up",
        "reset",
        "write error",
        "",
        "\u{7}???",
    ] {
        board.manager("fpga0", state);
        let error = find().unwrap().require_operating().unwrap_err();
        assert!(
            matches!(error, FpgaError::NotOperating { .. }),
            "{state}: {error}"
        );
    }
    for state in [
        "firmware request",
        "parse header",
        "write init",
        "write",
        "write complete",
    ] {
        board.manager("fpga0", state);
        let error = find().unwrap().require_operating().unwrap_err();
        assert!(
            matches!(error, FpgaError::ManagerBusy { .. }),
            "{state}: {error}"
        );
    }
    assert_eq!(
        ManagerState::parse("write error"),
        ManagerState::Failed("write error".to_owned())
    );
    board.manager("fpga1", "operating");
    assert!(
        matches!(find(), Err(FpgaError::SeveralManagers { names }) if names == ["fpga0", "fpga1"])
    );
    let board = Board::new();
    board.put("sys/class/fpga_manager/fpga0/name", "without a state");
    let error = FpgaManager::find(&board.roots)
        .unwrap()
        .state()
        .unwrap_err();
    assert!(matches!(error, FpgaError::System(Error::Io { .. })));
}

#[test]
fn loads_by_name() {
    let board = Board::new();
    board.manager("fpga0", "operating");
    let manager = FpgaManager::find(&board.roots).unwrap();
    let path = install_firmware(&board.roots, "accel.bin", &[1, 2, 3]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [1, 2, 3]);
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "no temporary file is left"
    );

    let error = manager
        .load(&board.roots, &load("accel.bin", &[]))
        .unwrap_err();
    assert!(
        matches!(error, FpgaError::NoLoadByName { .. }),
        "mainline: {error}"
    );
    board.put("sys/class/fpga_manager/fpga0/firmware", "");
    board.put("sys/class/fpga_manager/fpga0/flags", "20");
    manager
        .load(&board.roots, &load("accel.bin", &["not there"]))
        .unwrap();
    assert_eq!(
        board.text("sys/class/fpga_manager/fpga0/firmware"),
        "accel.bin"
    );
    assert_eq!(
        board.text("sys/class/fpga_manager/fpga0/flags"),
        "0",
        "left from another load"
    );

    let error = manager
        .load(&board.roots, &load("missing.bin", &[]))
        .unwrap_err();
    assert!(matches!(error, FpgaError::FirmwareAbsent { .. }), "{error}");
    for name in [
        "",
        "../../etc/passwd",
        "a/b",
        ".hidden",
        "x\ny",
        &"n".repeat(256),
    ] {
        let error = manager.load(&board.roots, &load(name, &[])).unwrap_err();
        assert!(
            matches!(error, FpgaError::BadFirmwareName { .. }),
            "{name:?}: {error}"
        );
        assert!(matches!(
            install_firmware(&board.roots, name, &[]),
            Err(FpgaError::BadFirmwareName { .. })
        ));
    }
}

#[test]
fn refuses_while_busy_or_in_use_and_reports_failure() {
    let board = Board::new();
    board
        .manager("fpga0", "write")
        .uio(0, "accel0", &[(0xA000_0000, PAGE, 0)]);
    board.put("sys/class/fpga_manager/fpga0/firmware", "");
    install_firmware(&board.roots, "accel.bin", &[0]).unwrap();
    let manager = FpgaManager::find(&board.roots).unwrap();
    let run = |devices: &[&str]| manager.load(&board.roots, &load("accel.bin", devices));
    assert!(matches!(run(&[]), Err(FpgaError::ManagerBusy { .. })));
    assert_eq!(
        board.text("sys/class/fpga_manager/fpga0/firmware"),
        "",
        "nothing was written"
    );

    board.manager("fpga0", "operating");
    let user = UioDevice::open(&board.roots, "accel0").unwrap();
    assert!(matches!(
        run(&["accel0"]),
        Err(FpgaError::System(Error::Busy { .. }))
    ));
    drop(user);
    run(&["accel0"]).unwrap();
    UioDevice::open(&board.roots, "accel0").expect("held during the load only");

    board.manager("fpga0", "write error");
    let error = run(&[]).unwrap_err();
    assert!(
        matches!(error, FpgaError::LoadFailed { source: None, .. }),
        "{error}"
    );
    board.manager("fpga0", "unknown");
    let path = board.path("sys/class/fpga_manager/fpga0/firmware");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap(); // a write fails, whoever we are
    assert!(matches!(
        run(&[]),
        Err(FpgaError::LoadFailed {
            source: Some(_),
            ..
        })
    ));
}

#[test]
fn a_load_that_never_ends_has_an_end_for_us() {
    let board = Board::new();
    board.manager("fpga0", "power up");
    install_firmware(&board.roots, "accel.bin", &[0]).unwrap();
    // A FIFO without a reader: opening it for writing blocks, as the kernel's write may.
    let fifo = board.path("sys/class/fpga_manager/fpga0/firmware");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    let manager = FpgaManager::find(&board.roots).unwrap();
    let start = Instant::now();
    let request = Load {
        firmware: "accel.bin",
        limit: Duration::from_millis(80),
        devices: &[],
    };
    let error = manager.load(&board.roots, &request).unwrap_err();
    assert!(matches!(error, FpgaError::LoadTimeout { .. }), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(80));
    let _unblock = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
}

const DTBO: [u8; 8] = [0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 8];

/// Makes the attributes of an overlay appear, as configfs does on `mkdir`, with `status` turning
/// to `then` when the blob is there.
fn configfs(board: &Board, name: &str, before: &str, then: &str) -> std::thread::JoinHandle<()> {
    let dir = board.roots.overlays().join(name);
    fs::create_dir_all(board.roots.overlays()).unwrap();
    let (before, then) = (before.to_owned(), then.to_owned());
    std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(10);
        let pause = || std::thread::sleep(Duration::from_micros(200));
        while !dir.exists() && Instant::now() < end {
            pause();
        }
        fs::write(dir.join("status"), before).unwrap();
        // Complete before it is seen: written aside, then renamed.
        fs::write(dir.join(".dtbo"), "").unwrap();
        fs::write(dir.join("status"), &then).unwrap();
        fs::rename(dir.join(".dtbo"), dir.join("dtbo")).unwrap();
    })
}

#[test]
fn overlays() {
    let board = Board::new();
    let error = Overlay::apply(&board.roots, "accel", &DTBO).unwrap_err();
    assert!(matches!(error, FpgaError::NoOverlays { .. }), "{error}");

    // As the vendor kernel: applied by the blob.
    let kernel = configfs(&board, "accel", "unapplied", "applied");
    let overlay = Overlay::apply(&board.roots, "accel", &DTBO).unwrap();
    kernel.join().unwrap();
    assert_eq!(
        fs::read(board.roots.overlays().join("accel/dtbo")).unwrap(),
        DTBO
    );
    assert_eq!(overlay.name(), "accel");
    let error = Overlay::apply(&board.roots, "accel", &DTBO).unwrap_err();
    assert!(matches!(error, FpgaError::OverlayExists { .. }), "{error}");
    Overlay::find(&board.roots, "accel").unwrap();
    assert!(Overlay::find(&board.roots, "absent").is_err());

    // As dtbocfg: applied by status.
    let kernel = configfs(&board, "second", "0", "0");
    Overlay::apply(&board.roots, "second", &DTBO).unwrap();
    kernel.join().unwrap();
    assert_eq!(
        board.text("sys/kernel/config/device-tree/overlays/second/status"),
        "1"
    );

    let kernel = configfs(&board, "refused", "unapplied", "unapplied");
    let error = Overlay::apply(&board.roots, "refused", &DTBO).unwrap_err();
    kernel.join().unwrap();
    assert!(
        matches!(error, FpgaError::OverlayRefused { ref status, .. } if status == "unapplied"),
        "{error}"
    );
}

#[test]
fn overlay_input_is_checked_and_leaves_nothing() {
    let board = Board::new();
    fs::create_dir_all(board.roots.overlays()).unwrap();
    let error = Overlay::apply(&board.roots, "text", b"/dts-v1/;").unwrap_err();
    assert!(error.to_string().contains("dtc -@"), "{error}");
    for name in ["", "..", "a/b", ".x", "a b", "a\n", &"n".repeat(65)] {
        let error = Overlay::apply(&board.roots, name, &DTBO).unwrap_err();
        assert!(
            matches!(error, FpgaError::System(Error::BadRequest { .. })),
            "{name:?}"
        );
    }
    // No configfs behind the directory: the attributes never appear, and the try is undone.
    let error = Overlay::apply(&board.roots, "plain", &DTBO).unwrap_err();
    assert!(
        matches!(error, FpgaError::System(Error::Io { .. })),
        "{error}"
    );
    assert!(!board.roots.overlays().join("plain").exists());
}

#[test]
fn a_failed_install_leaves_the_old_firmware() {
    let board = Board::new();
    install_firmware(&board.roots, "accel.bin", b"old").unwrap();
    let blocked = board.path(&format!(
        "lib/firmware/.accel.bin.{}.tmp",
        std::process::id()
    ));
    fs::create_dir(&blocked).unwrap(); // the temporary file can't be made
    assert!(install_firmware(&board.roots, "accel.bin", b"new").is_err());
    assert_eq!(board.text("lib/firmware/accel.bin"), "old");
}
