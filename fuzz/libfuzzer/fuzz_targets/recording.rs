#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fqbert_fuzz::call("recording", input));
