//! Three kinds of verifiers, and the judge of what was signed.
//!
//! They hold documents as bytes that a replica served, and know nothing of the program's state.

use std::{collections::BTreeMap, time::SystemTime};

use cambio::jose::{KeySet, Unverified};
use serde_json::Value;

/// A verifier that holds a set for `keeps`.
pub(crate) struct Verifier {
    pub(crate) name: &'static str,
    pub(crate) keeps: std::time::Duration,
    /// Whether it fetches anew for a key that it does not know.
    pub(crate) asks_again: bool,
    held: Option<(SystemTime, KeySet)>,
}

/// How a verification ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Accepted,
    Rejected(String),
    /// The verifier has no keys, because nobody could be reached.
    Waits,
}

impl Verifier {
    pub(crate) fn new(name: &'static str, keeps: std::time::Duration, asks_again: bool) -> Self {
        Self {
            name,
            keeps,
            asks_again,
            held: None,
        }
    }

    /// Verifies `token` at `now`; `fetch` gives the documents of the public place, if somebody answers.
    pub(crate) fn verify(
        &mut self,
        token: &str,
        now: SystemTime,
        mut fetch: impl FnMut() -> Option<Vec<u8>>,
    ) -> Judgement {
        let over = self.held.as_ref().is_none_or(|(at, _)| *at + self.keeps < now);
        if over {
            self.held = fetch().map(|bytes| (now, KeySet::parse(&bytes).expect("a key set")));
        }
        let Some((_, held)) = &self.held else {
            return Judgement::Waits;
        };
        match accepts(held, token) {
            Ok(()) => return Judgement::Accepted,
            Err(why) if !self.asks_again => return Judgement::Rejected(why),
            Err(_unknown) => {}
        }
        let Some(bytes) = fetch() else {
            return Judgement::Waits;
        };
        let set = KeySet::parse(&bytes).expect("a key set");
        let judged = accepts(&set, token);
        self.held = Some((now, set));
        judged.map_or_else(Judgement::Rejected, |()| Judgement::Accepted)
    }
}

fn accepts(set: &KeySet, token: &str) -> Result<(), String> {
    let unverified = Unverified::parse(token).map_err(|why| why.to_string())?;
    let key = set
        .find(unverified.kid(), unverified.algorithm())
        .map_err(|why| why.to_string())?;
    unverified.verify(key).map(drop).map_err(|why| why.to_string())
}

/// Since when each key has been in what one replica serves, read from the served bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(crate) started: Option<SystemTime>,
    since: BTreeMap<String, SystemTime>,
    sequence: u64,
}

impl Served {
    pub(crate) fn begin(now: SystemTime) -> Self {
        Self {
            started: Some(now),
            ..Self::default()
        }
    }

    /// What was shown before was shown to nobody.
    pub(crate) fn begin_again(&mut self, now: SystemTime) {
        self.started = Some(now);
        self.since.clear();
    }

    /// Takes note of what is served at `now`; tells where the sequence went back.
    pub(crate) fn note(&mut self, jwks: &[u8], bundle: &[u8], now: SystemTime) -> Result<(), String> {
        let (jwks, bundle): (Value, Value) = (
            serde_json::from_slice(jwks).expect("JSON"),
            serde_json::from_slice(bundle).expect("JSON"),
        );
        let kids: Vec<String> = jwks["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .map(|key| key["kid"].as_str().expect("a kid").to_owned())
            .collect();
        if kids.len() > 10 {
            return Err(format!("{} keys are published", kids.len()));
        }
        self.since.retain(|kid, _| kids.contains(kid));
        for kid in kids {
            self.since.entry(kid).or_insert(now);
        }
        let sequence = bundle["spiffe_sequence"].as_u64().expect("a sequence");
        if sequence < self.sequence {
            return Err(format!("the sequence went from {} back to {sequence}", self.sequence));
        }
        self.sequence = sequence;
        Ok(())
    }

    /// Tells why `kid` must not sign at `now` as far as this replica goes.
    pub(crate) fn judge(&self, kid: &str, now: SystemTime, lead: std::time::Duration) -> Result<(), String> {
        match self.since.get(kid) {
            None => Err("does not publish it".to_owned()),
            Some(since) if Some(*since) == self.started || *since + lead <= now => Ok(()),
            Some(since) => {
                let seconds = now.duration_since(*since).unwrap_or_default().as_secs();
                Err(format!("publishes it for {seconds} s only"))
            }
        }
    }
}
