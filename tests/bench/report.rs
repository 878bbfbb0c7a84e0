//! Medians, percentiles and verdicts.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

/// The verdicts of a run.
#[derive(Default)]
pub(crate) struct Verdicts {
    failed: Vec<String>,
    left_out: usize,
}

/// A shared machine is no instrument: beyond its goal by less than a tenth is noise, and is said to be.
const NOISE: f64 = 1.1;

impl Verdicts {
    /// Judges what must not exceed `goal`.
    pub(crate) fn at_most(&mut self, gate: &str, found: f64, goal: f64) {
        self.judge(gate, (found, "<=", goal), found / goal);
    }

    /// Judges what must reach `goal`.
    pub(crate) fn at_least(&mut self, gate: &str, found: f64, goal: f64) {
        self.judge(gate, (found, ">=", goal), goal / found);
    }

    fn judge(&mut self, gate: &str, (found, sign, goal): (f64, &str, f64), excess: f64) {
        let verdict = if excess <= 1.0 {
            "PASS"
        } else if excess <= NOISE {
            "PASS (beyond the goal, within the noise of 10 %)"
        } else {
            self.failed.push(gate.to_owned());
            "FAIL"
        };
        println!("GATE {gate}: {found:.2}, goal {sign} {goal:.2}: {verdict}");
    }

    /// Says loudly that something was not measured, and counts it.
    pub(crate) fn leave_out(&mut self, what: &str, reason: &str) {
        self.left_out += 1;
        println!("LEFT OUT ({} so far): {what}: {reason}", self.left_out);
    }

    /// Returns how much was not measured.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    pub(crate) fn failed(&self) -> &[String] {
        &self.failed
    }
}

/// Returns the middle one; of an even count the upper of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Appends 400 bytes and flushes them, many times; returns p50 and p99 in milliseconds.
pub(crate) fn fdatasync_millis(directory: &Path) -> (f64, f64) {
    let path = directory.join("fdatasync");
    let mut file = fs::File::create(&path).expect("a file");
    let mut millis: Vec<f64> = (0..SYNCS)
        .map(|_nth| {
            file.write_all(&[b'x'; 400]).expect("a write");
            let began = Instant::now();
            file.sync_data().expect("a flush");
            began.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    let _gone = fs::remove_file(&path);
    millis.sort_by(f64::total_cmp);
    (millis[SYNCS / 2], millis[SYNCS * 99 / 100])
}

const SYNCS: usize = 300;

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Says what was measured on.
pub(crate) fn machine() {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo");
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("");
    let load = read("/proc/loadavg");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!(
        "machine: {}, {cores} core(s) for this process, load average {}, kernel {}",
        model.trim_start_matches([' ', '\t', ':']),
        load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        read("/proc/sys/kernel/osrelease").trim(),
    );
}
