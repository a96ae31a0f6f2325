//! Levada daemon.

fn main() {}
