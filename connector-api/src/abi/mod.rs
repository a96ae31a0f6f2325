//! The plugin interface: how a connector in a library of its own, in Rust or in C, is called.
//!
//! - [`layout`]: the structs of the boundary, from which `connector.h` is printed ([`header`]).
//! - [`batch`]: records as bytes; [`json`]: everything else that has structure.
//! - [`plugin`]: the library's side, behind [`crate::export_connectors!`].
//! - [`host`]: the daemon's side: libraries become the traits of this crate again, and nothing above
//!   knows where a connector lives.
//!
//! Invariants: nothing unwinds across; who allocates frees, by `release`; whatever comes in is held
//! against its bounds before it is used (invariant 9); libraries are never unloaded. What no check can
//! cover is a library whose pointers lie: libraries run in the daemon only when the operator trusts them.

#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

pub mod batch;
pub mod describe;
mod guard;
pub mod header;
pub mod host;
pub mod json;
pub mod layout;
mod memory;
pub mod plugin;
mod status;

pub use memory::OwnedBuffer;
