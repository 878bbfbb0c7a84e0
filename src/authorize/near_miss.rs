//! The grant that came closest, and the condition that failed.
//!
//! It explains a denial that was already decided; it must never decide one, nor tell whoever acts of a grant that is for
//! others.

use crate::{
    attest::Attributes,
    authorize::{Denial, GrantName, index::Rule},
    identify::Conditions,
    spiffe::SpiffeId,
};

/// How near the grants that are for whoever acts came.
pub(super) enum NearMiss {
    /// All conditions of one hold.
    Held,
    /// One condition, at least, of each failed.
    Missed(Denial),
    /// None of them is for whoever acts.
    Others,
}

/// Returns the denial that names the grant with the fewest failed conditions, the first by name where several have as few.
pub(super) fn closest<'a>(
    grants: impl Iterator<Item = (&'a Rule, &'a Conditions)>,
    acting: Option<&SpiffeId>,
    attributes: &Attributes,
) -> NearMiss {
    let failures = |(rule, conditions): &(&Rule, &Conditions)| -> (usize, GrantName) {
        (conditions.count_failed(attributes), rule.name.clone())
    };
    let own = grants.filter(|(rule, _)| rule.is_for(acting));
    let Some((rule, conditions)) = own.min_by_key(failures) else {
        return NearMiss::Others;
    };
    conditions.failed(attributes).next().map_or(NearMiss::Held, |failed| {
        NearMiss::Missed(Denial::ConditionFailed {
            grant: rule.name.to_string(),
            condition: failed.to_string(),
        })
    })
}
