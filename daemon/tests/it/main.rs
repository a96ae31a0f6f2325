//! A node in this process, from its configuration to its REST answers.

mod http;
mod node;
