//! Topics as requests and answers name them.

use std::{collections::HashMap, hash::Hash, sync::Arc};
use uuid::Uuid;

/// A topic's name and id; newer versions of the protocol ask for the id, older ones for the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicName {
    /// Name.
    pub name: Arc<str>,
    /// Id.
    pub id: Uuid,
}

impl TopicName {
    /// Whether an answer means this topic, by the name or the id that its version has.
    pub(crate) fn is(&self, name: &str, id: Uuid) -> bool {
        if name.is_empty() { self.id == id } else { *self.name == *name }
    }
}

/// Entries under their topics, which stand in the order in which they first occur.
pub(crate) fn by_topic<K: Clone + Eq + Hash, E>(entries: impl IntoIterator<Item = (K, E)>) -> Vec<(K, Vec<E>)> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut topics: Vec<(K, Vec<E>)> = Vec::new();
    for (topic, entry) in entries {
        let place = *places.entry(topic.clone()).or_insert(topics.len());
        match topics.get_mut(place) {
            Some((_, entries)) => entries.push(entry),
            None => topics.push((topic, vec![entry])),
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_topic_come_together_in_order() {
        let grouped = by_topic([("b", 1), ("a", 2), ("b", 3)]);
        assert_eq!(grouped, [("b", vec![1, 3]), ("a", vec![2])]);
    }

    /// Brokers without topic ids answer names alone; two topics whose ids are not known are not the same.
    #[test]
    fn an_answer_is_matched_by_what_its_version_has() {
        let unknown_id = TopicName { name: "t".into(), id: Uuid::nil() };
        assert!(unknown_id.is("t", Uuid::nil()) && !unknown_id.is("u", Uuid::nil()));
        let id = Uuid::from_u128(7);
        let known = TopicName { name: "t".into(), id };
        assert!(known.is("", id) && known.is("t", Uuid::nil()) && !known.is("", Uuid::nil()));
    }
}
