//! `record:FILE[?limit=SIZE&steps=yes],URI` and `replay:FILE`.

use std::path::PathBuf;

use fqbert_contract::device::Device;
use fqbert_recording::{
    LEAST_LIMIT, RecordOptions, Recording, RecordingDevice, ReplayDevice, StepsDevice,
};

use crate::uri::{Description, UriError};
use crate::{OpenError, open_device};

/// What a bound is.
const SIZE: &str = "a size from 64KiB to 64GiB, such as 1GiB";

/// The text behind `record:`: the file, how it is recorded, and the URI of the device.
fn options(text: &str) -> Result<(PathBuf, RecordOptions), UriError> {
    let Some((file, device)) = text.split_once(',') else {
        return Err(UriError::NoDevice);
    };
    let description = Description::of(file);
    if description.name.is_empty() {
        return Err(UriError::NoFile {
            example: "record:run.fqrec,emu:zcu102",
        });
    }
    let mut options = RecordOptions::new(device);
    for option in description.options() {
        match option.name {
            "limit" => {
                let size = option.size().ok().filter(|bytes| *bytes >= LEAST_LIMIT);
                options.limit = size.ok_or_else(|| option.wrong(SIZE))?;
            }
            "steps" => {
                options.steps = match option.value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(option.wrong("yes or no")),
                }
            }
            _ => return Err(option.unknown("record", "limit=SIZE and steps=yes")),
        }
    }
    Ok((description.name.into(), options))
}

/// Opens the device behind `record:TEXT`, and records it.
pub(crate) fn record(uri: &str, text: &str) -> Result<Box<dyn Device>, OpenError> {
    let (file, options) = options(text).map_err(|source| OpenError::Uri {
        uri: uri.to_owned(),
        source,
    })?;
    // Where the device cannot be opened, no file is left.
    let device = open_device(&options.device)?;
    let recording = RecordingDevice::create(device, &file, &options);
    let recording = recording.map_err(|source| OpenError::Record {
        uri: uri.to_owned(),
        source,
    })?;
    Ok(stepped(Box::new(recording), options.steps))
}

/// Replays the recording behind `replay:FILE`.
pub(crate) fn replay(uri: &str, file: &str) -> Result<Box<dyn Device>, OpenError> {
    if file.is_empty() {
        return Err(OpenError::Uri {
            uri: uri.to_owned(),
            source: UriError::NoFile {
                example: "replay:run.fqrec",
            },
        });
    }
    let recording = Recording::open(file.as_ref()).map_err(|source| OpenError::Replay {
        uri: uri.to_owned(),
        source,
    })?;
    let steps = recording.begin().steps;
    Ok(stepped(Box::new(ReplayDevice::new(recording)), steps))
}

fn stepped(device: Box<dyn Device>, steps: bool) -> Box<dyn Device> {
    match steps {
        true => Box::new(StepsDevice::new(device)),
        false => device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::check_errors;

    #[test]
    fn every_option() {
        let (file, options) = options("a/b.fqrec?limit=2MiB&steps=yes,emu:tiny?seed=1").unwrap();
        assert_eq!(file, PathBuf::from("a/b.fqrec"));
        let expected = RecordOptions {
            limit: 2 << 20,
            device: "emu:tiny?seed=1".to_owned(),
            steps: true,
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn errors_name_the_thing_and_what_there_is() {
        check_errors(
            options,
            &[
                ("", &["record:FILE,URI"]),
                ("a.fqrec", &["record:FILE,URI"]),
                (",emu:tiny", &["record:run.fqrec"]),
                ("a?limit=9,emu:tiny", &["limit", "64KiB"]),
                ("a?limit=8KiB,emu:tiny", &["limit", "64KiB"]),
                ("a?steps=on,emu:tiny", &["steps", "yes or no"]),
                ("a?fast=1,emu:tiny", &["fast", "limit=SIZE and steps=yes"]),
            ],
        );
    }

    #[test]
    fn what_cannot_be_opened_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.fqrec");
        let open = |device: &str| open_device(&format!("record:{},{device}", file.display()));
        assert!(open("emu:huge").is_err());
        assert!(!file.exists());
        assert!(open("emu:tiny").is_ok());
        let error = open("emu:tiny").err().unwrap().to_string();
        assert!(error.contains("is there already"), "{error}");
        let uri = format!("replay:{}", file.display());
        let replayed = open_device(&uri).unwrap();
        assert_eq!(replayed.capabilities().geometry.name, "tiny");
        let error = open_device("replay:").err().unwrap().to_string();
        assert!(error.contains("replay:run.fqrec"), "{error}");
        let error = open_device("replay:/dev/null").err().unwrap().to_string();
        assert!(error.contains("no regular file"), "{error}");
    }
}
