//! Describing and changing configuration.

use levada_wire::ErrorCode;
use levada_wire::messages::describe_configs::{DescribeConfigsResource, DescribeConfigsResourceResult};
use levada_wire::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use levada_wire::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, alter_configs,
};

use crate::support::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

async fn describe(t: &TestBroker, kind: i8, name: &str) -> Vec<DescribeConfigsResourceResult> {
    let resource =
        DescribeConfigsResource { resource_type: kind, resource_name: name.into(), configuration_keys: None };
    let request =
        DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: true };
    let mut answer = t.ask(request).await;
    assert_eq!(answer.results[0].error_code, 0, "{:?}", answer.results[0].error_message);
    answer.results.remove(0).configs
}

fn value(configs: &[DescribeConfigsResourceResult], key: &str) -> (Option<String>, i8) {
    let config = configs.iter().find(|config| config.name == key).unwrap();
    (config.value.clone(), config.config_source)
}

async fn alter(t: &TestBroker, kind: i8, name: &str, key: &str, op: i8, value: Option<&str>) -> i16 {
    let config = AlterableConfig { name: key.into(), config_operation: op, value: value.map(str::to_owned) };
    let resource = AlterConfigsResource { resource_type: kind, resource_name: name.into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    t.ask(request).await.responses[0].error_code
}

#[tokio::test]
async fn a_value_is_told_with_its_source_and_synonyms() {
    let t = TestBroker::with(&[("log.retention.hours", "1")]).await;
    t.create("t", 1, &[("cleanup.policy", "compact")]).await;
    let configs = describe(&t, TOPIC, "t").await;
    assert_eq!(value(&configs, "cleanup.policy"), (Some("compact".into()), 1));
    assert_eq!(value(&configs, "retention.ms"), (Some("3600000".into()), 4));
    assert_eq!(value(&configs, "segment.bytes"), (Some("1073741824".into()), 5));
    assert_eq!(value(&configs, "ack.durability"), (Some("fsync".into()), 5));
    let policy = configs.iter().find(|config| config.name == "cleanup.policy").unwrap();
    let synonyms: Vec<(&str, i8)> = policy.synonyms.iter().map(|s| (s.name.as_str(), s.source)).collect();
    assert_eq!(synonyms, [("cleanup.policy", 1), ("log.cleanup.policy", 5)]);
    assert!(policy.documentation.is_some());
    let broker = describe(&t, BROKER, "1").await;
    assert_eq!(value(&broker, "log.retention.hours"), (Some("1".into()), 4));
    assert!(broker.iter().find(|c| c.name == "listeners").unwrap().read_only);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn keys_are_set_deleted_appended_to_and_subtracted_from() {
    let t = TestBroker::start().await;
    t.create("t", 1, &[]).await;
    assert_eq!(alter(&t, TOPIC, "t", "retention.ms", 0, Some("1000")).await, 0);
    assert_eq!(alter(&t, TOPIC, "t", "cleanup.policy", 2, Some("compact")).await, 0);
    let configs = describe(&t, TOPIC, "t").await;
    assert_eq!(value(&configs, "retention.ms").0.as_deref(), Some("1000"));
    assert_eq!(value(&configs, "cleanup.policy").0.as_deref(), Some("delete,compact"));
    assert_eq!(alter(&t, TOPIC, "t", "cleanup.policy", 3, Some("delete")).await, 0);
    assert_eq!(alter(&t, TOPIC, "t", "retention.ms", 1, None).await, 0);
    let t = t.restart(&[]).await;
    let configs = describe(&t, TOPIC, "t").await;
    assert_eq!(value(&configs, "retention.ms").1, 5);
    assert_eq!(value(&configs, "cleanup.policy").0.as_deref(), Some("compact"));
    assert_eq!(alter(&t, TOPIC, "t", "retention.m", 0, Some("1")).await, ErrorCode::InvalidConfig.code());
    assert_eq!(alter(&t, TOPIC, "t", "retention.ms", 0, Some("x")).await, ErrorCode::InvalidConfig.code());
    assert_eq!(alter(&t, TOPIC, "t", "retention.ms", 2, Some("1")).await, ErrorCode::InvalidRequest.code());
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(alter(&t, TOPIC, "none", "retention.ms", 0, Some("1")).await, unknown);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn alter_configs_puts_back_what_it_does_not_name() {
    let t = TestBroker::start().await;
    t.create("t", 1, &[("retention.ms", "5"), ("segment.ms", "7")]).await;
    let config = alter_configs::AlterableConfig { name: "segment.ms".into(), value: Some("8".into()) };
    let resource =
        alter_configs::AlterConfigsResource { resource_type: TOPIC, resource_name: "t".into(), configs: vec![config] };
    let answer = t.ask(AlterConfigsRequest { resources: vec![resource], validate_only: false }).await;
    assert_eq!(answer.responses[0].error_code, 0);
    let configs = describe(&t, TOPIC, "t").await;
    assert_eq!(value(&configs, "segment.ms"), (Some("8".into()), 1));
    assert_eq!(value(&configs, "retention.ms").1, 5);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_dynamic_broker_value_reaches_topics_at_once() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    assert_eq!(alter(&t, BROKER, "", "message.max.bytes", 0, Some("100")).await, 0);
    let refused = produce(&*t.transport, id, 0, batch(&[&"x".repeat(200)])).await;
    assert_eq!(refused.error_code, ErrorCode::MessageTooLarge.code());
    assert_eq!(value(&describe(&t, TOPIC, "t").await, "max.message.bytes"), (Some("100".into()), 3));
    assert_eq!(alter(&t, BROKER, "1", "message.max.bytes", 0, Some("1000")).await, 0);
    assert_eq!(produce(&*t.transport, id, 0, batch(&[&"x".repeat(200)])).await.error_code, 0);
    assert_eq!(alter(&t, BROKER, "1", "listeners", 0, Some("A://b:1")).await, ErrorCode::InvalidRequest.code());
    assert_eq!(alter(&t, BROKER, "1", "no.such.key", 0, Some("1")).await, ErrorCode::InvalidConfig.code());
    t.broker.shutdown().await;
}
