//! Broker and topic configuration: the tables of known keys and the typed values made from them.
//!
//! The daemon builds a [`BrokerConfig`] from a map of Kafka's keys (file, environment, flags already merged). Topic
//! overrides live in the metadata image; [`TopicConfig::resolve`] lays them over the broker's values.

mod broker_config;
pub mod broker_keys;
pub mod key;
pub mod listeners;
mod topic_config;
pub mod topic_keys;

pub use broker_config::BrokerConfig;
pub use topic_config::{AckDurability, ConfigLayers, TimestampType, TopicConfig, scale};
