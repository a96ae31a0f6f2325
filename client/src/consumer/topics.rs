//! Which topics a consumer reads, looked up now and then.

use super::Subscription;
use crate::{
    ClientError, TopicName, Transport,
    metadata::{self, Topic},
};
use levada_env::Instant;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How often topics are looked up while one of a subscription is missing.
const MISSING_AGE: Duration = Duration::from_secs(1);

/// The topics of a subscription as last looked up.
pub(super) struct Topics {
    transport: Arc<dyn Transport>,
    subscription: Subscription,
    timeout: Duration,
    known: BTreeMap<String, Topic>,
    checked: Option<Instant>,
}

impl Topics {
    pub(super) fn new(transport: Arc<dyn Transport>, subscription: Subscription, timeout: Duration) -> Self {
        Self { transport, subscription, timeout, known: BTreeMap::new(), checked: None }
    }

    /// Name and id of a topic; the id is nil while it is not known.
    pub(super) fn name(&self, topic: &Arc<str>) -> TopicName {
        match self.known.get(&**topic) {
            Some(known) => TopicName { name: known.name.clone(), id: known.id },
            None => TopicName { name: topic.clone(), id: uuid::Uuid::nil() },
        }
    }

    pub(super) fn id(&self, topic: &str) -> Option<uuid::Uuid> {
        self.known.get(topic).map(|known| known.id)
    }

    /// Names of the topics subscribed to.
    pub(super) fn subscribed(&self) -> Vec<String> {
        match &self.subscription {
            Subscription::Topics(topics) => topics.clone(),
            Subscription::Matching(_) => self.known.keys().cloned().collect(),
        }
    }

    /// When it is time to look again; `None` when they were never looked up, or shall be with the next poll.
    pub(super) fn due(&self, max_age: Duration) -> Option<Instant> {
        let complete = match &self.subscription {
            Subscription::Topics(topics) => topics.iter().all(|topic| self.known.contains_key(topic)),
            Subscription::Matching(_) => !self.known.is_empty(),
        };
        let age = if complete { max_age } else { MISSING_AGE };
        self.checked.map(|checked| checked + age)
    }

    /// Whether it is time to look again.
    pub(super) fn is_due(&self, max_age: Duration) -> bool {
        self.due(max_age).is_none_or(|due| due <= Instant::now())
    }

    /// Have them looked up with the next poll.
    pub(super) fn expire(&mut self) {
        self.checked = None;
    }

    /// Looks all of them up.
    pub(super) async fn load(&mut self) -> Result<(), ClientError> {
        let transport = &*self.transport;
        let found = match &self.subscription {
            Subscription::Topics(topics) => {
                let names: Vec<&str> = topics.iter().map(String::as_str).collect();
                metadata::topics(transport, &names, true, self.timeout).await?
            }
            Subscription::Matching(matches) => {
                let all = metadata::topics(transport, &[], false, self.timeout).await?;
                all.into_iter().filter(|topic| !topic.internal && matches(&topic.name)).collect()
            }
        };
        self.known = found.into_iter().map(|topic| (topic.name.to_string(), topic)).collect();
        self.checked = Some(Instant::now());
        Ok(())
    }

    /// Looks up those of `topics` that are not known.
    pub(super) async fn learn(&mut self, topics: impl Iterator<Item = &Arc<str>>) -> Result<(), ClientError> {
        let unknown: Vec<&str> =
            topics.map(|topic| &**topic).filter(|topic| !self.known.contains_key(*topic)).collect();
        if !unknown.is_empty() {
            for topic in metadata::topics(&*self.transport, &unknown, false, self.timeout).await? {
                self.known.insert(topic.name.to_string(), topic);
            }
        }
        Ok(())
    }

    /// Whether they differ from what an assignment was made from, `before` being the names then.
    pub(super) fn differ_from(&self, led: &BTreeMap<String, i32>, before: &[String]) -> bool {
        let grown = |(name, topic): (&String, &Topic)| led.get(name).is_none_or(|count| *count != topic.partitions);
        let gone = |name: &String| led.contains_key(name) && !self.known.contains_key(name);
        self.known.iter().any(grown) || before.iter().any(gone)
    }
}
