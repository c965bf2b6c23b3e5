//! Recordings of sessions on the emulator, replayed.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use fqbert_contract::device::{BufferId, Device, DeviceError, Wrapper};
use fqbert_contract::registers as regs;
use fqbert_contract::{Bytes, RegisterOffset};
use fqbert_recording::{
    Call, CreateError, Ending, ReadError, RecordOptions, Recording, RecordingDevice, ReplayError,
    RunEnd, What, compare,
};
use fqbert_session::SessionError;

use support::{answers, emulator, recorded, replayed, tokens};

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_session_gets_the_same_answers_from_its_recording() {
    let folder = tempfile::tempdir().unwrap();
    let sequences = [tokens(7, 1), tokens(30, 2), tokens(7, 3)];
    let expected = answers(emulator(), &sequences, DEADLINE).unwrap();
    for steps in [false, true] {
        let file = folder.path().join(format!("{steps}.fqrec"));
        let device = recorded(emulator(), &file, steps);
        assert_eq!(answers(device, &sequences, DEADLINE).unwrap(), expected);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only the owner reads what was asked");
        let again = answers(replayed(&file), &sequences, DEADLINE).unwrap();
        assert_eq!(again, expected);

        let mut recording = Recording::open(&file).unwrap();
        assert!(recording.same_contract());
        let mut doorbells = 0;
        while let Some((_, event)) = recording.next_call().unwrap() {
            let rings = matches!(
                event.call,
                Call::WriteRegister { offset, .. } if offset == regs::DOORBELL.0
            );
            doorbells += usize::from(rings);
        }
        assert_eq!(doorbells, sequences.len());
        assert_eq!(recording.ending(), Some(Ending::Closed));
    }
}

/// The error of a replay behind a session's.
fn replay_error(error: &SessionError) -> &ReplayError {
    let SessionError::Device {
        source: DeviceError::Backend { source, .. },
        ..
    } = error
    else {
        panic!("{error}")
    };
    source.downcast_ref().expect("a replay's error")
}

#[test]
fn another_text_is_an_error_that_names_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.fqrec");
    answers(
        recorded(emulator(), &file, false),
        &[tokens(7, 1)],
        DEADLINE,
    )
    .unwrap();
    let error = answers(replayed(&file), &[tokens(7, 2)], DEADLINE).unwrap_err();
    let ReplayError::Bytes { record, call, .. } = replay_error(&error) else {
        panic!("{error}")
    };
    assert!(matches!(call, Call::Write(_)), "{call}");
    let text = replay_error(&error).to_string();
    assert!(
        text.starts_with(&format!("record {record} is: write ")),
        "{text}"
    );
    // One text more than was recorded.
    let both = [tokens(7, 1), tokens(7, 2)];
    let error = answers(replayed(&file), &both, DEADLINE).unwrap_err();
    let ReplayError::Ended { ending, .. } = replay_error(&error) else {
        panic!("{error}")
    };
    assert_eq!(*ending, Ending::Closed);

    let mut device = replayed(&file);
    let error = device.read32(regs::STATUS).unwrap_err();
    let DeviceError::Backend { source, .. } = error else {
        panic!("{error}")
    };
    let text = source.to_string();
    assert!(
        text.starts_with("record 1 is: reset; the call is: read register 0x044"),
        "{text}"
    );
}

#[test]
fn a_time_out_is_replayed_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.fqrec");
    let mut device = recorded(emulator(), &file, false);
    let wait = |device: &mut dyn Device, ms| {
        device.wait_interrupt(Instant::now() + Duration::from_millis(ms))
    };
    let error = wait(device.as_mut(), 30).unwrap_err();
    assert!(matches!(error, DeviceError::Timeout { .. }), "{error}");
    let error = device.read(BufferId(9), Bytes(0), &mut [0]);
    let text = error.unwrap_err().to_string();
    drop(device);
    let mut device = replayed(&file);
    let began = Instant::now();
    let error = wait(device.as_mut(), 60_000).unwrap_err();
    assert!(matches!(error, DeviceError::Timeout { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30));
    let error = device.read(BufferId(9), Bytes(0), &mut [0]);
    assert_eq!(error.unwrap_err().to_string(), text);
}

/// An accelerator that never ends what it has begun.
struct Stuck(Box<dyn Device>, bool);

impl Wrapper for Stuck {
    fn inner(&self) -> &dyn Device {
        self.0.as_ref()
    }

    fn inner_mut(&mut self) -> &mut dyn Device {
        self.0.as_mut()
    }
    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        match register {
            regs::STATUS if self.1 => Ok(regs::status::BUSY),
            _ => self.0.read32(register),
        }
    }
    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        if register == regs::DOORBELL {
            self.1 = true;
            return Ok(());
        }
        self.0.write32(register, value)
    }
    fn reset(&mut self) -> Result<(), DeviceError> {
        self.1 = false;
        self.0.reset()
    }
}

#[test]
fn a_hang_is_replayed_in_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.fqrec");
    let stuck = Box::new(Stuck(emulator(), false));
    let sequences = [tokens(7, 1)];
    let second = Duration::from_secs(1);
    let error = answers(recorded(stuck, &file, false), &sequences, second).unwrap_err();
    assert!(
        matches!(error, SessionError::Hang { attempts: 2, .. }),
        "{error}"
    );
    let began = Instant::now();
    let error = answers(replayed(&file), &sequences, Duration::from_secs(3600)).unwrap_err();
    assert!(
        matches!(error, SessionError::Hang { attempts: 2, .. }),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(60));
    // The reference comes to its end.
    let recording = Recording::open(&file).unwrap();
    let found = compare(recording, emulator(), DEADLINE).unwrap();
    let [difference] = found.differences.as_slice() else {
        panic!("{:?}", found.differences)
    };
    let expected = (RunEnd::Running, RunEnd::Done);
    assert!(
        matches!(difference.what, What::Run { recorded, reference }
            if (recorded, reference) == expected),
        "{difference:?}"
    );
}

/// At its bound a recording ends and says so; what it records goes on.
#[test]
fn the_bound_ends_the_recording_and_not_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.fqrec");
    let options = RecordOptions {
        limit: 1 << 16,
        ..RecordOptions::new("test")
    };
    let device = RecordingDevice::create(emulator(), &file, &options).unwrap();
    let sequences: Vec<_> = (0..12).map(|seed| tokens(30, seed)).collect();
    let expected = answers(emulator(), &sequences, DEADLINE).unwrap();
    let got = answers(Box::new(device), &sequences, DEADLINE).unwrap();
    assert_eq!(got, expected);
    let size = std::fs::metadata(&file).unwrap().len();
    assert!(size <= options.limit && size > options.limit / 4, "{size}");
    let error = answers(replayed(&file), &sequences, DEADLINE).unwrap_err();
    let ReplayError::Ended { ending, .. } = replay_error(&error) else {
        panic!("{error}")
    };
    assert_eq!(*ending, Ending::Limit { bytes: 1 << 16 });
}

#[test]
fn no_file_is_overwritten_and_what_is_no_recording_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt");
    std::fs::write(&file, "mine").unwrap();
    let create = |path: &std::path::Path, limit| {
        let options = RecordOptions {
            limit,
            ..RecordOptions::new("test")
        };
        RecordingDevice::create(emulator(), path, &options)
            .err()
            .unwrap()
    };
    let error = create(&file, 1 << 20);
    assert!(matches!(error, CreateError::Exists { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let error = create(&folder.path().join("no/a"), 1 << 20);
    assert!(matches!(error, CreateError::Io { .. }), "{error}");
    let error = create(&folder.path().join("b"), 1 << 15);
    assert!(matches!(error, CreateError::Limit { .. }), "{error}");

    let open = |path: &std::path::Path| Recording::open(path).err().unwrap();
    let error = open(&file);
    assert!(matches!(error, ReadError::NotARecording { .. }), "{error}");
    let error = open(folder.path());
    assert!(matches!(error, ReadError::NotAFile { .. }), "{error}");
    let error = open(&folder.path().join("none"));
    assert!(matches!(error, ReadError::Io { .. }), "{error}");
}
