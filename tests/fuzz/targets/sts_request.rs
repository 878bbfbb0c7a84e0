//! Feeds the readers of presigned questions and of their answers with what libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cambio::attest::aws_iam::presigned::fuzzing::hold(input));
