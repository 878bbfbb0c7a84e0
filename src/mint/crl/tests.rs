//! Lists as webpki reads them, and when they are signed anew.

use rustls::pki_types::UnixTime;
use webpki::{CertRevocationList, RevocationOptionsBuilder};
use x509_parser::{der_parser::asn1_rs::FromDer as _, revocation_list::CertificateRevocationList};

use super::*;
use crate::{
    authorize::sample::{ask, sample},
    clock::FakeClock,
    mint::{
        Minter, SubjectKey, Svid, SvidShape, X509KeyAlgorithm, X509Shape,
        fixture::{now, parts},
        rotation::Replica,
    },
    secret::SystemRandom,
    store::forgetful::ForgetfulStore,
};

struct Ground {
    store: Arc<ForgetfulStore>,
    keys: KeyRing,
    clock: Arc<FakeClock>,
    revoker: Revoker,
}

async fn ground() -> Ground {
    let store = ForgetfulStore::new();
    let (keys, _replica) = Replica::open(parts(store.clone())).await.unwrap();
    let clock = FakeClock::at("2026-01-16T14:40:00Z");
    let revoker = Revoker::new(keys.clone(), store.clone(), clock.clone());
    Ground {
        store,
        keys,
        clock,
        revoker,
    }
}

fn row(serial: &[u8]) -> RevocationRow {
    RevocationRow {
        serial: serial.to_vec(),
        spiffe_id: String::new(),
        exchange_id: String::new(),
        reason: "lost".to_owned(),
        revoked_seconds: unix_seconds(now()),
        forget_seconds: unix_seconds(now()) + 10_000,
    }
}

impl Ground {
    fn list(&self) -> Vec<u8> {
        let set = self.keys.load();
        let id = set.intermediate().unwrap().id().to_owned();
        self.revoker.published().find(&id).unwrap().body().to_vec()
    }

    fn number(&self) -> u128 {
        let list = self.list();
        let (_, read) = CertificateRevocationList::from_der(&list).unwrap();
        read.crl_number().unwrap().to_string().parse().unwrap()
    }

    async fn svid(&self) -> crate::store::Unrecorded<Svid> {
        let minter = Minter::new(
            "https://id.acme.example".to_owned(),
            self.keys.clone(),
            Arc::new(SystemRandom),
        );
        let shape = X509Shape {
            key: SubjectKey::Generated(X509KeyAlgorithm::P256),
            dns_names: Vec::new(),
            life: Duration::from_mins(5),
        };
        let permission = sample().decide(ask()).unwrap();
        minter.mint(permission, SvidShape::X509(shape), now()).await.unwrap()
    }

    /// Validates an SVID to our root with our list, as a verifier does.
    fn verified(&self, svid: &Svid) -> Result<(), webpki::Error> {
        let Svid::X509(svid) = svid else {
            panic!("no X.509-SVID")
        };
        let root = self.keys.load().published_roots().remove(0).certificate;
        let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
        let list = self.list();
        let list = CertRevocationList::Borrowed(webpki::BorrowedCertRevocationList::from_der(&list).unwrap());
        let lists = [&list];
        let revocation = RevocationOptionsBuilder::new(&lists)
            .unwrap()
            .with_depth(webpki::RevocationCheckDepth::EndEntity)
            .with_expiration_policy(webpki::ExpirationPolicy::Enforce)
            .build();
        let own = webpki::EndEntityCert::try_from(&svid.chain()[0]).unwrap();
        own.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &svid.chain()[1..],
            UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds(now()))),
            webpki::KeyUsage::client_auth(),
            Some(revocation),
            None,
        )
        .map(drop)
    }
}

#[tokio::test]
async fn a_revoked_svid_is_refused_and_no_other_of_the_same_workload() {
    let ground = ground().await;
    let (lost, kept) = (ground.svid().await, ground.svid().await);
    ground.revoker.refresh().await.unwrap();
    ground.verified(lost.describe()).unwrap();
    let Svid::X509(svid) = lost.describe() else {
        panic!("no X.509-SVID")
    };

    ground.revoker.revoke(&[row(svid.serial())]).await.unwrap();

    assert_eq!(ground.verified(lost.describe()), Err(webpki::Error::CertRevoked));
    ground.verified(kept.describe()).unwrap();
}

#[tokio::test]
async fn a_list_ends_within_a_day_and_is_signed_anew_after_an_hour() {
    let ground = ground().await;
    ground.revoker.refresh().await.unwrap();
    let first = ground.list();
    let (_, read) = CertificateRevocationList::from_der(&first).unwrap();
    assert_eq!(
        read.next_update().unwrap().timestamp() - i64::try_from(unix_seconds(now())).unwrap(),
        86_400
    );
    assert!(read.iter_revoked_certificates().next().is_none());

    ground.clock.advance(REISSUE.saturating_sub(Duration::from_secs(1)));
    ground.revoker.refresh().await.unwrap();
    assert_eq!(ground.list(), first);

    ground.clock.advance(Duration::from_secs(1));
    ground.revoker.refresh().await.unwrap();
    assert_ne!(ground.list(), first);
}

#[tokio::test]
async fn numbers_only_grow() {
    let ground = ground().await;
    ground.revoker.refresh().await.unwrap();
    let first = ground.number();

    ground.revoker.revoke(&[row(&[0x41; 16])]).await.unwrap();
    let second = ground.number();
    ground.clock.advance(REISSUE);
    ground.revoker.refresh().await.unwrap();

    assert!(first < second && second < ground.number());
}

#[tokio::test]
async fn what_was_published_is_served_on_while_the_store_is_gone() {
    let ground = ground().await;
    ground.revoker.refresh().await.unwrap();
    let before = ground.list();
    let _next = ground.store.crash();

    ground.clock.advance(REISSUE);

    assert!(ground.revoker.refresh().await.is_err());
    assert_eq!(ground.list(), before);
}

#[tokio::test]
async fn the_fullest_list_fits_roles_anywhere_and_one_more_is_refused() {
    let ground = ground().await;
    let serial = |number: usize| [&[0x41; 8][..], &number.to_be_bytes()].concat();
    let rows: Vec<_> = (0..RevocationRow::MAX_ROWS)
        .map(|number| row(&serial(number)))
        .collect();

    ground.revoker.revoke(&rows).await.unwrap();

    let bytes = ground.list().len();
    assert!(bytes <= 300_000, "{bytes}");
    let refused = ground.revoker.revoke(&[row(&serial(RevocationRow::MAX_ROWS))]).await;
    assert!(matches!(refused, Err(RevokeRefused::TooMany)));
}
