use fqbert_open::open_device;

/// The devices that are made of memory alone; others touch what this machine has.
const SCHEME: &str = "emu:";

pub(crate) fn run(input: &[u8]) {
    let Ok(uri) = std::str::from_utf8(input) else {
        return;
    };
    // Threads and memory that are asked for are made: another number is no other parser.
    let modest = |option: &str| match option.split_once('=') {
        Some(("threads", number)) => number.len() < 2,
        Some(("memory", size)) => size.len() < 6 && !size.ends_with("GiB"),
        _ => true,
    };
    let elsewhere = uri.contains(':') && !uri.starts_with(SCHEME);
    if elsewhere || !uri.split(['?', '&']).all(modest) {
        return;
    }
    match open_device(uri) {
        Ok(device) => {
            let memory = device.memory();
            assert!(memory.free.0 <= memory.total.0, "{uri}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "emu:tiny",
        "emu:tiny?threads=1&kernel=scalar&seed=7&memory=64KiB",
        "emu:zcu102?memory=1MiB",
        "emu:paper?",
    ]
    .map(|uri| uri.as_bytes().to_vec())
    .to_vec()
}
