//! A node in this process, from its configuration to its REST answers, and parts of it with the broker.

mod bus;
mod chain;
mod dead_letters;
mod http;
mod node;
mod plugins;
