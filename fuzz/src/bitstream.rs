use uio_driver::fpga::{Bitfile, Manifest};

pub(crate) fn run(input: &[u8]) {
    if let Ok(bitfile) = Bitfile::parse(input) {
        let stream = bitfile.to_manager_order();
        assert_eq!(stream.len(), bitfile.stream_len());
        assert!(stream.len() < input.len(), "a stream longer than its file");
    }
}

/// A file of BITGEN's form: fields behind keys, then the stream with its sync word and IDCODE.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut file = vec![
        0, 9, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0, 0, 1,
    ];
    for (key, text) in [
        (b'a', "design;UserID=0XFFFFFFFF;Version=2023.2"),
        (b'b', "xczu9eg-ffvb1156-2-e"),
        (b'c', "2026/01/31"),
        (b'd', "12:00:00"),
    ] {
        file.push(key);
        file.extend((text.len() as u16 + 1).to_be_bytes());
        file.extend(text.as_bytes());
        file.push(0);
    }
    let words: [u32; 9] = [
        0xFFFF_FFFF,
        0x0000_00BB,
        0x1122_0044,
        0xFFFF_FFFF,
        0xAA99_5566,
        0x2000_0000,
        0x3001_8001,
        0x0473_8093,
        0x2000_0000,
    ];
    file.push(b'e');
    file.extend((words.len() as u32 * 4).to_be_bytes());
    file.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    vec![file]
}

pub(crate) fn run_manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(manifest) = Manifest::parse(text, "a fuzzer's manifest") {
        let _ = manifest.require_built();
    }
}

pub(crate) fn seeds_manifest() -> Vec<Vec<u8>> {
    let shipped = include_bytes!("../../bitstreams/fqbert-zcu102.toml").to_vec();
    let built = br#"format = 1
name = "fqbert-zcu102"
status = "built"
clock_hz = 214_000_000
[board]
name = "zcu102"
part = "xczu9eg-ffvb1156-2-e"
idcode = 0x0473_8093
[stream]
file = "a.bit"
bytes = 36
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
tool = "Vivado 2023.2"
built = "2026-01-31"
[identity]
magic = 0x5442_5146
contract_minor = { min = 0, max = 0xFFFF }
"#;
    vec![shipped, built.to_vec()]
}
