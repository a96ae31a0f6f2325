//! Tests of the codec as a whole: against `kafka-protocol`, against the outline of Kafka's definitions, and against hostile bytes.

mod allocations;
mod differential;
mod frames;
mod hostile;
mod outline;
mod rng;
mod samples;
mod targets;
mod values;
