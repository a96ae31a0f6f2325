//! One internal topic: made on first use with the configs it needs, written with all acknowledgements, read whole.

use crate::connect::bus::{self, Bus, BusError, NewTopic, OwnerToken, TopicReader, TopicRecord, WriteRecord};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Name and shape of an internal topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Partition count when it is made.
    pub partitions: i32,
    /// Replication factor when it is made; -1 is the broker's default.
    pub replication_factor: i16,
    /// Whether it works with that partition count only.
    pub exact_partitions: bool,
}

/// An internal topic. Nothing is made before the first write, so that an idle worker leaves no trace.
pub struct InternalTopic {
    bus: Arc<dyn Bus>,
    spec: TopicSpec,
    /// Whether the topic is known to exist in the right shape.
    checked: AtomicBool,
}

impl InternalTopic {
    /// The topic of `spec` on `bus`.
    pub fn new(bus: Arc<dyn Bus>, spec: TopicSpec) -> Self {
        Self { bus, spec, checked: AtomicBool::new(false) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Whether it exists. One that is not compacted would lose state in silence, so that is an error.
    pub async fn exists(&self) -> bus::Result<bool> {
        if self.checked.load(Ordering::Acquire) {
            return Ok(true);
        }
        let name = &self.spec.name;
        let Some(found) = self.bus.describe_topic(name, &["cleanup.policy"]).await? else { return Ok(false) };
        let refused = |detail: String| BusError::Refused {
            action: format!("use of topic {name}"),
            code: "INVALID_CONFIG",
            detail: format!(": {detail}"),
        };
        if self.spec.exact_partitions && found.partitions != self.spec.partitions {
            let text = format!("it needs {} partition(s) and has {}", self.spec.partitions, found.partitions);
            return Err(refused(text));
        }
        let policy = found.configs.iter().find(|(key, _)| key == "cleanup.policy").map(|(_, value)| value.as_str());
        if policy.is_some_and(|policy| policy.trim() != "compact") {
            let text = format!("its cleanup.policy is {}, set it to compact", policy.unwrap_or_default());
            return Err(refused(text));
        }
        self.checked.store(true, Ordering::Release);
        Ok(true)
    }

    /// Makes the topic unless it is there.
    pub async fn ensure(&self) -> bus::Result<()> {
        if self.exists().await? {
            return Ok(());
        }
        let topic = NewTopic {
            name: self.spec.name.clone(),
            partitions: Some(self.spec.partitions),
            replication_factor: Some(self.spec.replication_factor).filter(|factor| *factor > 0),
            configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
        };
        let made = self.bus.create_topic(topic).await?;
        if made {
            tracing::info!(topic = self.spec.name, partitions = self.spec.partitions, "internal topic made");
            self.checked.store(true, Ordering::Release);
        } else {
            self.exists().await?;
        }
        Ok(())
    }

    /// Appends records; done when all are acknowledged.
    pub async fn write(&self, records: Vec<WriteRecord>) -> bus::Result<()> {
        self.write_as(records, None).await
    }

    /// As [`InternalTopic::write`]; with an owner that is revoked nothing is written (invariant 8).
    pub async fn write_as(&self, records: Vec<WriteRecord>, owner: Option<&OwnerToken>) -> bus::Result<()> {
        self.ensure().await?;
        self.bus.write_as(&self.spec.name, records, owner).await
    }

    /// A reader from the start; `None` while there is no topic.
    pub async fn reader(&self) -> bus::Result<Option<Box<dyn TopicReader>>> {
        if !self.exists().await? {
            return Ok(None);
        }
        self.bus.reader(&self.spec.name).await.map(Some)
    }

    /// Reads all there is.
    pub async fn load(&self, mut each: impl FnMut(TopicRecord) + Send) -> bus::Result<()> {
        if let Some(mut reader) = self.reader().await? {
            reader.read_to_end(&mut each).await?;
        }
        Ok(())
    }
}
