//! The keys that every connector has, whatever its plugin: Connect's own names, types, defaults and groups, in
//! Connect's order, since tools show them in it.

use levada_connector_api::config::{Check, ConfigDef, Importance, Key, Type, Width};
use std::sync::LazyLock;

const COMMON: &str = "Common";
const TRANSFORMS: &str = "Transforms";
const PREDICATES: &str = "Predicates";
const ERRORS: &str = "Error Handling";
const TOPIC_CREATION: &str = "Topic Creation";
const EXACTLY_ONCE: &str = "Exactly Once Support";
const OFFSETS_TOPIC: &str = "offsets.topic";

/// Keys of every source.
pub static SOURCE: LazyLock<ConfigDef> = LazyLock::new(|| {
    let mut keys = common();
    keys.extend(source());
    ConfigDef { keys, ..ConfigDef::default() }
});

/// Keys of every sink.
pub static SINK: LazyLock<ConfigDef> = LazyLock::new(|| {
    let mut keys = common();
    keys.extend(sink());
    ConfigDef { keys, ..ConfigDef::default() }
});

struct Builder(Key);

fn key(name: &str, kind: Type, group: &str, order: i32, display: &str, documentation: &str) -> Builder {
    Builder(Key {
        name: name.into(),
        kind,
        required: false,
        default: None,
        check: Check::Any,
        importance: Importance::Low,
        documentation: documentation.into(),
        group: Some(group.into()),
        order_in_group: order,
        width: Width::Short,
        display_name: display.into(),
        dependents: Vec::new(),
    })
}

impl Builder {
    fn required(mut self) -> Self {
        self.0.required = true;
        self
    }
    fn default(mut self, value: &str) -> Self {
        self.0.default = Some(value.into());
        self
    }
    fn check(mut self, check: Check) -> Self {
        self.0.check = check;
        self
    }
    fn high(mut self) -> Self {
        self.0.importance = Importance::High;
        self
    }
    fn medium(mut self) -> Self {
        self.0.importance = Importance::Medium;
        self
    }
    fn width(mut self, width: Width) -> Self {
        self.0.width = width;
        self
    }
}

fn words(words: &[&str]) -> Check {
    Check::OneOf(words.iter().map(|word| (*word).to_owned()).collect())
}

fn at_least(min: f64) -> Check {
    Check::Range { min: Some(min), max: None }
}

fn common() -> Vec<Key> {
    use Type::{Boolean, Class, Int, List, Long, String};
    let keys = [
        key("name", String, COMMON, 1, "Connector name", "Name of the connector, unique among all connectors.")
            .required()
            .check(Check::Custom(check_name))
            .high()
            .width(Width::Medium),
        key(
            "connector.class",
            String,
            COMMON,
            2,
            "Connector class",
            "Class of the connector: the full name, the simple name, or the simple name without its Connector suffix.",
        )
        .required()
        .high()
        .width(Width::Long),
        key("tasks.max", Int, COMMON, 3, "Tasks max", "Most tasks that the connector may be divided into.")
            .default("1")
            .check(at_least(1.0))
            .high(),
        key(
            "tasks.max.enforce",
            Boolean,
            COMMON,
            4,
            "Enforce tasks max",
            "Whether a connector that makes more tasks than tasks.max fails. Deprecated.",
        )
        .default("true"),
        key(
            "key.converter",
            Class,
            COMMON,
            5,
            "Key converter class",
            "Converter between record keys and bytes; the worker's when unset.",
        ),
        key(
            "value.converter",
            Class,
            COMMON,
            6,
            "Value converter class",
            "Converter between record values and bytes; the worker's when unset.",
        ),
        key(
            "header.converter",
            Class,
            COMMON,
            7,
            "Header converter class",
            "Converter between header values and bytes; the worker's when unset.",
        ),
        key("transforms", List, TRANSFORMS, 8, "Transforms", "Aliases of the transformations applied to records.")
            .default("")
            .width(Width::Long),
        key("predicates", List, PREDICATES, 9, "Predicates", "Aliases of the predicates that transformations use.")
            .default("")
            .width(Width::Long),
        key(
            "config.action.reload",
            String,
            COMMON,
            10,
            "Reload Action",
            "What happens when a configuration provider's value expires: none, or restart of the connector.",
        )
        .default("restart")
        .check(words(&["none", "restart"]))
        .width(Width::Medium),
        key(
            "errors.retry.timeout",
            Long,
            ERRORS,
            1,
            "Retry Timeout for Errors",
            "Milliseconds for which a failed operation is tried again; 0 for no retries, -1 for no end of them.",
        )
        .default("0")
        .medium()
        .width(Width::Medium),
        key(
            "errors.retry.delay.max.ms",
            Long,
            ERRORS,
            2,
            "Maximum Delay Between Retries for Errors",
            "Longest wait between two retries, in milliseconds; a random part is added at the limit. Polls and puts that fail for long are tried each 10 s where it is not given.",
        )
        .default("60000")
        .check(at_least(1.0))
        .medium()
        .width(Width::Medium),
        key(
            "errors.tolerance",
            String,
            ERRORS,
            3,
            "Error Tolerance",
            "none: the first error fails the task. all: records that can't be handled are skipped.",
        )
        .default("none")
        .check(words(&["none", "all"]))
        .medium(),
        key("errors.log.enable", Boolean, ERRORS, 4, "Log Errors", "Whether each failed operation is logged.")
            .default("false")
            .medium(),
        key(
            "errors.log.include.messages",
            Boolean,
            ERRORS,
            5,
            "Log Error Details",
            "Whether such a log line also names the record's place. Keys and values are never logged.",
        )
        .default("false")
        .medium(),
    ];
    keys.into_iter().map(|builder| builder.0).collect()
}

fn sink() -> Vec<Key> {
    use Type::{Boolean, List, Short, String};
    let keys = [
        key("topics", List, COMMON, 4, "Topics", "Topics to consume, comma-separated.")
            .default("")
            .high()
            .width(Width::Long),
        key(
            "topics.regex",
            String,
            COMMON,
            4,
            "Topics regex",
            "Regular expression of the topics to consume; give either this or topics.",
        )
        .default("")
        .check(Check::Custom(check_regex))
        .high()
        .width(Width::Long),
        key(
            "errors.deadletterqueue.topic.name",
            String,
            ERRORS,
            6,
            "Dead Letter Queue Topic Name",
            "Topic for records that could not be handled; empty for none.",
        )
        .default("")
        .medium()
        .width(Width::Medium),
        key(
            "errors.deadletterqueue.topic.replication.factor",
            Short,
            ERRORS,
            7,
            "Dead Letter Queue Topic Replication Factor",
            "Replication factor of that topic when it is made.",
        )
        .default("3")
        .medium()
        .width(Width::Medium),
        key(
            "errors.deadletterqueue.context.headers.enable",
            Boolean,
            ERRORS,
            8,
            "Enable Error Context Headers",
            "Whether records of that topic carry headers that tell what went wrong.",
        )
        .default("false")
        .medium()
        .width(Width::Medium),
    ];
    keys.into_iter().map(|builder| builder.0).collect()
}

fn source() -> Vec<Key> {
    use Type::{List, Long, String};
    let keys = [
        key(
            "topic.creation.groups",
            List,
            TOPIC_CREATION,
            1,
            "Topic Creation Groups",
            "Groups of settings for topics that the connector makes.",
        )
        .default("")
        .width(Width::Long),
        key(
            "exactly.once.support",
            String,
            EXACTLY_ONCE,
            1,
            "Exactly once support",
            "requested: used where it is possible. required: refused where it is not.",
        )
        .default("requested")
        .check(words(&["requested", "required", "REQUESTED", "REQUIRED"]))
        .medium(),
        key(
            "transaction.boundary",
            String,
            EXACTLY_ONCE,
            2,
            "Transaction Boundary",
            "What a transaction of an exactly-once source spans: poll, interval or connector.",
        )
        .default("poll")
        .check(words(&["poll", "interval", "connector", "POLL", "INTERVAL", "CONNECTOR"]))
        .medium(),
        key(
            "transaction.boundary.interval.ms",
            Long,
            EXACTLY_ONCE,
            3,
            "Transaction boundary interval",
            "Length of a transaction when its boundary is interval.",
        )
        .check(at_least(0.0)),
        key(
            "offsets.storage.topic",
            String,
            OFFSETS_TOPIC,
            1,
            "Offsets topic",
            "Topic for this connector's offsets; the worker's when unset.",
        )
        .width(Width::Long),
    ];
    keys.into_iter().map(|builder| builder.0).collect()
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("String may not be empty".into());
    }
    if name.chars().any(char::is_control) {
        return Err("String may not contain control sequences".into());
    }
    Ok(())
}

fn check_regex(text: &str) -> Result<(), String> {
    regex::Regex::new(text).map(drop).map_err(|error| {
        let cause = error.to_string();
        let last = cause.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("Invalid regex: {last}")
    })
}
