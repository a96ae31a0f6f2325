//! Runs one source task.
