#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| teleport_fuzzing::body::run(data));
