//! Joining a group: JoinGroup, the leader's assignment, SyncGroup.

use super::{
    ConsumerOptions,
    assignor::{Assignor, Subscriptions, TopicPartition},
    heartbeat::{Heartbeat, Member, Verdict, leave},
    protocol,
};
use crate::{ClientError, Transport, call::call, error::check, metadata};
use levada_env::time;
use levada_wire::{
    ApiKey, EncodeError, ErrorCode,
    messages::{
        find_coordinator::FindCoordinatorRequest,
        join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse},
        sync_group::{SyncGroupRequest, SyncGroupRequestAssignment},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Notify, watch};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A place in a group.
pub(super) struct Membership {
    transport: Arc<dyn Transport>,
    runtime: tokio::runtime::Handle,
    waker: Arc<Notify>,
    abandoned: watch::Receiver<bool>,
    pub(super) member: String,
    pub(super) generation: i32,
    /// Topics and partition counts that the last assignment was made from, if we made it.
    pub(super) led: Option<BTreeMap<String, i32>>,
    heartbeat: Option<Heartbeat>,
    coordinator_found: bool,
}

impl Membership {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        runtime: tokio::runtime::Handle,
        waker: Arc<Notify>,
        abandoned: watch::Receiver<bool>,
    ) -> Self {
        Self {
            transport,
            runtime,
            waker,
            abandoned,
            member: String::new(),
            generation: -1,
            led: None,
            heartbeat: None,
            coordinator_found: false,
        }
    }

    /// News from the heartbeat.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.heartbeat.as_ref().and_then(Heartbeat::verdict)
    }

    /// Forgets the member id: the next join is a new member's.
    pub(super) fn reset(&mut self) {
        self.heartbeat = None;
        self.member.clear();
        self.generation = -1;
    }

    /// Joins, again and again until a generation stands, and starts its heartbeat. Dropping the
    /// future is safe: the next call joins again under the same member id.
    pub(super) async fn join(
        &mut self,
        options: &ConsumerOptions,
        topics: &[String],
    ) -> Result<Vec<TopicPartition>, ClientError> {
        self.heartbeat = None;
        self.find_coordinator(&options.group).await?;
        let mut wait = Duration::from_millis(20);
        loop {
            if let Some(partitions) = self.join_once(options, topics).await? {
                self.start_heartbeat(options);
                return Ok(partitions);
            }
            time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }

    /// Asks for the coordinator once, which makes the broker create the offsets topic.
    async fn find_coordinator(&mut self, group: &str) -> Result<(), ClientError> {
        if self.coordinator_found {
            return Ok(());
        }
        let request =
            FindCoordinatorRequest { key_type: 0, coordinator_keys: vec![group.to_owned()], ..Default::default() };
        let answer = call(&*self.transport, request, REQUEST_TIMEOUT).await?;
        let code = answer.coordinators.first().map_or(answer.error_code, |found| found.error_code);
        check(|| format!("coordinator of group {group}"), code, None)?;
        self.coordinator_found = true;
        Ok(())
    }

    /// One round of JoinGroup and SyncGroup; `None` says try again.
    async fn join_once(
        &mut self,
        options: &ConsumerOptions,
        topics: &[String],
    ) -> Result<Option<Vec<TopicPartition>>, ClientError> {
        let subscription = protocol::subscription(topics, &[]).map_err(unsayable)?;
        let protocols = Assignor::ALL.map(|assignor| JoinGroupRequestProtocol {
            name: assignor.name().to_owned(),
            metadata: subscription.clone(),
        });
        let request = JoinGroupRequest {
            group_id: options.group.clone(),
            session_timeout_ms: millis(options.session_timeout),
            rebalance_timeout_ms: millis(options.rebalance_timeout),
            member_id: self.member.clone(),
            group_instance_id: options.instance_id.clone(),
            protocol_type: "consumer".to_owned(),
            protocols: protocols.to_vec(),
            ..Default::default()
        };
        let deadline = options.rebalance_timeout.max(options.session_timeout) + Duration::from_secs(10);
        let answer = call(&*self.transport, request, deadline).await?;
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::MemberIdRequired) => {
                self.member = answer.member_id;
                return Ok(None);
            }
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.reset();
                return Ok(None);
            }
            Some(ErrorCode::RebalanceInProgress) => return Ok(None),
            Some(code) if code.is_retriable() => return Ok(None),
            _ => return Err(ClientError::refused(format!("group {}", options.group), answer.error_code, None)),
        }
        self.member.clone_from(&answer.member_id);
        self.generation = answer.generation_id;
        self.sync(options, answer).await
    }

    async fn sync(
        &mut self,
        options: &ConsumerOptions,
        joined: JoinGroupResponse,
    ) -> Result<Option<Vec<TopicPartition>>, ClientError> {
        let protocol_name = joined.protocol_name.clone();
        self.led = None;
        let assignments = if joined.leader != joined.member_id {
            Vec::new()
        } else if joined.skip_assignment {
            // A leader that came back gets the assignment made before it went. What it was made from is
            // not known here, so the first look at the topics has it made anew.
            self.led = Some(BTreeMap::new());
            Vec::new()
        } else {
            self.lead(joined).await?
        };
        let request = SyncGroupRequest {
            group_id: options.group.clone(),
            generation_id: self.generation,
            member_id: self.member.clone(),
            group_instance_id: options.instance_id.clone(),
            protocol_type: Some("consumer".to_owned()),
            protocol_name,
            assignments,
        };
        let deadline = options.rebalance_timeout.max(REQUEST_TIMEOUT);
        let answer = call(&*self.transport, request, deadline).await?;
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => Ok(Some(protocol::assigned(answer.assignment)?)),
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.reset();
                Ok(None)
            }
            Some(ErrorCode::RebalanceInProgress) => Ok(None),
            Some(code) if code.is_retriable() => Ok(None),
            _ => Err(ClientError::refused(format!("group {}", options.group), answer.error_code, None)),
        }
    }

    /// The leader's part: who gets what.
    async fn lead(&mut self, joined: JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut members = Subscriptions::new();
        for member in joined.members {
            members.insert(member.member_id, protocol::subscribed(member.metadata)?);
        }
        let wanted: BTreeSet<&str> = members.values().flatten().map(String::as_str).collect();
        let wanted: Vec<&str> = wanted.into_iter().collect();
        let found = if wanted.is_empty() {
            Vec::new()
        } else {
            metadata::topics(&*self.transport, &wanted, true, REQUEST_TIMEOUT).await?
        };
        let topics: BTreeMap<String, i32> =
            found.into_iter().map(|topic| (topic.name.to_string(), topic.partitions)).collect();
        let assignor = joined.protocol_name.as_deref().and_then(Assignor::by_name).unwrap_or_default();
        let assignment = assignor.assign(&topics, &members);
        self.led = Some(topics);
        let encode = |(member_id, partitions): (String, Vec<TopicPartition>)| {
            let assignment = protocol::assignment(&partitions).map_err(unsayable)?;
            Ok(SyncGroupRequestAssignment { member_id, assignment })
        };
        assignment.into_iter().map(encode).collect()
    }

    fn start_heartbeat(&mut self, options: &ConsumerOptions) {
        let member = Member {
            group: options.group.clone(),
            id: self.member.clone(),
            instance_id: options.instance_id.clone(),
            generation: self.generation,
            interval: options.heartbeat_interval,
            session_timeout: options.session_timeout,
        };
        self.heartbeat = Some(Heartbeat::start(
            &self.runtime,
            self.transport.clone(),
            member,
            self.waker.clone(),
            self.abandoned.clone(),
        ));
    }

    /// Leaves the group, if a member.
    pub(super) async fn leave(&mut self, options: &ConsumerOptions) {
        self.heartbeat = None;
        if !self.member.is_empty() {
            let (group, instance) = (&options.group, options.instance_id.clone());
            leave(&*self.transport, group, &self.member, instance, "the consumer is closed").await;
        }
        self.reset();
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn unsayable(_: EncodeError) -> ClientError {
    ClientError::WrongAnswer { api: ApiKey::JoinGroup }
}
