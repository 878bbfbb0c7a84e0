//! The corpora of the fuzz targets: what was ever found is judged again in every run.

use std::{fs, path::Path};

use cambio::{
    attest::pkcs7::{self as signed, Certificate, Coverage},
    clock::parse_rfc3339,
    jose::{EmbeddedKeyProof, KeySet, Unverified},
};

use crate::properties::{claims, configuration::Ground, jwks, pkcs7, spiffe_id, x509};

/// Feeds `hold` with each input that is kept for `target`; a panic names the input.
fn each(target: &str, mut hold: impl FnMut(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut names = Vec::new();
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        hold(&fs::read(&path).unwrap());
        names.push(path);
    }
    assert!(names.len() >= 5, "{names:?}");
}

#[test]
fn tokens_and_claims_that_were_found_are_judged_rightly() {
    each("claims", claims::hold);
}

#[test]
fn configurations_that_were_found_are_judged_rightly() {
    let directory = tempfile::tempdir().unwrap();
    let ground = Ground::lay(directory.path());
    each("configuration", |input| ground.hold(input));
}

#[test]
fn key_sets_and_bundles_that_were_found_are_judged_rightly() {
    each("jwks", jwks::hold);
}

#[test]
fn signed_documents_that_were_found_are_judged_rightly() {
    each("pkcs7", pkcs7::hold);
}

#[test]
fn spiffe_ids_and_templates_that_were_found_are_judged_rightly() {
    each("spiffe_id", spiffe_id::hold);
}

#[test]
fn certificate_requests_that_were_found_are_judged_rightly() {
    each("x509", x509::hold);
}

#[test]
fn what_the_properties_know_as_signed_verifies() {
    let keys = KeySet::parse(include_bytes!("../fuzz/signed/keys.json")).unwrap();
    let tokens: Vec<&str> = include_str!("../fuzz/signed/tokens.txt").lines().collect();
    let [rs256, es256, proof] = tokens.as_slice() else {
        panic!("{tokens:?}");
    };
    for token in [rs256, es256] {
        let token = Unverified::parse(token).unwrap();
        token
            .verify(keys.find(token.kid(), token.algorithm()).unwrap())
            .unwrap();
    }
    EmbeddedKeyProof::parse(proof).unwrap().verify().unwrap();

    let now = parse_rfc3339("2026-01-16T14:40:00Z").unwrap();
    let platform = Certificate::read(include_bytes!("../fuzz/signed/platform.der")).unwrap();
    let root = Certificate::read(include_bytes!("../fuzz/signed/root.der")).unwrap();
    let read = |document: &'static [u8]| signed::Unverified::read(document).unwrap();
    let by_platform = read(include_bytes!("../fuzz/corpus/pkcs7/attributes"));
    by_platform.verify(&platform, Coverage::Attributes, now).unwrap();
    let by_chain = read(include_bytes!("../fuzz/corpus/pkcs7/chain"));
    by_chain
        .verify_under((&[root], &[]), Coverage::Attributes, now)
        .unwrap();
}

#[test]
fn every_target_has_a_corpus_and_none_is_large() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let mut bytes = 0;
    for target in fs::read_dir(fuzz.join("targets")).unwrap() {
        let target = target.unwrap().path();
        let corpus = fuzz.join("corpus").join(target.file_stem().unwrap());
        let kept: Vec<u64> = fs::read_dir(&corpus)
            .unwrap_or_else(|why| panic!("{}: {why}", corpus.display()))
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert!(kept.len() >= 5, "{}", corpus.display());
        bytes += kept.iter().sum::<u64>();
    }
    assert!(
        bytes <= 300 * 1024,
        "{bytes} bytes: keep the smallest input of each kind"
    );
}
