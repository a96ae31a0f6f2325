//! Heartbeats of a group member, in the background.

use crate::{Transport, call::call};
use levada_env::time;
use levada_wire::{
    ErrorCode,
    messages::{
        heartbeat::HeartbeatRequest,
        leave_group::{LeaveGroupRequest, MemberIdentity},
    },
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};

/// What the coordinator last said to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Join again.
    Rebalance,
    /// Membership and partitions are gone.
    Lost(&'static str),
    /// Another member took the place under the same instance id.
    Fenced,
}

/// Who beats, and how often.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) group: String,
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) generation: i32,
    pub(super) interval: Duration,
    pub(super) session_timeout: Duration,
}

/// A running heartbeat; ends when dropped. Failure policy: it goes on through lost requests until
/// the session must have ended, then it says so and ends.
pub(super) struct Heartbeat {
    verdict: Arc<Mutex<Option<Verdict>>>,
    _stop: watch::Sender<()>,
}

impl Heartbeat {
    /// Starts beating on `runtime`. Wakes `waker` with news. When `abandoned` changes to true the
    /// member leaves its group, so that the others need not wait for the session to end.
    pub(super) fn start(
        runtime: &tokio::runtime::Handle,
        transport: Arc<dyn Transport>,
        member: Member,
        waker: Arc<Notify>,
        abandoned: watch::Receiver<bool>,
    ) -> Self {
        let verdict = Arc::new(Mutex::new(None));
        let (stop, stopped) = watch::channel(());
        runtime.spawn(beat(transport, member, verdict.clone(), waker, abandoned, stopped));
        Self { verdict, _stop: stop }
    }

    /// Takes the news.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        *self.verdict.lock()
    }
}

async fn beat(
    transport: Arc<dyn Transport>,
    member: Member,
    verdict: Arc<Mutex<Option<Verdict>>>,
    waker: Arc<Notify>,
    mut abandoned: watch::Receiver<bool>,
    mut stopped: watch::Receiver<()>,
) {
    let mut last_answer = levada_env::Instant::now();
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            () = until_true(&mut abandoned) => {
                let instance = member.instance_id.clone();
                leave(&*transport, &member.group, &member.id, instance, "the task was abandoned").await;
                return;
            }
            () = time::sleep(member.interval) => {}
        }
        let request = HeartbeatRequest {
            group_id: member.group.clone(),
            generation_id: member.generation,
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
        };
        let news = match call(&*transport, request, member.session_timeout).await {
            Ok(answer) => {
                last_answer = levada_env::Instant::now();
                judge(answer.error_code)
            }
            Err(error) => {
                tracing::debug!(group = member.group, %error, "heartbeat got no answer");
                (last_answer.elapsed() > member.session_timeout).then_some(Verdict::Lost("SessionTimeout"))
            }
        };
        if let Some(news) = news {
            *verdict.lock() = Some(news);
            waker.notify_one();
            if matches!(news, Verdict::Lost(_) | Verdict::Fenced) {
                return;
            }
        }
    }
}

fn judge(code: i16) -> Option<Verdict> {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::RebalanceInProgress) => Some(Verdict::Rebalance),
        Some(code @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration)) => Some(Verdict::Lost(code.name())),
        Some(ErrorCode::FencedInstanceId) => Some(Verdict::Fenced),
        _ => None,
    }
}

async fn until_true(flag: &mut watch::Receiver<bool>) {
    // A dropped sender can't abandon any more: wait for the other branches.
    if flag.wait_for(|abandoned| *abandoned).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Leaves a group; nobody cares whether it works, since sessions end by themselves.
pub(super) async fn leave(
    transport: &dyn Transport,
    group: &str,
    member: &str,
    instance_id: Option<String>,
    reason: &str,
) {
    let identity = MemberIdentity {
        member_id: member.to_owned(),
        group_instance_id: instance_id,
        reason: Some(reason.to_owned()),
    };
    let request = LeaveGroupRequest { group_id: group.to_owned(), members: vec![identity], ..Default::default() };
    if let Err(error) = call(transport, request, Duration::from_secs(5)).await {
        tracing::warn!(group, %error, "could not leave the group; it goes on when the session ends");
    }
}
