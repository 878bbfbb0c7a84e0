//! What entries of a configured attestor must pin: the preset's word, in attributes that the attestor gives.
//!
//! It must never ask for an attribute that the attestor does not give, nor hold back a danger because of that.

use super::{
    facts::Mapping,
    preset::{GENERIC_IDS, Preset},
    vocabulary,
};
use crate::attest::pins::{Guard, Pins, Strangers};

/// Returns what entries must pin, where `events` are taken although strangers can cause them.
pub(super) fn of(preset: &Preset, mappings: &[Mapping], events: &[String]) -> Pins {
    let given = |name: &str| vocabulary::canonical(name).filter(|name| gives(mappings, name));
    let mut ids: Vec<Vec<&'static str>> = preset
        .pins
        .ids
        .iter()
        .filter_map(|set| set.iter().map(|name| given(name)).collect())
        .collect();
    if ids.is_empty() {
        ids = GENERIC_IDS
            .iter()
            .filter_map(|name| given(name))
            .map(|name| vec![name])
            .collect();
    }
    let guards = preset.pins.guards.iter().filter_map(|guard| {
        Some(Guard {
            attribute: given(&guard.attribute)?,
            value: guard.value.clone(),
        })
    });
    // Where the preset knows no events, those that are named are all that is taken, and nobody says whose they are.
    let known = preset.event.claim.is_some() || !preset.event.signs.is_empty();
    let named = events
        .iter()
        .filter(|event| known && !preset.event.admitted.contains(event));
    let named: Vec<String> = named.cloned().collect();
    let strangers = (preset.pins.forks_look_alike || !named.is_empty()).then(|| Strangers {
        event: given("ci.event"),
        events: if preset.pins.forks_look_alike {
            Vec::new()
        } else {
            named
        },
        guards: guards.collect(),
    });
    Pins {
        everybody: "jobs of every repository of the attestor's owners",
        ids,
        names: preset.pins.names.iter().filter_map(|name| given(name)).collect(),
        strangers,
    }
}

fn gives(mappings: &[Mapping], attribute: &str) -> bool {
    mappings.iter().any(|mapping| mapping.attribute == attribute)
}
