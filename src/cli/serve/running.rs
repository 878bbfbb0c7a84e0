//! A running gateway: put together from settings, reloaded, and stopped in order.
//!
//! The metadata listener has a thread and a runtime of its own: nothing that happens to an exchange reaches it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    super::environment::Environment,
    incarnation, known_heads, revocation, rotation,
    sockets::{Sockets, bind_admin, serve_metadata},
};
use crate::{
    attest::{Challenges, OwnDocuments, OwnStore},
    audit::{
        Draft, Group, Rollback, Trail, TrailOptions,
        checkpoint::CheckpointSigner,
        sinks::{self, file::FileSink, stdout::StreamSink},
    },
    authorize::lock::Locks,
    bounded_file,
    config::{self, Diagnostic, Profile, Settings, assemble::Surroundings, audit::Sink},
    exchange::{budget::Budget, held::HeldCredentials},
    fetch::Fetch,
    gateway::{
        Gateway, Rules,
        rate::{Rate, Rates},
    },
    http::{
        client_certificate::ClientVerifier,
        listener::{Stop, serve_tls, serve_unix},
        router,
        routes::{admin, metadata},
        source::TrustedProxies,
        state::{ExchangeParts, ExchangeState},
        tls::{Certificate, MAX_CHAIN_BYTES},
    },
    mint::{KeyRing, Minter, crl::Revoker, keys::Key, rotation::Engine},
    store::Store,
    telemetry::Metrics,
    trust::Published,
};

/// What an operator decides at the start.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the gateway is started for.
    pub profile: Profile,
    /// Starts on an empty store although the issuer URL already publishes other keys.
    pub accept_new_issuer_keys: bool,
    /// Starts on a store that lies before the last checkpoint.
    pub accept_rollback: bool,
}

/// A running gateway.
pub struct Running {
    gateway: Arc<Gateway>,
    engine: Arc<Engine>,
    exchange: ExchangeState,
    surroundings: Surroundings,
    certificate: Arc<Certificate>,
    certificate_files: (PathBuf, PathBuf),
    policy_alarm: Arc<ArcSwap<Option<String>>>,
    generation: AtomicU64,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    metadata: thread::JoinHandle<()>,
    admin: PathBuf,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}

/// LIMITS.md: a shutdown drains for 20 s.
const DRAIN: Duration = Duration::from_secs(20);

impl Running {
    /// Puts a gateway together and begins to serve.
    ///
    /// # Errors
    /// Fails where anything it stands on does; nothing is served then.
    pub async fn start(
        settings: Settings,
        sockets: Sockets,
        environment: &Environment,
        options: Options,
    ) -> anyhow::Result<Self> {
        let surroundings = Surroundings {
            clock: Arc::clone(&environment.clock),
            fetch: Arc::new(Fetch::system()),
            own: OwnDocuments::default(),
            challenges: Challenges::derived(settings.keys.kek.expose())?,
            store: OwnStore::default(),
        };
        let diagnosed = |diagnostics: Vec<Diagnostic>| anyhow::anyhow!(config::render::text(&diagnostics));
        let rules = rules(&settings, &surroundings, FIRST_GENERATION).map_err(diagnosed)?;
        let certificate = Certificate::load(&settings.tls.certificate_file, &settings.tls.key_file)?;
        refuse_development_certificate(&settings.tls.certificate_file, options.profile)?;
        let store = super::store::open(&settings.store).await?;
        mark_profile(&*store, options.profile).await?;
        surroundings.store.begin(Arc::clone(&store));
        let (keys, replica) = rotation::open(&settings, &store, environment, options).await?;
        let revoker = Arc::new(Revoker::new(
            keys.clone(),
            Arc::clone(&store),
            Arc::clone(&environment.clock),
        ));
        revoker.refresh().await?;
        let trail = start_trail(&settings, &store, environment, (&keys, options)).await?;
        let engine = Arc::new(rotation::engine(&settings, replica, &trail, &surroundings.fetch)?);
        let published = engine.replica().published().clone();
        surroundings.own.begin(published, revoker.published().clone());
        let clock = Arc::clone(&environment.clock);
        let gateway = Arc::new(Gateway {
            rules: ArcSwap::from_pointee(rules),
            minter: Minter::new(settings.issuer.clone(), keys, Arc::clone(&environment.random)),
            held: HeldCredentials::default(),
            budget: Budget::new(settings.replicas),
            workload_rates: Rates::new(rate(settings.limits.per_workload)),
            locks: Locks::start(Arc::clone(&store), Arc::clone(&clock)).await?,
            trail,
            store,
            clock,
            random: Arc::clone(&environment.random),
        });
        incarnation::record_start(&gateway, FIRST_GENERATION).await;
        incarnation::record_first_keys(&gateway).await;
        Self::listen(
            settings,
            sockets,
            (gateway, surroundings),
            (certificate, engine, revoker),
        )
    }

    /// Begins to serve what was put together.
    fn listen(
        settings: Settings,
        sockets: Sockets,
        (gateway, surroundings): (Arc<Gateway>, Surroundings),
        (certificate, engine, revoker): (Arc<Certificate>, Arc<Engine>, Arc<Revoker>),
    ) -> anyhow::Result<Self> {
        let exchange = ExchangeState::new(ExchangeParts {
            gateway: Arc::clone(&gateway),
            challenges: surroundings.challenges.clone(),
            exchange_url: settings.exchange_url.clone(),
            proxies: TrustedProxies::new(settings.listen.trusted_proxies.clone()),
            sources: Rates::new(rate(settings.limits.per_source)),
            most_in_flight: settings.limits.in_flight.get() as usize,
            metrics: Metrics::default(),
        });
        let (stop, stopped) = Stop::switch();
        let policy_alarm = Arc::new(ArcSwap::from_pointee(None));
        let tls = certificate.server_config()?;
        let routes = metadata_routes(&settings, engine.replica().published(), &revoker)?;
        let metadata = serve_metadata(sockets.metadata, Arc::clone(&tls), routes, stopped.clone())?;
        let listener = tokio::net::TcpListener::from_std(sockets.exchange)?;
        let admin_listener = bind_admin(&settings.listen.admin)?;
        let admin = admin::AdminState {
            exchange: exchange.clone(),
            engine: Arc::clone(&engine),
            revoker: Arc::clone(&revoker),
            policy_alarm: Arc::clone(&policy_alarm),
        };
        let clients = ClientVerifier::new(Arc::clone(&gateway));
        let tls = certificate.server_config_with_clients(clients)?;
        let routes = router::exchange(exchange.clone());
        let mut listeners = vec![
            tokio::spawn(serve_tls(listener, tls, routes, stopped.clone(), DRAIN)),
            tokio::spawn(serve_unix(admin_listener, admin::routes(admin), stopped)),
            tokio::spawn(forget_old_evidence(Arc::clone(&gateway))),
            tokio::spawn(revocation::keep(revoker)),
        ];
        listeners.extend(rotation::start(&engine));
        Ok(Self {
            gateway,
            engine,
            exchange,
            surroundings,
            certificate,
            certificate_files: (settings.tls.certificate_file, settings.tls.key_file),
            policy_alarm,
            generation: AtomicU64::new(FIRST_GENERATION),
            stop,
            listeners,
            metadata,
            admin: settings.listen.admin,
        })
    }

    /// Returns the gateway.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Takes over what `loaded` says of policy, attestors and relying parties; a bad file changes nothing and raises the
    /// alarm.
    pub async fn reload(&self, loaded: Result<Settings, Vec<Diagnostic>>) {
        let generation = self.generation.load(Ordering::Acquire) + 1;
        let compiled = loaded.and_then(|settings| rules(&settings, &self.surroundings, generation));
        let renewed = self
            .certificate
            .reload(&self.certificate_files.0, &self.certificate_files.1);
        if let Err(refused) = renewed {
            tracing::error!(error = %refused, "the certificate was not renewed, the old one is kept");
        }
        let detail = match compiled {
            Ok(rules) => {
                self.gateway.rules.store(Arc::new(rules));
                self.generation.store(generation, Ordering::Release);
                self.policy_alarm.store(Arc::new(None));
                format!("configuration reloaded, policy generation {generation}")
            }
            Err(refused) => {
                let text = config::render::text(&refused);
                tracing::error!("the configuration was not reloaded, the last good one is kept: {text}");
                self.policy_alarm
                    .store(Arc::new(Some("the last reload was refused, see the log".to_owned())));
                let why = config::render::first(&refused);
                format!("a reload was refused, the last good configuration is kept: {why}")
            }
        };
        let group = Group {
            ledger: None,
            entries: vec![Draft::change(&detail)],
        };
        if let Err(failed) = self.gateway.trail.record(group).await {
            tracing::error!(error = %failed, "the reload could not be recorded");
        }
    }

    /// Stops taking requests, lets those in flight end, and closes the trail.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if !self.exchange.drained(DRAIN).await {
            tracing::warn!("requests were still in flight when the drain time ended");
        }
        incarnation::record_stop(&self.gateway, self.generation.load(Ordering::Acquire)).await;
        if let Err(failed) = self.engine.leave().await {
            tracing::warn!(error = %failed, "the other replicas were not told that this one leaves");
        }
        self.gateway.trail.close().await;
        self.gateway.store.close().await;
        for listener in self.listeners {
            listener.abort();
        }
        let _unix_socket = std::fs::remove_file(&self.admin);
        if self.metadata.join().is_err() {
            tracing::error!("the metadata listener ended with a panic");
        }
    }
}

const FIRST_GENERATION: u64 = 1;

fn rules(settings: &Settings, surroundings: &Surroundings, generation: u64) -> Result<Rules, Vec<Diagnostic>> {
    let assembly = settings.assemble(surroundings)?;
    let compiled = settings.compile(&assembly, generation)?;
    let relying_parties = assembly
        .relying_parties
        .into_iter()
        .map(|party| (party.name().clone(), party))
        .collect();
    Ok(Rules {
        attestors: assembly.attestors,
        registry: compiled.registry,
        policy: compiled.policy,
        relying_parties,
    })
}

fn rate(rate: config::limits::Rate) -> Rate {
    Rate {
        per_second: rate.per_second,
        burst: rate.burst,
    }
}

/// The name that a development world writes into its certificates' issuer.
const DEVELOPMENT_CA: &[u8] = b"Cambio development CA, do not trust";

fn refuse_development_certificate(path: &Path, profile: Profile) -> anyhow::Result<()> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let pem = bounded_file::read(path, MAX_CHAIN_BYTES).context("the certificate cannot be read")?;
    let certificate = CertificateDer::from_pem_slice(&pem).context("the certificate cannot be read")?;
    let development = certificate
        .windows(DEVELOPMENT_CA.len())
        .any(|window| window == DEVELOPMENT_CA);
    if development && profile == Profile::Production {
        bail!(
            "`{}` was made by `cambio dev` and is for development only",
            path.display()
        );
    }
    Ok(())
}

/// A store belongs to development or to production for ever.
async fn mark_profile(store: &dyn Store, profile: Profile) -> anyhow::Result<()> {
    let profile = match profile {
        Profile::Development => "development",
        Profile::Production => "production",
    };
    match store.fact("profile").await? {
        None => store.set_fact("profile", profile).await?,
        Some(found) if found == profile => {}
        Some(found) => bail!("the store was made for {found}, this is {profile}"),
    }
    Ok(())
}

async fn start_trail(
    settings: &Settings,
    store: &Arc<dyn Store>,
    environment: &Environment,
    (keys, options): (&KeyRing, Options),
) -> anyhow::Result<Trail> {
    let sinks = settings.sinks.iter().map(|sink| match sink {
        Sink::File { path } => {
            let sink =
                FileSink::open("file", path).with_context(|| format!("`{}` cannot be opened", path.display()))?;
            Ok(Arc::new(sink) as Arc<dyn sinks::Sink>)
        }
        Sink::Stdout => Ok(Arc::new(StreamSink::new("stdout", Box::new(std::io::stdout()))) as Arc<dyn sinks::Sink>),
    });
    let known_heads = if options.accept_rollback {
        Vec::new()
    } else {
        known_heads::of(settings, &**store, keys).await?
    };
    let options = TrailOptions {
        signer: Some(Arc::new(AuditKey(keys.clone()))),
        sinks: sinks.collect::<anyhow::Result<_>>()?,
        known_heads,
        rollback: if options.accept_rollback {
            Rollback::Accept
        } else {
            Rollback::Refuse
        },
        ..TrailOptions::default()
    };
    let clock = Arc::clone(&environment.clock);
    let (trail, _task) = Trail::start(Arc::clone(store), clock, &*environment.random, options).await?;
    Ok(trail)
}

/// The authority that signs checkpoints.
#[derive(Debug)]
struct AuditKey(KeyRing);

impl CheckpointSigner for AuditKey {
    fn key(&self) -> Option<Arc<dyn Key>> {
        self.0.audit_key()
    }
}

fn metadata_routes(settings: &Settings, published: &Published, revoker: &Revoker) -> anyhow::Result<axum::Router> {
    let url = url::Url::parse(&settings.issuer).context("the issuer is no URL")?;
    let host = url.host_str().context("the issuer has no host")?;
    let lists = revoker.published();
    Ok(metadata::routes(
        published,
        lists,
        host,
        url.path().trim_end_matches('/'),
    ))
}

/// Removes ledger rows whose memory has ended, once a minute.
async fn forget_old_evidence(gateway: Arc<Gateway>) {
    let mut tick = tokio::time::interval(Duration::from_mins(1));
    loop {
        tick.tick().await;
        if let Err(failed) = gateway.store.forget(gateway.clock.now()).await {
            tracing::warn!(error = %failed, "old ledger rows were not removed");
        }
    }
}
