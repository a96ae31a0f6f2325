//! JoinGroup: who may enter, under which id, and whether the group must rebalance for it.

use super::member::{Member, ParkedJoin, joining_bytes, protocol_bytes};
use super::step::{JoinAnswer, JoinGranted, JoinRequest, JoinedMember, Now, Output, Ticket};
use super::subscription::{CONSUMER_PROTOCOL_TYPE, subscribed_topics};
use super::{Group, GroupError, GroupState, JoinPhase, PendingMembers, Purpose};

impl Group {
    /// A member, new or known, wants to be in the next generation. The answer may come at once or with a later step.
    pub fn join(&mut self, request: JoinRequest, ticket: Ticket, now: Now) -> Vec<Output> {
        if let Err((error, member_id)) = self.try_join(request, ticket, now) {
            self.outputs.push(Output::Join(ticket, JoinAnswer::Refused { error, member_id }));
        }
        self.take_outputs()
    }

    fn try_join(&mut self, request: JoinRequest, ticket: Ticket, now: Now) -> Result<(), (GroupError, String)> {
        let id = request.member_id.clone();
        self.check_limits(&request).map_err(|error| (error, id.clone()))?;
        if self.state == GroupState::Dead || self.is_log_behind() {
            return Err((GroupError::CoordinatorNotAvailable, id));
        }
        if !self.has_room_for(&request) {
            // Only a member that rejoins a group above its limit can be known here; the others don't rebalance for its sake.
            self.drop_member(&id, GroupError::GroupMaxSizeReached);
            self.maybe_complete_join(now);
            return Err((GroupError::GroupMaxSizeReached, String::new()));
        }
        if !self.supports(&request) {
            return Err((GroupError::InconsistentGroupProtocol, id));
        }
        if id.is_empty() {
            self.join_new(request, ticket, now)
        } else if self.pending_members.contains(&id) {
            self.join_pending(request, ticket, now)
        } else {
            self.join_known(request, ticket, now)
        }
    }

    fn check_limits(&self, request: &JoinRequest) -> Result<(), GroupError> {
        let session = request.session_timeout;
        if session < self.options.min_session_timeout || session > self.options.max_session_timeout {
            return Err(GroupError::InvalidSessionTimeout);
        }
        if protocol_bytes(&request.protocols) > self.options.max_member_metadata_bytes {
            return Err(GroupError::MemberMetadataTooLarge);
        }
        let had = self.members.get(&request.member_id).map_or(0, Member::bytes);
        // A new member's id is kept until it comes back with it.
        let id = if request.member_id.is_empty() { PendingMembers::size(&request.fresh_member_id) } else { 0 };
        let wanted = joining_bytes(request) + id;
        let is_full = self.members.bytes() - had + wanted > self.options.max_group_metadata_bytes;
        if wanted > had && (is_full || wanted - had > request.room) {
            return Err(GroupError::GroupMaxSizeReached);
        }
        Ok(())
    }

    /// While members rejoin, the first `max_size` to come stay; afterwards only newcomers are turned away.
    fn has_room_for(&self, request: &JoinRequest) -> bool {
        let owner = request.group_instance_id.as_deref().and_then(|instance| self.members.owner_of(instance));
        let known = self.members.get(&request.member_id).or_else(|| self.members.get(owner?));
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                known.is_some_and(Member::is_awaiting_join) || self.members.awaiting_join() < self.options.max_size
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                known.is_some() || self.members.len() < self.options.max_size
            }
        }
    }

    fn supports(&self, request: &JoinRequest) -> bool {
        if self.members.is_empty() {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(request.protocol_type.as_str())
            && self.members.share_protocol(&request.protocols)
    }

    fn join_new(&mut self, request: JoinRequest, ticket: Ticket, now: Now) -> Result<(), (GroupError, String)> {
        let fresh = request.fresh_member_id.clone();
        if let Some(instance) = &request.group_instance_id {
            match self.members.owner_of(instance).map(str::to_owned) {
                Some(old) => self.replace_static(&old, fresh, request, ticket, now),
                None => self.add_member(fresh, request, ticket, now),
            }
            return Ok(());
        }
        if request.require_known_member_id {
            let (deadline, arrival) = (now.instant + request.session_timeout, self.members.next_arrival());
            self.pending_members.add(fresh.clone(), deadline, arrival, self.options.max_pending_members);
            return Err((GroupError::MemberIdRequired, fresh));
        }
        self.add_member(fresh, request, ticket, now);
        Ok(())
    }

    fn join_pending(&mut self, request: JoinRequest, ticket: Ticket, now: Now) -> Result<(), (GroupError, String)> {
        let id = request.member_id.clone();
        if let Some(instance) = &request.group_instance_id
            && self.members.owner_of(instance).is_some()
        {
            // Only dynamic members get pending ids, so this id can't be the instance's owner.
            return Err((GroupError::FencedInstanceId, id));
        }
        self.pending_members.remove(&id);
        self.add_member(id, request, ticket, now);
        Ok(())
    }

    fn add_member(&mut self, id: String, request: JoinRequest, ticket: Ticket, now: Now) {
        let arrival = self.members.next_arrival();
        let mut member = Member::joining(&request, arrival);
        member.session_deadline = Some(now.instant + self.options.new_member_join_timeout);
        member.join = Some(parked(&request, ticket));
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        self.members.add(id.clone(), member);
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        if let Some(JoinPhase::Initial { grew, .. }) = &mut self.join_phase {
            *grew = true;
        }
        tracing::debug!(group = %self.id, member = %id, "member joins");
        self.rebalance("a member joined", now);
    }

    fn join_known(&mut self, request: JoinRequest, ticket: Ticket, now: Now) -> Result<(), (GroupError, String)> {
        let id = request.member_id.clone();
        self.validate_member(&id, request.group_instance_id.as_deref()).map_err(|error| (error, id.clone()))?;
        let same = self.members.get(&id).is_some_and(|member| member.protocols == request.protocols);
        // A follower that comes back unchanged lost an answer, and so did anybody while the assignment is awaited. A leader that
        // rejoins a stable group asks for a new assignment (its topics may have changed).
        let lost_answer = match self.state {
            GroupState::CompletingRebalance => same,
            GroupState::Stable => same && !self.is_leader(&id),
            GroupState::PreparingRebalance => false,
            GroupState::Empty | GroupState::Dead => return Err((GroupError::UnknownMemberId, id)),
        };
        if lost_answer {
            if let Some(member) = self.members.get_mut(&id) {
                member.renew_session(now.instant);
            }
            let answer = self.granted(&id, false);
            self.outputs.push(Output::Join(ticket, answer));
            return Ok(());
        }
        self.update_member(&id, &request, ticket);
        self.rebalance("a member rejoined", now);
        Ok(())
    }

    /// Takes over what the member offers now and parks its request. A request it had parked before is answered, so that nothing waits
    /// behind it: the client either gave it up or will join again.
    fn update_member(&mut self, id: &str, request: &JoinRequest, ticket: Ticket) {
        self.members.update(id, request.protocols.clone(), request.session_timeout, request.rebalance_timeout);
        if let Some(displaced) = self.members.park_join(id, parked(request, ticket)) {
            let answer = JoinAnswer::Refused { error: GroupError::RebalanceInProgress, member_id: id.to_owned() };
            self.outputs.push(Output::Join(displaced.ticket, answer));
        }
    }

    /// A static member came back without its id: a new id takes the old one's place, and the old one is fenced (KIP-345).
    fn replace_static(&mut self, old: &str, fresh: String, request: JoinRequest, ticket: Ticket, now: Now) {
        let led_by = self.leader.clone();
        let Some(before) = self.members.get(old).cloned() else { return };
        self.answer_join(old, JoinAnswer::Refused { error: GroupError::FencedInstanceId, member_id: old.to_owned() });
        self.answer_sync(old, Err(GroupError::FencedInstanceId), now);
        self.members.remove(old);
        self.pending_sync.remove(old);
        if self.is_leader(old) {
            self.leader = Some(fresh.clone());
        }
        let mut member = Member { join: None, sync: None, is_new: false, ..before.clone() };
        member.client_id.clone_from(&request.client_id);
        member.client_host.clone_from(&request.client_host);
        self.members.add(fresh.clone(), member);
        self.update_member(&fresh, &request, ticket);
        if let Some(member) = self.members.get_mut(&fresh) {
            member.renew_session(now.instant);
        }
        tracing::info!(group = %self.id, old, new = %fresh, "static member replaced");
        match self.state {
            GroupState::Stable if !self.bounce_changes_group(&before, &request) => {
                let snapshot = self.snapshot();
                let generation = self.generation;
                self.persist(Purpose::StaticReplacement { generation, member_id: fresh, led_by }, snapshot);
            }
            // The leader may be about to assign to the id that is gone.
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare_rebalance("a static member was replaced", now);
            }
            _ => self.maybe_complete_join(now),
        }
    }

    /// Does a returning static member change anything for the others? The protocol must stay, and for consumers the topics; other
    /// metadata differs with every start (owned partitions, user data) and is the client's business.
    fn bounce_changes_group(&self, before: &Member, request: &JoinRequest) -> bool {
        if self.members.select_protocol() != self.protocol_name {
            return true;
        }
        if self.protocol_type.as_deref() != Some(CONSUMER_PROTOCOL_TYPE) {
            return false;
        }
        let name = self.protocol_name.as_deref();
        let new = request.protocols.iter().find(|protocol| Some(protocol.name.as_str()) == name);
        let new = new.and_then(|protocol| subscribed_topics(&protocol.metadata));
        match (subscribed_topics(&before.metadata(name)), new) {
            (Some(before), Some(new)) => before != new,
            _ => false,
        }
    }

    /// The static member's new id is in the log: let it go on in the generation it left.
    pub(super) fn static_replacement_done(
        &mut self,
        generation: i32,
        member_id: &str,
        led_by: Option<String>,
        result: Result<(), GroupError>,
        now: Now,
    ) {
        if self.state != GroupState::Stable || self.generation != generation {
            // A rebalance began meanwhile; the parked request counts as its rejoin and is answered by it.
            return;
        }
        let Some(parked) = self.members.get(member_id).and_then(|member| member.join) else { return };
        if let Err(error) = result {
            // The client never learns the new id, so it joins without one again and replaces this one.
            self.answer_join(member_id, JoinAnswer::Refused { error, member_id: String::new() });
            return;
        }
        let mut answer = self.granted(member_id, parked.supports_skip_assignment && self.is_leader(member_id));
        if let JoinAnswer::Granted(granted) = &mut answer
            && !parked.supports_skip_assignment
        {
            // A client that can't skip the assignment must not take itself for the leader: it would assign anew without a rebalance.
            granted.leader = led_by.unwrap_or_default();
            granted.members = Vec::new();
        }
        if let Some(member) = self.members.get_mut(member_id) {
            member.renew_session(now.instant);
        }
        self.answer_join(member_id, answer);
    }

    /// The answer that lets a member into the current generation.
    pub(super) fn granted(&self, member_id: &str, skip_assignment: bool) -> JoinAnswer {
        let protocol = self.protocol_name.as_deref();
        let members = if self.is_leader(member_id) {
            let joined = |(id, member): (&String, &Member)| JoinedMember {
                member_id: id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                metadata: member.metadata(protocol),
            };
            self.members.iter().map(joined).collect()
        } else {
            Vec::new()
        };
        JoinAnswer::Granted(Box::new(JoinGranted {
            member_id: member_id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment,
            members,
        }))
    }
}

fn parked(request: &JoinRequest, ticket: Ticket) -> ParkedJoin {
    ParkedJoin { ticket, supports_skip_assignment: request.supports_skip_assignment }
}
