//! Feeds `properties::jwks` with what libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cambio_fuzz::jwks::hold(input));
