//! What the tests of this step share.

use std::sync::{Arc, LazyLock};

use super::{
    KeyRing, Minter,
    authority::Certification,
    keys::store::StoreKeys,
    outside::RootPlace,
    rotation::{Replica, ReplicaParts},
};
use crate::{
    clock::{FakeClock, parse_rfc3339},
    jose::Seal,
    secret::SystemRandom,
    spiffe::TrustDomain,
    store::{Store, forgetful::ForgetfulStore},
};

static TRUST_DOMAIN: LazyLock<TrustDomain> = LazyLock::new(|| TrustDomain::parse("prod.acme.example").unwrap());

pub(in crate::mint) fn certification() -> Certification<'static> {
    Certification {
        trust_domain: &TRUST_DOMAIN,
        random: &SystemRandom,
        root: RootPlace::Store,
    }
}

pub(in crate::mint) fn now() -> std::time::SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

pub(in crate::mint) fn source(kek: u8) -> StoreKeys {
    StoreKeys::new(Seal::new(&[kek; 32]).unwrap(), Arc::new(SystemRandom))
}

pub(in crate::mint) async fn ring() -> KeyRing {
    let (ring, _replica) = Replica::open(parts(ForgetfulStore::new())).await.unwrap();
    ring
}

pub(in crate::mint) fn parts(store: Arc<dyn Store>) -> ReplicaParts {
    ReplicaParts {
        store,
        source: Arc::new(source(1)),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
        random: Arc::new(SystemRandom),
        trust_domain: TRUST_DOMAIN.clone(),
        issuer: "https://id.acme.example".to_owned(),
        exchange_url: "https://exchange.acme.example:9443".to_owned(),
    }
}

pub(in crate::mint) async fn minter() -> Minter {
    Minter::new(
        "https://id.acme.example".to_owned(),
        ring().await,
        Arc::new(SystemRandom),
    )
}
