//! Tests of the whole broker: over the in-process transport, over real sockets, and on a simulated machine that crashes.

mod admin;
mod all_versions;
mod backpressure;
mod configs;
mod fetch_sessions;
mod groups;
mod hostile_clients;
mod idempotence;
mod produce_fetch;
mod reader;
mod restarts;
mod simulation;
mod socket;
mod support;
mod waits;
