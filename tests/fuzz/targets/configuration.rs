//! Feeds `properties::configuration` with what libFuzzer finds.
#![no_main]

use std::{env, fs, sync::LazyLock};

use cambio_fuzz::configuration::Ground;

/// In the directory for temporary files, which `.ci/fuzz` makes for this run and removes.
static GROUND: LazyLock<Ground> = LazyLock::new(|| {
    let directory = env::temp_dir().join(format!("cambio-fuzz-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory for the configuration");
    Ground::lay(&directory)
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| GROUND.hold(input));
