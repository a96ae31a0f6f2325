//! The producer id, and its replacement when the log has forgotten it.

use super::{Partition, submit::backoff};
use crate::{BoxFuture, ClientError, Transport, call::call, call::retrying, error::check};
use levada_wire::messages::init_producer_id::InitProducerIdRequest;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The current id, and whether another is being asked for.
pub(super) struct ProducerId {
    pub(super) id: i64,
    pub(super) epoch: i16,
    renewing: bool,
    attempts: u32,
    answer: Option<BoxFuture<'static, Result<(i64, i16), ClientError>>>,
}

impl ProducerId {
    pub(super) async fn init(transport: &dyn Transport, deadline: Duration) -> Result<Self, ClientError> {
        let (id, epoch) = retrying(deadline, || ask(transport, deadline)).await?;
        Ok(Self { id, epoch, renewing: false, attempts: 0, answer: None })
    }

    /// Replaces the id once nothing is in flight.
    pub(super) fn renew(&mut self) {
        self.renewing = true;
    }

    pub(super) fn is_renewing(&self) -> bool {
        self.renewing
    }

    /// Moves a replacement forward; true when it is done.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        transport: &Arc<dyn Transport>,
        partitions: &mut [Partition],
        nothing_in_flight: bool,
    ) -> bool {
        if !self.renewing || !nothing_in_flight {
            return false;
        }
        loop {
            let answer = self.answer.get_or_insert_with(|| {
                let (transport, wait) = (transport.clone(), self.attempts);
                Box::pin(async move {
                    if wait > 0 {
                        levada_env::time::sleep(backoff(wait)).await;
                    }
                    ask(&*transport, REQUEST_TIMEOUT).await
                })
            });
            let Poll::Ready(result) = answer.as_mut().poll(context) else { return false };
            self.answer = None;
            match result {
                Ok((id, epoch)) => {
                    (self.id, self.epoch, self.renewing, self.attempts) = (id, epoch, false, 0);
                    for partition in partitions.iter_mut() {
                        partition.queue.restart();
                    }
                    return true;
                }
                Err(error) => {
                    tracing::warn!(%error, "no new producer id yet");
                    self.attempts += 1;
                }
            }
        }
    }
}

async fn ask(transport: &dyn Transport, deadline: Duration) -> Result<(i64, i16), ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    let answer = call(transport, request, deadline).await?;
    check(|| "producer id".to_owned(), answer.error_code, None)?;
    Ok((answer.producer_id, answer.producer_epoch))
}
