//! Runs every sourced vector against the rules and against the simulator on the wire.

use std::{collections::BTreeMap, time::Duration};

use rcgen::{
    CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{
        rules::{
            Refusal,
            certificate::{self, EndEntity},
            limits,
            mapping::Mappings,
            resource::{Kind, ResourceArn},
            session,
        },
        sim::{Enabled, NewCrl, NewProfile, NewTrustAnchor},
    },
    ground::{self, ACCOUNT, AUTHORITY, Account, Answer, Authority, NOW, ROLE, Wanted, Workload, moment},
};
use crate::{clock, exchange::aws::trust::TrustPolicy, secret::from_hex};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    now: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    id: String,
    kind: String,
    mark: String,
    on: Vec<String>,
    #[serde(rename = "source")]
    _source: String,
    text: String,
    given: Map<String, Value>,
    expected: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    code: Option<String>,
    status: Option<u16>,
    message: Option<String>,
    verified: Option<bool>,
    session_name: Option<String>,
    source_identity: Option<String>,
    seconds: Option<i64>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    no_tags: Vec<String>,
}

/// What came out, of the rules or of the simulator.
#[derive(Debug, Default)]
struct Outcome {
    session_name: String,
    source_identity: String,
    seconds: i64,
    tags: BTreeMap<String, String>,
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../../../tests/vectors/clouds/aws_roles_anywhere.json");
    let file: File = serde_json::from_str(text).unwrap();
    assert_eq!(file.now, NOW);
    file.vectors
}

#[test]
fn every_vector_has_its_own_id_a_known_mark_and_a_place_to_run() {
    let vectors = vectors();

    let mut ids: Vec<&str> = vectors.iter().map(|vector| vector.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), vectors.len());
    for vector in &vectors {
        assert!(["D", "S", "O", "M"].contains(&&*vector.mark), "{}", vector.id);
        let known = vector.on.iter().all(|on| on == "rules" || on == "sim");
        assert!(known && !vector.on.is_empty(), "{}", vector.id);
    }
}

#[test]
fn the_rules_judge_every_vector_as_its_source_says() {
    let wrong: Vec<String> = vectors()
        .iter()
        .filter(|vector| vector.on.iter().any(|on| on == "rules"))
        .filter_map(|vector| difference(vector, &by_rules(vector)))
        .collect();

    assert!(
        wrong.is_empty(),
        "{} vectors differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn the_simulator_answers_every_vector_as_its_source_says() {
    let mut wrong = Vec::new();
    for vector in vectors().iter().filter(|vector| vector.on.iter().any(|on| on == "sim")) {
        wrong.extend(difference(vector, &by_simulator(vector).await));
    }

    assert!(
        wrong.is_empty(),
        "{} vectors differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn difference(vector: &Vector, found: &Result<Outcome, Refusal>) -> Option<String> {
    let expected = &vector.expected;
    let same = match (found, &expected.code) {
        (Ok(outcome), None) => {
            expected
                .session_name
                .as_ref()
                .is_none_or(|name| expand_text(name) == outcome.session_name)
                && expected
                    .source_identity
                    .as_ref()
                    .is_none_or(|identity| expand_text(identity) == outcome.source_identity)
                && expected.seconds.is_none_or(|seconds| seconds == outcome.seconds)
                && expected
                    .tags
                    .iter()
                    .all(|(key, value)| outcome.tags.get(key) == Some(value))
                && expected.no_tags.iter().all(|key| !outcome.tags.contains_key(key))
        }
        (Err(refusal), Some(code)) => {
            refusal.code.name() == code
                && expected.status.is_none_or(|status| status == refusal.code.status())
                && expected
                    .message
                    .as_ref()
                    .is_none_or(|text| expand_text(text) == refusal.message)
                && expected.verified.is_none_or(|verified| verified == refusal.verified)
        }
        (Ok(_), Some(_)) | (Err(_), None) => false,
    };
    (!same).then(|| {
        format!(
            "{} ({}): expected {expected:?}, found {found:?}",
            vector.id, vector.text
        )
    })
}

/// `$61` stands for 61 characters.
fn expand_text(text: &str) -> String {
    let Some((before, after)) = text.split_once('$') else {
        return text.to_owned();
    };
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let rest = after.strip_prefix(&*digits).unwrap();
    format!("{before}{}{rest}", "a".repeat(digits.parse().unwrap()))
}

fn part<'a>(given: &'a Map<String, Value>, name: &str) -> &'a Value {
    given.get(name).unwrap_or(&Value::Null)
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| one.as_str().unwrap().to_owned())
        .collect()
}

// What a vector gives.

fn name(attributes: &Value) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // rcgen keeps one value of a type, so a second one gets a type of its own numbers.
    for pair in attributes.as_array().unwrap() {
        let kind = match pair[0].as_str().unwrap() {
            "C" => DnType::CountryName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            "CN" => DnType::CommonName,
            other => panic!("unknown attribute `{other}`"),
        };
        let value = expand_text(pair[1].as_str().unwrap());
        match name.get(&kind) {
            None => name.push(kind, value),
            Some(_) => name.push(DnType::CustomDnType(vec![2, 5, 4, 11]), value),
        }
    }
    name
}

fn usages(names: &Value) -> Vec<KeyUsagePurpose> {
    let usage = |name: String| match name.as_str() {
        "crl_sign" => KeyUsagePurpose::CrlSign,
        "key_cert_sign" => KeyUsagePurpose::KeyCertSign,
        "key_encipherment" => KeyUsagePurpose::KeyEncipherment,
        other => panic!("unknown usage `{other}`"),
    };
    strings(names).into_iter().map(usage).collect()
}

fn leaf(given: &Value) -> CertificateParams {
    let mut params = ground::leaf();
    for (member, value) in given.as_object().into_iter().flatten() {
        match member.as_str() {
            "ca" => params.is_ca = certification(value),
            "directory" => params.custom_extensions.push(directory(value)),
            "dns" => {
                let names = strings(value)
                    .into_iter()
                    .map(|name| SanType::DnsName(name.try_into().unwrap()));
                params.subject_alt_names.extend(names);
            }
            "eku" => {
                params.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            }
            "der" | "key" => {}
            "key_usage" => params.key_usages = usages(value),
            "not_after" => params.not_after = moment(value.as_str().unwrap()),
            "not_before" => params.not_before = moment(value.as_str().unwrap()),
            "serial" => {
                let serial = from_hex(value.as_str().unwrap()).unwrap();
                params.serial_number = Some(SerialNumber::from_slice(&serial));
            }
            "subject" => params.distinguished_name = name(value),
            "uris" => {
                params.subject_alt_names.retain(|name| !matches!(name, SanType::URI(_)));
                let uris = strings(value)
                    .into_iter()
                    .map(|uri| SanType::URI(uri.try_into().unwrap()));
                params.subject_alt_names.extend(uris);
            }
            other => panic!("unknown change `{other}`"),
        }
    }
    if given.get("directory").is_some() {
        params.subject_alt_names.clear();
    }
    params
}

fn certification(value: &Value) -> IsCa {
    match value.as_str().unwrap() {
        "absent" => IsCa::NoCa,
        "false" => IsCa::ExplicitNoCa,
        "true" => IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
        other => panic!("unknown `{other}`"),
    }
}

/// A SubjectAltName with one directory name, which rcgen does not write.
fn directory(attributes: &Value) -> CustomExtension {
    let tlv = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let mut sets = Vec::new();
    for pair in attributes.as_array().unwrap() {
        let kind = if pair[0] == "CN" { 3 } else { 10 };
        let oid = tlv(6, &[0x55, 4, kind]);
        let value = tlv(12, pair[1].as_str().unwrap().as_bytes());
        sets.extend(tlv(0x31, &tlv(0x30, &[oid, value].concat())));
    }
    let names = tlv(0x30, &tlv(0xa4, &tlv(0x30, &sets)));
    CustomExtension::from_oid_content(&[2, 5, 29, 17], names)
}

fn workload(given: &Value, authority: &Authority) -> Workload {
    let params = leaf(given);
    match given["key"].as_str() {
        Some("rsa") => authority.certify_key(&params, &ground::RSA),
        _ => authority.certify(&params),
    }
}

fn policy(given: &Value, anchor: &str) -> Value {
    let mut policy = ground::trust_policy(anchor);
    let statement = &mut policy["Statement"][0];
    if let Some(without) = given["without"].as_str() {
        statement["Action"]
            .as_array_mut()
            .unwrap()
            .retain(|action| action != without);
    }
    if let Some(condition) = given.get("condition") {
        statement["Condition"] = condition.clone();
    }
    if let Some(principal) = given.get("principal") {
        statement["Principal"] = principal.clone();
        if principal.get("Federated").is_some() {
            statement["Action"] = json!([
                "sts:AssumeRoleWithWebIdentity",
                "sts:TagSession",
                "sts:SetSourceIdentity"
            ]);
        }
    }
    policy
}

fn profile(given: &Value) -> NewProfile {
    let mut profile = ground::profile();
    profile.duration_seconds = given["seconds"].as_i64();
    profile.accept_role_session_name = given["accept"].as_bool().unwrap_or(true);
    profile.enabled = given["disabled"] != true;
    if let Some(count) = given["roles"].as_u64() {
        profile.role_arns = (0..count)
            .map(|number| format!("arn:aws:iam::{ACCOUNT}:role/r{number}"))
            .collect();
    }
    if given["without_role"] == true {
        profile.role_arns = vec![format!("{ROLE}-of-another")];
    }
    profile
}

fn role_seconds(given: &Map<String, Value>) -> u64 {
    part(given, "role")["seconds"].as_u64().unwrap_or(3600)
}

fn bundle(given: &Value) -> String {
    let mut params = ground::authority_params("root", 1);
    if let Some(usage) = given.get("key_usage") {
        params.key_usages = usages(usage);
    }
    if let Some(ca) = given.get("ca") {
        params.is_ca = certification(ca);
    }
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let count = given["certificates"].as_u64().unwrap_or(1);
    let mut pem = root.pem().repeat(usize::try_from(count).unwrap());
    if let Some(characters) = given["characters"].as_u64() {
        let missing = usize::try_from(characters).unwrap() - pem.len();
        pem.push_str(&"\n".repeat(missing));
    }
    pem
}

fn body(given: &Map<String, Value>) -> Value {
    let mut body = json!({ "durationSeconds": 1200, "roleSessionName": "shop-deploy@0123456789ab" });
    for (member, value) in part(given, "request").as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.clone(), |text| expand_text(text).into());
        body[member] = value;
    }
    body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    body
}

// Against the rules.

fn by_rules(vector: &Vector) -> Result<Outcome, Refusal> {
    let given = &vector.given;
    match vector.kind.as_str() {
        "anchor" => anchor_by_rules(&bundle(part(given, "anchor"))),
        "profile" => {
            let profile = profile(part(given, "profile"));
            limits::length("roleArns", profile.role_arns.len(), &(0..=limits::PROFILE_ROLES))?;
            profile.duration_seconds.map_or(Ok(()), limits::duration)?;
            Ok(Outcome::default())
        }
        "session" => session_by_rules(given),
        other => panic!("{}: unknown kind `{other}`", vector.id),
    }
}

fn anchor_by_rules(pem: &str) -> Result<Outcome, Refusal> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    limits::length("x509CertificateData", pem.chars().count(), &limits::BUNDLE_CHARACTERS)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(Result::unwrap)
        .collect();
    if certificates.len() > limits::BUNDLE_CERTIFICATES {
        return Err(Refusal::malformed("too many"));
    }
    certificates.iter().try_for_each(|der| certificate::trust_anchor(der))?;
    Ok(Outcome::default())
}

fn session_by_rules(given: &Map<String, Value>) -> Result<Outcome, Refusal> {
    let body = body(given);
    if let Some(name) = body["roleSessionName"].as_str() {
        limits::session_name(name)?;
    }
    let asked = body["durationSeconds"].as_i64();
    asked.map_or(Ok(()), limits::duration)?;
    let der: Vec<u8> = match part(given, "leaf")["der"].as_str() {
        Some("sha1") => include_bytes!("../../../../tests/vectors/clouds/x509/sha1.der").to_vec(),
        Some("v1") => include_bytes!("../../../../tests/vectors/clouds/x509/v1.der").to_vec(),
        Some(other) => panic!("unknown certificate `{other}`"),
        None => workload(part(given, "leaf"), &AUTHORITY).chain[0].to_vec(),
    };
    let certificate = EndEntity::read(&der)?;
    certificate.timely(clock::parse_rfc3339(NOW).unwrap())?;
    let anchor = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40";
    let place = ResourceArn::parse(anchor, Kind::TrustAnchor)?;
    let tags = Mappings::default().tags(&certificate);
    let source_identity = session::source_identity(&certificate);
    let session_name = body["roleSessionName"]
        .as_str()
        .map_or_else(|| session::hex_serial(&certificate.serial), str::to_owned);
    if given.contains_key("policy") {
        let policy = policy(part(given, "policy"), anchor).to_string();
        let context = session::context((anchor, &place), &tags, &source_identity, &session_name);
        if !TrustPolicy::parse(&policy).unwrap().evaluate(&context).is_allowed() {
            return Err(Refusal::cannot_assume(ROLE));
        }
    }
    let profile = part(given, "profile")["seconds"].as_i64();
    let role = i64::try_from(role_seconds(given)).unwrap();
    Ok(Outcome {
        session_name,
        source_identity,
        seconds: limits::session_seconds(profile, asked, role)?,
        tags: tags.into_iter().collect(),
    })
}

// Against the simulator.

async fn by_simulator(vector: &Vector) -> Result<Outcome, Refusal> {
    let given = &vector.given;
    let (sim, _clock) = ground::empty();
    match vector.kind.as_str() {
        "anchor" => {
            let anchor = NewTrustAnchor {
                name: "cambio".to_owned(),
                bundle: bundle(part(given, "anchor")),
                enabled: true,
            };
            return sim.create_trust_anchor(anchor).map(|_arn| Outcome::default());
        }
        "profile" => {
            return sim
                .create_profile(profile(part(given, "profile")))
                .map(|_arn| Outcome::default());
        }
        "session" => {}
        other => panic!("{}: unknown kind `{other}`", vector.id),
    }
    let account = account(given)?;
    let workload = presented(given);
    let answer = account.create(&workload, &wanted(given, &account)).await;
    on_the_wire(&account, &answer)
}

fn account(given: &Map<String, Value>) -> Result<Account, Refusal> {
    let anchor = part(given, "anchor");
    let bundle = match anchor["of"].as_str() {
        Some("intermediate") => AUTHORITY.intermediate.pem(),
        Some("stranger") => Authority::new().root.pem(),
        _ => deep(given).map_or_else(|| AUTHORITY.root.pem(), |deep| deep.root.pem()),
    };
    let (sim, clock) = ground::empty();
    let mut account = Account {
        anchor: sim.create_trust_anchor(NewTrustAnchor {
            name: "cambio".to_owned(),
            bundle,
            enabled: anchor["disabled"] != true,
        })?,
        profile: sim.create_profile(profile(part(given, "profile")))?,
        sim,
        clock,
    };
    if part(given, "role")["absent"] != true {
        let policy = policy(part(given, "policy"), &account.anchor).to_string();
        let longest = Duration::from_secs(role_seconds(given));
        account.sim.create_role(ROLE, &policy, longest).unwrap();
    }
    for (field, specifiers) in part(given, "mappings").as_object().into_iter().flatten() {
        let specifiers: Vec<String> = strings(specifiers).iter().map(|text| expand_text(text)).collect();
        account.sim.put_mapping(&account.profile, field, specifiers)?;
    }
    if let Some(crl) = given.get("crl") {
        let serials: &[&[u8]] = if crl["revoked"] == true {
            &[&ground::SERIAL]
        } else {
            &[&[7]]
        };
        let next = crl["next_update"].as_str().unwrap_or("2026-02-01T00:00:00Z");
        account.sim.import_crl(NewCrl {
            name: "cambio".to_owned(),
            list: AUTHORITY.revocations(serials, next),
            trust_anchor_arn: account.anchor.clone(),
            enabled: true,
        })?;
    }
    let other = |arn: &str| {
        format!(
            "{}00000000-0000-0000-0000-000000000000",
            arn.rsplit_once('/').unwrap().0.to_owned() + "/"
        )
    };
    if anchor["absent"] == true {
        account.anchor = other(&account.anchor);
    }
    if part(given, "profile")["absent"] == true {
        account.profile = other(&account.profile);
    }
    Ok(account)
}

/// An authority whose intermediates lie one below the other.
struct Deep {
    root: CertifiedIssuer<'static, KeyPair>,
    below: Vec<CertifiedIssuer<'static, KeyPair>>,
}

fn deep(given: &Map<String, Value>) -> Option<&'static Deep> {
    use std::sync::LazyLock;
    static DEEP: LazyLock<Deep> = LazyLock::new(|| {
        let key = || KeyPair::generate().unwrap();
        let root = CertifiedIssuer::self_signed(ground::authority_params("root", 9), key()).unwrap();
        let mut below: Vec<CertifiedIssuer<'static, KeyPair>> = Vec::new();
        for depth in 0..6 {
            let params = ground::authority_params(&format!("intermediate {depth}"), 8);
            let issuer = below.last().unwrap_or(&root);
            below.push(CertifiedIssuer::signed_by(params, key(), issuer).unwrap());
        }
        Deep { root, below }
    });
    given.contains_key("chain").then(|| &*DEEP)
}

fn presented(given: &Map<String, Value>) -> Workload {
    let mut workload = workload(part(given, "leaf"), &AUTHORITY);
    if let Some(deep) = deep(given) {
        let depth = usize::try_from(part(given, "chain").as_u64().unwrap()).unwrap();
        let issuers = &deep.below[..depth];
        let key = KeyPair::generate().unwrap();
        workload = AUTHORITY.certify_key(&ground::leaf(), &key);
        let own = ground::leaf().signed_by(&key, issuers.last().unwrap()).unwrap();
        workload.chain = vec![own.der().clone()];
        workload
            .chain
            .extend(issuers.iter().rev().map(|issuer| issuer.der().clone()));
    }
    workload
}

fn wanted(given: &Map<String, Value>, account: &Account) -> Wanted {
    let mut wanted = account.wanted();
    wanted.body = body(given);
    if part(given, "arns") == "body" {
        for (name, value) in std::mem::take(&mut wanted.query) {
            wanted.body[name] = value.into();
        }
    }
    if let Some(at) = part(given, "signed_at").as_str() {
        at.clone_into(&mut wanted.at);
    }
    if let Some(region) = part(given, "region").as_str() {
        region.clone_into(&mut wanted.region);
    }
    wanted
}

/// Takes the outcome from the wire; only whether it is verified, and the session, come from the simulator's memory.
fn on_the_wire(account: &Account, answer: &Answer) -> Result<Outcome, Refusal> {
    if answer.status == 201 {
        let session = account.sim.sessions().pop().unwrap();
        let set = &answer.body["credentialSet"][0];
        assert_eq!(set["sourceIdentity"], session.source_identity);
        return Ok(Outcome {
            session_name: session.session_name,
            source_identity: session.source_identity,
            seconds: i64::try_from(session.duration.as_secs()).unwrap(),
            tags: session.tags,
        });
    }
    let mut refusal = account.sim.refusals().pop().unwrap();
    assert_eq!(refusal.code.name(), answer.code());
    assert_eq!(refusal.code.status(), answer.status.as_u16());
    answer.message().clone_into(&mut refusal.message);
    Err(refusal)
}

#[test]
fn an_anchor_and_a_profile_that_are_off_can_be_switched_on() {
    let account = ground::account();
    let id = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();

    assert!(
        account
            .sim
            .enable_trust_anchor(&id(&account.anchor), Enabled::Disabled)
            .is_ok()
    );
    assert!(
        account
            .sim
            .enable_profile(&id(&account.profile), Enabled::Active)
            .is_ok()
    );
    assert!(account.sim.enable_profile("other", Enabled::Active).is_err());
}
