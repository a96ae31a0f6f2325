//! What the herder can be asked, and what its operations tell it when they are done.

use super::{
    error::HerderError,
    model::{ConnectorStatus, RestartRequest},
    slot::Instance,
};
use crate::connect::{
    store::TargetState,
    worker::{Failure, RunningConnector, RunningTask},
};
use levada_connector_api::Config;
use std::sync::Arc;
use tokio::sync::{mpsc::OwnedPermit, oneshot};

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, HerderError>>;

/// A request.
pub(super) enum Command {
    /// Writes a connector's configuration; true when it is new.
    Put {
        name: String,
        config: Config,
        /// Target state to begin with.
        target: Option<TargetState>,
        /// Refuse when the connector is there.
        create_only: bool,
        /// Refuse when the configuration is another than this.
        expected: Option<Config>,
        reply: Reply<bool>,
    },
    /// Removes a connector; answered when nothing of it runs any more.
    Delete { name: String, reply: Reply<()> },
    /// Pauses or resumes a connector; answered when that is written.
    SetTarget { name: String, target: TargetState, reply: Reply<()> },
    /// Stops a connector; answered when nothing of it runs any more.
    Stop { name: String, reply: Reply<()> },
    /// Restarts a connector alone; answered when it has started or failed.
    RestartConnector { name: String, reply: Reply<()> },
    /// Restarts what the request covers; answered with the plan.
    Restart { name: String, request: RestartRequest, reply: Reply<ConnectorStatus> },
    /// Restarts one task; answered when it has been started.
    RestartTask { name: String, task: usize, reply: Reply<()> },
    /// Keeps a stopped connector stopped while its offsets are changed.
    HoldStopped { name: String, reply: Reply<Held> },
    /// Forgets which topics a connector has used.
    ResetTopics { name: String, reply: Reply<()> },
    /// Answers, to show that it can.
    Ping { reply: Reply<()> },
    /// Stops all tasks in order; the herder ends afterwards.
    Shutdown { reply: Reply<()> },
}

/// An operation's end.
pub(super) struct Done {
    pub name: String,
    pub outcome: Outcome,
}

/// What an operation brought.
pub(super) enum Outcome {
    InstanceStopped,
    InstanceStarted {
        config: Config,
        started: Result<Started, Failure>,
    },
    /// The connector asks for its work to be divided anew.
    DivisionAsked,
    /// It was divided anew; `None` is an instance that was lost on the way.
    Divided {
        instance: Option<Instance>,
        tasks: Result<Vec<Config>, Failure>,
    },
    TasksStopped(Vec<usize>),
    TasksStarted(Vec<StartedTask>),
    Released,
    /// A wait before an automatic restart is over.
    RestartDue(Option<usize>),
}

/// A connector that has started and divided its work.
pub(super) struct Started {
    pub running: Box<dyn RunningConnector>,
    pub tasks: Result<Vec<Config>, Failure>,
}

/// A task that has been started, or not.
pub(super) struct StartedTask {
    pub number: usize,
    pub config: Config,
    pub connector: Config,
    pub paused: bool,
    pub started: Result<Arc<dyn RunningTask>, Failure>,
}

/// While this lives, the connector stays stopped.
pub(super) struct Held {
    pub name: String,
    pub config: Config,
    pub permit: Option<OwnedPermit<Done>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.send(Done { name: std::mem::take(&mut self.name), outcome: Outcome::Released });
        }
    }
}

impl Command {
    /// Answers with an error.
    pub(super) fn refuse(self, error: HerderError) {
        match self {
            Self::Put { reply, .. } => drop(reply.send(Err(error))),
            Self::Restart { reply, .. } => drop(reply.send(Err(error))),
            Self::HoldStopped { reply, .. } => drop(reply.send(Err(error))),
            Self::Ping { reply } => drop(reply.send(Ok(()))),
            Self::Delete { reply, .. }
            | Self::SetTarget { reply, .. }
            | Self::Stop { reply, .. }
            | Self::RestartConnector { reply, .. }
            | Self::RestartTask { reply, .. }
            | Self::ResetTopics { reply, .. }
            | Self::Shutdown { reply } => drop(reply.send(Err(error))),
        }
    }
}
