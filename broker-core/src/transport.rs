//! Requests from inside the process: the same handlers, without frames and sockets.

use std::sync::Arc;

use levada_client::{BoxFuture, Transport, TransportError};
use levada_wire::messages::ProduceResponse;
use levada_wire::messages::fetch::FetchResponse;
use levada_wire::{ApiKey, RecordSet, RequestKind, ResponseKind, versions};
use tokio::sync::{Mutex, watch};

use crate::api::{Answer, Begun, Cancellation, FileRecords, RequestContext, Services, begin};
use crate::log::ReadData;

/// The [`Transport`] that `Broker::transport` gives.
pub(crate) struct InProcessTransport {
    services: Arc<Services>,
    /// Says true once the broker stops.
    stopping: watch::Receiver<bool>,
    listener: Arc<str>,
    client_id: String,
    /// Held while a produce request is begun, so that appends are queued in the order of the calls. Other requests do not
    /// wait for it: who waits for one of them may not be driving the produce requests that he has begun.
    turn: Mutex<()>,
}

impl InProcessTransport {
    pub fn new(services: Arc<Services>, stopping: watch::Receiver<bool>, client_id: &str) -> Self {
        // Addresses in answers are those of the first listener.
        let listener = services.config.listeners.first().map_or_else(|| "PLAINTEXT".into(), |first| first.name.clone());
        Self { services, stopping, listener, client_id: client_id.to_owned(), turn: Mutex::default() }
    }

    async fn answer(&self, request: RequestKind) -> Result<ResponseKind, TransportError> {
        let api = request.api_key();
        if *self.stopping.borrow() {
            return Err(TransportError::Closed);
        }
        let versions = versions::served_versions(api).ok_or(TransportError::Unsupported { api })?;
        let cancellation = Cancellation::new(self.stopping.clone());
        let ctx = RequestContext::in_process(self.listener.clone(), &self.client_id, versions.max, cancellation);
        let begun = match request {
            RequestKind::Produce(_) => {
                let _turn = self.turn.lock().await;
                begin(&self.services, &ctx, request).await
            }
            request => begin(&self.services, &ctx, request).await,
        };
        let answer = match begun {
            Begun::Ready(answer) => answer,
            Begun::Pending(rest) => rest.await,
        };
        match answer {
            Answer::Response(ResponseKind::Fetch(response), _) => Ok(in_memory(response).await?.into()),
            Answer::Response(response, _) => Ok(response),
            Answer::Nothing => Ok(ProduceResponse::default().into()),
            Answer::Disconnect => {
                Err(TransportError::Protocol { api, cause: "the request was refused without an answer".to_owned() })
            }
        }
    }
}

impl Transport for InProcessTransport {
    fn call(&self, request: RequestKind) -> BoxFuture<'_, Result<ResponseKind, TransportError>> {
        Box::pin(self.answer(request))
    }
}

/// Read record data that is still in files.
async fn in_memory(mut response: FetchResponse) -> Result<FetchResponse, TransportError> {
    let partitions = response.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
    for records in partitions.filter_map(|partition| partition.records.as_mut()) {
        let RecordSet::External(external) = &*records else { continue };
        let failed = |cause: String| TransportError::Protocol { api: ApiKey::Fetch, cause };
        let file =
            external.handle::<FileRecords>().ok_or_else(|| failed("records are somewhere unknown".to_owned()))?;
        let chunks = file.log.materialise(ReadData::File(file.range.clone())).await;
        *records = RecordSet::Chunks(chunks.map_err(|error| failed(error.to_string()))?);
    }
    Ok(response)
}
