//! Who is told about use, and answers with how long to slow down.

use std::time::Duration;

use super::Principal;

/// What is being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    /// Bytes produced.
    Produce,
    /// Bytes fetched.
    Fetch,
    /// Time spent on requests, in nanoseconds.
    Request,
    /// Topics and partitions made or deleted.
    ControllerMutation,
}

/// Told by handlers what was used; must not block.
pub trait QuotaManager: Send + Sync {
    /// Record the use of `amount`; the answer is for how long the caller is to be throttled.
    fn record(&self, kind: QuotaKind, principal: &Principal, client_id: Option<&str>, amount: u64) -> Duration;
}

/// The quota manager until quotas are configured: nobody is throttled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl QuotaManager for Unlimited {
    fn record(&self, _: QuotaKind, _: &Principal, _: Option<&str>, _: u64) -> Duration {
        Duration::ZERO
    }
}
