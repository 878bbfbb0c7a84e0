//! Grants: which entries may hold credentials of which relying parties, and for how long.
//!
//! A grant as it is configured decides nothing; [`crate::authorize::Policy`] does, once it has compiled all of them.

use std::time::Duration;

use crate::{authorize::RelyingPartyName, identify::Conditions, identify::EntryName, name::Name, spiffe::SpiffeId};

/// A configured rule.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its position among the `[[grant]]` tables, counted from 0.
    pub position: usize,
    /// Its name.
    pub name: GrantName,
    /// The entries whose workloads it is for.
    pub entries: Vec<EntryName>,
    /// The relying parties whose credentials they may hold.
    pub relying_parties: Vec<RelyingPartyName>,
    /// Further conditions on the workload's attributes (`match`).
    pub conditions: Conditions,
    /// The actors of whom one must act for them; where there are none, nobody may (`actors`).
    pub actors: Vec<SpiffeId>,
    /// How long a credential may live at most.
    pub ttl: Duration,
    /// What it hands out.
    pub release: Release,
    /// Whether a relying party that fixes the lifetime of its credentials may exceed `ttl` (`accept_lifetime`).
    pub accept_lifetime: bool,
}

/// The name of a grant.
pub type GrantName = Name<Grant>;

/// What a grant hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Credentials of the relying party, never the SVID that they were exchanged for.
    Credentials,
    /// Also the SVID itself (`release = ["svid"]`).
    CredentialsAndSvid,
}

/// LIMITS.md: an attestation stands for at most 12 h, so no grant can last longer.
pub const MAX_TTL: Duration = Duration::from_hours(12);
