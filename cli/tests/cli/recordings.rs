//! A command recorded, replayed, and compared with the emulator.

use std::fs;
use std::path::Path;

use super::common::{command, fqbert, json, refused, s, stderr};
use super::fixture::{fixture, spec};

/// `fqbert classify` of a text on a device.
fn classify(device: &str, text: &str) -> std::process::Output {
    let model = fixture().path("classes.safetensors");
    let args = ["--json", "classify", text, "--model", s(&model)];
    command(&args)
        .env("FQBERT_DEVICE", device)
        .output()
        .unwrap()
}

/// Flips a bit of the last chunk, the output that was read, under right checksums.
fn flip_in_output(file: &Path) {
    let bytes = fs::read(file).unwrap();
    let (header, mut rest) = bytes.split_at(44);
    let mut records = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (payload, next) = after[4..].split_at(u32::from_le_bytes(*length) as usize);
        records.push(payload.to_vec());
        rest = next;
    }
    let last = records.iter_mut().rfind(|r| r.len() > 4096).unwrap();
    last[4] ^= 0x10;
    let mut out = header.to_vec();
    let mut chain = crc32fast::hash(header);
    for payload in records {
        let length = (payload.len() as u32).to_le_bytes();
        let mut hasher = crc32fast::Hasher::new_with_initial(chain);
        hasher.update(&length);
        hasher.update(&payload);
        chain = hasher.finalize();
        out.extend(length);
        out.extend(chain.to_le_bytes());
        out.extend(payload);
    }
    fs::write(file, out).unwrap();
}

#[test]
fn a_command_is_recorded_replayed_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let text = spec(fqbert_host::TaskKind::SequenceClassification).text(40, 3);
    for steps in ["no", "yes"] {
        let file = folder.path().join(steps);
        let device = format!("record:{}?steps={steps},emu:tiny", s(&file));
        // All of the answer but what device gave it.
        let answer = |device: &str| {
            let mut answer = json(&classify(device, &text));
            let provenance = answer["provenance"].as_object_mut().unwrap();
            assert_eq!(provenance.remove("device").unwrap()["uri"], device);
            answer
        };
        let live = answer(&device);
        assert_eq!(live, answer("emu:tiny"));
        let replay = format!("replay:{}", s(&file));
        assert_eq!(answer(&replay), live);
        let other = classify(&replay, "another text");
        refused(
            &other,
            &["replaying a recording", "record ", "Replay with the model"],
        );
        refused(
            &classify(&device, &text),
            &["is there already", "name another file"],
        );

        let found = json(&fqbert(&["--json", "diff", s(&file)]));
        assert_eq!(found["equal"], true);
        assert_eq!(found["runs"], 1);
        assert_eq!(found["steps"], steps == "yes");
        assert_eq!(found["ending"], "the device was closed");
    }
    let file = folder.path().join("no");
    flip_in_output(&file);
    let out = fqbert(&["diff", s(&file), "--against", "emu:tiny?threads=1"]);
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    assert_eq!(stderr(&out), "");
    let said = String::from_utf8(out.stdout).unwrap();
    for part in [
        "layer norm after the feed-forward) has another result in RESX: [token ",
        "LAYERNORM",
        "STORE",
        "steps=yes",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let out = fqbert(&["--json", "diff", s(&file)]);
    assert_eq!(out.status.code(), Some(3));
    let found: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let difference = &found["differences"][0];
    assert_eq!(difference["kind"], "result");
    assert_eq!(
        (&difference["layer"], &difference["differing_bytes"]),
        (&1.into(), &1.into())
    );
    assert!(difference["token"].is_u64() && difference["channel"].is_u64());
    let listed = difference["listing"][0].as_str().unwrap();
    let index = difference["instruction"].to_string();
    assert!(listed.trim_start().starts_with(&index), "{listed}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.fqrec");
    let device = format!("record:{},emu:tiny", s(&file));
    json(&classify(&device, "a text"));
    let out = fqbert(&["diff", s(&file), "--against", "emu:zcu102"]);
    refused(
        &out,
        &[
            "geometry tiny",
            "zcu102",
            "name a reference of geometry tiny",
        ],
    );
    let out = fqbert(&["diff", s(&file), "--against", "usb:1"]);
    refused(&out, &["--against", "usb:1"]);
    let out = fqbert(&["diff", s(&fixture().path("text.txt"))]);
    refused(&out, &["text.txt is no recording"]);
    let out = fqbert(&["diff", s(&folder.path().join("none"))]);
    refused(&out, &["cannot read the recording", "none"]);
}
