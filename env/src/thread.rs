//! Named operating-system threads, for what may not run on the async runtime: connector tasks and blocking libraries.

use std::io;
use std::thread::JoinHandle;
pub use std::thread::{available_parallelism, sleep as block_for};

/// Starts a thread called `name` (the kernel keeps its first 15 bytes).
pub fn spawn<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Starts a thread called `name` with a stack of `stack_bytes`, for the many small threads of a pool.
pub fn spawn_with_stack<T: Send + 'static>(
    name: &str,
    stack_bytes: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(stack_bytes).spawn(body)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_thread_has_its_name_and_gives_its_value() {
        let handle = super::spawn("levada-x", || std::thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(handle.join().unwrap().as_deref(), Some("levada-x"));
    }
}
