//! Feeds `properties::x509` with what libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cambio_fuzz::x509::hold(input));
