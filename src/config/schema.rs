//! The whole file as it is written, and its JSON schema.

use std::{collections::BTreeMap, num::NonZeroU32, sync::LazyLock};

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    attestor::RawAttestor,
    audit::{RawAudit, RawSink},
    entry::RawEntry,
    grant::RawGrant,
    keys::RawKeys,
    limits::RawLimits,
    listen::RawListen,
    policy::RawPolicy,
    relying_party::RawRelyingParty,
    rotation::RawRotation,
    store::RawStore,
    tls::RawTls,
    x509::RawX509,
};

/// Configuration of the Cambio gateway.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "cambio.toml")]
pub(super) struct Raw {
    /// Name of the SPIFFE trust domain.
    #[schemars(required, extend("examples" = ["prod.acme.example"]))]
    pub(super) trust_domain: Option<String>,
    /// Our URL as OIDC issuer: https, lower case, no port, no slash at its end, at most 255 characters.
    #[schemars(required, extend("examples" = ["https://id.acme.example"]))]
    pub(super) issuer: Option<String>,
    /// Scheme, host and port of the token endpoint, which DPoP proofs name.
    #[schemars(required, extend("examples" = ["https://exchange.acme.example:9443"]))]
    pub(super) exchange_url: Option<String>,
    /// How many processes share the store; each takes its part of what clouds allow.
    #[serde(default)]
    #[schemars(with = "u32", range(min = 1, max = 100), extend("default" = 1))]
    pub(super) replicas: Option<NonZeroU32>,
    /// Where we listen.
    #[schemars(required)]
    pub(super) listen: Option<RawListen>,
    /// The certificate that both listeners present.
    #[schemars(required)]
    pub(super) tls: Option<RawTls>,
    /// Where keys, ledger, locks and trail are kept.
    #[schemars(required)]
    pub(super) store: Option<RawStore>,
    /// What seals private keys in the store.
    #[schemars(required)]
    pub(super) keys: Option<RawKeys>,
    /// How keys are replaced.
    #[serde(default)]
    pub(super) rotation: RawRotation,
    /// Who certifies our intermediates.
    #[serde(default)]
    pub(super) x509: RawX509,
    /// How much of us one caller can have.
    #[serde(default)]
    pub(super) limits: RawLimits,
    /// Who we believe.
    #[serde(default)]
    pub(super) attestor: Vec<RawAttestor>,
    /// Who is it.
    #[serde(default)]
    pub(super) entry: Vec<RawEntry>,
    /// Where may it go.
    #[serde(default)]
    pub(super) relying_party: Vec<RawRelyingParty>,
    /// What may it have.
    #[serde(default)]
    pub(super) grant: Vec<RawGrant>,
    /// Raw Cedar files: forbid rules only.
    #[serde(default)]
    pub(super) policy: RawPolicy,
    /// What the trail is held against at the start.
    #[serde(default)]
    pub(super) audit: RawAudit,
    /// Where copies of the trail go.
    #[serde(default)]
    pub(super) sink: Vec<RawSink>,
}

/// Returns the JSON schema of the file.
///
/// A plugin's own keys are not in it: tables of attestors and relying parties take any key beside ours.
pub fn schema() -> Json {
    let plain = |schema: &mut Schema| simplify(schema);
    let generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(plain)
        .into_generator();
    sorted(generator.into_root_schema_for::<Raw>().to_value())
}

/// Returns the same, made once: to make it takes most of the time in which a small file is read.
pub(super) fn at_hand() -> &'static Json {
    static MADE: LazyLock<Json> = LazyLock::new(schema);
    &MADE
}

/// Sorts keys, whose order would else depend on which features of serde_json a build happens to have.
fn sorted(schema: Json) -> Json {
    match schema {
        Json::Array(all) => all.into_iter().map(sorted).collect(),
        Json::Object(map) => {
            let map: BTreeMap<String, Json> = map.into_iter().map(|(key, inner)| (key, sorted(inner))).collect();
            Json::Object(map.into_iter().collect())
        }
        Json::Bool(_) | Json::Null | Json::Number(_) | Json::String(_) => schema,
    }
}

/// Returns whether any table of ours has this key, and it bears no secret.
pub(super) fn knows(schema: &Json, key: &str) -> bool {
    let here = schema.get("properties").and_then(Json::as_object);
    let open = |inner: &Json| inner.get("writeOnly").is_none();
    here.is_some_and(|keys| keys.get(key).is_some_and(open) || keys.values().any(|inner| knows(inner, key)))
        || schema.get("items").is_some_and(|items| knows(items, key))
}

/// Removes `null`, which TOML does not have, formats, which the bounds say better, and turns `const` into `enum`.
fn simplify(schema: &mut Schema) {
    schema.remove("format");
    if let Some(Json::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    flatten_choices(schema);
    transform_subschemas(&mut |inner: &mut Schema| simplify(inner), schema);
}

/// Turns the documented variants of an enum, `oneOf` with a `const` each, into one `enum`.
fn flatten_choices(schema: &mut Schema) {
    let Some(Json::Array(variants)) = schema.get("oneOf") else {
        return;
    };
    let all: Option<Vec<Json>> = variants.iter().map(|variant| variant.get("const").cloned()).collect();
    if let Some(all) = all {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), Json::Array(all));
    }
}
