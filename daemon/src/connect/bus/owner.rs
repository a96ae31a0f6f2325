//! Who may write on a task's behalf.

use super::{BusError, Result};
use levada_client::producer::Gate;
use parking_lot::{RwLock, RwLockReadGuard};
use std::sync::Arc;
use tokio::sync::watch;

/// The right to append and commit for one incarnation of a task (invariant 8).
///
/// Handles hold it while they submit; [`OwnerToken::revoke`] waits for such a submission, so that
/// after it has returned nothing more is written by this incarnation. Clones share the right.
#[derive(Clone, Debug, Default)]
pub struct OwnerToken(Arc<State>);

#[derive(Debug, Default)]
struct State {
    revoked: RwLock<bool>,
    /// For who waits for the end.
    told: watch::Sender<bool>,
}

/// Proof that the owner was valid and can't be revoked while this lives. Held over a submission,
/// never over a wait.
#[must_use]
pub struct OwnerGuard<'a> {
    _read: RwLockReadGuard<'a, bool>,
}

impl OwnerToken {
    /// A valid token.
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds off a revocation for the length of a submission.
    pub fn hold(&self) -> Result<OwnerGuard<'_>> {
        // Recursive, for a store may hold it around a bus that holds it too while a revocation waits.
        let read = self.0.revoked.read_recursive();
        if *read { Err(BusError::Revoked) } else { Ok(OwnerGuard { _read: read }) }
    }

    /// Ends the right for all clones. May be called again.
    pub fn revoke(&self) {
        *self.0.revoked.write() = true;
        self.0.told.send_replace(true);
    }

    /// Whether the right has ended.
    pub fn is_revoked(&self) -> bool {
        *self.0.revoked.read()
    }

    /// True once the right has ended.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.told.subscribe()
    }

    /// Waits for the end of the right.
    pub async fn revoked(&self) {
        // The sender lives as long as this token does.
        let _ = self.watch().wait_for(|revoked| *revoked).await;
    }
}

impl Gate for OwnerToken {
    fn pass(&self, submit: &mut dyn FnMut()) -> bool {
        self.hold().map(|_guard| submit()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocation_reaches_every_clone() {
        let token = OwnerToken::new();
        let handle = token.clone();
        drop(handle.hold().unwrap());
        token.revoke();
        assert_eq!(handle.hold().err(), Some(BusError::Revoked));
    }

    #[tokio::test]
    async fn waiters_wake_on_revocation() {
        let token = OwnerToken::new();
        let waiter = tokio::spawn({
            let token = token.clone();
            async move { token.revoked().await }
        });
        tokio::task::yield_now().await;
        token.revoke();
        waiter.await.unwrap();
    }
}
