//! `levada`, the command.

fn main() {}
