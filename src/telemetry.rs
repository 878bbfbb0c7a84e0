//! Logs and metrics.
//!
//! Labels come from closed sets only: codes, endpoints, kinds and configured names, never from a request (T-61).

use std::{
    io::IsTerminal as _,
    sync::{Arc, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The metrics of one process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    grants: Family<GrantLabels, Counter>,
    alarms: Family<AlarmLabels, Gauge>,
    seconds: Family<EndpointLabels, Histogram, fn() -> Histogram>,
    gauges: Gauges,
}

/// What is read from elsewhere just before the metrics are shown.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Requests in flight.
    pub in_flight: Gauge,
    /// Credentials held.
    pub held: Gauge,
    /// Groups that wait for the audit writer.
    pub audit_queue: Gauge,
    /// How long the last commit took.
    pub audit_commit_seconds: Gauge<f64, AtomicU64>,
    /// For how long the oldest active authority has been signing, in seconds.
    pub authority_age_seconds: Gauge,
    /// When the first active authority expires, unix seconds.
    pub authority_expires: Gauge,
    /// The generation of the keys that this process works with.
    pub authority_generation: Gauge,
    /// When the first active authority is to be replaced, unix seconds.
    pub authority_next_rotation: Gauge,
    /// How many keys are in the documents that this process serves.
    pub authorities_published: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlarmLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GrantLabels {
    kind: &'static str,
    form: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("cambio");
        let requests = Family::default();
        let refusals = Family::default();
        let grants = Family::default();
        let seconds = Family::new_with_constructor(request_seconds as fn() -> Histogram);
        let gauges = Gauges::default();
        registry.register("requests", "Requests answered", requests.clone());
        registry.register("refusals", "Refusals by stable code", refusals.clone());
        registry.register("grants", "Credentials and SVIDs released", grants.clone());
        registry.register_with_unit("request", "Time to answer a request", Unit::Seconds, seconds.clone());
        registry.register("requests_in_flight", "Requests in flight", gauges.in_flight.clone());
        registry.register(
            "held_credentials",
            "Credentials held for the next request",
            gauges.held.clone(),
        );
        registry.register(
            "audit_queue",
            "Requests that wait for the audit writer",
            gauges.audit_queue.clone(),
        );
        registry.register_with_unit(
            "audit_commit",
            "How long the last commit took",
            Unit::Seconds,
            gauges.audit_commit_seconds.clone(),
        );
        register_keys(&mut registry, &gauges);
        let alarms = Family::default();
        registry.register(
            "key_alarms",
            "What somebody should look at about the keys",
            alarms.clone(),
        );
        Self {
            registry: Arc::new(registry),
            requests,
            refusals,
            grants,
            alarms,
            seconds,
            gauges,
        }
    }
}

fn register_keys(registry: &mut Registry, gauges: &Gauges) {
    let rows = [
        (
            "authority_age_seconds",
            "For how long the oldest active authority has been signing",
            &gauges.authority_age_seconds,
        ),
        (
            "authority_expires_timestamp",
            "When the first active authority should have been replaced, unix seconds",
            &gauges.authority_expires,
        ),
        (
            "authority_generation",
            "The generation of the keys that this process works with",
            &gauges.authority_generation,
        ),
        (
            "authority_next_rotation_timestamp",
            "When the first active authority is to be replaced, unix seconds",
            &gauges.authority_next_rotation,
        ),
        (
            "authorities_published",
            "Keys in the documents that this process serves",
            &gauges.authorities_published,
        ),
    ];
    for (name, help, gauge) in rows {
        registry.register(name, help, gauge.clone());
    }
}

fn request_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Metrics {
    /// Counts an answered request.
    pub fn answered(&self, endpoint: &'static str, status: u16, seconds: f64) {
        self.requests.get_or_create(&RequestLabels { endpoint, status }).inc();
        self.seconds
            .get_or_create(&EndpointLabels { endpoint })
            .observe(seconds);
    }

    /// Counts a refusal.
    pub fn refused(&self, code: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { code }).inc();
    }

    /// Counts a released credential or SVID.
    pub fn granted(&self, kind: &'static str, form: &'static str) {
        self.grants.get_or_create(&GrantLabels { kind, form }).inc();
    }

    /// Sets how many alarms of each kind stand; a kind that was seen before and is not among them stands at 0.
    pub fn key_alarms(&self, known: &[&'static str], standing: impl Iterator<Item = &'static str>) {
        for kind in known {
            self.alarms.get_or_create(&AlarmLabels { kind }).set(0);
        }
        for kind in standing {
            self.alarms.get_or_create(&AlarmLabels { kind }).inc();
        }
    }

    /// Returns what is set just before the metrics are shown.
    pub fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    /// Returns all metrics as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            Err(std::fmt::Error) => String::new(),
        }
    }
}

/// Begins to log to stderr: `filter` is a tracing filter, by default `info`; JSON where it begins with `json:`.
///
/// No filter brings back what `is_shown` cuts off.
pub fn install_log(filter: Option<&str>) {
    let filter = filter.unwrap_or("info");
    let (json, filter) = filter
        .strip_prefix("json:")
        .map_or((false, filter), |filter| (true, filter));
    let lines = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let log = tracing_subscriber::registry().with(EnvFilter::new(filter));
    let cut = filter_fn(is_shown);
    let installed = if json {
        log.with(lines.json().with_filter(cut)).try_init()
    } else {
        log.with(lines.with_filter(cut)).try_init()
    };
    drop(installed); // a second call changes nothing
}

/// Tells whether a line may be written at all, whatever the filter says.
///
/// Below `warn`, crates that carry tokens on the wire write requests, headers and frames; gcp_auth writes whole response
/// bodies at `warn`. What they say may change with any of their releases, so they are cut off as crates, not line by line.
fn is_shown(line: &Metadata<'_>) -> bool {
    let of = |name: &&str| {
        line.target()
            .strip_prefix(*name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    !MUTE.iter().any(of) && (*line.level() <= Level::WARN || !CARRIERS.iter().any(of))
}

/// Crates that are never heard; what rustls_platform_verifier writes of a bad certificate is in the error that it returns.
const MUTE: [&str; 2] = ["gcp_auth", "rustls_platform_verifier"];

/// Crates that are heard from `warn` on: they hold tokens, credentials, keys or what is bound to a statement.
const CARRIERS: [&str; 25] = [
    "aws_config",
    "aws_credential_types",
    "aws_runtime",
    "aws_sdk_sts",
    "aws_sigv4",
    "aws_smithy_http",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "axum",
    "azure_core",
    "azure_identity",
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "reqwest",
    "rustls",
    "sqlx",
    "sqlx_core",
    "sqlx_postgres",
    "sqlx_sqlite",
    "tokio_rustls",
    "tower_http",
    "typespec_client_core",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects what passes `is_shown`, by target and level, from events of made-up crates.
    fn shown(emit: impl FnOnce()) -> Vec<String> {
        use std::sync::Mutex;

        use tracing_subscriber::layer::Context;

        #[derive(Clone, Default)]
        struct Seen(Arc<Mutex<Vec<String>>>);
        impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Seen {
            fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
                let line = format!("{} {}", event.metadata().level(), event.metadata().target());
                self.0.lock().unwrap().push(line);
            }
        }
        let seen = Seen::default();
        let log = tracing_subscriber::registry()
            .with(EnvFilter::new("trace,h2::codec=trace,gcp_auth::types=trace"))
            .with(seen.clone().with_filter(filter_fn(is_shown)));
        tracing::subscriber::with_default(log, emit);
        let lines = seen.0.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn t_52_no_filter_brings_back_what_crates_that_carry_tokens_say_below_warn() {
        let lines = shown(|| {
            tracing::trace!(target: "cambio::gateway", "ours");
            tracing::trace!(target: "h2::codec", "a frame");
            tracing::info!(target: "aws_smithy_runtime", "a request");
            tracing::warn!(target: "h2::codec", "a fault");
            tracing::error!(target: "gcp_auth::types", "a body");
            tracing::error!(target: "rustls_platform_verifier::verification::others", "what the error says as well");
            tracing::trace!(target: "h2o", "another crate whose name begins alike");
        });

        assert_eq!(lines, ["TRACE cambio::gateway", "WARN h2::codec", "TRACE h2o"]);
    }

    #[test]
    fn shows_what_was_counted() {
        let metrics = Metrics::default();

        metrics.refused("attest.evidence_expired");
        metrics.answered("token", 200, 0.01);

        let text = metrics.text();
        assert!(
            text.contains(r#"cambio_refusals_total{code="attest.evidence_expired"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"cambio_requests_total{endpoint="token",status="200"} 1"#),
            "{text}"
        );
    }
}
