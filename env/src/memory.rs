//! Memory that is free inside of the process and could be the system's again.
//!
//! An allocator keeps what a thread frees for that thread's next needs, and looks at it only while the thread works. So a
//! thread that comes to rest says so; the program that chose the allocator decides what that means.

use std::sync::OnceLock;

static GIVE_BACK: OnceLock<fn()> = OnceLock::new();

/// Sets what [`give_back`] does. Once, by the program; further calls change nothing.
pub fn set_give_back(how: fn()) {
    // Whoever came first has chosen the allocator too.
    let _ = GIVE_BACK.set(how);
}

/// Called by a thread that comes to rest after work: gives back what it has freed. May take a millisecond.
pub fn give_back() {
    if let Some(how) = GIVE_BACK.get() {
        how();
    }
}
