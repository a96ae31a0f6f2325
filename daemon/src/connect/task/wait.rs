//! Waiting for a future on a task's thread.

use parking_lot::{Condvar, Mutex};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}

/// Runs `future` to its end on this thread, with the runtime's timers. Unlike
/// `Handle::block_on` it may be called from anywhere, also by a connector that has a runtime of its
/// own around the call (which must not make this process panic).
pub(in crate::connect) fn block_on<F: Future>(runtime: &tokio::runtime::Handle, future: F) -> F::Output {
    let _entered = runtime.enter();
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let mut woken = signal.woken.lock();
        while !*woken {
            signal.changed.wait(&mut woken);
        }
        *woken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn waits_for_timers_of_the_runtime_even_inside_another() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let inner = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        let answer = inner.block_on(async move {
            block_on(&handle, async {
                levada_env::time::sleep(Duration::from_millis(1)).await;
                7
            })
        });
        assert_eq!(answer, 7);
    }
}
