//! The worker's metrics under the names that Connect's JMX exporter gives, so that existing dashboards work.

use super::{herder::View, task::TaskMetrics};
use crate::telemetry::text::{MetricKind, MetricsText};
use levada_connector_api::Progress;

/// Writes everything about connectors and tasks.
pub fn write(view: &View, abandoned_threads: usize, page: &mut MetricsText) {
    let names = view.names();
    let running = view.running_tasks();
    worker(names.len(), running.len(), abandoned_threads, page);
    for name in &names {
        let connector = ("connector", name.as_str());
        let status = view.status(name);
        let (_, health) = view.health(name, status.as_ref(), &running);
        page.gauge(
            "levada_connector_health",
            "1 for the health that is derived from states and progress.",
            &[connector, ("health", health.state.name())],
            1,
        );
        let Some(status) = status else { continue };
        let state = |page: &mut MetricsText, metric: &str, labels: &[(&str, &str)]| {
            page.gauge(metric, "1 for the state that it is in.", labels, 1);
        };
        let labels = [connector, ("status", status.connector.state.name()), ("type", status.kind)];
        state(page, "kafka_connect_connector_metrics_status", &labels);
        for (number, task) in &status.tasks {
            let number = number.to_string();
            let labels = [connector, ("task", number.as_str()), ("status", task.state.name())];
            state(page, "kafka_connect_connector_task_metrics_status", &labels);
        }
    }
    for (id, task) in running {
        if let Some((_, told)) = task.progress() {
            progress(&id.connector, &id.task.to_string(), &told, page);
        }
        let Some(metrics) = task.metrics() else { continue };
        let kind = view.describe(&id.connector).map_or("unknown", |info| info.kind);
        task_counters(kind, &id.connector, &id.task.to_string(), &metrics, page);
    }
}

fn worker(connectors: usize, tasks: usize, abandoned: usize, page: &mut MetricsText) {
    page.gauge("kafka_connect_worker_metrics_connector_count", "Connectors of this worker.", &[], connectors);
    page.gauge("kafka_connect_worker_metrics_task_count", "Tasks that run on this worker.", &[], tasks);
    let help = "Threads left behind in connector calls that never returned.";
    page.gauge("levada_connect_abandoned_threads", help, &[], abandoned);
}

/// What a task says of itself.
fn progress(connector: &str, task: &str, told: &Progress, page: &mut MetricsText) {
    let labels = [("connector", connector), ("task", task)];
    if let Some(percent) = told.percent() {
        let help = "How much of its phase, mostly a snapshot, a task has done, in percent.";
        page.gauge("levada_connect_task_progress_percent", help, &labels, percent);
    }
    for (name, help, value) in [
        ("rows", "Rows of its phase that a task has done.", told.rows.map(|rows| rows.done)),
        ("lag_ms", "Age of the newest change that a task has handed on, in milliseconds.", told.lag_ms),
        ("lag_bytes", "Bytes that the outside world holds and a task has not handed on.", told.lag_bytes),
    ] {
        if let Some(value) = value {
            page.gauge(&format!("levada_connect_task_progress_{name}"), help, &labels, value);
        }
    }
    for gauge in &told.gauges {
        let own = gauge.labels.iter().map(|(name, value)| (plain(name), value.as_str())).collect::<Vec<_>>();
        let own = own.iter().map(|(name, value)| (name.as_str(), *value));
        let labels: Vec<_> =
            labels.into_iter().chain(own.filter(|(name, _)| !matches!(*name, "connector" | "task"))).collect();
        let name = format!("levada_connect_task_{}", plain(&gauge.name));
        page.gauge(&name, "A number that a task tells of itself.", &labels, gauge.value);
    }
}

/// A name that Prometheus takes as a part of one: a task's own word is not trusted to be one (invariant 9).
fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let plain: String = name.chars().take(100).map(letter).collect();
    if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { plain } else { format!("x_{plain}") }
}

fn task_counters(kind: &str, connector: &str, task: &str, metrics: &TaskMetrics, page: &mut MetricsText) {
    let labels = [("connector", connector), ("task", task)];
    for (name, value) in metrics.counters() {
        let Some(metric) = metric_name(kind, name) else { continue };
        let counts = name.ends_with("-total") || name.starts_with("total-") || name.starts_with("deadletterqueue-");
        let sort = if counts { MetricKind::Counter } else { MetricKind::Gauge };
        page.sample(&metric, sort, &format!("Connect's {name}."), &labels, value);
    }
    let last = metrics.last_error_timestamp.load(std::sync::atomic::Ordering::Relaxed);
    let help = "Connect's last-error-timestamp.";
    page.gauge("kafka_connect_task_error_metrics_last_error_timestamp", help, &labels, last);
    for (topic, records) in metrics.topics() {
        let labels = [("connector", connector), ("task", task), ("topic", topic.as_str())];
        page.counter("levada_connect_task_topic_records_total", "Records moved, by topic.", &labels, records);
    }
}

/// The exporter's name of a counter; `None` for one that a task of that kind does not have.
fn metric_name(kind: &str, counter: &str) -> Option<String> {
    let of_kind = |counter: &str| format!("kafka_connect_{kind}_task_metrics_{}", counter.replace('-', "_"));
    let error = counter.starts_with("total-") || counter.starts_with("deadletterqueue-");
    if error {
        return Some(format!("kafka_connect_task_error_metrics_{}", counter.replace('-', "_")));
    }
    let other = if kind == "source" { ["sink-", "put-", "partition-"] } else { ["source-", "poll-", "poll-"] };
    (!other.iter().any(|prefix| counter.starts_with(prefix))).then(|| of_kind(counter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_s_own_numbers_are_gauges() {
        let gauge = |name: &str, label: &str| levada_connector_api::Gauge {
            name: name.to_owned(),
            labels: vec![(label.to_owned(), "a\"b".to_owned()), ("task".to_owned(), "9".to_owned())],
            value: 7,
        };
        let told = Progress { gauges: vec![gauge("slot_bytes", "slot"), gauge("1 {x}", "\n")], ..Progress::default() };
        let mut page = MetricsText::default();
        progress("c", "0", &told, &mut page);
        let page = page.finish();
        for line in [
            "levada_connect_task_slot_bytes{connector=\"c\",task=\"0\",slot=\"a\\\"b\"} 7",
            "levada_connect_task_x_1__x_{connector=\"c\",task=\"0\",x__=\"a\\\"b\"} 7",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn counters_have_the_exporters_names() {
        let metrics = TaskMetrics::default();
        let mut page = MetricsText::default();
        task_counters("source", "c", "0", &metrics, &mut page);
        let page = page.finish();
        for line in [
            "kafka_connect_source_task_metrics_source_record_poll_total{connector=\"c\",task=\"0\"} 0",
            "kafka_connect_source_task_metrics_source_record_write_total{connector=\"c\",task=\"0\"} 0",
            "kafka_connect_task_error_metrics_total_record_failures{connector=\"c\",task=\"0\"} 0",
            "# TYPE kafka_connect_source_task_metrics_source_record_poll_total counter",
            "# TYPE kafka_connect_source_task_metrics_source_record_active_count gauge",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("sink"), "{page}");
    }
}
