//! The last judgement of a chain: an SVID is signed under it and verified as strangers will.
//!
//! That SVID names nobody, lives a minute and never leaves this function.

use std::time::{Duration, SystemTime};

use rcgen::Issuer;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::ChainRefused;
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    mint::{
        authority::{Authority, Certification},
        issuing::{NotIssued, Pen, RawKey},
        profile::{self, Validity},
    },
    spiffe::SpiffeId,
};

/// The chain does not carry an SVID.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(in crate::mint) enum ProbeFailed {
    /// Verifiers would refuse what it issues.
    #[error(transparent)]
    Chain(#[from] ChainRefused),
    /// Nothing could be signed to find out.
    #[error(transparent)]
    NotIssued(#[from] NotIssued),
}

/// Signs an SVID with `authority`, which has the chain's certificates, and verifies it with `root` alone.
pub(in crate::mint) async fn probe(
    authority: &Authority,
    root: &CertificateDer<'static>,
    certification: Certification<'_>,
    now: SystemTime,
) -> Result<(), ProbeFailed> {
    let refused = |problem: String| ChainRefused::Unverifiable { problem };
    let id = format!("{}{PATH}", certification.trust_domain.id());
    let id = SpiffeId::parse(&id).map_err(|why| refused(why.to_string()))?;
    let serial = profile::serial(certification.random).map_err(NotIssued::from)?;
    let from = from_unix_seconds(unix_seconds(now)).unwrap_or(now);
    let validity = Validity {
        from,
        to: from + Duration::from_mins(1),
    };
    let params = profile::svid("probe", &id, &[], (&serial, validity)).map_err(NotIssued::from)?;
    let public = RawKey::of(authority.public_jwk().material());
    let public = public.ok_or_else(|| refused("the key cannot be written".to_owned()))?;
    let build = |issuer: &Issuer<'_, Pen<'_>>| Ok(params.signed_by(&public, issuer)?.der().to_vec());
    let signing = (authority.key(), authority.algorithm());
    let own = authority.certified()?.letterhead().sign(signing, build).await?;
    verify(&CertificateDer::from(own), (authority.certificates(), root), now)
        .map_err(|why| refused(why.to_string()).into())
}

fn verify(
    own: &CertificateDer<'_>,
    (above, root): (&[CertificateDer<'static>], &CertificateDer<'static>),
    now: SystemTime,
) -> Result<(), webpki::Error> {
    let anchor = webpki::anchor_from_trusted_cert(root)?;
    let own = webpki::EndEntityCert::try_from(own)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds(now)));
    for usage in [webpki::KeyUsage::client_auth(), webpki::KeyUsage::server_auth()] {
        own.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            std::slice::from_ref(&anchor),
            above,
            time,
            usage,
            None,
            None,
        )?;
    }
    Ok(())
}

/// No entry may name a workload so: what is under `/rp/` is kept for shaped subjects.
const PATH: &str = "/rp/probe";
