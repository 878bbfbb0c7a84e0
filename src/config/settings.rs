//! The configuration, validated: everything that `serve` needs.

use std::{collections::BTreeSet, num::NonZeroU32, path::Path};

use serde_json::Value as Json;

use super::{
    Profile,
    assemble::Plugins,
    attestor::{self, AttestorTable},
    audit::{self, Audit, Sink},
    conform,
    diagnostic::{Diagnostic, Fault, Problems},
    document::Document,
    entry::{self, EntryTable},
    grant::{self, GrantTable},
    issuer,
    keys::{self, Keys},
    limits::{self, Limits},
    listen::{self, Listen},
    name::Names,
    path::KeyPath,
    policy::{self, PolicyFile},
    relying_party::{self, RelyingPartyTable},
    rotation::{self, Rotation},
    schema::Raw,
    store::{self, Store},
    tls::{self, Tls},
    x509::{self, X509},
};
use crate::spiffe::TrustDomain;

/// The configuration, validated.
#[derive(Debug)]
pub struct Settings {
    /// The SPIFFE trust domain.
    pub trust_domain: TrustDomain,
    /// Our URL as OIDC issuer, exactly as it stands in tokens.
    pub issuer: String,
    /// Scheme, host and port of the token endpoint.
    pub exchange_url: String,
    /// How many processes share the store.
    pub replicas: NonZeroU32,
    /// Where we listen.
    pub listen: Listen,
    /// The certificate that both listeners present.
    pub tls: Tls,
    /// Where keys, ledger, locks and trail are kept.
    pub store: Store,
    /// What seals private keys in the store.
    pub keys: Keys,
    /// How keys are replaced.
    pub rotation: Rotation,
    /// Who certifies our intermediates.
    pub x509: X509,
    /// How much of us one caller can have.
    pub limits: Limits,
    /// Who we believe, in the order of the file.
    pub attestors: Vec<AttestorTable>,
    /// Who is it.
    pub entries: Vec<EntryTable>,
    /// Where may it go.
    pub relying_parties: Vec<RelyingPartyTable>,
    /// What may it have.
    pub grants: Vec<GrantTable>,
    /// Raw Cedar files.
    pub policies: Vec<PolicyFile>,
    /// What the trail is held against at the start.
    pub audit: Audit,
    /// Where copies of the trail go.
    pub sinks: Vec<Sink>,
    /// What does not stop the start, and somebody should look at.
    pub warnings: Vec<Diagnostic>,
    /// What the keys above are found in.
    pub(super) document: Document,
}

/// What could be read of a configuration, and what is wrong with the rest.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) trust_domain: Option<TrustDomain>,
    pub(super) issuer: Option<String>,
    exchange_url: Option<String>,
    replicas: NonZeroU32,
    listen: Option<Listen>,
    tls: Option<Tls>,
    store: Option<Store>,
    keys: Option<Keys>,
    rotation: Rotation,
    x509: X509,
    limits: Limits,
    pub(super) attestors: Vec<AttestorTable>,
    entries: Vec<EntryTable>,
    pub(super) relying_parties: Vec<RelyingPartyTable>,
    grants: Vec<GrantTable>,
    policies: Vec<PolicyFile>,
    audit: Audit,
    sinks: Vec<Sink>,
}

impl Draft {
    /// Reads whatever of `document` can be read.
    pub(super) fn read(
        document: &Document,
        schema: &Json,
        plugins: Plugins<'_>,
        profile: Profile,
        problems: &mut Problems,
    ) -> Self {
        let root = KeyPath::root();
        let table = conform::conforming(schema, document.root(), &root, problems);
        let raw = raw(table, problems);
        let directory = document.file().parent().unwrap_or(Path::new("."));
        let mut draft = Self::ours(raw, directory, profile, problems);
        draft.tables(plugins, problems);
        draft.draft
    }

    fn ours(raw: Raw, directory: &Path, profile: Profile, problems: &mut Problems) -> Unfinished {
        let root = KeyPath::root();
        let mut text = |key: &str, text: Option<String>, read: fn(&str, Profile) -> Result<String, Fault>| {
            text.and_then(|text| problems.take(&root.key(key), read(&text, profile)))
        };
        let issuer = text("issuer", raw.issuer, issuer::issuer);
        let exchange_url = text("exchange_url", raw.exchange_url, issuer::exchange_url);
        let trust_domain = raw
            .trust_domain
            .and_then(|text| problems.take(&root.key("trust_domain"), issuer::trust_domain(&text, profile)));
        let replicas = raw.replicas.unwrap_or(NonZeroU32::MIN);
        let listen = raw
            .listen
            .and_then(|raw| listen::read(raw, profile, &root.key("listen"), problems));
        let tls = raw
            .tls
            .and_then(|raw| tls::read(raw, directory, &root.key("tls"), problems));
        let store = raw
            .store
            .and_then(|raw| store::read(raw, directory, &root.key("store"), problems));
        let keys = raw
            .keys
            .and_then(|raw| keys::read(raw, directory, store.as_ref(), &root.key("keys"), problems));
        problems.take(&root.key("store").key("url"), shared(store.as_ref(), replicas));
        let rotation = rotation::read(raw.rotation, directory, &root.key("rotation"), problems);
        let audit = audit::read_audit(raw.audit, directory, store.as_ref(), problems);
        let draft = Self {
            trust_domain,
            issuer,
            exchange_url,
            replicas,
            listen,
            tls,
            store,
            keys,
            rotation,
            x509: x509::read(&raw.x509),
            limits: limits::read(raw.limits),
            attestors: Vec::new(),
            entries: Vec::new(),
            relying_parties: Vec::new(),
            grants: Vec::new(),
            policies: policy::read(&raw.policy, directory, &root.key("policy"), problems),
            audit,
            sinks: audit::read(raw.sink, directory, problems),
        };
        Unfinished {
            draft,
            attestor: raw.attestor,
            entry: raw.entry,
            relying_party: raw.relying_party,
            grant: raw.grant,
        }
    }

    /// Returns the settings, or `None` where a part is missing, which is then among the problems.
    pub(super) fn finish(self, document: Document, warnings: Vec<Diagnostic>) -> Option<Settings> {
        Some(Settings {
            trust_domain: self.trust_domain?,
            issuer: self.issuer?,
            exchange_url: self.exchange_url?,
            replicas: self.replicas,
            listen: self.listen?,
            tls: self.tls?,
            store: self.store?,
            keys: self.keys?,
            rotation: self.rotation,
            x509: self.x509,
            limits: self.limits,
            attestors: self.attestors,
            entries: self.entries,
            relying_parties: self.relying_parties,
            grants: self.grants,
            policies: self.policies,
            audit: self.audit,
            sinks: self.sinks,
            warnings,
            document,
        })
    }

    /// Names what no grant uses.
    fn warn_of_unused(&self, problems: &mut Problems) {
        let entries: BTreeSet<_> = self.grants.iter().flat_map(|grant| &grant.entries).collect();
        let relying_parties: BTreeSet<_> = self.grants.iter().flat_map(|grant| &grant.relying_parties).collect();
        let unused = |kind: &str, name: &str| {
            let expected = format!("a grant for each {kind}: this one gives nothing");
            Fault::new("config.unused", format_args!("`{name}` in no grant"), expected)
        };
        let acts = |entry: &EntryTable| {
            let mut actors = self.grants.iter().flat_map(|grant| &grant.actors);
            actors.any(|actor| *actor == entry.spiffe_id)
        };
        let given = |entry: &EntryTable| entries.contains(&entry.name) || acts(entry);
        for entry in self.entries.iter().filter(|entry| !given(entry)) {
            problems.warn(&entry.at.key("name"), unused("entry", entry.name.as_str()));
        }
        for party in self
            .relying_parties
            .iter()
            .filter(|party| !relying_parties.contains(&party.name))
        {
            problems.warn(&party.at.key("name"), unused("relying party", party.name.as_str()));
        }
    }
}

/// A draft whose lists of tables are still as written.
struct Unfinished {
    draft: Draft,
    attestor: Vec<attestor::RawAttestor>,
    entry: Vec<entry::RawEntry>,
    relying_party: Vec<relying_party::RawRelyingParty>,
    grant: Vec<grant::RawGrant>,
}

impl Unfinished {
    fn tables(&mut self, plugins: Plugins<'_>, problems: &mut Problems) {
        let attestor_kinds: Vec<&str> = plugins.attestors.iter().map(|plugin| plugin.kind).collect();
        let party_kinds: Vec<&str> = plugins.relying_parties.iter().map(|plugin| plugin.kind).collect();
        let mut attestors = Names::of("attestor");
        let mut entries = Names::of("entry");
        let mut parties = Names::of("relying party");
        let draft = &mut self.draft;
        draft.attestors = attestor::read(
            std::mem::take(&mut self.attestor),
            &attestor_kinds,
            &mut attestors,
            problems,
        );
        draft.entries = entry::read(std::mem::take(&mut self.entry), &attestors, &mut entries, problems);
        draft.relying_parties = relying_party::read(
            std::mem::take(&mut self.relying_party),
            &party_kinds,
            &mut parties,
            problems,
        );
        draft.grants = grant::read(std::mem::take(&mut self.grant), &entries, &parties, problems);
        // A grant that is refused is not among them: what it names is not unused.
        if !problems.any_refused() {
            draft.warn_of_unused(problems);
        }
    }
}

/// Turns what conforms to the schema into types.
fn raw(table: toml::Table, problems: &mut Problems) -> Raw {
    serde_path_to_error::deserialize(toml::Value::Table(table)).unwrap_or_else(
        |why: serde_path_to_error::Error<toml::de::Error>| {
            // The schema says more than the types, so that this names a flaw of the schema; the start is refused all the same.
            let path = KeyPath::root().below(&why.path().to_string());
            problems.refuse(
                &path,
                Fault::new("config.value_invalid", why.inner().message(), "what the schema says"),
            );
            Raw::default()
        },
    )
}

/// Refuses one file for several processes.
fn shared(store: Option<&Store>, replicas: NonZeroU32) -> Result<(), Fault> {
    match store {
        Some(Store::Sqlite { .. }) if replicas > NonZeroU32::MIN => Err(Fault::new(
            "config.replicas_need_postgres",
            format_args!("a `sqlite` store for {replicas} replicas"),
            "a `postgres` store, which replicas can share",
        )),
        Some(Store::Postgres(_) | Store::Sqlite { .. }) | None => Ok(()),
    }
}
