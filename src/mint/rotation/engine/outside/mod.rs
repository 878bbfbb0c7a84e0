//! What an engine does where the root is outside: shows the request that waits, and takes the chain that answers it.
//!
//! Nothing of a chain is stored before all of it was judged, and an SVID under it was verified.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

use super::{Engine, MOST_TRIES, NotForced, RotationFailed};
use crate::{
    mint::{
        authority::{Authority, KeyRingRefused, Purpose, stored},
        der,
        issuing::RawKey,
        outside::{
            CertificateRequest, Chain, ChainRefused, RootPlace,
            chain::{ProbeFailed, UnverifiedChain, Wanted, probe},
        },
        rotation::{
            placing::{self, OtherRoot},
            rules::Lane,
            step::Step,
        },
    },
    store::{Authorities, AuthorityRow},
};

/// What became of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The intermediate's key id.
    pub id: String,
    /// The root's.
    pub root: String,
    /// When the intermediate ends.
    pub ends: SystemTime,
}

impl Engine {
    /// Returns the request for the intermediate that waits for a chain; makes its key where none waits.
    ///
    /// # Errors
    /// Refuses where the root is in the store, and fails where the store, the trail or the key source does.
    pub async fn request(&self) -> Result<CertificateRequest, RotationFailed> {
        self.refuse_root_in_store()?;
        for _ in 0..MOST_TRIES {
            let stored = self.replica.parts().store.authorities().await?;
            if let Some(row) = waiting(&stored.rows) {
                let certification = self.replica.certification();
                let request = CertificateRequest::of(&self.opened(row)?, certification).await;
                return Ok(request.map_err(KeyRingRefused::from)?);
            }
            let lanes = self.parts.rules.lanes.iter();
            let mut lanes = lanes.filter(|lane| lane.purpose == Purpose::X509Intermediate);
            let lane: Lane = lanes.next().cloned().ok_or(NotForced::NothingActive)?;
            let now = self.replica.parts().clock.now();
            self.take(&Step::Prepare { lane }, &stored, now).await?;
        }
        Err(RotationFailed::Contended { tries: MOST_TRIES })
    }

    /// Takes the chain for the request that waits; the same chain again changes nothing.
    ///
    /// # Errors
    /// Refuses a chain that is not what was asked for, and another root than the pinned one unless `other` takes it; fails where
    /// the store, the trail or the key source does.
    pub async fn install(&self, chain: &UnverifiedChain, other: OtherRoot) -> Result<Installed, RotationFailed> {
        self.refuse_root_in_store()?;
        for _ in 0..MOST_TRIES {
            let stored = self.replica.parts().store.authorities().await?;
            if let Some(installed) = placing::already(&stored.rows, chain) {
                return Ok(installed);
            }
            let now = self.replica.parts().clock.now();
            let (id, judged) = self.judged(&stored, chain, now).await?;
            let placed = placing::place(&stored.rows, (&id, &judged), other, (now, &self.parts.rules))?;
            if self.swap(placed.detail, stored.generation, &placed.rows).await? {
                self.tick().await?;
                return Ok(placed.installed);
            }
        }
        Err(RotationFailed::Contended { tries: MOST_TRIES })
    }

    fn refuse_root_in_store(&self) -> Result<(), NotForced> {
        match self.parts.rules.root() {
            RootPlace::Outside => Ok(()),
            RootPlace::Store => Err(NotForced::RootInStore),
        }
    }

    /// Judges a chain for the key that waits; returns the key's id with it.
    async fn judged(
        &self,
        stored: &Authorities,
        chain: &UnverifiedChain,
        now: SystemTime,
    ) -> Result<(String, Chain), RotationFailed> {
        let row = waiting(&stored.rows).ok_or(ChainRefused::NoRequest)?;
        let public = RawKey::of(self.opened(row)?.public_jwk().material());
        let spki = public.map(|public| public.spki()).unwrap_or_default();
        let rules = &self.parts.rules;
        let certification = self.replica.certification();
        let pinned = pinned(&stored.rows);
        let judged = chain.judge(Wanted {
            id: &row.id,
            spki: &spki,
            trust_domain: certification.trust_domain,
            pinned: &pinned,
            least: rules.least_certified(),
            most: rules.x509_intermediate.authority,
            now,
        })?;
        let certified = AuthorityRow {
            certificates: placing::joined(judged.below()),
            ..row.clone()
        };
        let authority = self.opened(&certified)?;
        match probe(&authority, judged.root(), certification, now).await {
            Ok(()) => Ok((row.id.clone(), judged)),
            Err(ProbeFailed::Chain(refused)) => Err(refused.into()),
            Err(ProbeFailed::NotIssued(failed)) => Err(KeyRingRefused::from(failed).into()),
        }
    }

    fn opened(&self, row: &AuthorityRow) -> Result<Authority, KeyRingRefused> {
        stored::read_row(&*self.replica.parts().source, row)
    }
}

fn waiting(rows: &[AuthorityRow]) -> Option<&AuthorityRow> {
    rows.iter().find(|row| stored::waits_for_chain(row))
}

/// Returns the roots outside that are not removed.
fn pinned(rows: &[AuthorityRow]) -> Vec<CertificateDer<'static>> {
    let roots = rows.iter().filter(|row| placing::is_pinned(row));
    let certificates = roots.filter_map(|row| der::split(&row.certificates)?.first().copied());
    certificates.map(|one| CertificateDer::from(one.to_vec())).collect()
}

#[cfg(test)]
mod tests;
