//! Manifests: the shipped ones, broken ones, and the comparison with the hardware.

use std::path::Path;

use uio_driver::fpga::{Expectation, Identity, Manifest, ManifestError, Status, Value, compare};

const GOOD: &str = r#"
format = 1
name = "accel-zcu102"
status = "not-built"
clock_hz = 214_000_000
[board]
name = "zcu102"
part = "xczu9eg-ffvb1156-2-e"
idcode = 0x04738093
[identity]
magic = 0x46514254
version = { min = 1, max = 2 }
features = { bits = 0x5 }
pus = 16
geometry = "zcu102"
"#;

fn hardware(fields: &[(&str, Value)]) -> Identity {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

#[test]
fn hardware_that_fits() {
    let manifest = Manifest::parse(GOOD, "test").unwrap();
    assert_eq!(
        manifest.identity["version"],
        Expectation::Range(uio_driver::fpga::Bounds { min: 1, max: 2 })
    );
    let actual = hardware(&[
        ("magic", 0x4651_4254u32.into()),
        ("version", 2u32.into()),
        ("features", 0xFu64.into()),
        ("pus", 16u32.into()),
        ("geometry", "zcu102".into()),
        ("not asked for", 1u32.into()),
    ]);
    manifest.check_identity(&actual).unwrap();
}

#[test]
fn every_difference_is_explained() {
    let manifest = Manifest::parse(GOOD, "test").unwrap();
    let actual = hardware(&[
        ("magic", 0xFFFF_FFFFu32.into()),
        ("version", 3u32.into()),
        ("features", 0x1u32.into()),
        ("geometry", 5u32.into()),
    ]);
    let error = manifest.check_identity(&actual).unwrap_err();
    assert!(
        matches!(&error, ManifestError::WrongIdentity { mismatches, .. } if mismatches.len() == 5)
    );
    assert_eq!(
        error.to_string(),
        "the loaded logic is not `accel-zcu102`:\n  features: bits 0x4 are missing (has 0x1, \
         expected bits 0x5 set)\n  geometry: the hardware says 5, expected `zcu102`\n  magic: the \
         hardware says 4294967295 (0xffffffff), expected 1179730516 (0x46514254)\n  pus: the \
         hardware does not tell, expected 16\n  version: the hardware says 3, expected 1 to \
         2\nLoad the bitstream that belongs to this manifest, or take the manifest of the loaded \
         one"
    );
    assert_eq!(compare(&Default::default(), &actual), []);
}

#[test]
fn broken_manifests() {
    let stream = "[stream]\nfile = \"a.bin\"\nbytes = 3\nsha256 = \"00\"\ntool = \"t\"\nbuilt = \
        \"d\"\n[identity]";
    let sha = format!("sha256 = \"{}\"", "0".repeat(64));
    let built = GOOD
        .replace("not-built", "built")
        .replace("[identity]", stream);
    let named = built.replace("sha256 = \"00\"", &sha);
    Manifest::parse(&named, "test").unwrap();
    for (text, word) in [
        (String::new(), "missing field"),
        ("format =".to_owned(), "TOML"),
        (GOOD.replace("format = 1", "format = 2"), "format 2"),
        (GOOD.replace("pus = 16", "pus = -16"), "line 14"),
        (GOOD.replace("pus = 16", "pus = { min = 1 }"), "line 14"),
        (
            GOOD.replace("pus = 16", "pus = { min = 1, max = 2, mux = 3 }"),
            "line 14",
        ),
        (
            GOOD.replace("name = \"zcu102\"", "nome = \"zcu102\""),
            "nome",
        ),
        (GOOD.replace("xczu9eg-ffvb1156-2-e", "a part"), "part"),
        (GOOD.replace("not-built", "built"), "without"),
        (GOOD.replace("[identity]", stream), "not-built"),
        (built.clone(), "SHA-256"),
        (named.replace("a.bin", "../a.bin"), "plain file name"),
        (named.replace("a.bin", ".a"), "plain file name"),
    ] {
        let error = Manifest::parse(&text, "test.toml").unwrap_err();
        assert!(error.to_string().contains(word), "wanted {word:?}: {error}");
    }
}

#[test]
fn files_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.toml");
    assert!(matches!(
        Manifest::read(&path),
        Err(ManifestError::System(_))
    ));
    std::fs::write(&path, [0xFF, 0xFE]).unwrap();
    assert!(matches!(
        Manifest::read(&path),
        Err(ManifestError::Malformed { .. })
    ));
    std::fs::write(&path, "#".repeat(100_000)).unwrap();
    assert!(Manifest::read(&path).is_err());
    // Neither waited for nor read without an end.
    let fifo = dir.path().join("fifo.toml");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    for path in [fifo.as_path(), Path::new("/dev/zero"), dir.path()] {
        let said = Manifest::read(path).unwrap_err().to_string();
        assert!(said.contains("no regular file"), "{said}");
    }
}

/// The manifests in `bitstreams/` parse and say honestly that nothing was built.
#[test]
fn shipped_manifests() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bitstreams");
    if !dir.is_dir() {
        eprintln!(
            "SKIPPED: no {} here (tests run away from the source tree)",
            dir.display()
        );
        return;
    }
    let mut boards = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let manifest = Manifest::read(&path).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), manifest.name);
        if manifest.status == Status::NotBuilt {
            let error = manifest.read_stream(&dir).unwrap_err();
            assert!(matches!(error, ManifestError::NotBuilt { .. }), "{error}");
        } else {
            manifest.read_stream(&dir).unwrap();
        }
        boards.push(manifest.board.name);
    }
    boards.sort();
    assert_eq!(boards, ["zcu102", "zcu111"]);
}
