//! The registry of metrics. `prometheus-client` is the Prometheus project's own library; the `prometheus` crate keeps a
//! global registry, which this house does not want.
//!
//! A name stands in the source as it is scraped, prefix included, so that a search finds it; only a counter's `_total` is
//! added by the format. `docs/metrics.md` lists all of them, and a test compares it with the source and with a running node.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::{Feed, process};

/// The registry that one node renders. Cheap to clone; clones are the same registry.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

/// A histogram for each set of labels.
pub type Histograms<Labels> = Family<Labels, Histogram, Buckets>;

/// The upper bounds of a histogram's buckets.
#[derive(Debug, Clone, Copy)]
pub struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry of a node: it begins with the figures of this process and of the feed.
    pub fn of_node(feed: &Feed) -> Self {
        let (metrics, feed) = (Self::new(), feed.clone());
        process::declare(&metrics);
        metrics.counter_of(
            "aloft_feed_dropped_notices",
            "Log lines, records of calls and other notices that nobody will see, because they came faster than they were taken in",
            move || Some(feed.dropped() as f64),
        );
        metrics
    }

    /// Declares a counter, a gauge, or a family of them, and gives it back.
    pub fn declare<M: Metric + Clone + Default>(&self, name: &'static str, help: &'static str) -> M {
        self.register(name, help, M::default())
    }

    /// Declares a histogram without labels, with these buckets.
    pub fn histogram(&self, name: &'static str, help: &'static str, buckets: &'static [f64]) -> Histogram {
        self.register(name, help, Buckets(buckets).new_metric())
    }

    /// Declares a family of histograms with these buckets.
    pub fn histograms<Labels>(
        &self,
        name: &'static str,
        help: &'static str,
        buckets: &'static [f64],
    ) -> Histograms<Labels>
    where
        Labels: EncodeLabelSet + fmt::Debug + Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    {
        self.register(name, help, Family::new_with_constructor(Buckets(buckets)))
    }

    /// Declares a counter that somebody else keeps, and that is read at each scrape; `None` leaves it out of that one.
    pub fn counter_of(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.collect(name, help, ConstCounter::new, read);
    }

    /// Declares a gauge that somebody else keeps, and that is read at each scrape; `None` leaves it out of that one.
    pub fn gauge_of(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.collect(name, help, ConstGauge::new, read);
    }

    /// All metrics in OpenMetrics' text format, which Prometheus scrapes.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail; an encoder's own error would leave the text cut, which a scraper reports.
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry()) {
            tracing::error!(%error, "metrics could not be rendered");
        }
        text
    }

    fn register<M: Metric + Clone>(&self, name: &'static str, help: &'static str, metric: M) -> M {
        self.registry().register(name, help, metric.clone());
        metric
    }

    fn collect<M: EncodeMetric + 'static>(
        &self,
        name: &'static str,
        help: &'static str,
        make: fn(f64) -> M,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        let read = Box::new(read);
        let reading = Reading {
            name,
            help,
            make,
            read,
        };
        self.registry().register_collector(Box::new(reading));
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that is read at each scrape.
struct Reading<M> {
    name: &'static str,
    help: &'static str,
    make: fn(f64) -> M,
    read: Box<dyn Fn() -> Option<f64> + Send + Sync>,
}

impl<M> fmt::Debug for Reading<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reading").field(&self.name).finish()
    }
}

impl<M: EncodeMetric + 'static> Collector for Reading<M> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(metric) = (self.read)().map(self.make) else {
            return Ok(());
        };
        // The registry ends the help of what is declared with a full stop; so does this.
        let help = format!("{}.", self.help);
        metric.encode(encoder.encode_descriptor(self.name, &help, None, metric.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn what_is_declared_is_rendered_under_its_own_name() {
        let metrics = Metrics::new();
        let calls: Counter = metrics.declare("aloft_calls", "Calls");
        let took = metrics.histograms::<[(&str, &str); 1]>("aloft_call_seconds", "How long", &[0.5]);
        calls.inc();
        took.get_or_create(&[("of", "a\"b\\c\n")]).observe(0.25);
        metrics.gauge_of("aloft_waiting", "Who waits", || Some(2.0));
        metrics.counter_of("aloft_bytes", "Bytes", || Some(1e6));
        metrics.gauge_of("aloft_unknown", "What cannot be read now", || None);
        assert_eq!(
            metrics.render(),
            "# HELP aloft_calls Calls.\n# TYPE aloft_calls counter\naloft_calls_total 1\n\
             # HELP aloft_call_seconds How long.\n# TYPE aloft_call_seconds histogram\n\
             aloft_call_seconds_sum{of=\"a\\\"b\\\\c\\n\"} 0.25\naloft_call_seconds_count{of=\"a\\\"b\\\\c\\n\"} 1\n\
             aloft_call_seconds_bucket{le=\"0.5\",of=\"a\\\"b\\\\c\\n\"} 1\n\
             aloft_call_seconds_bucket{le=\"+Inf\",of=\"a\\\"b\\\\c\\n\"} 1\n\
             # HELP aloft_waiting Who waits.\n# TYPE aloft_waiting gauge\naloft_waiting 2.0\n\
             # HELP aloft_bytes Bytes.\n# TYPE aloft_bytes counter\naloft_bytes_total 1000000.0\n# EOF\n"
        );
    }
}
