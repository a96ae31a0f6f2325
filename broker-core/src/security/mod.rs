//! Who may do what and how much: asked by every handler, in-process callers included.

mod authorizer;
mod principal;
mod quotas;

pub use authorizer::{AllowAll, Authorizer, Operation, Resource, ResourceType};
pub use principal::Principal;
pub use quotas::{QuotaKind, QuotaManager, Unlimited};
