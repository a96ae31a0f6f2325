//! Keys of what happens when a captured table changes its shape.

use super::enums::SchemaPolicy;
use levada_connector_api::ConnectorConfig;

/// Changes of tables.
#[derive(Clone, Debug, ConnectorConfig)]
pub struct SchemaChangesConfig {
    /// Tell the topic of schema changes of each table: when it is first seen, and when it has changed, before the first
    /// row of the new shape. Debezium's PostgreSQL connector has no such topic.
    #[config(key = "include.schema.changes", default = "false", group = "Schema changes")]
    pub include: bool,
    /// The topic of schema changes; without it, `topic.prefix`.
    #[config(key = "schema.changes.topic", importance = "low", check = check_topic, group = "Schema changes")]
    pub topic: Option<String>,
    /// What to do when a captured table changes: `evolve` goes on by the new shape; `fail` fails the task and `pause` hands
    /// out nothing more, both before the first row of the new shape and until the change is accepted.
    #[config(key = "schema.change.policy", default = "evolve", group = "Schema changes")]
    pub policy: SchemaPolicy,
    /// Let changes pass that break no reader: added columns, other defaults, a column that became NOT NULL, another
    /// replica identity.
    #[config(key = "schema.change.policy.breaking.only", default = "false", group = "Schema changes")]
    pub breaking_only: bool,
    /// Changes that are accepted, by the sixteen letters that the task names them by.
    #[config(key = "schema.change.accepted", group = "Schema changes")]
    pub accepted: Option<Vec<String>>,
}

impl SchemaChangesConfig {
    /// Whether shapes of tables are kept at all.
    pub fn keeps_shapes(&self) -> bool {
        self.include || self.policy != SchemaPolicy::Evolve
    }
}

fn check_topic(topic: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || (topic.len() <= 249 && topic.chars().all(fine) && !matches!(topic, "." | "..")) {
        return Ok(());
    }
    Err("it must be at most 249 letters, digits, '.', '_' and '-'".to_owned())
}
