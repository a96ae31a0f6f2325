//! The embedded bus against the real broker: in the process, and over a socket.

use levada_broker::{Broker, config::BrokerConfig};
use levada_client::{TcpOptions, TcpTransport, Transport};
use levada_daemon::connect::bus::{conformance, embedded::EmbeddedBus};
use levada_env::Env;
use std::{collections::BTreeMap, sync::Arc};

async fn broker(dir: &tempfile::TempDir) -> Broker {
    let pairs = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("group.initial.rebalance.delay.ms", "0"),
        // The reader's check makes its topic itself.
        ("auto.create.topics.enable", "false"),
    ];
    let map: BTreeMap<String, String> = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Broker::start(Env::real(), BrokerConfig::from_map(dir.path(), &map).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_bus_conforms_in_process() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(&dir).await;
    let transports = broker.clone();
    let bus = EmbeddedBus::new(
        Arc::new(move |client_id: &str| transports.transport(client_id)),
        tokio::runtime::Handle::current(),
        Env::real().clock,
    );
    assert_eq!(conformance::failures(&bus, "local").await, []);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_bus_conforms_over_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(&dir).await;
    let address = format!("127.0.0.1:{}", broker.listeners()[0].port);
    let transports = move |client_id: &str| {
        let options = TcpOptions { client_id: client_id.to_owned(), ..TcpOptions::default() };
        let runtime = tokio::runtime::Handle::current();
        Arc::new(TcpTransport::new(&runtime, address.clone(), options)) as Arc<dyn Transport>
    };
    let bus = EmbeddedBus::new(Arc::new(transports), tokio::runtime::Handle::current(), Env::real().clock);
    assert_eq!(conformance::failures(&bus, "remote").await, []);
    broker.shutdown().await;
}
