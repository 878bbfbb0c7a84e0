//! The grant that came closest, and the condition that failed.
//!
//! It explains a denial that was already decided; it must never decide one.

use crate::{
    attest::Attributes,
    authorize::{Denial, GrantName},
    identify::Conditions,
};

/// Returns the denial that names the grant with the fewest failed conditions, the first by name where several have as few.
pub(super) fn closest<'a>(
    grants: impl Iterator<Item = (&'a GrantName, &'a Conditions)>,
    attributes: &Attributes,
) -> Option<Denial> {
    let failures =
        |(name, conditions): &(&GrantName, &Conditions)| (conditions.count_failed(attributes), (*name).clone());
    let (name, conditions) = grants.min_by_key(failures)?;
    let failed = conditions.failed(attributes).next()?;
    Some(Denial::ConditionFailed {
        grant: name.to_string(),
        condition: failed.to_string(),
    })
}
