//! The settings of an OIDC provider, as Google takes and refuses them.
//!
//! Compiles no expression (see `trust`) and judges no token (see `token`).

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::limits::{
    ACTOR_PROVIDERS, ATTRIBUTE_NAME_CHARACTERS, AUDIENCE_CHARACTERS, AUDIENCES, CONDITION_CHARACTERS,
    CUSTOM_ATTRIBUTES, DESCRIPTION_CHARACTERS, DISCOVERY_CHARACTERS, DISPLAY_NAME_CHARACTERS, INTERMEDIATES,
    MAPPING_CHARACTERS, SettingRefusal, TRUST_ANCHORS, judge_count, judge_id, judge_length,
};

/// The resource name of a provider: `//iam.googleapis.com/projects/<number>/locations/global/...`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderName {
    project: u64,
    pool: String,
    provider: String,
}

impl ProviderName {
    /// Names provider `provider` of pool `pool` in the project with the number `project`.
    ///
    /// # Errors
    /// [`SettingRefusal::Shape`] where an id is not one.
    pub fn new(project: u64, pool: &str, provider: &str) -> Result<Self, SettingRefusal> {
        Ok(Self {
            project,
            pool: judge_id("workloadIdentityPoolId", pool)?.to_owned(),
            provider: judge_id("workloadIdentityPoolProviderId", provider)?.to_owned(),
        })
    }

    /// Reads the value of an exchange's `audience`; a project is named by its number only (documented).
    ///
    /// # Errors
    /// [`NotAProviderName`], which Google says for any other shape.
    pub fn parse(text: &str) -> Result<Self, NotAProviderName> {
        let refuse = || NotAProviderName { found: text.to_owned() };
        let path = text.strip_prefix("//iam.googleapis.com/").ok_or_else(refuse)?;
        let parts: Vec<&str> = path.split('/').collect();
        let &[
            "projects",
            project,
            "locations",
            "global",
            "workloadIdentityPools",
            pool,
            "providers",
            provider,
        ] = parts.as_slice()
        else {
            return Err(refuse());
        };
        let name = Self {
            project: project.parse().ok().ok_or_else(refuse)?,
            pool: pool.to_owned(),
            provider: provider.to_owned(),
        };
        // The number has one spelling, and the ids are not empty.
        if name.to_string() == text && !pool.is_empty() && !provider.is_empty() {
            Ok(name)
        } else {
            Err(refuse())
        }
    }

    /// Returns the project's number.
    pub fn project(&self) -> u64 {
        self.project
    }

    /// Returns the pool's id.
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// Returns the provider's id.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns the name with `https:` before it, which is the other default audience.
    pub fn https_form(&self) -> String {
        format!("https:{self}")
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "//iam.googleapis.com/projects/{}/locations/global/workloadIdentityPools/{}/providers/{}",
            self.project, self.pool, self.provider
        )
    }
}

/// The `audience` of an exchange is not a provider's name; `Display` is Google's text (observed).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Invalid value for \"audience\". This value should be the full resource name of the Identity Provider. \
     See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats."
)]
pub struct NotAProviderName {
    /// The value given.
    pub found: String,
}

impl NotAProviderName {
    /// Returns the value of the field `error`.
    pub fn code(&self) -> &'static str {
        "invalid_request"
    }
}

/// The settings of an OIDC provider as its creator writes them, in the API's names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// `oidc.issuerUri`.
    pub issuer_uri: String,
    /// `oidc.discoveryUri`.
    pub discovery_uri: Option<String>,
    /// `oidc.allowedAudiences`.
    pub allowed_audiences: Vec<String>,
    /// `oidc.jwksJson`: keys given instead of fetched.
    pub jwks_json: Option<String>,
    /// `x509.trustStore`, which then takes the place of `oidc`.
    pub x509: Option<TrustStore>,
    /// `attributeMapping`.
    pub attribute_mapping: BTreeMap<String, String>,
    /// `attributeCondition`.
    pub attribute_condition: Option<String>,
    /// `actorProviders`.
    pub actor_providers: Vec<String>,
    /// `displayName`.
    pub display_name: String,
    /// `description`.
    pub description: String,
}

/// Whose certificates a provider takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrustStore {
    /// `trustAnchors[].pemCertificate`.
    pub trust_anchors: Vec<String>,
    /// `intermediateCas[].pemCertificate`.
    pub intermediate_cas: Vec<String>,
}

/// A provider whose settings Google would take, its expressions apart.
#[derive(Clone, Debug)]
pub struct Provider {
    name: ProviderName,
    settings: ProviderSettings,
}

impl Provider {
    /// Judges `settings`.
    ///
    /// # Errors
    /// The first setting that Google refuses.
    pub fn new(name: ProviderName, settings: ProviderSettings) -> Result<Self, SettingRefusal> {
        match &settings.x509 {
            None => judge_issuer(&settings)?,
            Some(store) => judge_trust_store(&settings, store)?,
        }
        judge_texts(&settings)?;
        judge_mapping(&settings.attribute_mapping)?;
        judge_condition(&settings)?;
        if let Some(text) = &settings.jwks_json {
            judge_uploaded_keys(text)?;
        }
        Ok(Self { name, settings })
    }

    /// Returns the provider's name.
    pub fn name(&self) -> &ProviderName {
        &self.name
    }

    /// Returns the settings.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }
}

fn judge_issuer(settings: &ProviderSettings) -> Result<(), SettingRefusal> {
    let issuer = https_url("oidc.issuerUri", &settings.issuer_uri)?;
    let Some(text) = &settings.discovery_uri else {
        return Ok(());
    };
    judge_length("oidc.discoveryUri", text, DISCOVERY_CHARACTERS)?;
    let discovery = https_url("oidc.discoveryUri", text)?;
    let issuer_path = issuer.path().trim_end_matches('/');
    let appended = discovery
        .path()
        .strip_prefix(issuer_path)
        .is_some_and(|rest| rest.starts_with("/.well-known/") && rest.len() > "/.well-known/".len());
    let inserted = discovery.path().starts_with("/.well-known/") && discovery.path().ends_with(issuer_path);
    if discovery.origin() == issuer.origin() && (appended || inserted) {
        Ok(())
    } else {
        Err(SettingRefusal::Shape {
            what: "oidc.discoveryUri",
            found: text.clone(),
            expected: "the issuer's origin, and /.well-known/<name> before or after the issuer's path",
        })
    }
}

/// The counts are unverified.
fn judge_trust_store(settings: &ProviderSettings, store: &TrustStore) -> Result<(), SettingRefusal> {
    if !settings.issuer_uri.is_empty() || settings.jwks_json.is_some() || settings.discovery_uri.is_some() {
        return Err(SettingRefusal::Shape {
            what: "oidc",
            found: settings.issuer_uri.clone(),
            expected: "nothing beside x509",
        });
    }
    if store.trust_anchors.is_empty() {
        return Err(SettingRefusal::Missing {
            what: "x509.trustStore.trustAnchors",
        });
    }
    judge_count("x509.trustStore.trustAnchors", store.trust_anchors.len(), TRUST_ANCHORS)?;
    judge_count(
        "x509.trustStore.intermediateCas",
        store.intermediate_cas.len(),
        INTERMEDIATES,
    )
}

fn https_url(what: &'static str, text: &str) -> Result<Url, SettingRefusal> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" => Ok(url),
        Ok(_) | Err(_) => Err(SettingRefusal::Shape {
            what,
            found: text.to_owned(),
            expected: "an https URL",
        }),
    }
}

fn judge_texts(settings: &ProviderSettings) -> Result<(), SettingRefusal> {
    judge_length("displayName", &settings.display_name, DISPLAY_NAME_CHARACTERS)?;
    judge_length("description", &settings.description, DESCRIPTION_CHARACTERS)?;
    judge_count("actorProviders", settings.actor_providers.len(), ACTOR_PROVIDERS)?;
    judge_count("oidc.allowedAudiences", settings.allowed_audiences.len(), AUDIENCES)?;
    for audience in &settings.allowed_audiences {
        judge_length("oidc.allowedAudiences", audience, AUDIENCE_CHARACTERS)?;
    }
    Ok(())
}

fn judge_mapping(mapping: &BTreeMap<String, String>) -> Result<(), SettingRefusal> {
    if !mapping.contains_key("google.subject") {
        return Err(SettingRefusal::Missing {
            what: "attributeMapping[google.subject]",
        });
    }
    let mut custom = 0;
    for (key, expression) in mapping {
        judge_length("attributeMapping", expression, MAPPING_CHARACTERS)?;
        match key.strip_prefix("attribute.") {
            Some(name) => {
                judge_attribute_name(name)?;
                custom += 1;
            }
            None if key == "google.subject" || key == "google.groups" => {}
            None => {
                return Err(SettingRefusal::Shape {
                    what: "attributeMapping",
                    found: key.clone(),
                    expected: "google.subject, google.groups or attribute.<name>",
                });
            }
        }
    }
    judge_count("attributeMapping", custom, CUSTOM_ATTRIBUTES)
}

fn judge_attribute_name(name: &str) -> Result<(), SettingRefusal> {
    judge_length("attributeMapping", name, ATTRIBUTE_NAME_CHARACTERS)?;
    let legal = !name.is_empty()
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if legal {
        Ok(())
    } else {
        Err(SettingRefusal::Shape {
            what: "attributeMapping",
            found: format!("attribute.{name}"),
            expected: "attribute.<name> with a name of [a-z0-9_]",
        })
    }
}

fn judge_condition(settings: &ProviderSettings) -> Result<(), SettingRefusal> {
    match &settings.attribute_condition {
        Some(condition) => judge_length("attributeCondition", condition, CONDITION_CHARACTERS),
        None if SHARED_ISSUERS.contains(&settings.issuer_uri.as_str()) => Err(SettingRefusal::Missing {
            what: "attributeCondition (anyone may get a token of this issuer)",
        }),
        None => Ok(()),
    }
}

fn judge_uploaded_keys(text: &str) -> Result<(), SettingRefusal> {
    let refuse = |found: &str| SettingRefusal::Shape {
        what: "oidc.jwksJson",
        found: found.to_owned(),
        expected: "a JWK Set of RSA or EC keys with kid and use=sig and only the fields kty alg use kid n e x y crv",
    };
    let document: Value = serde_json::from_str(text).map_err(|why| refuse(&why.to_string()))?;
    let keys = document
        .get("keys")
        .and_then(Value::as_array)
        .ok_or_else(|| refuse("no member keys"))?;
    for key in keys {
        let fields = key.as_object().ok_or_else(|| refuse("a key that is no object"))?;
        if let Some(unknown) = fields
            .keys()
            .find(|field| !UPLOADED_KEY_FIELDS.contains(&field.as_str()))
        {
            return Err(refuse(&format!("the field {unknown}")));
        }
        let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        if !matches!(field("kty"), "RSA" | "EC") {
            return Err(refuse(&format!("kty {}", field("kty"))));
        }
        if field("use") != "sig" || field("kid").is_empty() {
            return Err(refuse(&format!("use {} and kid {}", field("use"), field("kid"))));
        }
    }
    Ok(())
}

/// Issuers that anyone may get a token of: Google demands an attribute condition (documented for these two).
const SHARED_ISSUERS: [&str; 2] = [
    "https://token.actions.githubusercontent.com",
    "https://app.terraform.io",
];

/// The fields a key of `jwksJson` may have (documented).
const UPLOADED_KEY_FIELDS: [&str; 9] = ["kty", "alg", "use", "kid", "n", "e", "x", "y", "crv"];
