//! Coordinators: they keep what clients agree on (groups, committed offsets; transactions later) in internal topics.

pub mod group;
