//! The metrics page: process, worker, broker.

use crate::{
    connect::{self, herder::HerderHandle, task::AbandonedThreads},
    telemetry::{process::ProcessStats, text::MetricsText},
};
use levada_broker::Broker;
use std::sync::Arc;

/// Makes the page each time it is asked for.
pub(super) fn page(
    broker: Broker,
    herder: HerderHandle,
    abandoned: Arc<AbandonedThreads>,
) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || {
        let mut page = MetricsText::default();
        ProcessStats::now().write(&mut page);
        page.gauge("levada_build_info", "1, with the version.", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        connect::metrics::write(herder.view(), abandoned.count(), &mut page);
        write_broker(&broker, &mut page);
        page.finish()
    })
}

/// The broker's numbers under the names that Kafka's JMX exporter gives.
fn write_broker(broker: &Broker, page: &mut MetricsText) {
    let metrics = broker.metrics();
    for (api, count) in &metrics.requests {
        let api = format!("{api:?}");
        let help = "Requests by API, those of the process itself included.";
        page.counter("kafka_network_requestmetrics_requests_total", help, &[("request", &api)], count);
    }
    for (name, help, value) in [
        ("kafka_server_brokertopicmetrics_bytesin_total", "Bytes of record batches produced.", metrics.produced_bytes),
        ("kafka_server_brokertopicmetrics_bytesout_total", "Bytes of records fetched.", metrics.fetched_bytes),
        (
            "kafka_server_brokertopicmetrics_failedproducerequests_total",
            "Partitions of produce requests that were refused.",
            metrics.failed_produces,
        ),
        (
            "kafka_server_brokertopicmetrics_failedfetchrequests_total",
            "Partitions of fetch requests that were refused.",
            metrics.failed_fetches,
        ),
        ("levada_broker_produced_batches_total", "Record batches produced.", metrics.produced_batches),
        ("levada_broker_received_bytes_total", "Bytes of requests read from sockets.", metrics.bytes_received),
        ("levada_broker_sent_bytes_total", "Bytes of answers written to sockets.", metrics.bytes_sent),
        ("levada_broker_connections_opened_total", "Connections accepted.", metrics.connections_opened),
        (
            "levada_broker_malformed_requests_total",
            "Connections closed because of what was sent on them.",
            metrics.malformed_requests,
        ),
    ] {
        page.counter(name, help, &[], value);
    }
    page.gauge("kafka_server_socket_server_metrics_connection_count", "Open connections.", &[], metrics.connections);
    page.gauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics.", &[], metrics.topics);
    page.gauge("levada_broker_fetch_sessions", "Incremental fetch sessions kept.", &[], metrics.fetch_sessions);
    let help = "Bytes that requests being received and served may still take.";
    page.gauge("levada_broker_request_memory_free_bytes", help, &[], metrics.request_memory_free);
    for dir in &metrics.log_dirs {
        let labels = [("logdirectory", dir.path.as_str())];
        let help = "1 while the log directory is out of service.";
        page.gauge("kafka_log_logmanager_logdirectoryoffline", help, &labels, u8::from(dir.offline));
        page.gauge(
            "levada_log_append_queue_bytes",
            "Record batches that wait for the disk.",
            &labels,
            dir.queued_bytes,
        );
        let help = "Writes refused because the disk is full.";
        page.counter("levada_log_refused_writes_total", help, &labels, dir.refused_writes);
    }
    let help = "Bytes that answers hold until they are written.";
    page.gauge("levada_broker_answer_memory_bytes", help, &[], metrics.answer_memory);
    for partition in &metrics.partitions {
        let number = partition.partition.to_string();
        let labels = [("topic", &*partition.topic), ("partition", number.as_str())];
        page.gauge("kafka_log_log_size", "Bytes on disk.", &labels, partition.size);
        page.gauge("kafka_log_log_logstartoffset", "First offset there is.", &labels, partition.log_start_offset);
        page.gauge("kafka_log_log_logendoffset", "Offset after the last record.", &labels, partition.log_end_offset);
        let help = "Offset up to which consumers see records.";
        page.gauge("levada_log_high_watermark", help, &labels, partition.high_watermark);
        let help = "Offset up to which the log is synced to disk.";
        page.gauge("levada_log_durable_end_offset", help, &labels, partition.durable_end_offset);
    }
}
