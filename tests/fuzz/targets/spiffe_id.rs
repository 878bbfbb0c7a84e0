//! Feeds `properties::spiffe_id` with what libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cambio_fuzz::spiffe_id::hold(input));
