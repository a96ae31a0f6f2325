//! Which member gets which partitions. Pure functions, run by the group's leader.

use std::{collections::BTreeMap, sync::Arc};

/// Topic name and partition.
pub type TopicPartition = (Arc<str>, i32);

/// Topics each member wants, by member id (ordered, so that every leader finds the same answer).
pub type Subscriptions = BTreeMap<String, Vec<String>>;

/// What each member gets.
pub type Assignment = BTreeMap<String, Vec<TopicPartition>>;

/// How partitions are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Assignor {
    /// Consecutive partitions of each topic for each member.
    #[default]
    Range,
    /// All partitions dealt out in turn.
    RoundRobin,
}

impl Assignor {
    /// Both, in the order they are offered to the group.
    pub const ALL: [Self; 2] = [Self::Range, Self::RoundRobin];

    /// The protocol's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    /// The one with that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Divides the partitions of `topics` (name to count).
    pub fn assign(self, topics: &BTreeMap<String, i32>, members: &Subscriptions) -> Assignment {
        let mut assignment: Assignment = members.keys().map(|member| (member.clone(), Vec::new())).collect();
        match self {
            Self::Range => range(topics, members, &mut assignment),
            Self::RoundRobin => round_robin(topics, members, &mut assignment),
        }
        assignment
    }
}

fn give(assignment: &mut Assignment, member: &str, topic: &Arc<str>, partition: i32) {
    if let Some(partitions) = assignment.get_mut(member) {
        partitions.push((topic.clone(), partition));
    }
}

fn range(topics: &BTreeMap<String, i32>, members: &Subscriptions, assignment: &mut Assignment) {
    for (topic, count) in topics {
        let wanting: Vec<&String> =
            members.iter().filter(|(_, wanted)| wanted.contains(topic)).map(|(member, _)| member).collect();
        let Ok(takers) = i32::try_from(wanting.len()) else { continue };
        if takers == 0 {
            continue;
        }
        let topic: Arc<str> = topic.as_str().into();
        let (each, extra) = (count / takers, count % takers);
        let mut next = 0;
        for (index, member) in (0..).zip(wanting) {
            let end = next + each + i32::from(index < extra);
            (next..end).for_each(|partition| give(assignment, member, &topic, partition));
            next = end;
        }
    }
}

fn round_robin(topics: &BTreeMap<String, i32>, members: &Subscriptions, assignment: &mut Assignment) {
    let mut ring = members.iter().cycle();
    for (topic, count) in topics {
        if !members.values().any(|wanted| wanted.contains(topic)) {
            continue;
        }
        let name: Arc<str> = topic.as_str().into();
        for partition in 0..*count {
            // Some member wants it, so this ends within one round.
            if let Some((member, _)) = ring.by_ref().find(|(_, wanted)| wanted.contains(topic)) {
                give(assignment, member, &name, partition);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(entries: &[(&str, &[&str])]) -> Subscriptions {
        let topics = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        entries.iter().map(|(member, wanted)| ((*member).to_owned(), topics(wanted))).collect()
    }

    fn topics(entries: &[(&str, i32)]) -> BTreeMap<String, i32> {
        entries.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect()
    }

    fn show(assignment: &Assignment, member: &str) -> Vec<String> {
        assignment[member].iter().map(|(topic, partition)| format!("{topic}{partition}")).collect()
    }

    #[test]
    fn range_gives_the_first_members_one_more_of_each_topic() {
        let assigned = Assignor::Range
            .assign(&topics(&[("a", 3), ("b", 3)]), &members(&[("m1", &["a", "b"]), ("m2", &["a", "b"])]));
        assert_eq!(show(&assigned, "m1"), ["a0", "a1", "b0", "b1"]);
        assert_eq!(show(&assigned, "m2"), ["a2", "b2"]);
    }

    #[test]
    fn range_leaves_out_who_does_not_subscribe() {
        let assigned = Assignor::Range.assign(&topics(&[("a", 2)]), &members(&[("m1", &["x"]), ("m2", &["a"])]));
        assert_eq!(show(&assigned, "m1"), [""; 0]);
        assert_eq!(show(&assigned, "m2"), ["a0", "a1"]);
    }

    #[test]
    fn round_robin_deals_across_topics() {
        let wanted = members(&[("m1", &["a", "b"]), ("m2", &["a", "b"])]);
        let assigned = Assignor::RoundRobin.assign(&topics(&[("a", 3), ("b", 3)]), &wanted);
        assert_eq!(show(&assigned, "m1"), ["a0", "a2", "b1"]);
        assert_eq!(show(&assigned, "m2"), ["a1", "b0", "b2"]);
    }

    #[test]
    fn every_partition_goes_to_exactly_one_member() {
        for assignor in Assignor::ALL {
            let wanted = members(&[("m1", &["a"]), ("m2", &["a", "b"]), ("m3", &["b"])]);
            let assigned = assignor.assign(&topics(&[("a", 7), ("b", 5), ("c", 2)]), &wanted);
            let mut all: Vec<_> = assigned.values().flatten().cloned().collect();
            all.sort();
            assert_eq!(all.len(), 12, "{assignor:?}");
            all.dedup();
            assert_eq!(all.len(), 12, "{assignor:?}");
        }
    }
}
