//! The `Bus`: all that the worker needs of a Kafka-compatible log.
