//! Plugins loaded from shared libraries of `plugin.path`.
