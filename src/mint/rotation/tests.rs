//! A model of several replicas, their store, a public place and three kinds of verifiers, driven at random.
//!
//! It has no key and no clock: only the decision, the steps, and who holds which copy of what at which moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::{
    Look, Observations, PlaceSeen, Report, Rules, Standing, Step, decide, forced,
    rules::{Lane, Life},
    sample::{now, row},
};
use crate::{
    clock::unix_seconds,
    mint::authority::{Purpose, State},
    store::AuthorityRow,
};

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// So many times five minutes pass; every replica does its round in each.
    Pass(u8),
    /// A process is killed after so many steps of its round, and started again.
    Kill(usize, u8),
    /// A process is stopped and serves nothing.
    Pause(usize),
    /// It goes on.
    Resume(usize),
    /// A replica loses the store and goes on serving from memory.
    Cut(usize),
    /// It finds the store again.
    Heal(usize),
    /// Nobody outside reaches us.
    Dark,
    /// Everybody does again.
    Light,
    /// An operator forces a rotation.
    Rotate(bool),
    /// One replica decides, another does its whole round, then the first one writes.
    Race(usize, usize),
}

fn event() -> impl Strategy<Value = Event> {
    let replica = || 0..REPLICAS;
    prop_oneof![
        12 => (1_u8..100).prop_map(Event::Pass),
        3 => (replica(), 0_u8..6).prop_map(|(one, steps)| Event::Kill(one, steps)),
        1 => replica().prop_map(Event::Pause),
        2 => replica().prop_map(Event::Resume),
        1 => replica().prop_map(Event::Cut),
        2 => replica().prop_map(Event::Heal),
        1 => Just(Event::Dark),
        2 => Just(Event::Light),
        2 => any::<bool>().prop_map(Event::Rotate),
        3 => (replica(), replica()).prop_map(|(one, other)| Event::Race(one, other)),
    ]
}

const REPLICAS: usize = 3;
const ROUND: Duration = Duration::from_mins(5);

fn rules() -> Rules {
    let life = Life {
        authority: Duration::from_hours(48),
        signed: Duration::from_hours(1),
    };
    Rules {
        lanes: vec![Lane::new(Purpose::Jwt, "RS256"), Lane::new(Purpose::Jwt, "ES256")],
        lead: Duration::from_hours(4),
        kept: Duration::from_hours(1),
        jwt: life,
        ..Rules::default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Cut,
    Paused,
    Running,
}

struct Replica {
    condition: Condition,
    started: SystemTime,
    confirmed: SystemTime,
    keys: Vec<Standing>,
    served: BTreeSet<String>,
    served_since: BTreeMap<String, SystemTime>,
    look: Option<Look>,
}

/// A verifier that holds a set for `keeps`; one that `asks_again` fetches it anew for a key that it does not know.
struct Verifier {
    name: &'static str,
    keeps: Duration,
    asks_again: bool,
    held: Option<(SystemTime, BTreeSet<String>)>,
}

struct Token {
    key: String,
    expires: SystemTime,
}

struct World {
    rules: Rules,
    now: SystemTime,
    rows: Vec<AuthorityRow>,
    generation: u64,
    reports: BTreeMap<usize, Report>,
    replicas: Vec<Replica>,
    reachable: bool,
    verifiers: Vec<Verifier>,
    tokens: Vec<Token>,
    turn: usize,
    made: u64,
    rotations: usize,
    signed: usize,
}

/// How a round ended.
#[derive(PartialEq, Eq)]
enum Round {
    Done,
    Killed,
}

impl World {
    fn new() -> Self {
        let rules = rules();
        let mut rows = vec![row("rsa", "RS256", "active"), row("ec", "ES256", "active")];
        for row in &mut rows {
            row.expires_seconds = unix_seconds(now() + rules.jwt.authority);
        }
        let verifier = |name, keeps, asks_again| Verifier {
            name,
            keeps,
            asks_again,
            held: None,
        };
        let mut world = Self {
            verifiers: vec![
                verifier("refetches on an unknown key", rules.lead, true),
                verifier("keeps to a fixed time", rules.lead, false),
                verifier("sits behind a slow cache", rules.lead + rules.cached, false),
            ],
            rules,
            now: now(),
            rows,
            generation: 1,
            reports: BTreeMap::new(),
            replicas: Vec::new(),
            reachable: true,
            tokens: Vec::new(),
            turn: 0,
            made: 0,
            rotations: 0,
            signed: 0,
        };
        for _ in 0..REPLICAS {
            let started = world.start();
            world.replicas.push(started);
        }
        world
    }

    fn start(&self) -> Replica {
        let mut replica = Replica {
            condition: Condition::Running,
            started: self.now,
            confirmed: self.now,
            keys: Vec::new(),
            served: BTreeSet::new(),
            served_since: BTreeMap::new(),
            look: None,
        };
        replica.take(&self.rows, self.now);
        replica
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Pass(rounds) => {
                for _ in 0..rounds {
                    self.pass();
                }
            }
            Event::Kill(one, steps) => {
                if self.round(one, Some(steps)) == Round::Killed {
                    self.replicas[one] = self.start();
                }
            }
            Event::Pause(one) => self.replicas[one].condition = Condition::Paused,
            Event::Cut(one) if self.replicas[one].condition == Condition::Running => {
                self.replicas[one].condition = Condition::Cut;
            }
            Event::Resume(one) | Event::Heal(one) => {
                if self.replicas[one].condition != Condition::Running {
                    if !self.is_ready(one) {
                        // Nobody was sent to it: whatever it shows from now on, it shows as one that starts.
                        self.replicas[one].started = self.now;
                        self.replicas[one].served_since.clear();
                    }
                    self.replicas[one].condition = Condition::Running;
                    self.refresh(one);
                }
            }
            Event::Cut(_) => {}
            Event::Dark => self.reachable = false,
            Event::Light => self.reachable = true,
            Event::Rotate(rsa) => {
                let selection = forced::Selection {
                    purpose: None,
                    algorithm: Some(if rsa { "RS256" } else { "ES256" }.to_owned()),
                };
                if let Ok(rows) = forced::rotate(&self.rows, &selection, self.now, &self.rules) {
                    self.rows = rows;
                    self.generation += 1;
                }
            }
            Event::Race(one, other) => self.race(one, other),
        }
    }

    fn pass(&mut self) {
        self.now += ROUND;
        for offset in 0..REPLICAS {
            let one = (self.turn + offset) % REPLICAS;
            self.round(one, None);
        }
        self.turn += 1;
        for one in 0..REPLICAS {
            self.sign(one, "RS256");
            self.sign(one, "ES256");
        }
        self.verify();
    }

    /// Does what a replica does at each tick; `kill` counts the steps until the process dies.
    fn round(&mut self, one: usize, kill: Option<u8>) -> Round {
        if self.replicas[one].condition != Condition::Running {
            return Round::Done;
        }
        let mut left = kill;
        let mut dies = || match &mut left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        self.refresh(one);
        for looked in [false, true] {
            if looked {
                self.look(one);
                if dies() {
                    return Round::Killed;
                }
                self.report(one);
            }
            while let Some(step) = self.decided(one) {
                if dies() {
                    return Round::Killed;
                }
                self.take_step(&step, self.generation);
                if dies() {
                    return Round::Killed;
                }
                self.refresh(one);
                self.report_served(one);
            }
        }
        Round::Done
    }

    fn race(&mut self, one: usize, other: usize) {
        if self.replicas[one].condition != Condition::Running {
            return;
        }
        let (decided, generation) = (self.decided(one), self.generation);
        self.round(other, None);
        if let Some(step) = decided {
            self.take_step(&step, generation);
        }
    }

    fn decided(&self, one: usize) -> Option<Step> {
        let keys = Standing::all(&self.rows).unwrap();
        decide(&keys, &self.observed(one), self.now, &self.rules)
    }

    /// Writes a step if the generation is still the one it was decided at.
    fn take_step(&mut self, step: &Step, generation: u64) {
        if generation != self.generation {
            return;
        }
        let made = if let Step::Prepare { lane } = step {
            self.made += 1;
            let mut made = row(&format!("key{}", self.made), &lane.algorithm, "prepared");
            made.expires_seconds = unix_seconds(self.now + self.rules.jwt.authority);
            Some(made)
        } else {
            None
        };
        self.rotations += usize::from(matches!(step, Step::Activate { .. }));
        self.rows = step.apply(&self.rows, made, self.now, &self.rules);
        self.generation += 1;
        let keys = Standing::all(&self.rows).unwrap();
        assert!(keys.iter().filter(|key| key.is_listed()).count() <= 10);
        for algorithm in ["RS256", "ES256"] {
            let active = keys
                .iter()
                .filter(|key| key.lane.algorithm == algorithm && key.state == State::Active);
            assert_eq!(active.count(), 1, "after {step:?}");
        }
    }

    fn observed(&self, one: usize) -> Observations {
        let covered = self.reports.values().filter_map(|report| report.places.get(PLACE));
        let covered = covered
            .max()
            .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds));
        Observations {
            places: vec![PlaceSeen {
                name: PLACE.to_owned(),
                look: self.replicas[one].look.clone(),
                covered,
            }],
            replicas: self.reports.values().cloned().collect(),
        }
    }

    fn refresh(&mut self, one: usize) {
        let (rows, now) = (self.rows.clone(), self.now);
        self.replicas[one].take(&rows, now);
    }

    fn look(&mut self, one: usize) {
        if let Some(keys) = self.fetched() {
            self.replicas[one].look = Some(Look { at: self.now, keys });
        }
    }

    fn report(&mut self, one: usize) {
        let replica = &self.replicas[one];
        let looked = replica
            .look
            .iter()
            .map(|look| (PLACE.to_owned(), unix_seconds(look.at)));
        let report = Report {
            replica: one.to_string(),
            at_seconds: unix_seconds(self.now),
            generation: self.generation,
            keys: replica.served.clone(),
            places: looked.collect(),
        };
        self.reports.insert(one, report);
    }

    fn report_served(&mut self, one: usize) {
        let served = self.replicas[one].served.clone();
        if let Some(report) = self.reports.get_mut(&one) {
            report.keys = served;
        }
    }

    /// A balancer sends each request to the next replica that is ready.
    fn fetched(&mut self) -> Option<BTreeSet<String>> {
        let ready: Vec<usize> = (0..REPLICAS).filter(|one| self.is_ready(*one)).collect();
        if !self.reachable || ready.is_empty() {
            return None;
        }
        self.turn += 1;
        Some(self.replicas[ready[self.turn % ready.len()]].served.clone())
    }

    fn is_ready(&self, one: usize) -> bool {
        let replica = &self.replicas[one];
        replica.condition != Condition::Paused && self.now <= replica.confirmed + self.rules.silence
    }

    fn sign(&mut self, one: usize, algorithm: &str) {
        if self.replicas[one].condition == Condition::Paused {
            return;
        }
        if self.now > self.replicas[one].confirmed + self.rules.lag {
            if self.replicas[one].condition == Condition::Cut {
                return;
            }
            self.refresh(one);
        }
        let replica = &self.replicas[one];
        let mut keys = replica.keys.iter();
        let key = keys
            .find(|key| key.state == State::Active && key.lane.algorithm == algorithm)
            .expect("a key that signs");
        assert!(replica.served.contains(&key.id), "{} is not served", key.id);
        let id = key.id.clone();
        self.judge(&id);
        self.signed += 1;
        self.tokens.push(Token {
            key: id,
            expires: self.now + self.rules.jwt.signed,
        });
    }

    /// Every replica that somebody may reach has shown the key for the whole lead, or ever since it started.
    fn judge(&self, id: &str) {
        for one in (0..REPLICAS).filter(|one| self.is_ready(*one)) {
            let replica = &self.replicas[one];
            let since = replica.served_since.get(id);
            let since = since.unwrap_or_else(|| panic!("replica {one} does not publish {id}, which signs"));
            assert!(
                *since == replica.started || *since + self.rules.lead <= self.now,
                "replica {one} publishes {id} since {since:?}, less than the lead"
            );
        }
    }

    fn verify(&mut self) {
        let now = self.now;
        self.tokens.retain(|token| token.expires >= now);
        for index in 0..self.verifiers.len() {
            let stale = |verifier: &Verifier| {
                let held = verifier.held.as_ref();
                held.is_none_or(|(at, _)| *at + verifier.keeps < now)
            };
            if stale(&self.verifiers[index]) {
                let fetched = self.fetched();
                self.verifiers[index].held = fetched.map(|keys| (now, keys));
            }
            for nth in 0..self.tokens.len() {
                let verifier = &self.verifiers[index];
                let Some((_, held)) = &verifier.held else {
                    continue;
                };
                let key = self.tokens[nth].key.clone();
                if held.contains(&key) {
                    continue;
                }
                assert!(verifier.asks_again, "the verifier that {} rejects {key}", verifier.name);
                let Some(fetched) = self.fetched() else {
                    continue;
                };
                assert!(fetched.contains(&key), "{key} is not at the public place");
                self.verifiers[index].held = Some((now, fetched));
            }
        }
    }
}

impl Replica {
    /// Takes over what the store holds: the documents first, then the keys.
    fn take(&mut self, rows: &[AuthorityRow], now: SystemTime) {
        let keys = Standing::all(rows).unwrap();
        self.served = keys
            .iter()
            .filter(|key| key.is_listed())
            .map(|key| key.id.clone())
            .collect();
        let served = self.served.clone();
        self.served_since.retain(|id, _| served.contains(id));
        for id in served {
            self.served_since.entry(id).or_insert(now);
        }
        self.keys = keys;
        self.confirmed = now;
    }
}

const PLACE: &str = "issuer";

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn g_1_no_token_is_rejected_and_none_is_signed_before_its_lead(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new();
        for event in events {
            world.happens(event);
        }
        // Whatever happened: once all is well again, the next rotation succeeds.
        world.reachable = true;
        for one in 0..REPLICAS {
            world.happens(Event::Heal(one));
        }
        let before = world.rotations;
        for _ in 0..7 {
            world.happens(Event::Pass(100));
        }
        prop_assert!(world.rotations > before, "no rotation in {} rounds", 700);
        prop_assert!(world.signed > 0);
    }
}

#[test]
fn a_verifier_with_a_longer_cache_than_the_lead_is_what_the_lead_protects_from() {
    let mut world = World::new();
    world.verifiers = vec![Verifier {
        name: "keeps too long",
        keeps: world.rules.lead * 100,
        asks_again: false,
        held: None,
    }];

    let rejected = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..10 {
            world.happens(Event::Pass(100));
        }
    }));

    assert!(rejected.is_err(), "the model must be able to fail");
}

#[test]
fn without_a_lead_the_model_finds_rejected_tokens() {
    let mut world = World::new();
    world.rules.lead = Duration::ZERO;
    world.rules.cached = Duration::ZERO;

    let rejected = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for event in [Event::Pass(3), Event::Rotate(true), Event::Pass(6)] {
            world.happens(event);
        }
    }));

    assert!(rejected.is_err(), "the model must be able to fail");
}
