//! Controller decisions about topics: pure functions from an image and a wish to the records that fulfil it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::QuorumError;
use super::image::{ConfigResource, MetadataImage, TopicImage};
use super::record::MetadataRecord;
use super::topic_name::{TopicNameError, check_topic_name};
use crate::config::key::{ValueError, nearest};
use crate::config::topic_keys::{IGNORED_TOPIC_KEYS, TOPIC_KEYS, topic_key};

/// Most partitions one topic may be given at once: each costs memory for as long as the topic lives.
pub const MAX_NEW_PARTITIONS: i32 = 10_000;

/// Most partitions of all topics together, for the same reason.
const MAX_PARTITIONS: usize = 200_000;

/// Why a topic is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicChangeError {
    /// The name is not legal.
    #[error(transparent)]
    Name(#[from] TopicNameError),
    /// The name differs from an existing one only in `.` and `_`.
    #[error("topic {name:?} collides with existing topic {existing:?}: '.' and '_' are the same in metric names")]
    Collision {
        /// The wish.
        name: String,
        /// What is there.
        existing: Arc<str>,
    },
    /// It is there already.
    #[error("topic {0:?} already exists")]
    Exists(String),
    /// It is not there.
    #[error("topic does not exist")]
    Unknown,
    /// The number of partitions is not possible.
    #[error("{0}")]
    Partitions(String),
    /// More replicas than brokers, or fewer than one.
    #[error("replication factor {wanted} is not possible with {brokers} broker(s)")]
    ReplicationFactor {
        /// The wish.
        wanted: i16,
        /// What there is.
        brokers: usize,
    },
    /// The replica assignment is not possible.
    #[error("{0}")]
    Assignment(String),
    /// The request contradicts itself.
    #[error("{0}")]
    Request(String),
    /// A configuration key or value is wrong.
    #[error(transparent)]
    Config(#[from] ValueError),
    /// Too much at once.
    #[error("{0}")]
    Policy(String),
    /// It may still happen.
    #[error("not done within the request's timeout")]
    TimedOut,
    /// The metadata log refused.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
}

/// A topic to be made.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas each.
    pub replication_factor: i16,
    /// Which brokers hold which partition, instead of the two numbers.
    pub assignments: Option<BTreeMap<i32, Vec<i32>>>,
    /// Overrides.
    pub configs: BTreeMap<String, String>,
}

/// Records that make a topic.
pub fn create(image: &MetadataImage, new: &NewTopic) -> Result<Vec<MetadataRecord>, TopicChangeError> {
    check_topic_name(&new.name)?;
    if image.topic(&new.name).is_some() {
        return Err(TopicChangeError::Exists(new.name.clone()));
    }
    if let Some(existing) = image.colliding_topic(&new.name) {
        return Err(TopicChangeError::Collision { name: new.name.clone(), existing: existing.clone() });
    }
    for (key, value) in &new.configs {
        check_topic_config(key, value)?;
    }
    let replicas = match &new.assignments {
        Some(assignments) => check_assignments(image, 0, assignments.iter().map(|(i, ids)| (*i, ids.as_slice())))?,
        None => place(image, 0, new.partitions, new.replication_factor)?,
    };
    let mut records = vec![MetadataRecord::Topic { name: new.name.clone(), id: new.id }];
    records.extend(partition_records(new.id, 0, replicas));
    records.extend(new.configs.iter().map(|(key, value)| MetadataRecord::Config {
        resource: ConfigResource::Topic(new.name.as_str().into()),
        key: key.clone(),
        value: Some(value.clone()),
    }));
    Ok(records)
}

/// Records that bring a topic to `count` partitions.
pub fn grow(
    image: &MetadataImage,
    name: &str,
    count: i32,
    assignments: Option<&[Vec<i32>]>,
) -> Result<Vec<MetadataRecord>, TopicChangeError> {
    let topic = image.topic(name).ok_or(TopicChangeError::Unknown)?;
    let existing = topic.partitions.len() as i32;
    if count == existing {
        return Err(TopicChangeError::Partitions(format!("topic already has {existing} partition(s)")));
    }
    if count < existing {
        let text = format!("topic has {existing} partition(s), which cannot be reduced to {count}");
        return Err(TopicChangeError::Partitions(text));
    }
    let replicas = match assignments {
        Some(assignments) => {
            if assignments.len() as i32 != count - existing {
                let text = format!("{} new partition(s) but {} assignment(s)", count - existing, assignments.len());
                return Err(TopicChangeError::Assignment(text));
            }
            check_assignments(image, existing, (existing..count).zip(assignments.iter().map(Vec::as_slice)))?
        }
        None => {
            let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len() as i16);
            place(image, existing, count - existing, factor)?
        }
    };
    Ok(partition_records(topic.id, existing, replicas).collect())
}

/// Find a topic by name or, where the name is not given, by id.
pub fn find<'a>(image: &'a MetadataImage, name: Option<&str>, id: Uuid) -> Option<&'a Arc<TopicImage>> {
    match name {
        Some(name) => image.topic(name),
        None => image.topic_by_id(id),
    }
}

/// Check one topic override.
pub fn check_topic_config(key: &str, value: &str) -> Result<(), ValueError> {
    if IGNORED_TOPIC_KEYS.contains(&key) {
        return Ok(());
    }
    match topic_key(key) {
        Some(def) => def.check(value),
        None => {
            let nearest = nearest(key, TOPIC_KEYS.iter().map(|def| def.name));
            Err(ValueError::Unknown { key: key.to_owned(), nearest })
        }
    }
}

fn partition_records(topic_id: Uuid, first: i32, replicas: Vec<Vec<i32>>) -> impl Iterator<Item = MetadataRecord> {
    (first..).zip(replicas).map(move |(index, replicas)| MetadataRecord::Partition {
        topic_id,
        index,
        isr: replicas.clone(),
        leader: replicas.first().copied().unwrap_or(-1),
        leader_epoch: 0,
        replicas,
    })
}

/// Spread `count` partitions with `factor` replicas each over the brokers, round robin from partition `first` on.
fn place(image: &MetadataImage, first: i32, count: i32, factor: i16) -> Result<Vec<Vec<i32>>, TopicChangeError> {
    let brokers: Vec<i32> = image.brokers.keys().copied().collect();
    if count < 1 {
        return Err(TopicChangeError::Partitions(format!("number of partitions is {count}; it must be at least 1")));
    }
    check_count(image, count as usize)?;
    let wanted = usize::try_from(factor).unwrap_or(0);
    if wanted < 1 || wanted > brokers.len() {
        return Err(TopicChangeError::ReplicationFactor { wanted: factor, brokers: brokers.len() });
    }
    let from = |index: i32| brokers.iter().cycle().skip(index as usize % brokers.len()).take(wanted).copied();
    Ok((first..first + count).map(|index| from(index).collect()).collect())
}

/// Whether so many partitions may be added.
fn check_count(image: &MetadataImage, count: usize) -> Result<(), TopicChangeError> {
    if count > MAX_NEW_PARTITIONS as usize {
        let text = format!("{count} partitions at once; at most {MAX_NEW_PARTITIONS} are allowed");
        return Err(TopicChangeError::Policy(text));
    }
    if image.partition_count() + count > MAX_PARTITIONS {
        let text = format!(
            "{count} partitions beside the {} there are; at most {MAX_PARTITIONS} are allowed",
            image.partition_count()
        );
        return Err(TopicChangeError::Policy(text));
    }
    Ok(())
}

fn check_assignments<'a>(
    image: &MetadataImage,
    first: i32,
    assignments: impl ExactSizeIterator<Item = (i32, &'a [i32])>,
) -> Result<Vec<Vec<i32>>, TopicChangeError> {
    check_count(image, assignments.len())?;
    let refuse = |text: String| Err(TopicChangeError::Assignment(text));
    let mut all: Vec<Vec<i32>> = Vec::new();
    for (expected, (index, replicas)) in (first..).zip(assignments) {
        if index != expected {
            return refuse(format!("partitions must be numbered from {first} without gaps; {expected} is missing"));
        }
        if replicas.is_empty() {
            return refuse(format!("partition {index} has no replicas"));
        }
        if all.first().is_some_and(|other| other.len() != replicas.len()) {
            return refuse("all partitions must have the same number of replicas".to_owned());
        }
        if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
            return refuse(format!("partition {index} has a broker twice"));
        }
        if let Some(unknown) = replicas.iter().find(|id| !image.brokers.contains_key(id)) {
            return refuse(format!("partition {index} is assigned to broker {unknown}, which does not exist"));
        }
        all.push(replicas.to_vec());
    }
    if all.is_empty() { refuse("the assignment is empty".to_owned()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> MetadataImage {
        let register = |broker_id| MetadataRecord::RegisterBroker {
            broker_id,
            incarnation: Uuid::nil(),
            rack: None,
            endpoints: Vec::new(),
        };
        MetadataImage::default().apply(&[register(1), register(2)])
    }

    fn new(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
        NewTopic {
            name: name.to_owned(),
            id: Uuid::from_u128(1),
            partitions,
            replication_factor,
            ..NewTopic::default()
        }
    }

    #[test]
    fn partitions_go_round_the_brokers() {
        let image = image();
        let image = image.apply(&create(&image, &new("t", 3, 2)).unwrap());
        let topic = image.topic("t").unwrap();
        let replicas: Vec<_> = topic.partitions.iter().map(|partition| partition.replicas.clone()).collect();
        assert_eq!(replicas, [vec![1, 2], vec![2, 1], vec![1, 2]]);
        let grown = image.apply(&grow(&image, "t", 5, None).unwrap());
        assert_eq!(grown.topic("t").unwrap().partitions.len(), 5);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_own_error() {
        let image = image();
        let with = image.apply(&create(&image, &new("a.b", 1, 1)).unwrap());
        assert!(matches!(create(&with, &new("a.b", 1, 1)), Err(TopicChangeError::Exists(_))));
        assert!(matches!(create(&with, &new("a_b", 1, 1)), Err(TopicChangeError::Collision { .. })));
        assert!(matches!(create(&with, &new("x/y", 1, 1)), Err(TopicChangeError::Name(_))));
        assert!(matches!(create(&with, &new("c", 0, 1)), Err(TopicChangeError::Partitions(_))));
        assert!(matches!(create(&with, &new("c", i32::MAX, 1)), Err(TopicChangeError::Policy(_))));
        assert!(matches!(create(&with, &new("c", 1, 3)), Err(TopicChangeError::ReplicationFactor { .. })));
        assert!(matches!(grow(&with, "a.b", 1, None), Err(TopicChangeError::Partitions(_))));
        assert!(matches!(grow(&with, "none", 2, None), Err(TopicChangeError::Unknown)));
        let mut typo = new("c", 1, 1);
        let many = vec![vec![1]; MAX_NEW_PARTITIONS as usize + 1];
        assert!(matches!(grow(&with, "a.b", many.len() as i32 + 1, Some(&many)), Err(TopicChangeError::Policy(_))));
        let assignments = Some((0..).zip(many).collect());
        assert!(matches!(
            create(&with, &NewTopic { assignments, ..new("c", -1, -1) }),
            Err(TopicChangeError::Policy(_))
        ));
        typo.configs.insert("retention.m".to_owned(), "1".to_owned());
        let error = create(&with, &typo).unwrap_err();
        assert!(error.to_string().contains("retention.ms"), "{error}");
    }

    #[test]
    fn partitions_are_bounded_over_all_topics() {
        let mut image = image();
        for number in 0..20u128 {
            let mut topic = new(&format!("t{number}"), MAX_NEW_PARTITIONS, 1);
            topic.id = Uuid::from_u128(number);
            image.apply_all(&create(&image, &topic).unwrap());
        }
        assert_eq!(image.partition_count(), MAX_PARTITIONS);
        assert!(matches!(create(&image, &new("one", 1, 1)), Err(TopicChangeError::Policy(_))));
        assert!(matches!(grow(&image, "t0", MAX_NEW_PARTITIONS + 1, None), Err(TopicChangeError::Policy(_))));
    }

    #[test]
    fn assignments_must_be_dense_equal_and_of_known_brokers() {
        let image = image();
        let with = |assignments: &[(i32, &[i32])]| {
            let assignments = assignments.iter().map(|(index, ids)| (*index, ids.to_vec())).collect();
            create(&image, &NewTopic { assignments: Some(assignments), ..new("t", -1, -1) })
        };
        assert!(with(&[(0, &[2]), (1, &[1])]).is_ok());
        for bad in [&[(1, &[1][..])][..], &[(0, &[1, 1])], &[(0, &[9])], &[(0, &[])], &[(0, &[1]), (1, &[1, 2])], &[]] {
            assert!(matches!(with(bad), Err(TopicChangeError::Assignment(_))), "{bad:?}");
        }
    }
}
