//! Runs one sink task.
