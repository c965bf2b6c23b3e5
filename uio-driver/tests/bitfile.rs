//! `.bit` files: built here field by field, then cut, bent and replaced.

use proptest::prelude::*;
use uio_driver::fpga::{Bitfile, FpgaError, Manifest, ManifestError, sha256_hex};

/// A stream as Vivado makes it: dummy words, bus width, sync, IDCODE, frames.
fn stream(idcode: u32) -> Vec<u8> {
    let mut words = vec![0xFFFF_FFFF; 16];
    words.extend([
        0x0000_00BB,
        0x1122_0044,
        0xFFFF_FFFF,
        0xFFFF_FFFF,
        0xAA99_5566,
        0x2000_0000,
    ]);
    words.extend([0x3001_8001, idcode, 0x3000_8001, 0x0102_0304]);
    words
        .iter()
        .flat_map(|word: &u32| word.to_be_bytes())
        .collect()
}

fn bit(part: &str, stream: &[u8]) -> Vec<u8> {
    let mut file = vec![
        0, 9, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0, 0, 1,
    ];
    let fields = [
        (b'a', "accel_top;UserID=0XFEEDBEEF;Version=2023.2"),
        (b'b', part),
        (b'c', "2026/01/31"),
        (b'd', "12:34:56"),
    ];
    for (key, text) in fields {
        file.push(key);
        file.extend((text.len() as u16 + 1).to_be_bytes());
        file.extend(text.as_bytes());
        file.push(0);
    }
    file.push(b'e');
    file.extend((stream.len() as u32).to_be_bytes());
    file.extend(stream);
    file
}

const PART: &str = "xczu9eg-ffvb1156-2-e";

#[test]
fn reads_what_vivado_writes() {
    let file = bit(PART, &stream(0x1473_8093));
    let parsed = Bitfile::parse(&file).unwrap();
    assert_eq!(parsed.design, "accel_top");
    assert_eq!(parsed.part.to_string(), PART);
    assert_eq!(
        (parsed.date.as_str(), parsed.time.as_str()),
        ("2026/01/31", "12:34:56")
    );
    assert_eq!(
        (parsed.user_id, parsed.tool.as_deref()),
        (Some(0xFEED_BEEF), Some("2023.2"))
    );
    assert_eq!(parsed.idcode, Some(0x1473_8093));
    let swapped = parsed.to_manager_order();
    assert_eq!(swapped.len(), parsed.stream_len());
    // What drivers/fpga/zynq-fpga.c looks for.
    assert_eq!(
        swapped[72..84],
        [
            0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x66, 0x55, 0x99, 0xAA
        ]
    );
    assert_eq!(swapped[swapped.len() - 4..], [4, 3, 2, 1]);
}

#[test]
fn every_cut_is_an_error() {
    let file = bit(PART, &stream(0x0473_8093));
    for len in 0..file.len() {
        let error = Bitfile::parse(&file[..len]).unwrap_err();
        let header = file.len() - stream(0).len();
        match error {
            FpgaError::Truncated { announced, have } => {
                assert!(
                    len >= header
                        && (have as usize, announced as usize)
                            == (len - header, file.len() - header)
                );
            }
            FpgaError::NotABitfile { .. } => assert!(len < header, "{len}"),
            other => panic!("{other}"),
        }
    }
    let mut longer = file.clone();
    longer.extend([0; 4]);
    assert!(matches!(
        Bitfile::parse(&longer),
        Err(FpgaError::NotABitfile { .. })
    ));
}

#[test]
fn what_is_no_bit_file() {
    let good = stream(0x0473_8093);
    let no_sync: Vec<u8> = good
        .iter()
        .copied()
        .filter(|byte| *byte != 0x99)
        .chain([0])
        .collect();
    for (file, why) in [
        (good.clone(), "a .bin has no header"),
        (bit("xczu9eg ffvb", &good), "part"),
        (bit("", &good), "empty part"),
        (bit("xczu9eg-ff\u{7}vb", &good), "control character"),
        (bit(PART, &good[..good.len() - 1]), "not whole words"),
        (bit(PART, &no_sync), "no sync word"),
        (bit(PART, &[]), "no stream"),
    ] {
        let error = Bitfile::parse(&file).unwrap_err();
        assert!(
            matches!(
                error,
                FpgaError::NotABitfile { .. } | FpgaError::BadPart { .. }
            ),
            "{why}: {error}"
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Bitfile::parse(&bytes);
    }

    #[test]
    fn bent_files_never_panic(at in 0usize..200, byte in any::<u8>()) {
        let mut file = bit(PART, &stream(0x0473_8093));
        if let Some(place) = file.get_mut(at) {
            *place = byte;
        }
        if let Ok(parsed) = Bitfile::parse(&file) {
            prop_assert_eq!(parsed.to_manager_order().len() % 4, 0);
        }
    }
}

fn manifest(file: &str, bytes: &[u8]) -> Manifest {
    let text = format!(
        "format = 1\nname = \"accel\"\nstatus = \"built\"\nclock_hz = 214_000_000\n[board]\nname = \
         \"zcu102\"\npart = \"{PART}\"\nidcode = 0x04738093\n[stream]\nfile = \"{file}\"\nbytes = \
         {}\nsha256 = \"{}\"\ntool = \"Vivado\"\nbuilt = \"2026-01-31\"\n[identity]\npus = 16\n",
        bytes.len(),
        sha256_hex(bytes)
    );
    Manifest::parse(&text, "test").unwrap()
}

#[test]
fn manifest_and_file_belong_together() {
    let dir = tempfile::tempdir().unwrap();
    let file = bit(PART, &stream(0x1473_8093));
    let manifest_of = |bytes: &[u8]| manifest("accel.bit", bytes);
    let put = |bytes: &[u8]| std::fs::write(dir.path().join("accel.bit"), bytes).unwrap();
    assert!(matches!(
        manifest_of(&file).read_stream(dir.path()),
        Err(ManifestError::System(_))
    ));
    put(&file);
    let stream_bytes = manifest_of(&file).read_stream(dir.path()).unwrap();
    assert_eq!(
        stream_bytes.len(),
        stream(0).len(),
        "the header is gone, the silicon revision is ignored"
    );

    put(&file[..file.len() - 8]);
    let error = manifest_of(&file).read_stream(dir.path()).unwrap_err();
    assert!(
        matches!(error, ManifestError::WrongFile { what: "size", .. }),
        "{error}"
    );
    let mut flipped = file.clone();
    *flipped.last_mut().unwrap() ^= 1;
    put(&flipped);
    let error = manifest_of(&file).read_stream(dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            ManifestError::WrongFile {
                what: "SHA-256",
                ..
            }
        ),
        "{error}"
    );

    let other = bit("xczu28dr-ffvg1517-2-e", &stream(0x047E_0093));
    put(&other);
    let error = manifest_of(&other).read_stream(dir.path()).unwrap_err();
    assert!(
        matches!(error, ManifestError::Fpga(FpgaError::WrongPart { .. })),
        "{error}"
    );
    assert!(
        error.to_string().contains("device xczu28dr is not xczu9eg"),
        "{error}"
    );
    let wrong_id = bit(PART, &stream(0x047E_0093));
    put(&wrong_id);
    let error = manifest_of(&wrong_id).read_stream(dir.path()).unwrap_err();
    assert!(
        matches!(error, ManifestError::WrongFile { what: "IDCODE", .. }),
        "{error}"
    );

    std::fs::write(dir.path().join("accel.bin"), b"any").unwrap();
    assert_eq!(
        manifest("accel.bin", b"any")
            .read_stream(dir.path())
            .unwrap(),
        b"any"
    );
}
