//! Logs and metrics.
//!
//! Labels come from closed sets only: codes, endpoints, kinds and configured names, never from a request (T-61).

use std::sync::{Arc, atomic::AtomicU64};

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

/// The metrics of one process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    grants: Family<GrantLabels, Counter>,
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
    /// When the first active authority expires, unix seconds.
    pub authority_expires: Gauge,
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
        registry.register(
            "authority_expires_timestamp",
            "When the first active authority should have been replaced, unix seconds",
            gauges.authority_expires.clone(),
        );
        Self {
            registry: Arc::new(registry),
            requests,
            refusals,
            grants,
            seconds,
            gauges,
        }
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
/// gcp_auth logs whole response bodies at `warn`, and AWS's client logs requests at `trace`; both are cut off.
pub fn install_log(filter: Option<&str>) {
    let filter = filter.unwrap_or("info");
    let (json, filter) = filter
        .strip_prefix("json:")
        .map_or((false, filter), |filter| (true, filter));
    let filter = format!("{filter},{SILENCED}");
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    let installed = if json { log.json().try_init() } else { log.try_init() };
    drop(installed); // a second call changes nothing
}

/// What other crates would say that holds tokens.
const SILENCED: &str = "gcp_auth=off,aws_smithy_runtime=warn,aws_smithy_runtime_api=warn,aws_sdk_sts=warn,hyper_util=warn,azure_core=warn,azure_identity=warn,typespec_client_core=warn,reqwest=warn,sqlx=warn,h2=warn,rustls=warn";

#[cfg(test)]
mod tests {
    use super::*;

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
