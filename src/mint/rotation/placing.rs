//! Where a judged chain goes: what the rows look like with it, and which root may be pinned beside which.
//!
//! Pure. It never unpins a root: that is the rotation's, once the new one was taken everywhere.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

use super::{
    decision::has_room,
    engine::{Installed, RotationFailed},
    forced::NotForced,
    rules::{MOST_ROOTS, Rules},
    standing::{Standing, is_under},
    step::remove,
};
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    mint::{
        authority::{OUTSIDE, Purpose, State, stored},
        outside::{Chain, ChainRefused, chain::UnverifiedChain},
    },
    store::AuthorityRow,
};

/// What to do with a root that is not pinned yet, although another is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherRoot {
    /// Pin it beside the other, which goes once this one signs.
    Pin,
    /// Refuse it.
    Refuse,
}

/// What a chain makes of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) rows: Vec<AuthorityRow>,
    pub(super) detail: String,
    pub(super) installed: Installed,
}

/// Puts the chain to the key `id`, and its root beside the others where that is asked for.
pub(super) fn place(
    rows: &[AuthorityRow],
    (id, chain): (&str, &Chain),
    other: OtherRoot,
    (now, rules): (SystemTime, &Rules),
) -> Result<Placed, RotationFailed> {
    let root = chain.root_key().thumbprint().to_string();
    let mut rows = rows.to_vec();
    let pinning = pin(&mut rows, (&root, chain), other, (now, rules))?;
    for row in &mut rows {
        if row.id == id {
            row.certificates = joined(chain.below());
            row.expires_seconds = unix_seconds(chain.ends());
        } else if is_pending(row) {
            // It has signed nothing, and would only come after this one.
            remove(row, now);
        }
    }
    Ok(Placed {
        rows,
        detail: format!("a chain for key {id} under root {root} was installed{pinning}"),
        installed: Installed {
            id: id.to_owned(),
            root,
            ends: chain.ends(),
        },
    })
}

/// Pins the root if it is not yet; says what became of it.
fn pin(
    rows: &mut Vec<AuthorityRow>,
    (id, chain): (&str, &Chain),
    other: OtherRoot,
    (now, rules): (SystemTime, &Rules),
) -> Result<String, RotationFailed> {
    let refused = |problem| ChainRefused::RootRefused {
        found: id.to_owned(),
        problem,
    };
    if let Some(known) = rows.iter().find(|row| row.id == id) {
        return if known.state == State::Removed.as_str() {
            Err(refused("was removed").into())
        } else if known.state == State::Retired.as_str() {
            Err(refused("is retired").into())
        } else if known.certificates != chain.root().as_ref() {
            Err(refused("has the key of a pinned root under another certificate").into())
        } else {
            Ok(String::new())
        };
    }
    let standing = |row: &&mut AuthorityRow| is_root(row) && row.state != State::Removed.as_str();
    let before: Vec<String> = rows.iter_mut().filter(standing).map(|row| row.id.clone()).collect();
    let state = if before.is_empty() {
        State::Active
    } else {
        State::Prepared
    };
    if !before.is_empty() && other == OtherRoot::Refuse {
        return Err(ChainRefused::RootUnknown {
            found: id.to_owned(),
            expected: before.join(" or "),
        }
        .into());
    }
    // The first is published with this write, a later one once there is room.
    let full = before.is_empty() && !has_room(&Standing::all(rows)?, Purpose::X509Root);
    if full || before.len() >= MOST_ROOTS {
        let purpose = Purpose::X509Root.as_str();
        return Err(NotForced::NoRoom { purpose }.into());
    }
    // As a forced rotation does: the one before is due as soon as this one was seen everywhere for the lead.
    let due = unix_seconds(now + rules.activates_before(Purpose::X509Root));
    for row in rows.iter_mut().filter(standing) {
        row.expires_seconds = row.expires_seconds.min(due);
    }
    rows.push(AuthorityRow {
        id: id.to_owned(),
        purpose: Purpose::X509Root.as_str().to_owned(),
        algorithm: OUTSIDE.to_owned(),
        state: state.as_str().to_owned(),
        created_seconds: unix_seconds(now),
        activates_seconds: unix_seconds(now),
        expires_seconds: unix_seconds(chain.root_ends()),
        sealed: Vec::new(),
        certificates: chain.root().to_vec(),
        removes_seconds: 0,
    });
    Ok(format!(", its root: -> {}", state.as_str()))
}

/// Returns what a chain made that is installed already.
pub(super) fn already(rows: &[AuthorityRow], chain: &UnverifiedChain) -> Option<Installed> {
    let certificates = chain.certificates();
    rows.iter().filter(|row| is_intermediate(row)).find_map(|row| {
        let stands = row.state != State::Removed.as_str() && !row.certificates.is_empty();
        let whole = joined(certificates) == row.certificates;
        let (last, below) = certificates.split_last()?;
        let root = rows.iter().filter(|root| is_pinned(root)).find(|root| {
            let brought = joined(below) == row.certificates && root.certificates == last.as_ref();
            brought || (whole && is_under(row, root))
        })?;
        stands.then(|| Installed {
            id: row.id.clone(),
            root: root.id.clone(),
            ends: from_unix_seconds(row.expires_seconds).unwrap_or(SystemTime::UNIX_EPOCH),
        })
    })
}

/// Tells whether the row is a root outside that verifiers may hold.
pub(super) fn is_pinned(row: &AuthorityRow) -> bool {
    stored::is_outside(row) && row.state != State::Removed.as_str()
}

/// Returns certificates one after the other, as rows keep them.
pub(super) fn joined(certificates: &[CertificateDer<'static>]) -> Vec<u8> {
    certificates.iter().flat_map(|one| one.iter().copied()).collect()
}

fn is_root(row: &AuthorityRow) -> bool {
    row.purpose == Purpose::X509Root.as_str()
}

fn is_intermediate(row: &AuthorityRow) -> bool {
    row.purpose == Purpose::X509Intermediate.as_str()
}

fn is_pending(row: &AuthorityRow) -> bool {
    let pending = [State::Prepared, State::Published, State::Observed];
    is_intermediate(row) && pending.iter().any(|state| state.as_str() == row.state)
}
