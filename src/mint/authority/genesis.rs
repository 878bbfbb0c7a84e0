//! How authorities are made: the first ones of an empty store, and the certificates of later ones.
//!
//! A private key is sealed before anything else is done with it.

use std::time::{Duration, SystemTime};

use rcgen::Issuer;

use super::{
    Authority, KeyRingRefused, Purpose, State,
    stored::{is_outside, name, read_row},
};
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    jose::SigningAlgorithm,
    mint::{
        issuing::{Letterhead, NotIssued, Pen, RawKey},
        keys::{Key, KeySource, KeyUnavailable},
        outside::RootPlace,
        profile::{self, BACKDATE, Validity},
    },
    secret::Random,
    spiffe::TrustDomain,
    store::AuthorityRow,
};

/// What the certificates of authorities are made with.
#[derive(Clone, Copy, Debug)]
pub struct Certification<'a> {
    /// Whose authorities they are.
    pub trust_domain: &'a TrustDomain,
    /// Gives serial numbers.
    pub random: &'a dyn Random,
    /// Where the root's key is.
    pub root: RootPlace,
}

/// LIMITS.md: a JWT authority lives 30 days.
const JWT_LIFE: Duration = Duration::from_hours(30 * 24);
/// LIMITS.md: an X.509 intermediate lives 30 days.
const INTERMEDIATE_LIFE: Duration = Duration::from_hours(30 * 24);
/// LIMITS.md: a root lives 10 years; two or three leap days are in them.
const ROOT_LIFE: Duration = Duration::from_hours((10 * 365 + 2) * 24);

/// Returns how long an authority of `purpose` lives.
pub fn life(purpose: Purpose) -> Duration {
    match purpose {
        Purpose::Audit | Purpose::Jwt => JWT_LIFE,
        Purpose::X509Intermediate => INTERMEDIATE_LIFE,
        Purpose::X509Root => ROOT_LIFE,
    }
}

/// Makes the first keys for tokens and checkpoints.
pub(super) fn first_keys(source: &dyn KeySource, now: SystemTime) -> Result<Vec<AuthorityRow>, KeyUnavailable> {
    let wanted = [
        (Purpose::Jwt, SigningAlgorithm::Rs256),
        (Purpose::Jwt, SigningAlgorithm::Es256),
        (Purpose::Audit, SigningAlgorithm::Es256),
    ];
    let row = |(purpose, algorithm)| {
        let (key, sealed) = source.generate(purpose, algorithm)?;
        Ok(active(row(&*key, sealed, (purpose, algorithm), now)))
    };
    wanted.into_iter().map(row).collect()
}

/// Makes a root in state `prepared`.
///
/// # Errors
/// Fails where the key source or the platform's generator does.
pub async fn new_root(
    source: &dyn KeySource,
    certification: Certification<'_>,
    now: SystemTime,
) -> Result<AuthorityRow, NotIssued> {
    let (purpose, algorithm) = (Purpose::X509Root, SigningAlgorithm::Es256);
    let (key, sealed) = source.generate(purpose, algorithm)?;
    let mut row = row(&*key, sealed, (purpose, algorithm), now);
    let serial = profile::serial(certification.random)?;
    let validity = validity(now, row.expires_seconds);
    let common_name = profile::authority_name("root", &row.id);
    let params = profile::authority(&common_name, certification.trust_domain, 1, (&serial, validity))?;
    let public = public(&*key)?;
    let own = Letterhead {
        public: &public,
        issuer: &params,
    };
    let build = |issuer: &Issuer<'_, Pen<'_>>| Ok(params.signed_by(&public, issuer)?.der().to_vec());
    row.certificates = own.sign((&*key, algorithm), build).await?;
    Ok(row)
}

/// Makes an intermediate under `root` in state `prepared`; it ends with the root if that ends earlier.
///
/// # Errors
/// Fails where the key source or the platform's generator does, and where the root's key is not here.
pub async fn new_intermediate(
    source: &dyn KeySource,
    certification: Certification<'_>,
    root: &Authority,
    now: SystemTime,
) -> Result<AuthorityRow, NotIssued> {
    let (purpose, algorithm) = (Purpose::X509Intermediate, SigningAlgorithm::Es256);
    let (key, sealed) = source.generate(purpose, algorithm)?;
    let mut row = row(&*key, sealed, (purpose, algorithm), now);
    row.expires_seconds = row.expires_seconds.min(unix_seconds(root.expires()));
    let serial = profile::serial(certification.random)?;
    let validity = validity(now, row.expires_seconds);
    let common_name = profile::authority_name("intermediate", &row.id);
    let params = profile::authority(&common_name, certification.trust_domain, 0, (&serial, validity))?;
    let public = public(&*key)?;
    let build = |issuer: &Issuer<'_, Pen<'_>>| Ok(params.signed_by(&public, issuer)?.der().to_vec());
    let signing = (root.key(), root.algorithm());
    row.certificates = root.certified()?.letterhead().sign(signing, build).await?;
    Ok(row)
}

/// Makes a key of any kind that waits to be published, beside `rows`; where the root is outside, an intermediate waits for
/// its chain first.
///
/// # Errors
/// Fails where the key source does, on an algorithm that nobody signs with, and for an intermediate without a root that signs.
pub(in crate::mint) async fn prepare(
    source: &dyn KeySource,
    certification: Certification<'_>,
    (purpose, algorithm): (Purpose, &str),
    (rows, now): (&[AuthorityRow], SystemTime),
) -> Result<AuthorityRow, KeyRingRefused> {
    let known = [SigningAlgorithm::Es256, SigningAlgorithm::Rs256];
    let found = known.into_iter().find(|one| name(*one) == algorithm);
    let unknown = || KeyRingRefused::AlgorithmUnknown {
        found: algorithm.to_owned(),
    };
    let algorithm = found.ok_or_else(unknown)?;
    match purpose {
        Purpose::Audit | Purpose::Jwt => uncertified(source, (purpose, algorithm), now),
        Purpose::X509Intermediate if certification.root == RootPlace::Outside => {
            uncertified(source, (purpose, algorithm), now)
        }
        Purpose::X509Intermediate => {
            let signs = |row: &&AuthorityRow| {
                let is_root = row.purpose == Purpose::X509Root.as_str() && !is_outside(row);
                is_root && row.state == State::Active.as_str()
            };
            let root = rows.iter().find(signs).ok_or(KeyRingRefused::NoRoot)?;
            let root = read_row(source, root)?;
            Ok(new_intermediate(source, certification, &root, now).await?)
        }
        Purpose::X509Root => Ok(new_root(source, certification, now).await?),
    }
}

fn uncertified(
    source: &dyn KeySource,
    kind: (Purpose, SigningAlgorithm),
    now: SystemTime,
) -> Result<AuthorityRow, KeyRingRefused> {
    let (key, sealed) = source.generate(kind.0, kind.1)?;
    Ok(row(&*key, sealed, kind, now))
}

/// Lets an authority sign from now on: only for the first of its purpose, when nobody can hold an older set.
pub(super) fn active(row: AuthorityRow) -> AuthorityRow {
    AuthorityRow {
        state: State::Active.as_str().to_owned(),
        ..row
    }
}

fn row(
    key: &dyn Key,
    sealed: Vec<u8>,
    (purpose, algorithm): (Purpose, SigningAlgorithm),
    now: SystemTime,
) -> AuthorityRow {
    AuthorityRow {
        id: key.public_jwk().kid().to_owned(),
        purpose: purpose.as_str().to_owned(),
        algorithm: name(algorithm).to_owned(),
        state: State::Prepared.as_str().to_owned(),
        created_seconds: unix_seconds(now),
        activates_seconds: unix_seconds(now),
        expires_seconds: unix_seconds(now + life(purpose)),
        sealed,
        certificates: Vec::new(),
        removes_seconds: 0,
    }
}

fn validity(now: SystemTime, expires_seconds: u64) -> Validity {
    let whole = |moment| from_unix_seconds(unix_seconds(moment)).unwrap_or(moment);
    Validity {
        from: whole(now - BACKDATE),
        to: from_unix_seconds(expires_seconds).unwrap_or(now),
    }
}

fn public(key: &dyn Key) -> Result<RawKey, NotIssued> {
    let material = key.public_jwk();
    RawKey::of(material.material()).ok_or(NotIssued::Written(rcgen::Error::UnsupportedSignatureAlgorithm))
}
