//! What the JSON says of model, program and device, and a fallback in place of the device.

use super::common::{fqbert, json, refused, stderr};
use super::fixture::model;

const IDS: &str = "2 5 6 7 3";

#[test]
fn answers_and_inspect_name_the_same_model_program_and_contract() {
    for (command, name) in [("classify", "classes"), ("embed", "vectors")] {
        let m = model(name);
        // Unpacked, the program is that of the bucket.
        let ids = ["--no-packing", "--ids", IDS];
        let args = [command, "--json", "--scrub", "1", "--model", &m];
        let answer = json(&fqbert(&[&args[..], &ids].concat()));
        let source = &answer["provenance"];
        let inspected = json(&fqbert(&["inspect", "--json", "--seq", "5", &m]));
        for key in ["model_sha256", "contract_sha256"] {
            assert!(source[key].is_string(), "{source}");
            assert_eq!(source[key], inspected[key], "{key}");
        }
        assert_eq!(source["programs_sha256"][0], inspected["program_sha256"]);
        let bytes = std::fs::read(&m).unwrap();
        assert_eq!(source["model_sha256"], fqbert_files::sha256_hex([&*bytes]));
        assert_eq!(source["device"]["uri"], "emu:tiny");
        assert_eq!(source["device"]["kind"], "emu");
        assert_eq!(source["device"]["geometry"], "tiny");
        for key in ["runs", "attempts", "scrubbed"] {
            assert_eq!(source[key], 1, "{key}");
        }
        assert!(source["fallback"].is_null());
    }
}

#[test]
fn a_fallback_answers_the_same_and_is_told_once() {
    let m = model("classes");
    let absent = "uio:fqbert-no-such-device";
    let classify = |device: &str, more: &[&str]| {
        let args = [
            "classify", "--json", "--model", &m, "--ids", IDS, "--device", device,
        ];
        fqbert(&[&args, more].concat())
    };
    let own = json(&classify("emu:zcu102", &[]));
    let out = classify(absent, &["--ids", IDS, "--fallback", "emu:tiny"]);
    let told = stderr(&out);
    assert_eq!(
        told.matches("the fallback device answers").count(),
        1,
        "{told}"
    );
    assert!(told.contains("fqbert-no-such-device"), "{told}");
    let answer = json(&out);
    for result in answer["results"].as_array().unwrap() {
        assert_eq!(result["logits"], own["logits"]);
    }
    let source = &answer["provenance"];
    assert_eq!(source["device"]["uri"], "emu:tiny");
    let why = source["fallback"].as_str().unwrap();
    assert!(why.contains("fqbert-no-such-device"), "{why}");
    assert_eq!(source["model_sha256"], own["provenance"]["model_sha256"]);

    // A mistake is told, and not answered from another device.
    let out = classify("emu:none", &["--fallback", "emu:tiny"]);
    refused(&out, &["emu:none", "no geometry"]);
}
