//! Requests of a connection that are not answered yet, in the order in which they came.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use levada_wire::{Encoded, ResponseKind, frame::encode_response};

use super::budget::MemoryPermit;
use crate::api::{Answer, Begun, HeldMemory};

/// A request that has been begun, and what its answer needs.
pub(super) struct Pending {
    pub api_version: i16,
    pub correlation_id: i32,
    /// Whether others may be begun beside it.
    pub overlaps: bool,
    /// Whether it may wait for what never comes.
    pub waits: bool,
    pub begun: Begun,
    /// Held until the answer is there.
    pub _permit: MemoryPermit,
}

/// What is to be done for a request whose turn has come.
pub(super) enum Outcome {
    /// Send this; the memory is held until it is written.
    Send(Encoded, HeldMemory),
    Nothing,
    Disconnect,
}

/// The queue. Only its head is waited for: the others have done what must happen early.
#[derive(Default)]
pub(super) struct PendingQueue {
    queue: VecDeque<Pending>,
    exclusive: usize,
}

impl PendingQueue {
    pub fn push(&mut self, pending: Pending) {
        self.exclusive += usize::from(!pending.overlaps);
        self.queue.push_back(pending);
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a request may be begun now.
    pub fn admits(&self, overlaps: bool) -> bool {
        self.queue.is_empty() || (overlaps && self.exclusive == 0)
    }

    /// Whether the oldest request may wait for what never comes.
    pub fn head_waits(&self) -> bool {
        self.queue.front().is_some_and(|head| head.waits)
    }

    /// Give the oldest request up: nobody wants its answer any more.
    pub fn give_up_head(&mut self) {
        if let Some(head) = self.queue.pop_front() {
            self.exclusive -= usize::from(!head.overlaps);
        }
    }

    /// Wait for the oldest request's answer. Never resolves while there is no request.
    pub async fn next(&mut self) -> Outcome {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The oldest request's answer, if it is there already.
    pub fn next_ready(&mut self) -> Option<Outcome> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(head) = self.queue.front_mut() else { return Poll::Pending };
        if let Begun::Pending(rest) = &mut head.begun {
            match rest.as_mut().poll(cx) {
                Poll::Ready(answer) => head.begun = Begun::Ready(answer),
                Poll::Pending => return Poll::Pending,
            }
        }
        let Some(head) = self.queue.pop_front() else { return Poll::Pending };
        self.exclusive -= usize::from(!head.overlaps);
        match head.begun {
            Begun::Ready(answer) => Poll::Ready(outcome(answer, head.api_version, head.correlation_id)),
            Begun::Pending(_) => Poll::Pending,
        }
    }
}

fn outcome(answer: Answer, api_version: i16, correlation_id: i32) -> Outcome {
    match answer {
        Answer::Response(response, memory) => encode(&response, memory, api_version, correlation_id),
        Answer::Nothing => Outcome::Nothing,
        Answer::Disconnect => Outcome::Disconnect,
    }
}

fn encode(response: &ResponseKind, memory: HeldMemory, api_version: i16, correlation_id: i32) -> Outcome {
    match encode_response(response, api_version, correlation_id) {
        Ok(encoded) => Outcome::Send(encoded, memory),
        Err(error) => {
            tracing::error!(api = %response.api_key(), api_version, %error, "cannot encode answer");
            Outcome::Disconnect
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use levada_wire::messages::ListOffsetsResponse;

    use super::*;

    fn pending(correlation_id: i32, overlaps: bool, begun: Begun) -> Pending {
        Pending { api_version: 1, correlation_id, overlaps, waits: false, begun, _permit: MemoryPermit::default() }
    }

    fn answer() -> Answer {
        Answer::Response(ListOffsetsResponse::default().into(), HeldMemory::default())
    }

    fn correlation(outcome: Outcome) -> i32 {
        let Outcome::Send(encoded, _) = outcome else { panic!("no answer") };
        let bytes = encoded.into_bytes().unwrap();
        i32::from_be_bytes(bytes[4..8].try_into().unwrap())
    }

    #[tokio::test]
    async fn answers_leave_in_the_order_of_the_requests() {
        let (tx, rx) = tokio::sync::oneshot::channel::<()>();
        let mut queue = PendingQueue::default();
        let slow = async move {
            let _ = rx.await;
            answer()
        };
        queue.push(pending(1, true, Begun::Pending(Box::pin(slow))));
        queue.push(pending(2, true, Begun::Ready(answer())));
        queue.push(pending(3, true, Begun::Pending(Box::pin(ready(answer())))));
        assert!(queue.next_ready().is_none());
        tx.send(()).unwrap();
        assert_eq!(correlation(queue.next().await), 1);
        assert_eq!(correlation(queue.next_ready().unwrap()), 2);
        assert_eq!(correlation(queue.next_ready().unwrap()), 3);
        assert!(queue.next_ready().is_none());
    }

    #[test]
    fn only_overlapping_requests_are_begun_beside_others() {
        let mut queue = PendingQueue::default();
        assert!(queue.admits(false));
        queue.push(pending(1, true, Begun::Ready(answer())));
        assert!(queue.admits(true) && !queue.admits(false));
        queue.push(pending(2, false, Begun::Ready(answer())));
        assert!(!queue.admits(true));
        queue.next_ready();
        queue.next_ready();
        assert!(queue.admits(false));
    }
}
