//! Classic consumer groups and their committed offsets.

pub mod machine;
