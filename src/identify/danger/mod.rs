//! Entries against what their attestor says must be pinned: who else would such an entry name?
//!
//! It must never let an entry load that admits more than it seems to, unless the entry itself names the danger.

use crate::{
    attest::{
        Danger, Pins,
        pins::{Guard, Strangers},
    },
    identify::{
        condition::Condition,
        entry::Entry,
        problem::{Problem, Table},
    },
};

/// Returns what is wrong with an entry: `config.entry_any_repository`, `config.entry_fork`,
/// `config.entry_renamed_repository`.
///
/// `named` are the dangers that the entry takes knowingly.
pub fn problems(entry: &Entry, pins: &Pins, named: &[Danger]) -> Vec<Problem> {
    let dangers = [unidentified(entry, pins), open_to_strangers(entry, pins)];
    let unnamed = dangers.into_iter().flatten().filter(|danger| !named.contains(danger));
    unnamed.map(|danger| problem(entry, pins, danger)).collect()
}

/// Finds what an entry admits that pins no id (T-63, T-64).
fn unidentified(entry: &Entry, pins: &Pins) -> Option<Danger> {
    let identified = pins.ids.iter().any(|set| set.iter().all(|id| pinned(entry, id)));
    if identified || pins.ids.is_empty() {
        return None;
    }
    let by_name = pins.names.iter().any(|name| pinned(entry, name));
    Some(if by_name {
        Danger::RenamedRepository
    } else {
        Danger::AnyRepository
    })
}

/// Finds whether an entry names jobs that strangers proposed (T-66).
fn open_to_strangers(entry: &Entry, pins: &Pins) -> Option<Danger> {
    let strangers = pins.strangers.as_ref()?;
    let may = match strangers.event.and_then(|event| entry.conditions().get(event)) {
        Some(Condition::OneOf(events)) => events.iter().any(|event| brings(strangers, event)),
        Some(Condition::Absent) | None => true,
    };
    let guarded = strangers.guards.iter().any(|guard| guards(entry, guard));
    (may && !guarded).then_some(Danger::Fork)
}

fn brings(strangers: &Strangers, event: &str) -> bool {
    strangers.events.is_empty() || strangers.events.iter().any(|known| known == event)
}

fn guards(entry: &Entry, guard: &Guard) -> bool {
    match (entry.conditions().get(guard.attribute), &guard.value) {
        (Some(Condition::OneOf(found)), Some(value)) => found.iter().all(|found| found == value),
        (Some(Condition::OneOf(_)), None) => true,
        (Some(Condition::Absent) | None, Some(_) | None) => false,
    }
}

/// Tells whether an entry compares the attribute with a value, or gives each value a SPIFFE ID of its own.
fn pinned(entry: &Entry, attribute: &str) -> bool {
    let compared = matches!(entry.conditions().get(attribute), Some(Condition::OneOf(_)));
    compared
        || entry
            .template()
            .placeholders()
            .any(|placeholder| placeholder == attribute)
}

fn problem(entry: &Entry, pins: &Pins, danger: Danger) -> Problem {
    let ids = any_of(pins.ids.iter().map(|set| set.join("` with `")));
    let (code, found, expected) = match danger {
        Danger::AnyRepository => (
            "config.entry_any_repository",
            format!("entry `{}`, which names {}", entry.name(), pins.everybody),
            format!("a value for {ids}"),
        ),
        Danger::Fork => (
            "config.entry_fork",
            format!(
                "entry `{}`, which also names jobs that run what strangers proposed",
                entry.name()
            ),
            guard_expected(pins.strangers.as_ref()),
        ),
        Danger::RenamedRepository => (
            "config.entry_renamed_repository",
            format!(
                "entry `{}`, which goes by a name that can pass to somebody else",
                entry.name()
            ),
            format!("a value for {ids} as well"),
        ),
    };
    let expected = format!(
        "{expected}; `dangerous_admits = [\"{}\"]` takes it all the same",
        danger.as_str()
    );
    Table::Entry
        .at(entry.position(), ["match"])
        .problem(code, found, expected)
}

fn guard_expected(strangers: Option<&Strangers>) -> String {
    let Some(strangers) = strangers else {
        return "a guard".to_owned();
    };
    let guards = strangers.guards.iter().map(|guard| match &guard.value {
        Some(value) => format!("{}` = `{value}", guard.attribute),
        None => guard.attribute.to_owned(),
    });
    let event = strangers.event.filter(|_| !strangers.events.is_empty());
    let event = event.map(|event| format!("{event}` without `{}", strangers.events.join("`, `")));
    any_of(guards.chain(event))
}

fn any_of(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return "nothing that this attestor gives".to_owned();
    }
    names.join(" or ")
}

#[cfg(test)]
mod tests;
