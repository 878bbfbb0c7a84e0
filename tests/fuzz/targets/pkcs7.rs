//! Feeds `properties::pkcs7` with what libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cambio_fuzz::pkcs7::hold(input));
