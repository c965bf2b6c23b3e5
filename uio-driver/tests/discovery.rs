//! Finding devices by name, and every way it fails.

mod common;

use std::fs;

use common::{Board, PAGE};
use uio_driver::{Error, PhysAddr, UioDevice, find, list};

#[test]
fn found_by_name_whatever_the_number() {
    let board = Board::new();
    board.uio(12, "other", &[(0xB000_0000, PAGE, 0)]);
    board.uio(
        3,
        "accel0",
        &[(0xA000_0000, 0x10000, 0), (0x7000_0000, 1 << 20, 0)],
    );
    board.put("sys/class/uio/uiofoo/name", "accel0\n"); // no uioN: not a device
    let node = find(&board.roots, "accel0").unwrap();
    assert_eq!((node.number, node.maps.len()), (3, 2));
    assert_eq!(node.dev, board.path("dev/uio3"));
    assert_eq!(
        (node.maps[0].addr, node.maps[0].usable()),
        (PhysAddr(0xA000_0000), 0x10000)
    );
    let names: Vec<_> = list(&board.roots)
        .unwrap()
        .into_iter()
        .map(|node| node.name)
        .collect();
    assert_eq!(names, ["accel0", "other"]);
}

#[test]
fn no_driver_no_device_two_devices() {
    let board = Board::new();
    let error = find(&board.roots, "accel0").unwrap_err();
    assert!(matches!(error, Error::ClassAbsent { .. }));
    assert!(error.to_string().contains("of_id=generic-uio"), "{error}");

    board.uio(0, "dma", &[(0, PAGE, 0)]);
    let error = find(&board.roots, "accel0").unwrap_err();
    assert!(matches!(&error, Error::NoSuchDevice { found, .. } if found == &["dma"]));
    assert!(error.to_string().contains("`accel0`") && error.to_string().contains("there: dma"));

    board.uio(1, "accel0", &[]).uio(7, "accel0", &[]);
    let error = find(&board.roots, "accel0").unwrap_err();
    assert!(
        matches!(&error, Error::AmbiguousName { nodes, .. } if nodes == &["uio1", "uio7"]),
        "{error}"
    );
    assert!(error.to_string().contains("linux,uio-name"));
}

#[test]
fn a_broken_neighbour_is_not_in_the_way() {
    let board = Board::new();
    board
        .uio(0, "broken", &[(0, PAGE, 0)])
        .uio(1, "accel0", &[(0xA000_0000, PAGE, 0)]);
    board.put("sys/class/uio/uio0/maps/map0/size", "what?\n");
    fs::create_dir_all(board.path("sys/class/uio/uio2")).unwrap(); // vanishing: no name yet
    find(&board.roots, "accel0").unwrap();
    assert!(matches!(
        list(&board.roots),
        Err(Error::BadAttribute { .. })
    ));
}

#[test]
fn attributes_that_are_none() {
    for content in [
        "",
        "0xZZ",
        "-4096",
        "4096 4096",
        "\u{1}\u{2}",
        "99999999999999999999999",
        &"9".repeat(5000),
    ] {
        let board = Board::new();
        board.uio(0, "accel0", &[(0xA000_0000, PAGE, 0)]);
        board.put("sys/class/uio/uio0/maps/map0/addr", content);
        let error = find(&board.roots, "accel0").unwrap_err();
        assert!(
            matches!(error, Error::BadAttribute { .. }),
            "{content:?}: {error}"
        );
        assert!(
            !error.to_string().contains('\u{1}'),
            "control characters reach no terminal"
        );
    }
    let board = Board::new();
    board.uio(0, "accel0", &[(0, PAGE, 0)]);
    board.put("sys/class/uio/uio0/maps/map0/size", [0xFF, 0xFE]);
    assert!(matches!(
        find(&board.roots, "accel0"),
        Err(Error::BadAttribute { .. })
    ));
    fs::remove_file(board.path("sys/class/uio/uio0/maps/map0/size")).unwrap();
    assert!(matches!(
        find(&board.roots, "accel0"),
        Err(Error::Io { .. })
    ));
}

#[test]
fn a_device_without_its_node() {
    let board = Board::new();
    board.uio(0, "accel0", &[(0, PAGE, 0)]);
    fs::remove_file(board.path("dev/uio0")).unwrap();
    let error = UioDevice::open(&board.roots, "accel0").unwrap_err();
    assert!(matches!(error, Error::NodeAbsent { .. }), "{error}");
}

/// Root may open anything, so the user is changed: for one thread only, by the bare system call,
/// whose effect on Linux is per thread.
#[test]
#[allow(unsafe_code)]
fn no_permission_names_the_udev_rule() {
    use std::os::unix::fs::PermissionsExt;
    let board = Board::new();
    board.uio(0, "accel0", &[(0, PAGE, 0)]);
    fs::set_permissions(board.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(board.path("dev/uio0"), fs::Permissions::from_mode(0o000)).unwrap();
    let roots = board.roots.clone();
    let error = std::thread::spawn(move || {
        let keep = -1i64;
        // SAFETY: changes the effective user of this thread, which ends right after; no memory.
        let rc = unsafe { libc::syscall(libc::SYS_setresuid, keep, 65534i64, keep) };
        // Not root in the first place: the mode above is enough.
        let _ = rc;
        UioDevice::open(&roots, "accel0").unwrap_err()
    })
    .join()
    .unwrap();
    assert!(matches!(error, Error::Permission { .. }), "{error}");
    assert!(error.to_string().contains("device-tree/udev"), "{error}");
}
