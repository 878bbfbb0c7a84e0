//! Feeds `properties::claims` with what libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cambio_fuzz::claims::hold(input));
