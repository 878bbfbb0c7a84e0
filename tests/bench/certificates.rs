//! X.509-SVIDs from certificate requests on P-256: alone against the raw signature and verification, and whole with the trail.

use std::{hint::black_box, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use cambio::{
    clock,
    mint::{SubjectKey, SvidShape, X509Shape, csr::SubjectPublicKey},
};
use rcgen::{CertificateParams, KeyPair};

use crate::{
    decision,
    ground::{Ground, Server, cpu_micros},
    load::svid_request,
    parts::{Cost, alone, measure, shared},
    report::{Verdicts, median},
    stores::Load,
};

/// As long as what is signed of an SVID with one DNS name.
const TO_BE_SIGNED: [u8; 450] = [b'a'; 450];

/// As long as what is signed of a request for a key on P-256 without any wish.
const REQUESTED: [u8; 110] = [b'a'; 110];

/// So many requests are taken in turn, so that neither side is measured with one signature that the processor has learned.
const WORKLOADS: usize = 64;

/// One signature over a certificate, one verification of a request, whose key is another each time.
pub(crate) fn raw() -> Cost {
    let random = SystemRandom::new();
    let key = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let proven = |key: EcdsaKeyPair| {
        let proof = key.sign(&random, &REQUESTED).expect("a signature");
        (key.public_key().as_ref().to_vec(), proof)
    };
    let theirs: Vec<_> = (0..WORKLOADS).map(|_nth| proven(key())).collect();
    let ours = key();
    let mut turns = theirs.iter().cycle();
    measure(|| {
        let (point, proof) = turns.next().expect("a request");
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
        public.verify(&REQUESTED, proof.as_ref()).expect("a good signature");
        black_box(ours.sign(&random, &TO_BE_SIGNED).expect("a signature"));
    })
}

/// From the request's bytes to a chain that was checked; no policy, no trail.
pub(crate) async fn ours() -> Cost {
    let now = clock::system().now();
    let (minter, _replica) = decision::minter().await;
    let permission = decision::permission(now);
    let request = || {
        let request = CertificateParams::default().serialize_request(&KeyPair::generate().expect("a key"));
        request.expect("a request").der().to_vec()
    };
    let requests: Vec<_> = (0..WORKLOADS).map(|_nth| request()).collect();
    let mut turns = requests.iter().cycle();
    let runtime = tokio::runtime::Handle::current();
    let _entered = runtime.enter();
    measure(|| {
        let key = SubjectPublicKey::from_der(turns.next().expect("a request")).expect("a good request");
        let shape = SvidShape::X509(X509Shape {
            key: SubjectKey::Certified(key),
            dns_names: vec!["shop.bench.example".to_owned()],
            life: Duration::from_hours(1),
        });
        let svid = futures_util::FutureExt::now_or_never(minter.mint(permission.clone(), shape, now));
        drop(svid.expect("a mint that waits for nothing").expect("an SVID"));
    })
}

/// Gate 5: alone; and what a whole request costs.
pub(crate) async fn all((rounds, load): (usize, Load), (ground, server): (&Ground, &Server), verdicts: &mut Verdicts) {
    println!("\n-- X.509-SVID from a certificate request, P-256, the intermediate on P-256");
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let (raw, ours) = (alone("x509raw", &[]), alone("x509", &[]));
        let ratio = raw.cpu / ours.cpu;
        println!(
            "raw sign + verify {:.1} us, request to checked chain {:.1} us ({ratio:.3})",
            raw.cpu, ours.cpu
        );
        ratios.push(ratio);
    }
    verdicts.at_least(
        "5 X.509-SVID without the trail / raw sign + verify",
        median(ratios),
        0.5,
    );
    let csr = CertificateParams::default().serialize_request(&KeyPair::generate().expect("a key"));
    let csr = csr.expect("a request").pem().expect("PEM");
    let requests = (0..load.requests)
        .map(|_nth| svid_request(&ground.token(), "mesh", &csr))
        .collect();
    let before = cpu_micros(server.id());
    let run = ground.client().closed_loop(shared(requests), load.connections).await;
    let run = run.must_all_succeed();
    println!(
        "REPORT X.509-SVID with the trail, RS256 evidence, 1,000 grants: {:.0}/s, {:.1} us CPU per request, p50 {:.1} ms, p99 {:.1} ms",
        run.per_second(),
        (cpu_micros(server.id()) - before) / run.count(),
        run.percentile_millis(50),
        run.percentile_millis(99)
    );
}

/// A relying party for certificates, and its grant.
pub(crate) const MESH: &str = "[[relying_party]]\nname = \"mesh\"\nkind = \"svid\"\nx509 = true\n\
                               dns_names = [\"shop.bench.example\"]\n\
                               [[grant]]\nname = \"to-mesh\"\nentries = [\"shop-deploy\"]\nrelying_parties = [\"mesh\"]\n\
                               ttl = \"20m\"\n";
