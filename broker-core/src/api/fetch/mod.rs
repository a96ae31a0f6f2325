//! Fetch (key 1), versions 4 to 18. Reads what is there; if that is less than `min_bytes`, waits until the partitions
//! have grown by what is missing or `max_wait_ms` has passed. At least one batch is answered however small the limits.
//!
//! Records of files stay in their files: the answer carries a handle ([`FileRecords`]) that the server sends with
//! sendfile and in-process callers have read into memory. Records in memory are accounted for until they are written
//! ([`super::AnswerMemory`]); where that share is used up, files are read instead.

mod answer;
mod look;
mod session;
mod session_cache;

use std::sync::Arc;

use levada_wire::ErrorCode;
use levada_wire::messages::fetch::{FetchRequest, FetchResponse};

use self::answer::by_topic;
use self::look::Looked;
use self::session_cache::FetchContext;
use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use super::{Answer, Begun};
use crate::log::{FileRange, PartitionLog};
use crate::replica::{FetchSignal, Watch};
use crate::security::{Operation, QuotaKind, Resource};

pub(super) use self::session::SessionError;
pub use self::session_cache::FetchSessionCache;

/// Records that are still in a segment file.
pub struct FileRecords {
    /// Where they are.
    pub range: FileRange,
    /// Reads them into memory for those who need them there.
    pub log: PartitionLog,
}

struct Fetch {
    services: Arc<Services>,
    ctx: RequestContext,
    session: FetchContext,
    max_bytes: usize,
    min_bytes: usize,
    waits: bool,
    read_committed: bool,
}

pub(super) fn begin(services: &Arc<Services>, ctx: RequestContext, request: &FetchRequest) -> Begun {
    let is_follower = request.replica_id >= 0 || request.replica_state.replica_id >= 0;
    if is_follower {
        // Replication comes over a listener of its own, never over one that clients use.
        return refuse(ErrorCode::ClusterAuthorizationFailed);
    }
    let session = match services.sessions.open(request, ctx.api_version) {
        Ok(session) => session,
        Err(error) => return refuse(error.error_code()),
    };
    let max_bytes = usize::try_from(request.max_bytes.min(services.config.fetch_max_bytes)).unwrap_or(0);
    let fetch = Fetch {
        services: services.clone(),
        ctx,
        session,
        max_bytes,
        // As Kafka: what can't be had at once isn't waited for.
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
        waits: request.max_wait_ms > 0,
        read_committed: request.isolation_level == 1,
    };
    // Read when its turn to be answered has come: answers that wait behind others hold no memory.
    Begun::Pending(Box::pin(fetch.run()))
}

fn refuse(code: ErrorCode) -> Begun {
    Begun::Ready(Answer::of(FetchResponse { error_code: code.code(), ..FetchResponse::default() }))
}

impl Fetch {
    async fn run(self) -> Answer {
        let mut looked = self.look().await;
        while self.waits && !self.is_enough(&looked) {
            let ended = self.wait(looked).await.is_err();
            looked = self.look().await;
            if ended {
                break;
            }
        }
        self.finish(looked)
    }

    /// Whether to answer now: enough bytes, an error, news that only an immediate answer tells, or nothing to wait for.
    fn is_enough(&self, looked: &Looked) -> bool {
        looked.counted >= self.min_bytes || looked.partitions.is_empty() || looked.is_urgent()
    }

    /// Wait until the partitions have grown by what is missing. What was read is not held meanwhile.
    async fn wait(&self, looked: Looked) -> Result<(), super::context::WaitEnded> {
        let signal = FetchSignal::after((self.min_bytes - looked.counted) as u64);
        let _watches: Vec<Watch> = looked
            .partitions
            .into_iter()
            .filter_map(|at| at.watched.map(|watched| watched.partition.watch(&signal, watched.since, watched.room)))
            .collect();
        drop(looked.memory);
        self.ctx.wait(signal.woken()).await
    }

    fn finish(self, looked: Looked) -> Answer {
        let answers = looked.partitions.into_iter().map(|at| (at.key, at.data)).collect();
        let (session_id, answers) = self.session.finish(&self.services.sessions, answers);
        let bytes: usize = answers.iter().filter_map(|(_, data)| data.records.as_ref()).map(|set| set.len()).sum();
        self.services.metrics.fetched_bytes.add(bytes as u64);
        let throttle = self.services.quotas.record(
            QuotaKind::Fetch,
            &self.ctx.principal,
            self.ctx.client_id.as_deref(),
            bytes as u64,
        );
        let response = FetchResponse {
            throttle_time_ms: throttle.as_millis() as i32,
            session_id,
            responses: by_topic(answers),
            ..FetchResponse::default()
        };
        Answer::Response(response.into(), looked.memory)
    }

    fn may_read(&self, topic: &str) -> bool {
        self.services.authorizer.allows(&self.ctx.principal, Operation::Read, Resource::topic(topic))
    }
}
