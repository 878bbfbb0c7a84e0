//! A whole development world: a CI system's issuer and every simulated cloud, on loopback under one throw-away CA.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{
    Ground, Listen, Platform, SeedPlatforms, Seeded, ca,
    ci_issuer::{self, CiIssuer},
    documents::{self, OverTls},
    server::{AnyClient, Loopback},
};
use crate::{
    clock::Clock,
    exchange,
    http::{listener::Stop, tls::Certificate},
    secret::Random,
};

/// What may go wrong while a world is made.
pub type WorldError = Box<dyn std::error::Error + Send + Sync>;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where its files go.
    pub directory: PathBuf,
    /// The gateway's issuer URL, which the clouds are told to trust.
    pub issuer: String,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub random: Arc<dyn Random>,
    /// Ends every server.
    pub stop: Stop,
    /// The platforms that are started beside the CI issuer.
    pub platforms: Vec<SeedPlatforms>,
}

/// A running world.
#[derive(Debug)]
pub struct World {
    /// The throw-away CA and the servers' certificate.
    pub files: ca::Files,
    /// The servers' certificate, loaded.
    pub certificate: Arc<Certificate>,
    /// The CI issuer's URL.
    pub ci_url: String,
    /// The CI issuer.
    pub ci: Arc<CiIssuer>,
    /// The simulated clouds, in the order of the built-in kinds.
    pub clouds: Vec<Seeded>,
    /// The simulated platforms, in the order of the plan.
    pub platforms: Vec<Platform>,
}

/// The development trust domain; `.test` never resolves (RFC 2606).
pub const TRUST_DOMAIN: &str = "dev.cambio.test";

/// The path of the one workload that the development policy names.
pub const WORKLOAD_PATH: &str = "/ci/acme/shop/deploy";

impl World {
    /// Starts the CI issuer and every simulated cloud, told to admit one workload.
    ///
    /// # Errors
    /// Fails where a key, a file or a port cannot be had, or a simulator refuses its own seed.
    pub async fn start(plan: Plan) -> Result<Self, WorldError> {
        let files = ca::create(&plan.directory, plan.clock.now())?;
        let certificate = Certificate::load(&files.certificate, &files.key)?;
        let listen: Arc<dyn Listen> = Arc::new(
            Loopback::new(certificate.server_config()?, plan.stop)
                .with_mutual(certificate.server_config_with_clients(AnyClient::new())?),
        );
        let bound = listen.bind()?;
        let ci_url = bound.url;
        let (clock, random) = (Arc::clone(&plan.clock), Arc::clone(&plan.random));
        let ci = Arc::new(CiIssuer::new(
            (ci_url.clone(), plan.issuer.clone()),
            example_job(),
            (clock, random),
        )?);
        (bound.serve)(Arc::clone(&ci).router());
        let ground = Ground {
            documents: Arc::new(OverTls::new(&files.ca)?),
            clock: plan.clock,
            random: plan.random,
            issuer: plan.issuer,
            subject: format!("spiffe://{TRUST_DOMAIN}{WORKLOAD_PATH}"),
            listen,
            ca_file: files.ca.clone(),
            directory: plan.directory,
        };
        let mut clouds = Vec::new();
        for seed in exchange::BUILTINS.iter().filter_map(|builtin| builtin.sim) {
            clouds.push(seed(ground.clone()).await?);
        }
        let mut platforms = vec![github(&ci, &ci_url, &ground)];
        for seed in plan.platforms {
            platforms.extend(seed(ground.clone()).await?);
        }
        Ok(Self {
            files,
            certificate,
            ci_url,
            ci,
            clouds,
            platforms,
        })
    }

    /// Tells every cloud that trusts our X.509 authority the roots that the gateway publishes in its bundle.
    ///
    /// # Errors
    /// Fails where the bundle cannot be had or a cloud does not take the roots.
    pub async fn tell_roots(&self, issuer: &str) -> Result<(), WorldError> {
        let roots = documents::x509_roots(&documents::client(&self.files.ca)?, issuer).await?;
        if roots.is_empty() {
            // A root that stays outside is not there before its first chain.
            return Ok(());
        }
        for told in self.clouds.iter().filter_map(|cloud| cloud.told.as_ref()) {
            told(&roots)?;
        }
        Ok(())
    }

    /// Returns the simulator of a section of the ready file, for example `aws`.
    pub fn simulator<T: Send + Sync + 'static>(&self, section: &str) -> Option<Arc<T>> {
        let cloud = self.clouds.iter().find(|cloud| cloud.section == section)?;
        Arc::clone(&cloud.simulator).downcast().ok()
    }
}

/// Returns the claims of the job that the development policy admits.
pub fn example_job() -> Map<String, Value> {
    let mut claims = crate::attest::oidc::fixture::github_job().claims().clone();
    claims.retain(|name, _| !["aud", "exp", "iat", "iss", "jti", "nbf"].contains(&name.as_str()));
    claims
}

/// Returns the configuration of a development gateway in this world.
///
/// # Errors
/// Fails where a value cannot be written as TOML.
pub fn configuration(world: &World, gateway: &GatewayPlace<'_>) -> Result<String, toml::ser::Error> {
    let mut parties = String::new();
    for cloud in &world.clouds {
        let mut table = cloud.relying_party.clone();
        table.insert("name".to_owned(), cloud.name.into());
        parties.extend(["[[relying_party]]\n", &toml::to_string(&table)?, "\n"]);
    }
    parties.push_str(VAULT);
    Ok([
        gateway_tables(world, gateway),
        workload_tables(world),
        parties,
        grant_table(world),
    ]
    .concat())
}

fn gateway_tables(world: &World, gateway: &GatewayPlace<'_>) -> String {
    format!(
        "# Written by `cambio dev`; for development only.\n\
         trust_domain = \"{TRUST_DOMAIN}\"\nissuer = \"{}\"\nexchange_url = \"{}\"\n\n\
         [listen]\nmetadata = \"{}\"\nexchange = \"{}\"\nadmin = \"unix:{}\"\n\n\
         [tls]\ncertificate_file = \"{}\"\nkey_file = \"{}\"\n\n\
         [store]\nurl = \"sqlite://{}\"\n\n[keys]\nkek_file = \"{}\"\n\n\
         [rotation]\nca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\ndangerous_publish_lead = \"10s\"\n\n\
         [[sink]]\nkind = \"file\"\npath = \"{}\"\n\n",
        gateway.issuer,
        gateway.exchange_url,
        gateway.issuer.trim_start_matches("https://"),
        gateway.exchange_url.trim_start_matches("https://"),
        gateway.admin.display(),
        world.files.certificate.display(),
        world.files.key.display(),
        gateway.store.display(),
        gateway.kek.display(),
        world.files.ca.display(),
        gateway.audit.display(),
    )
}

fn workload_tables(world: &World) -> String {
    let tables = world.platforms.iter().map(|platform| {
        let name = attestor_of(platform);
        let first = FIRST.iter().filter_map(|key| platform.attestor.get_key_value(*key));
        let rest = platform
            .attestor
            .iter()
            .filter(|(key, _)| !FIRST.contains(&key.as_str()));
        let lines = first.chain(rest).fold(String::new(), |mut lines, (key, value)| {
            let _never_fails = writeln!(lines, "{key} = {value}");
            lines
        });
        format!(
            "[[attestor]]\nname = \"{name}\"\n{lines}\n\
             [[entry]]\nname = \"{}\"\nattestor = \"{name}\"\nmatch = {}\nspiffe_id = \"{WORKLOAD_PATH}\"\n\n",
            entry_of(platform),
            toml::Value::Table(platform.matches.clone()),
        )
    });
    tables.collect()
}

/// What a reader looks for first in an attestor's table.
const FIRST: [&str; 3] = ["kind", "preset", "issuer"];

/// The first platform has the names that README and manual show.
fn attestor_of(platform: &Platform) -> &'static str {
    match platform.name {
        GITHUB => "github",
        name => name,
    }
}

fn entry_of(platform: &Platform) -> String {
    match platform.name {
        GITHUB => "shop-deploy".to_owned(),
        name => format!("shop-deploy-{}", name.replace('_', "-")),
    }
}

fn github(ci: &Arc<CiIssuer>, url: &str, ground: &Ground) -> Platform {
    let job = example_job();
    let claim = |name: &str| job.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let owner = [
        ("name", claim("repository_owner")),
        ("id", claim("repository_owner_id")),
    ];
    let owner = toml::Table::from_iter(owner.map(|(name, value)| (name.to_owned(), value.into())));
    let mut attestor = ground.reach();
    attestor.extend([
        ("kind".to_owned(), "oidc".into()),
        ("preset".to_owned(), GITHUB.into()),
        ("issuer".to_owned(), url.into()),
        ("owners".to_owned(), toml::Value::Array(vec![owner.into()])),
    ]);
    let matches = [("ci.repo_id", claim("repository_id")), ("ci.ref", claim("ref"))];
    Platform {
        name: GITHUB,
        attestor,
        matches: toml::Table::from_iter(matches.map(|(name, value)| (name.to_owned(), value.into()))),
        variables: vec![
            (
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                format!("{url}{}", ci_issuer::GITHUB_REQUEST),
            ),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ci_issuer::BEARER.to_owned()),
        ],
        token: None,
        ready: Value::Null,
        simulator: Arc::<CiIssuer>::clone(ci) as Arc<dyn std::any::Any + Send + Sync>,
    }
}

const GITHUB: &str = "github_actions";

/// The first platform's workload may have the SVIDs themselves. The others' have its SPIFFE ID, and a certificate has no audience:
/// they may have what tokens open.
fn grant_table(world: &World) -> String {
    let clouds = world.clouds.iter().map(|cloud| cloud.name);
    let names: Vec<&str> = clouds.clone().collect();
    let entries: Vec<String> = world.platforms.iter().map(entry_of).collect();
    let (first, others) = entries.split_at(entries.len().min(1));
    let mut text = format!(
        "[[grant]]\nname = \"shop-to-the-clouds\"\nentries = {first:?}\nrelying_parties = {names:?}\n\
         ttl = \"20m\"\naccept_lifetime = true\nrelease = [\"svid\"]\n"
    );
    if !others.is_empty() {
        let names: Vec<&str> = clouds.filter(|name| *name != BY_CERTIFICATE).collect();
        let _never_fails = write!(
            text,
            "\n[[grant]]\nname = \"platforms-to-the-clouds\"\nentries = {others:?}\nrelying_parties = {names:?}\n\
             ttl = \"20m\"\naccept_lifetime = true\n"
        );
    }
    text
}

/// A service of the operator's own that no grant names, so that a refusal of policy can be seen.
const VAULT: &str =
    "[[relying_party]]\nname = \"vault-dev\"\nkind = \"svid\"\naudience = \"https://vault.dev.cambio.test\"\n\n";

const BY_CERTIFICATE: &str = "aws-x509-dev";

/// Where a development gateway lives.
#[derive(Clone, Copy, Debug)]
pub struct GatewayPlace<'a> {
    /// The issuer URL, which is the metadata listener's.
    pub issuer: &'a str,
    /// The exchange listener's URL.
    pub exchange_url: &'a str,
    /// The admin socket.
    pub admin: &'a Path,
    /// The store's file.
    pub store: &'a Path,
    /// The key-encryption key's file.
    pub kek: &'a Path,
    /// The audit sink's file.
    pub audit: &'a Path,
}
