//! Recordings that are cut, damaged or made up: each is read as far as it goes, and none panics,
//! takes memory without bound, or waits.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use fqbert_random::Random;
use fqbert_recording::{Ending, ReadError, Recording, compare};

use support::frames::edited;
use support::{answers, emulator, recorded, replayed, tokens};

/// A real recording.
fn real(folder: &Path, steps: bool) -> Vec<u8> {
    let file = folder.join(format!("real-{steps}"));
    let device = recorded(emulator(), &file, steps);
    answers(
        device,
        &[tokens(7, 1), tokens(7, 2)],
        Duration::from_secs(60),
    )
    .unwrap();
    fs::read(&file).unwrap()
}

/// Calls that are read, and how it ended.
fn read(file: &Path) -> Result<(u64, Ending), ReadError> {
    let mut recording = Recording::open(file)?;
    let (mut calls, mut bytes) = (0, 0);
    while let Some((_, event)) = recording.next_call()? {
        calls += 1;
        recording.parts(&event.data, |_, part| {
            bytes += part.len();
            Ok::<_, ReadError>(())
        })?;
    }
    Ok((calls, recording.ending().unwrap()))
}

/// Most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_recording_is_read_to_its_last_whole_record() {
    let folder = tempfile::tempdir().unwrap();
    let whole = real(folder.path(), false);
    let file = folder.path().join("cut");
    fs::write(&file, &whole).unwrap();
    let (calls, ending) = read(&file).unwrap();
    assert_eq!(ending, Ending::Closed);
    let mut r = Random::new(1);
    let (mut before, mut cuts) = (0, Vec::new());
    for _ in 0..300 {
        cuts.push(r.within(0, whole.len() as u64 - 1) as usize);
    }
    cuts.sort_unstable();
    for cut in cuts {
        fs::write(&file, &whole[..cut]).unwrap();
        match read(&file) {
            Ok((read, Ending::Cut { offset })) => {
                assert!(offset <= cut as u64 && read >= before && read <= calls);
                before = read;
            }
            Ok(other) => panic!("{other:?}"),
            Err(ReadError::NotARecording { .. }) => assert!(cut < 400, "{cut}"),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(before > calls / 2, "{before} of {calls}");
}

/// A changed bit is noticed wherever it is, and what was before it is read.
#[test]
fn every_flipped_bit_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = real(folder.path(), false);
    let file = folder.path().join("flipped");
    let mut r = Random::new(2);
    let mut damaged = 0;
    for _ in 0..500 {
        let mut bytes = whole.clone();
        let at = r.within(0, bytes.len() as u64 - 1) as usize;
        bytes[at] ^= 1 << r.within(0, 7);
        fs::write(&file, &bytes).unwrap();
        match read(&file) {
            // In the length of a record the rest may be too short for it.
            Ok((_, Ending::Damaged { offset, .. } | Ending::Cut { offset })) => {
                damaged += 1;
                assert!(offset <= at as u64);
            }
            Ok(other) => panic!("byte {at}: {other:?}"),
            Err(_) => assert!(at < 400, "{at}"),
        }
    }
    assert!(damaged > 400);
}

/// A change to a record's bytes: flipped, cut, longer, or all new.
fn mutate(r: &mut Random, payload: &mut Vec<u8>) {
    let length = payload.len() as u64;
    match r.within(0, 5) {
        0 => payload.truncate(r.within(0, length) as usize),
        1 => {
            let more = r.within(1, 40);
            payload.extend((0..more).map(|_| r.within(0, 255) as u8));
        }
        2 => {
            *payload = (0..r.within(0, 60))
                .map(|_| r.within(0, 255) as u8)
                .collect()
        }
        // A number that is large: lengths, offsets, buffers.
        3 if length > 4 => {
            let at = r.within(0, length.min(24) - 2) as usize;
            payload[at] = 0xff;
            payload[at + 1] |= 0x80;
        }
        _ if length > 0 => {
            let at = r.within(0, length.min(64) - 1) as usize;
            payload[at] ^= 1 << r.within(0, 7);
        }
        _ => {}
    }
}

/// Records changed and given right checksums: whatever they say is checked.
#[test]
fn what_records_say_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let before = peak();
    let file = folder.path().join("mutant");
    let mut r = Random::new(3);
    let mut outcomes = [0; 4];
    for steps in [false, true] {
        let whole = real(folder.path(), steps);
        let mut records = 0;
        edited(&whole, |_, _| records += 1);
        for _ in 0..300 {
            let target = r.within(0, records - 1) as usize;
            let mutant = edited(&whole, |index, payload| {
                if index == target {
                    mutate(&mut r, payload);
                }
            });
            fs::write(&file, &mutant).unwrap();
            let Ok((_, _)) = read(&file) else {
                outcomes[0] += 1;
                continue;
            };
            let sequences = [tokens(7, 1), tokens(7, 2)];
            let replay = answers(replayed(&file), &sequences, Duration::from_secs(60));
            outcomes[1] += usize::from(replay.is_err());
            let recording = Recording::open(&file).unwrap();
            match compare(recording, emulator(), Duration::from_millis(500)) {
                Ok(found) => outcomes[2] += usize::from(!found.differences.is_empty()),
                Err(_) => outcomes[3] += 1,
            }
        }
    }
    println!("not opened, not replayed, different, not compared: {outcomes:?}");
    assert!(outcomes[1] > 100 && outcomes[3] > 5, "{outcomes:?}");
    let grown = (peak() - before) / 1024;
    assert!(grown < 512, "{grown} MiB");
}

#[test]
fn random_bytes_are_no_recording() {
    let folder = tempfile::tempdir().unwrap();
    let whole = real(folder.path(), false);
    let file = folder.path().join("random");
    let mut r = Random::new(4);
    for round in 0..2000 {
        let length = r.within(0, 600);
        let mut bytes: Vec<u8> = (0..length).map(|_| r.within(0, 255) as u8).collect();
        if round % 2 == 0 {
            // Behind a header that is right.
            bytes.splice(0..0, whole[..44].iter().copied());
        }
        fs::write(&file, &bytes).unwrap();
        assert!(matches!(read(&file), Err(ReadError::NotARecording { .. })));
    }
}
