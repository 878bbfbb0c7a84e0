//! The subject that a relying party sees: the workload's SPIFFE ID, or one that it shapes.
//!
//! A shaped subject is a SPIFFE ID of our trust domain under `/rp/`, never free text, and no workload's own ID.

use crate::{
    identify::{Template, Workload},
    spiffe::{SpiffeId, TrustDomain},
};

/// How a relying party's subject comes about.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// It is the same for every workload.
    Fixed(SpiffeId),
    /// It is the workload's own SPIFFE ID.
    Own,
    /// Attributes shape it.
    Template(Template),
}

impl Subject {
    /// Returns the shaped subject of `workload`, or `None` where it is the workload's own.
    ///
    /// # Errors
    /// Says which attribute does not fit.
    pub(super) fn shape(&self, workload: &Workload, trust_domain: &TrustDomain) -> Result<Option<SpiffeId>, String> {
        match self {
            Self::Fixed(subject) => Ok(Some(subject.clone())),
            Self::Own => Ok(None),
            Self::Template(template) => {
                let attributes = workload.attestation().attributes();
                let path = template.fill(attributes).map_err(|refused| refused.to_string())?;
                let shaped = SpiffeId::generate(trust_domain, &path);
                shaped.map(Some).map_err(|refused| refused.to_string())
            }
        }
    }
}
