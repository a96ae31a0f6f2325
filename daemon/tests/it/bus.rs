//! The embedded bus against the real broker: in the process, and over a socket.

use levada_broker::{Broker, config::BrokerConfig};
use levada_client::{BoxFuture, TcpOptions, TcpTransport, Transport, TransportError};
use levada_connector_api::TopicPartition;
use levada_daemon::connect::bus::{
    Bus, BusAdmin, BusError, NewTopic, OwnerToken, WriteRecord, conformance, embedded::EmbeddedBus,
};
use levada_env::Env;
use levada_wire::{RequestKind, ResponseKind};
use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Waker},
};
use tokio::sync::Semaphore;

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

/// Passes everything on, and gives an answer to a produce request for each permit.
struct HeldAnswers {
    inner: Arc<dyn Transport>,
    permits: Arc<Semaphore>,
}

impl Transport for HeldAnswers {
    fn call(&self, request: RequestKind) -> BoxFuture<'_, Result<ResponseKind, TransportError>> {
        let produce = matches!(request, RequestKind::Produce(_));
        let call = self.inner.call(request);
        Box::pin(async move {
            let answer = call.await;
            if produce {
                self.permits.acquire().await.expect("never closed").forget();
            }
            answer
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_other_writes_is_not_written_after_its_owners_end() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(&dir).await;
    let permits = Arc::new(Semaphore::new(0));
    let (transports, held) = (broker.clone(), permits.clone());
    let bus = EmbeddedBus::new(
        Arc::new(move |client_id: &str| {
            Arc::new(HeldAnswers { inner: transports.transport(client_id), permits: held.clone() })
        }),
        tokio::runtime::Handle::current(),
        Env::real().clock,
    );
    bus.create_topic(NewTopic { name: "t".into(), partitions: Some(1), ..NewTopic::default() }).await.unwrap();
    let end = async || bus.end_offsets(&[TopicPartition { topic: "t".into(), partition: 0 }]).await.unwrap()[0];
    let end_is = async |wanted| {
        while end().await < wanted {
            tokio::task::yield_now().await;
        }
    };
    let owner = OwnerToken::new();
    let write = || {
        let record = WriteRecord { partition: None, key: "k".into(), value: None };
        let mut write = bus.write_as("t", vec![record], Some(&owner));
        // The first poll queues it.
        assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        write
    };
    let first = write();
    end_is(1).await;
    let second: Vec<_> = (0..8).map(|_| write()).collect();
    permits.add_permits(1);
    first.await.unwrap();
    // Five of the next round are handed over, as many as may be in flight; three wait for their turn.
    end_is(6).await;
    owner.revoke();
    permits.add_permits(100);
    let mut results = Vec::new();
    for write in second {
        results.push(write.await);
    }
    let mut wanted = vec![Ok(()); 5];
    wanted.extend(vec![Err(BusError::Revoked); 3]);
    assert_eq!(results, wanted);
    assert_eq!(end().await, 6);
    broker.shutdown().await;
}
