//! Who makes a request.

use std::sync::Arc;

/// Type and name of the caller, printed as `User:alice`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// `User` for everything so far.
    pub kind: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Principal {
    /// A user.
    pub fn user(name: &str) -> Self {
        Self { kind: "User".into(), name: name.into() }
    }

    /// Callers on listeners without authentication.
    pub fn anonymous() -> Self {
        Self::user("ANONYMOUS")
    }

    /// Callers inside this process.
    pub fn levada() -> Self {
        Self::user("levada")
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}
