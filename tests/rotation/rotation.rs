//! G-1, G-4: rotations under load with scaled time; no token is rejected, and none is signed before its lead.
//!
//! `cargo bench --bench rotation -- [--rotations N] [--seed N] [--store sqlite|postgres] [--directory PATH]`. Two replicas on
//! one store sign without a pause while their keys are replaced; each is killed in the middle of its rounds, and paused
//! across rotations. Signatures, documents and the store are production's; only the clock is not.
#![cfg(test)]

#[path = "../../src/store/postgres/tests/server.rs"]
#[expect(dead_code, reason = "the suite uses the rest")]
mod server;
mod verifiers;
mod world;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use self::world::{Fate, Place, World};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str, default: u64| after(name).map_or(default, |text| text.parse().expect("a number"));
    let rotations = number("--rotations", 1_000);
    let seed = number("--seed", u64::from(std::process::id()));
    let directory = after("--directory").map_or_else(
        || std::env::temp_dir().join(format!("cambio-rotation-{}", std::process::id())),
        PathBuf::from,
    );
    let place = match after("--store").as_deref() {
        None | Some("sqlite") => Place::Sqlite(directory.clone()),
        Some("postgres") => match server::Server::start("on", true) {
            Ok(server) => Place::Postgres(Box::new(server)),
            Err(reason) => {
                println!("SKIPPED: PostgreSQL is missing: {reason}");
                return ExitCode::SUCCESS;
            }
        },
        Some(other) => {
            println!("found --store {other}, expected sqlite or postgres");
            return ExitCode::from(2);
        }
    };
    println!("{rotations} rotations on {}, seed {seed}", place.name());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let faults = runtime.block_on(run(place, rotations, Dice(seed | 1)));
    let _gone = std::fs::remove_dir_all(&directory);
    for fault in &faults {
        println!("FAULT {fault}");
    }
    println!(
        "{}",
        if faults.is_empty() {
            "rotation: PASS"
        } else {
            "rotation: FAIL"
        }
    );
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One round of every replica.
const ROUND: Duration = Duration::from_mins(5);

async fn run(place: Place, rotations: u64, mut dice: Dice) -> Vec<String> {
    let mut world = World::new(place).await;
    let mut told = 0;
    let mut rounds = 0_u64;
    while world.rotations() < rotations && world.faults().len() < MOST_FAULTS {
        rounds += 1;
        if rounds > rotations.saturating_mul(ROUNDS_PER_ROTATION) + 1_000 {
            world.fault(format!("only {} rotations in {rounds} rounds", world.rotations()));
            break;
        }
        if dice.up_to(8) == 0 {
            let kill = (dice.up_to(2) == 0).then(|| dice.up_to(60));
            world.force(dice.up_to(2), kill).await;
        }
        let fate = match dice.up_to(40) {
            0 => Fate::Pause(dice.index(), 2 + dice.up_to(40)),
            1..=6 => Fate::Kill(dice.index(), dice.up_to(24)),
            7 => Fate::KillAll(dice.up_to(24)),
            8 => Fate::Dark(1 + dice.up_to(6)),
            _ => Fate::Live,
        };
        world.round(ROUND, fate).await;
        let step = (rotations / 10).max(1);
        if world.rotations() / step > told {
            told = world.rotations() / step;
            println!("{}", world.summary());
        }
    }
    println!("{}", world.summary());
    world.finish().await
}

/// A run that is broken need not go on.
const MOST_FAULTS: usize = 20;
/// A rotation takes a lead of 13 rounds; kills, pauses and darkness make some begin again.
const ROUNDS_PER_ROTATION: u64 = 60;

/// Xorshift: moments that a seed repeats.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn index(&mut self) -> usize {
        usize::from(self.up_to(2) == 1)
    }
}
