//! The bus over `levada-client` and a transport, which is in-process for the embedded broker.
//!
//! Made once by the node's wiring. It knows Kafka's protocol and nothing of the broker's insides.

mod admin;
mod consumer;
mod error_map;
mod producer;
mod reader;
mod writer;

use super::{
    BoxFuture, Bus, BusConsumer, BusProducer, ConsumerOptions, OwnerToken, ProducerOptions, Result, TopicReader,
    WriteRecord,
};
use levada_client::{Admin, Transport};
use levada_env::Clock;
use std::{sync::Arc, time::Duration};
use writer::Writer;

/// Makes a transport for a `client.id`.
pub type Transports = Arc<dyn Fn(&str) -> Arc<dyn Transport> + Send + Sync>;

/// Deadline of a single administrative call or request.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// See the module's documentation.
pub struct EmbeddedBus {
    transports: Transports,
    runtime: tokio::runtime::Handle,
    clock: Arc<dyn Clock>,
    admin: Admin,
    writer: Writer,
}

impl EmbeddedBus {
    /// A bus whose background work (heartbeats, the stores' writer) runs on `runtime`.
    pub fn new(transports: Transports, runtime: tokio::runtime::Handle, clock: Arc<dyn Clock>) -> Self {
        let transport = transports("connect-worker");
        Self {
            admin: Admin::new(transport.clone(), CALL_DEADLINE),
            writer: Writer::start(&runtime, transport, clock.clone()),
            transports,
            runtime,
            clock,
        }
    }
}

impl Bus for EmbeddedBus {
    fn producer(&self, options: ProducerOptions, owner: OwnerToken) -> BoxFuture<'_, Result<Box<dyn BusProducer>>> {
        Box::pin(async move {
            let transport = (self.transports)(&options.client_id);
            let producer = producer::EmbeddedProducer::connect(
                transport,
                self.runtime.clone(),
                self.clock.clone(),
                options,
                owner,
            );
            Ok(Box::new(producer.await?) as Box<dyn BusProducer>)
        })
    }

    fn consumer(&self, options: ConsumerOptions, owner: OwnerToken) -> BoxFuture<'_, Result<Box<dyn BusConsumer>>> {
        Box::pin(async move {
            let transport = (self.transports)(&options.client_id);
            let consumer = consumer::EmbeddedConsumer::new(transport, self.runtime.clone(), options, owner);
            Ok(Box::new(consumer) as Box<dyn BusConsumer>)
        })
    }

    fn reader(&self, topic: &str) -> BoxFuture<'_, Result<Box<dyn TopicReader>>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let transport = (self.transports)("connect-worker-reader");
            let reader = reader::EmbeddedReader::open(transport, topic).await?;
            Ok(Box::new(reader) as Box<dyn TopicReader>)
        })
    }

    fn write_as(
        &self,
        topic: &str,
        records: Vec<WriteRecord>,
        owner: Option<&OwnerToken>,
    ) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.writer.write(topic.to_owned(), records, owner.cloned()))
    }
}
