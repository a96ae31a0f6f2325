//! What a connector author relies on, seen from outside of the crate.

mod abi;
mod config;
mod java_text;
