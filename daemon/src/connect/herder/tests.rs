//! The herder on a log in memory: what it writes, what it starts, and what a restart finds.

use super::*;
use crate::connect::{
    store::{State, StatusKey},
    testing::{FakeWorker, MOST_HANGING, MemoryBus, eventually, herder_with, options},
    validate::RawConfig,
    worker::RestartPolicy,
};
use levada_env::time::Duration;

const CONFIGS: &str = "connect-configs";

fn config(name: &str, more: &[(&str, &str)]) -> RawConfig {
    let base = [("name", name), ("connector.class", "FakeSource"), ("tasks.max", "4"), ("file", "/a")];
    base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}

fn state(handle: &HerderHandle, name: &str) -> Option<State> {
    handle.view().status(name).map(|status| status.connector.state)
}

fn task_states(handle: &HerderHandle, name: &str) -> Vec<State> {
    handle
        .view()
        .status(name)
        .map(|status| status.tasks.iter().map(|(_, task)| task.state).collect())
        .unwrap_or_default()
}

async fn runs(handle: &HerderHandle, name: &str, tasks: usize) {
    eventually(|| {
        state(handle, name) == Some(State::Running) && task_states(handle, name) == vec![State::Running; tasks]
    })
    .await;
}

async fn start() -> (Arc<MemoryBus>, HerderHandle, Arc<FakeWorker>) {
    let bus = MemoryBus::new();
    let (handle, worker) = herder_with(&bus, options()).await;
    (bus, handle, worker)
}

#[tokio::test]
async fn nothing_is_made_before_it_is_needed() {
    let (bus, handle, _) = start().await;
    assert!(handle.view().names().is_empty());
    assert!(bus.topics().is_empty());
}

#[tokio::test]
async fn a_new_connector_is_written_in_connects_order_and_runs() {
    let (bus, handle, worker) = start().await;
    let made = handle.create("c", &config("c", &[("task.count", "2")]), None).await.unwrap();
    assert_eq!((made.name.as_str(), made.kind), ("c", "source"));
    runs(&handle, "c", 2).await;
    let keys: Vec<String> = bus.records(CONFIGS).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["connector-c", "task-c-0", "task-c-1", "commit-c"]);
    assert_eq!(worker.take_log(), ["start c", "start c-0", "start c-1"]);
    let task = &handle.view().task_configs("c").unwrap()[0];
    assert_eq!(task.get("task.class").map(String::as_str), Some("test.FakeTask"));
    let status = handle.view().status("c").unwrap();
    assert_eq!(status.connector.version.as_deref(), Some("1.2.3"));
    assert_eq!(status.connector.worker_id, "127.0.0.1:8083");
}

#[tokio::test]
async fn an_invalid_or_known_connector_is_refused_and_nothing_written() {
    let (bus, handle, _) = start().await;
    let error = handle.create("c", &config("c", &[("batch.size", "0"), ("tasks.max", "x")]), None).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, HerderError::BadRequest(_)), "{text}");
    assert!(text.starts_with("Connector configuration is invalid and contains the following 2 error(s):"), "{text}");
    assert!(bus.records(CONFIGS).is_empty());
    handle.create("c", &config("c", &[]), None).await.unwrap();
    let again = handle.create("c", &config("c", &[]), None).await.unwrap_err();
    assert_eq!(again, HerderError::AlreadyExists("c".into()));
}

#[tokio::test]
async fn an_update_restarts_the_connector_and_its_changed_tasks_only() {
    let (_, handle, worker) = start().await;
    handle.create("c", &config("c", &[("task.count", "3")]), None).await.unwrap();
    handle.create("other", &config("other", &[]), None).await.unwrap();
    runs(&handle, "c", 3).await;
    runs(&handle, "other", 1).await;
    worker.take_log();
    let (created, _) = handle.put_config("c", &config("c", &[("task.count", "3"), ("task.1", "new")])).await.unwrap();
    assert!(!created);
    eventually(|| worker.log().len() == 4).await;
    assert_eq!(worker.take_log(), ["stop c", "start c", "stop c-1", "start c-1"]);
    runs(&handle, "c", 3).await;
    // The same again changes nothing, and fewer tasks leave no status behind.
    handle.put_config("c", &config("c", &[("task.count", "3"), ("task.1", "new")])).await.unwrap();
    assert!(worker.log().is_empty());
    handle.put_config("c", &config("c", &[("task.count", "1")])).await.unwrap();
    eventually(|| task_states(&handle, "c") == [State::Running]).await;
}

#[tokio::test]
async fn a_connector_that_asks_has_its_work_divided_anew_without_a_restart() {
    let (_, handle, worker) = start().await;
    handle.create("c", &config("c", &[]), None).await.unwrap();
    runs(&handle, "c", 1).await;
    worker.take_log();
    worker.divide_into(3);
    runs(&handle, "c", 3).await;
    assert_eq!(worker.take_log(), ["start c-1", "start c-2"], "the connector and what is unchanged go on");
    worker.divide_into(3);
    worker.divide_into(0);
    eventually(|| task_states(&handle, "c").is_empty()).await;
    assert_eq!(state(&handle, "c"), Some(State::Running));
    worker.divide_into(9);
    eventually(|| state(&handle, "c") == Some(State::Failed)).await;
    assert!(handle.view().status("c").unwrap().connector.trace.unwrap().contains("greater than 4"));
    worker.divide_into(2);
    runs(&handle, "c", 2).await;
    // A stopped connector's last words count for nothing.
    handle.stop("c").await.unwrap();
    worker.divide_into(1);
    handle.ping().await.unwrap();
    assert!(task_states(&handle, "c").is_empty());
}

#[tokio::test]
async fn a_restarted_worker_resumes_from_the_topics_alone() {
    let (bus, handle, _) = start().await;
    handle.create("a", &config("a", &[("task.count", "2")]), None).await.unwrap();
    handle.create("b", &config("b", &[]), None).await.unwrap();
    handle.create("gone", &config("gone", &[]), None).await.unwrap();
    runs(&handle, "a", 2).await;
    runs(&handle, "b", 1).await;
    handle.pause("b").await.unwrap();
    eventually(|| task_states(&handle, "b") == [State::Paused]).await;
    handle.delete("gone").await.unwrap();
    let before = bus.records(CONFIGS).len();
    handle.shutdown().await;

    let (handle, worker) = herder_with(&bus, options()).await;
    assert_eq!(handle.view().names(), ["a", "b"]);
    runs(&handle, "a", 2).await;
    eventually(|| task_states(&handle, "b") == [State::Paused] && state(&handle, "b") == Some(State::Paused)).await;
    let mut log = worker.take_log();
    log.sort();
    assert_eq!(log, ["start a", "start a-0", "start a-1", "start b-0"]);
    assert_eq!(bus.records(CONFIGS).len(), before, "an unchanged connector is not written again");
    let generation = handle.view().status("a").unwrap().connector.generation;
    assert!(generation > 1, "{generation}");
}

#[tokio::test]
async fn statuses_that_a_crash_left_behind_are_dropped() {
    let (bus, handle, _) = start().await;
    handle.create("c", &config("c", &[]), None).await.unwrap();
    runs(&handle, "c", 1).await;
    handle.shutdown().await;
    let dead: Arc<dyn Bus> = bus.clone();
    let value = r#"{"state":"RUNNING","trace":null,"worker_id":"w","generation":9,"version":null}"#;
    let record = |key: &'static str| crate::connect::bus::WriteRecord {
        partition: None,
        key: bytes::Bytes::from_static(key.as_bytes()),
        value: Some(bytes::Bytes::from_static(value.as_bytes())),
    };
    let records = vec![record("status-task-c-1"), record("status-connector-gone"), record("status-task-gone-0")];
    dead.write("connect-status", records).await.unwrap();
    let (handle, _) = herder_with(&bus, options()).await;
    runs(&handle, "c", 1).await;
    assert!(handle.view().status("gone").is_none());
    assert_eq!(handle.view().status("c").unwrap().connector.generation, 10);
}

#[tokio::test]
async fn shutdown_shows_that_nothing_runs_any_more() {
    let (bus, handle, worker) = start().await;
    handle.create("c", &config("c", &[]), None).await.unwrap();
    runs(&handle, "c", 1).await;
    worker.take_log();
    handle.shutdown().await;
    assert_eq!(worker.take_log(), ["stop c-0", "stop c"]);
    let last = |key: &str| bus.records("connect-status").into_iter().rfind(|(k, _)| k == key).unwrap().1.unwrap();
    assert!(last("status-connector-c").contains("UNASSIGNED"));
    assert!(last("status-task-c-0").contains("UNASSIGNED"));
    assert_eq!(handle.ping().await, Err(HerderError::Stopped));
}

#[tokio::test]
async fn pause_resume_and_stop_move_targets_and_survive() {
    let (bus, handle, worker) = start().await;
    handle.create("c", &config("c", &[]), None).await.unwrap();
    runs(&handle, "c", 1).await;
    worker.take_log();
    handle.pause("c").await.unwrap();
    eventually(|| state(&handle, "c") == Some(State::Paused) && task_states(&handle, "c") == [State::Paused]).await;
    handle.resume("c").await.unwrap();
    runs(&handle, "c", 1).await;
    assert_eq!(worker.take_log(), ["stop c", "pause c-0", "start c", "resume c-0"]);
    handle.stop("c").await.unwrap();
    assert_eq!(state(&handle, "c"), Some(State::Stopped));
    assert!(task_states(&handle, "c").is_empty());
    assert_eq!(handle.view().describe("c").unwrap().tasks, 0);
    let last = bus.records(CONFIGS).pop().unwrap();
    assert_eq!(last, ("target-state-c".into(), Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#.into())));
    handle.resume("c").await.unwrap();
    runs(&handle, "c", 1).await;
    assert_eq!(handle.pause("x").await, Err(HerderError::NotFound("Unknown connector x".into())));
}

#[tokio::test]
async fn an_initial_state_is_kept() {
    let (_, handle, worker) = start().await;
    handle.create("c", &config("c", &[]), Some(crate::connect::store::TargetState::Stopped)).await.unwrap();
    eventually(|| state(&handle, "c") == Some(State::Stopped)).await;
    assert!(worker.log().is_empty());
}

#[tokio::test]
async fn delete_leaves_nothing_and_the_name_is_free() {
    let (bus, handle, _) = start().await;
    handle.create("c", &config("c", &[]), None).await.unwrap();
    runs(&handle, "c", 1).await;
    handle.delete("c").await.unwrap();
    assert!(handle.view().status("c").is_none());
    assert!(handle.view().describe("c").is_none());
    handle.shutdown().await;
    let mut left = std::collections::BTreeMap::new();
    left.extend(bus.records(CONFIGS));
    left.extend(bus.records("connect-status"));
    assert!(left.values().all(Option::is_none), "{left:?}");
    assert_eq!(handle.delete("c").await, Err(HerderError::Stopped));
}

#[tokio::test]
async fn a_failed_connector_shows_its_trace_and_restarts_on_demand_only() {
    let (_, handle, worker) = start().await;
    handle.create("c", &config("c", &[("fail", "java.Oops: no\n\tat start")]), None).await.unwrap();
    eventually(|| state(&handle, "c") == Some(State::Failed)).await;
    let trace = handle.view().status("c").unwrap().connector.trace;
    assert_eq!(trace.as_deref(), Some("java.Oops: no\n\tat start"));
    assert_eq!(worker.take_log(), ["start c"]);
    let error = handle.restart_connector("c").await.unwrap_err();
    assert_eq!(error, HerderError::Plugin("Failed to start connector: c".into()));
    assert_eq!(worker.take_log(), ["start c"]);
    handle.put_config("c", &config("c", &[])).await.unwrap();
    runs(&handle, "c", 1).await;
}

#[tokio::test]
async fn too_many_tasks_fail_the_connector_unless_that_is_not_enforced() {
    let (_, handle, _) = start().await;
    handle.create("c", &config("c", &[("task.count", "5")]), None).await.unwrap();
    eventually(|| state(&handle, "c") == Some(State::Failed)).await;
    let trace = handle.view().status("c").unwrap().connector.trace.unwrap();
    assert!(trace.contains("has generated 5 tasks, which is greater than 4"), "{trace}");
    let loose = config("c", &[("task.count", "5"), ("tasks.max.enforce", "false")]);
    handle.put_config("c", &loose).await.unwrap();
    runs(&handle, "c", 5).await;
}

#[tokio::test]
async fn a_failed_task_restarts_alone_or_with_the_failed() {
    let (bus, handle, worker) = start().await;
    handle.create("c", &config("c", &[("task.count", "2")]), None).await.unwrap();
    runs(&handle, "c", 2).await;
    worker.take_log();
    worker.fail_task("c", 1, "java.Oops: bad row");
    eventually(|| task_states(&handle, "c") == [State::Running, State::Failed]).await;
    handle.restart_task("c", 1).await.unwrap();
    runs(&handle, "c", 2).await;
    assert_eq!(worker.take_log(), ["stop c-1", "start c-1"]);
    let unknown = handle.restart_task("c", 2).await.unwrap_err();
    assert_eq!(unknown, HerderError::NotFound("Unknown task: c-2".into()));

    worker.fail_task("c", 0, "java.Oops: again");
    eventually(|| task_states(&handle, "c")[0] == State::Failed).await;
    let request = RestartRequest { include_tasks: true, only_failed: true };
    let plan = handle.restart("c", request).await.unwrap();
    assert_eq!(plan.connector.state, State::Running);
    assert_eq!(plan.tasks[0].1.state, State::Restarting);
    assert_eq!(plan.tasks[0].1.trace.as_deref(), Some("java.Oops: again"));
    runs(&handle, "c", 2).await;
    assert_eq!(worker.take_log(), ["stop c-0", "start c-0"]);
    let last = bus.records(CONFIGS).pop().unwrap();
    assert_eq!(last.1.as_deref(), Some(r#"{"include-tasks":true,"only-failed":true}"#));
}

#[tokio::test]
async fn passing_failures_restart_by_themselves_and_others_do_not() {
    let bus = MemoryBus::new();
    let retry = RestartPolicy::Retry { initial: Duration::from_millis(1), max: Duration::from_millis(5) };
    let (handle, worker) = herder_with(&bus, WorkerOptions { restart: retry, ..options() }).await;
    handle.create("c", &config("c", &[("task.count", "2")]), None).await.unwrap();
    runs(&handle, "c", 2).await;
    worker.take_log();
    worker.fail_task("c", 0, "org.apache.kafka.common.config.ConfigException: wrong");
    worker.fail_task("c", 1, "org.apache.kafka.connect.errors.RetriableException: later");
    eventually(|| task_states(&handle, "c") == [State::Failed, State::Running]).await;
    assert_eq!(worker.take_log(), ["stop c-1", "start c-1"]);
}

#[tokio::test]
async fn offsets_change_only_while_the_connector_is_stopped() {
    let (bus, handle, _) = start().await;
    handle.create("c", &config("c", &[]), None).await.unwrap();
    runs(&handle, "c", 1).await;
    let map = |text: &str| serde_json::from_str::<levada_connector_api::OffsetMap>(text).unwrap();
    let change = vec![(map(r#"{"b":1,"a":2}"#), Some(map(r#"{"position":7}"#)))];
    let refused = handle.alter_offsets("c", change.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("/connectors/c/stop"), "{refused}");
    handle.stop("c").await.unwrap();
    let text = handle.alter_offsets("c", change).await.unwrap();
    assert_eq!(text, "The offsets for this connector have been altered successfully");
    assert_eq!(bus.records("connect-offsets"), [(r#"["c",{"b":1,"a":2}]"#.into(), Some(r#"{"position":7}"#.into()))]);
    // The same partition with its fields in another order is the same partition.
    handle.alter_offsets("c", vec![(map(r#"{"a":2,"b":1}"#), Some(map(r#"{"position":8}"#)))]).await.unwrap();
    assert_eq!(handle.offsets("c").await.unwrap(), [(map(r#"{"a":2,"b":1}"#), Some(map(r#"{"position":8}"#)))]);
    handle.reset_offsets("c").await.unwrap();
    assert!(handle.offsets("c").await.unwrap().is_empty());
    assert!(matches!(handle.alter_offsets("c", Vec::new()).await, Err(HerderError::BadRequest(_))));
    handle.resume("c").await.unwrap();
    runs(&handle, "c", 1).await;
}

#[tokio::test]
async fn sink_offsets_are_the_groups() {
    let (bus, handle, _) = start().await;
    let mut sink = config("s", &[("topics", "t")]);
    sink.insert("connector.class".into(), Some("FakeSink".into()));
    handle.create("s", &sink, None).await.unwrap();
    runs(&handle, "s", 1).await;
    assert_eq!(handle.view().task_configs("s").unwrap()[0].get("topics").map(String::as_str), Some("t"));
    bus.commit("connect-s", "t", 0, 42);
    let shown = handle.offsets("s").await.unwrap();
    assert_eq!(serde_json::to_string(&shown[0].0).unwrap(), r#"{"kafka_topic":"t","kafka_partition":0}"#);
    assert_eq!(serde_json::to_string(&shown[0].1).unwrap(), r#"{"kafka_offset":42}"#);
    handle.stop("s").await.unwrap();
    let partition = shown[0].0.clone();
    handle.alter_offsets("s", vec![(partition, None)]).await.unwrap();
    assert!(handle.offsets("s").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_log_that_refuses_is_an_error_and_statuses_follow_later() {
    let (bus, handle, worker) = start().await;
    handle.create("c", &config("c", &[]), None).await.unwrap();
    runs(&handle, "c", 1).await;
    bus.refuse_writes(true);
    assert!(matches!(handle.pause("c").await, Err(HerderError::Log(_))));
    worker.fail_task("c", 0, "java.Oops: now");
    eventually(|| task_states(&handle, "c") == [State::Failed]).await;
    bus.refuse_writes(false);
    eventually(|| {
        let key = String::from_utf8(StatusKey::Task("c".into(), 0).encode().to_vec()).unwrap();
        let last = bus.records("connect-status").into_iter().rfind(|(k, _)| *k == key);
        last.is_some_and(|(_, value)| value.is_some_and(|value| value.contains("FAILED")))
    })
    .await;
}

#[tokio::test]
async fn a_start_that_panics_is_a_failure_and_the_connector_can_still_be_deleted() {
    let (_, handle, _) = start().await;
    handle.create("c", &config("c", &[("panic", "yes")]), None).await.unwrap();
    eventually(|| state(&handle, "c") == Some(State::Failed)).await;
    handle.delete("c").await.unwrap();
    handle.create("t", &config("t", &[("panic.task", "yes")]), None).await.unwrap();
    eventually(|| task_states(&handle, "t") == [State::Failed]).await;
    handle.delete("t").await.unwrap();
}

#[tokio::test]
async fn a_check_that_hangs_costs_one_counted_thread_and_past_the_limit_none() {
    let bus = MemoryBus::new();
    let quick = WorkerOptions { call_timeout: Duration::from_millis(20), ..options() };
    let (handle, _) = herder_with(&bus, quick).await;
    let hanging = config("c", &[("file", "hang")]);
    for _ in 0..MOST_HANGING {
        let error = handle.validate(&hanging).await.unwrap_err().to_string();
        assert_eq!(error, "validate did not return within plugin.call.timeout.ms=20");
    }
    let error = handle.validate(&hanging).await.unwrap_err().to_string();
    assert!(error.contains("threads hang in connector calls"), "{error}");
}

#[tokio::test]
async fn a_start_that_hangs_is_seen_before_its_deadline() {
    let (_, handle, _) = start().await;
    handle.create("c", &config("c", &[("hang", "yes")]), None).await.unwrap();
    eventually(|| handle.view().operation("c").is_some()).await;
    assert_eq!(handle.view().operation("c").map(|(what, _)| what), Some("start"));
    assert!(handle.view().status("c").is_none());
    handle.create("d", &config("d", &[]), None).await.unwrap();
    runs(&handle, "d", 1).await;
    assert!(handle.view().operation("d").is_none());
}

#[tokio::test]
async fn what_is_stopped_and_wanted_again_during_a_start_has_its_tasks() {
    let (bus, handle, worker) = start().await;
    let busy = || handle.view().operation("c").map(|(what, _)| what) == Some("start of its tasks");

    let held = worker.hold_tasks().await;
    handle.create("c", &config("c", &[("task.count", "2")]), None).await.unwrap();
    eventually(busy).await;
    let (stopped, ()) = tokio::join!(handle.stop("c"), async {
        eventually(|| bus.records(CONFIGS).iter().filter(|(key, _)| key == "target-state-c").count() == 1).await;
        handle.resume("c").await.unwrap();
        drop(held);
    });
    stopped.unwrap();
    runs(&handle, "c", 2).await;

    let held = worker.hold_tasks().await;
    let restarting = handle.clone();
    tokio::spawn(async move { restarting.restart_task("c", 0).await });
    eventually(busy).await;
    let (deleted, ()) = tokio::join!(handle.delete("c"), async {
        eventually(|| !handle.view().contains("c")).await;
        handle.create("c", &config("c", &[("task.count", "2")]), None).await.unwrap();
        drop(held);
    });
    deleted.unwrap();
    runs(&handle, "c", 2).await;
}
