//! A topic whose records are signals for a task: read while the task runs, from where the task says.

use crate::connect::{
    bus::{BusAdmin, Result, TopicRecord},
    task::{BUS_RETRY, Shared, SignalError},
};
use levada_connector_api::{SignalTopic, TaskSignal, TopicPartition};
use levada_env::time;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Longest wait for records at a time.
const WAIT: Duration = Duration::from_secs(5);

/// Hands the topic's records to the task until that ends.
pub(super) async fn follow(shared: Arc<Shared>, topic: SignalTopic) {
    let reading = async {
        let mut from: Option<BTreeMap<i32, i64>> = None;
        loop {
            if let Err(error) = read(&shared, &topic, &mut from).await {
                tracing::warn!(
                    connector = %shared.id.connector, topic = topic.topic, %error, "signals can't be read and are tried again"
                );
            }
            time::sleep(BUS_RETRY).await;
        }
    };
    tokio::select! {
        () = reading => {}
        () = shared.wait_ended() => {}
    }
}

/// Reads until an error. `from` is what counts next, once that is known.
async fn read(shared: &Shared, topic: &SignalTopic, from: &mut Option<BTreeMap<i32, i64>>) -> Result<()> {
    if from.is_none() {
        let begin = beginnings(shared.runtime.bus.as_ref(), topic).await?;
        for (partition, offset) in &begin {
            let next = Some((*partition, *offset));
            hand(shared, TaskSignal { id: String::new(), text: String::new(), next }).await;
        }
        *from = Some(begin);
    }
    let Some(from) = from else { return Ok(()) };
    let Some(found) = shared.runtime.bus.describe_topic(&topic.topic, &[]).await? else {
        // It may come yet.
        return Ok(());
    };
    begin_anew(shared, topic, from, found.partitions).await?;
    let mut reader = shared.runtime.bus.reader(&topic.topic).await?;
    loop {
        for record in reader.next(WAIT).await? {
            let next = from.entry(record.partition).or_insert(0);
            if record.offset < *next {
                continue;
            }
            *next = record.offset + 1;
            if let Some(signal) = signal(topic, record) {
                hand(shared, signal).await;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Where each partition begins to count: where the task says, or at its end. A topic that does not exist yet begins at its
/// beginning.
async fn beginnings(bus: &(impl BusAdmin + ?Sized), topic: &SignalTopic) -> Result<BTreeMap<i32, i64>> {
    let mut from: BTreeMap<i32, i64> = topic.from.iter().copied().collect();
    let count = bus.describe_topic(&topic.topic, &[]).await?.map_or(0, |found| found.partitions);
    let unknown: Vec<_> = (0..count).filter(|partition| !from.contains_key(partition)).collect();
    let ends = ends(bus, topic, &unknown).await?;
    from.extend(unknown.into_iter().zip(ends));
    Ok(from)
}

/// Partitions that end before the offset that counts next are of another topic than the one that was read: it was deleted
/// and made anew, or lost its records. What they have counts from their beginning, instead of being passed over in silence.
async fn begin_anew(shared: &Shared, topic: &SignalTopic, from: &mut BTreeMap<i32, i64>, count: i32) -> Result<()> {
    let known: Vec<_> = from.keys().copied().filter(|partition| *partition < count).collect();
    let ends = ends(shared.runtime.bus.as_ref(), topic, &known).await?;
    let ends: BTreeMap<_, _> = known.into_iter().zip(ends).collect();
    for (partition, next) in from {
        let end = ends.get(partition).copied().unwrap_or(0);
        if *next <= end {
            continue;
        }
        tracing::warn!(
            connector = %shared.id.connector, topic = topic.topic, partition, end, remembered = *next,
            "the topic of signals ends before the offset that was read last, so it was deleted and made anew: it is read \
             from its beginning"
        );
        *next = 0;
        let next = Some((*partition, 0));
        hand(shared, TaskSignal { id: String::new(), text: String::new(), next }).await;
    }
    Ok(())
}

async fn ends(bus: &(impl BusAdmin + ?Sized), topic: &SignalTopic, partitions: &[i32]) -> Result<Vec<i64>> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let name: Arc<str> = topic.topic.as_str().into();
    let named = |partition: &i32| TopicPartition { topic: Arc::clone(&name), partition: *partition };
    bus.end_offsets(&partitions.iter().map(named).collect::<Vec<_>>()).await
}

/// A record as a signal, when its key is the task's.
fn signal(topic: &SignalTopic, record: TopicRecord) -> Option<TaskSignal> {
    if record.key.as_deref() != Some(topic.key.as_bytes()) {
        return None;
    }
    let text = String::from_utf8_lossy(&record.value?).into_owned();
    let id = format!("{}-{}-{}", topic.topic, record.partition, record.offset);
    Some(TaskSignal { id, text, next: Some((record.partition, record.offset + 1)) })
}

/// Waits until the task has room for it.
async fn hand(shared: &Shared, signal: TaskSignal) {
    while shared.inbox.push(signal.clone()) == Err(SignalError::Full) {
        time::sleep(BUS_RETRY).await;
    }
    shared.nudge();
}
