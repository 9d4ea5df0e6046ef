//! The program's metrics, on a registry of their own.
//!
//! Labels come from closed sets only (operation names in the source, status codes): no client can make a series.

use super::process;
use http::StatusCode;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// A figure that is asked for at each scrape: name, help, value. A name that ends in `_total` is a counter.
pub type Sample = (&'static str, &'static str, f64);

/// As [`Sample`], one of several that a label tells apart. The label's values must come from the operator, not from
/// clients. All samples of one name are given together.
#[derive(Clone, Debug)]
pub struct LabelledSample {
    /// The name of the figure.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// The label and its value.
    pub label: (&'static str, String),
    /// The figure.
    pub value: f64,
}

type Source = Box<dyn Fn() -> Vec<Sample> + Send + Sync>;
type LabelledSource = Box<dyn Fn() -> Vec<LabelledSample> + Send + Sync>;

/// From a cached HEAD to the completion of a large upload.
const LATENCY_BUCKETS_SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// What the program counts. Clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: IntCounterVec,
    latency: HistogramVec,
    received: IntCounter,
    sent: IntCounter,
    in_flight: IntGauge,
    connections: IntGauge,
    refused_connections: IntCounter,
    sources: RwLock<Vec<Source>>,
    labelled_sources: RwLock<Vec<LabelledSource>>,
}

impl Metrics {
    /// Counters at zero.
    ///
    /// # Errors
    /// If two metrics have one name, which the tests would have shown.
    pub fn new() -> Result<Self, prometheus::Error> {
        let requests = Opts::new("cairn_http_requests_total", "S3 requests answered, by operation and status code.");
        let latency = HistogramOpts::new(
            "cairn_http_request_duration_seconds",
            "Time from a request's head to the end of its answer, by operation.",
        );
        let inner = Inner {
            registry: Registry::new(),
            requests: IntCounterVec::new(requests, &["operation", "code"])?,
            latency: HistogramVec::new(latency.buckets(LATENCY_BUCKETS_SECONDS.to_vec()), &["operation"])?,
            received: IntCounter::new("cairn_http_received_bytes_total", "Bytes of request bodies.")?,
            sent: IntCounter::new("cairn_http_sent_bytes_total", "Bytes of answers' bodies.")?,
            in_flight: IntGauge::new("cairn_http_requests_in_flight", "S3 requests being worked on.")?,
            connections: IntGauge::new("cairn_connections", "Open S3 connections.")?,
            refused_connections: IntCounter::new(
                "cairn_accept_errors_total",
                "Connections that could not be accepted, for lack of file descriptors above all.",
            )?,
            sources: RwLock::new(Vec::new()),
            labelled_sources: RwLock::new(Vec::new()),
        };
        inner.registry.register(Box::new(inner.requests.clone()))?;
        inner.registry.register(Box::new(inner.latency.clone()))?;
        for counter in [&inner.received, &inner.sent, &inner.refused_connections] {
            inner.registry.register(Box::new(counter.clone()))?;
        }
        for gauge in [&inner.in_flight, &inner.connections] {
            inner.registry.register(Box::new(gauge.clone()))?;
        }
        let build = Opts::new("cairn_build_info", "1, with the program's version.");
        let build = IntGaugeVec::new(build, &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        inner.registry.register(Box::new(build))?;
        let metrics = Self(Arc::new(inner));
        metrics.add_source(process::samples);
        Ok(metrics)
    }

    /// Notes a request that is being worked on, until the guard is dropped.
    #[must_use]
    pub fn request_started(&self) -> Counted {
        Counted::new(&self.0.in_flight)
    }

    /// Requests that are being worked on now.
    #[must_use]
    pub fn requests_in_flight(&self) -> i64 {
        self.0.in_flight.get()
    }

    /// Notes an answer. `operation` is S3's name for it ("`PutObject`") and never anything that a client chose;
    /// `elapsed` runs from the request's head to the end of the answer.
    pub fn request_finished(&self, operation: &'static str, code: StatusCode, elapsed: Duration) {
        self.0.requests.with_label_values(&[operation, code.as_str()]).inc();
        self.0.latency.with_label_values(&[operation]).observe(elapsed.as_secs_f64());
    }

    /// Notes bytes of request bodies.
    pub fn received(&self, bytes: u64) {
        self.0.received.inc_by(bytes);
    }

    /// Notes bytes of answers' bodies.
    pub fn sent(&self, bytes: u64) {
        self.0.sent.inc_by(bytes);
    }

    /// Notes an open connection, until the guard is dropped.
    #[must_use]
    pub fn connection_opened(&self) -> Counted {
        Counted::new(&self.0.connections)
    }

    /// Notes a connection that the operating system would not hand over.
    pub fn accept_failed(&self) {
        self.0.refused_connections.inc();
    }

    /// Adds figures that are asked for at each scrape. The names must be in use nowhere else; the closure must
    /// answer at once, from memory.
    pub fn add_source(&self, source: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
        self.0.sources.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(source));
    }

    /// As [`Metrics::add_source`], for figures of which there are several.
    pub fn add_labelled_source(&self, source: impl Fn() -> Vec<LabelledSample> + Send + Sync + 'static) {
        self.0.labelled_sources.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(source));
    }

    /// Everything in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// If a source gives a figure a name that Prometheus does not allow.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut families = self.0.registry.gather();
        let sources = self.0.sources.read().unwrap_or_else(PoisonError::into_inner);
        families.extend(sources.iter().flat_map(|source| source()).map(family));
        let labelled = self.0.labelled_sources.read().unwrap_or_else(PoisonError::into_inner);
        families.extend(labelled.iter().flat_map(|source| labelled_families(source())));
        TextEncoder::new().encode_to_string(&families)
    }
}

/// One thing that is counted as long as this exists.
#[derive(Debug)]
pub struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn family((name, help, value): Sample) -> MetricFamily {
    let mut metric = Metric::default();
    let mut family = MetricFamily::default();
    if name.ends_with("_total") {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
        family.set_field_type(MetricType::COUNTER);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
        family.set_field_type(MetricType::GAUGE);
    }
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_metric(vec![metric]);
    family
}

/// Samples of one name become one family.
fn labelled_families(samples: Vec<LabelledSample>) -> Vec<MetricFamily> {
    let mut families: Vec<MetricFamily> = Vec::new();
    for LabelledSample { name, help, label: (label, text), value } in samples {
        let mut one = family((name, help, value));
        let mut pair = LabelPair::default();
        pair.set_name(label.to_owned());
        pair.set_value(text);
        let mut metrics = one.take_metric();
        for metric in &mut metrics {
            metric.set_label(vec![pair.clone()]);
        }
        if let Some(family) = families.iter_mut().find(|family| family.name() == name) {
            family.mut_metric().extend(metrics);
        } else {
            one.set_metric(metrics);
            families.push(one);
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_requests_connections_and_sources() {
        let metrics = Metrics::new().expect("names differ");
        let request = metrics.request_started();
        let connection = metrics.connection_opened();
        metrics.request_finished("PutObject", StatusCode::OK, Duration::from_millis(3));
        metrics.received(1_024);
        metrics.add_source(|| vec![("cairn_store_objects", "Objects.", 7.0), ("cairn_commits_total", "Commits.", 9.0)]);
        let of = |target: &str, value| LabelledSample {
            name: "cairn_events_sent_total",
            help: "Events.",
            label: ("target", target.to_owned()),
            value,
        };
        metrics.add_labelled_source(move || vec![of("a", 1.0), of("b", 2.0)]);
        let text = metrics.render().expect("rendered");
        for line in [
            "# TYPE cairn_events_sent_total counter",
            "cairn_events_sent_total{target=\"a\"} 1",
            "cairn_events_sent_total{target=\"b\"} 2",
            "cairn_http_requests_total{code=\"200\",operation=\"PutObject\"} 1",
            "cairn_http_request_duration_seconds_bucket{operation=\"PutObject\",le=\"0.0025\"} 0",
            "cairn_http_request_duration_seconds_bucket{operation=\"PutObject\",le=\"0.005\"} 1",
            "cairn_http_received_bytes_total 1024",
            "cairn_http_requests_in_flight 1",
            "cairn_connections 1",
            "# TYPE cairn_store_objects gauge",
            "cairn_store_objects 7",
            "# TYPE cairn_commits_total counter",
            "cairn_commits_total 9",
            "# TYPE process_cpu_seconds_total counter",
        ] {
            assert!(text.lines().any(|candidate| candidate == line), "{line} is not in\n{text}");
        }
        drop((request, connection));
        let text = metrics.render().expect("rendered");
        assert!(text.contains("cairn_http_requests_in_flight 0") && text.contains("cairn_connections 0"));
    }

    #[test]
    fn no_metric_is_named_twice() {
        let metrics = Metrics::new().expect("names differ");
        let text = metrics.render().expect("rendered");
        let mut names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
