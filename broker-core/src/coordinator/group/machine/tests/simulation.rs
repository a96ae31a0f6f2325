//! Many members against one group, with lost answers, silence, restarts and failing writes; what must hold is checked after every step.

use std::collections::BTreeSet;

use levada_env::{Rng, SeededRng};

use super::*;

/// What a member's client believes.
#[derive(Debug, Clone, Default)]
struct Client {
    id: String,
    instance: Option<String>,
    generation: i32,
    leads: bool,
    joining: Option<Ticket>,
    syncing: Option<Ticket>,
    members: Vec<String>,
    assigned: bool,
}

struct World {
    h: Harness,
    rng: SeededRng,
    clients: Vec<Client>,
    /// Assignments handed in by the leader of each generation: what SyncGroup may answer.
    decided: BTreeMap<(i32, String), Bytes>,
    leaders: BTreeMap<i32, String>,
    fenced: BTreeSet<(String, String)>,
    last_heard: BTreeMap<String, Instant>,
    epoch: i32,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let rng = SeededRng::new(seed);
        let delay = Duration::from_millis(rng.below(2) * 3000);
        let options = GroupOptions {
            initial_rebalance_delay: delay,
            max_size: 6,
            max_pending_members: 3,
            new_member_join_timeout: Duration::from_secs(40),
            ..GroupOptions::default()
        };
        let mut h = Harness::with(options);
        h.auto_persist = false;
        Self {
            h,
            rng,
            clients: (0..8)
                .map(|n| Client { instance: (n % 4 == 0).then(|| format!("i{}", n / 4 % 2)), ..Client::default() })
                .collect(),
            decided: BTreeMap::new(),
            leaders: BTreeMap::new(),
            fenced: BTreeSet::new(),
            last_heard: BTreeMap::new(),
            epoch: 0,
            trace: Vec::new(),
        }
    }

    fn run(mut self, steps: usize) -> Vec<String> {
        for _ in 0..steps {
            let n = self.rng.below(self.clients.len() as u64) as usize;
            match self.rng.below(100) {
                0..=24 => self.join(n),
                25..=44 => self.sync(n),
                45..=54 => self.heartbeat(n),
                55..=59 => self.commit(n),
                60..=63 => self.leave(n),
                64..=66 => self.bounce(n),
                67..=69 => self.forget_answers(n),
                70..=84 => self.persist(),
                85..=97 => self.pass(),
                _ => self.restart(),
            }
            self.deliver();
            self.check();
        }
        self.trace
    }

    fn note(&mut self, what: &str, n: usize) {
        let group = &self.h.group;
        self.trace.push(format!(
            "{what} {n} {} {} {}",
            group.state().name(),
            group.generation(),
            group.members().len()
        ));
    }

    fn heard(&mut self, id: &str) {
        self.last_heard.insert(id.to_owned(), self.h.now.instant);
    }

    fn join(&mut self, n: usize) {
        let client = self.clients[n].clone();
        let mut request = self.h.request(&client.id);
        request.group_instance_id = client.instance.clone();
        request.require_known_member_id = self.rng.below(2) == 0;
        request.supports_skip_assignment = self.rng.below(2) == 0;
        request.protocols = match self.rng.below(4) {
            0 => vec![protocol("sticky", &["t"]), protocol("range", &["t"])],
            1 => vec![protocol("range", &["t", "u"])],
            _ => vec![protocol("range", &["t"])],
        };
        let owner = client.instance.as_ref().and_then(|i| self.h.group.members.owner_of(i).map(str::to_owned));
        let ticket = self.h.send_join(request);
        if let (Some(instance), Some(old)) = (&client.instance, owner)
            && self.h.group.members.owner_of(instance) != Some(old.as_str())
        {
            self.fenced.insert((old, instance.clone()));
        }
        if self.h.group.members.contains(&client.id) {
            self.heard(&client.id);
        }
        self.clients[n].joining = Some(ticket);
        self.note("join", n);
    }

    fn sync(&mut self, n: usize) {
        let client = self.clients[n].clone();
        let mark = format!("{}/{}/{}", self.epoch, client.generation, client.id);
        let given: Vec<(&str, &str)> =
            client.members.iter().filter(|_| client.leads).map(|id| (id.as_str(), mark.as_str())).collect();
        let request = SyncRequest {
            generation: client.generation,
            group_instance_id: client.instance.clone(),
            ..self.h.sync_request(&client.id, &given)
        };
        let pending = self.h.to_persist.len();
        let ticket = self.h.send_sync(request);
        if self.h.to_persist.len() > pending && self.h.group.is_leader(&client.id) {
            let snapshot = &self.h.to_persist.last().unwrap().1;
            for member in &snapshot.members {
                self.decided.insert((snapshot.generation, member.member_id.clone()), member.assignment.clone());
            }
        }
        if self.h.group.members.contains(&client.id) && client.generation == self.h.group.generation() {
            self.heard(&client.id);
        }
        self.clients[n].syncing = Some(ticket);
        self.note("sync", n);
    }

    fn heartbeat(&mut self, n: usize) {
        let client = self.clients[n].clone();
        let result = self.h.group.heartbeat(&client.id, client.instance.as_deref(), client.generation, self.h.now);
        match result {
            Ok(()) | Err(GroupError::RebalanceInProgress) => self.heard(&client.id),
            Err(GroupError::UnknownMemberId) if client.instance.is_none() => self.clients[n].id = String::new(),
            Err(_) => {}
        }
        self.assert_not_fenced(&client, result);
        self.note("heartbeat", n);
    }

    fn commit(&mut self, n: usize) {
        let client = self.clients[n].clone();
        let request = CommitRequest {
            member_id: client.id.clone(),
            group_instance_id: client.instance.clone(),
            generation: client.generation,
            transactional: false,
        };
        let result = self.h.group.validate_commit(&request, self.h.now);
        if result.is_ok() {
            assert!(self.h.group.members.contains(&client.id) && client.generation == self.h.group.generation());
            self.heard(&client.id);
        }
        self.assert_not_fenced(&client, result);
        self.note("commit", n);
    }

    fn assert_not_fenced(&self, client: &Client, result: Result<(), GroupError>) {
        if let Some(instance) = &client.instance
            && self.fenced.contains(&(client.id.clone(), instance.clone()))
        {
            assert!(matches!(result, Err(GroupError::FencedInstanceId | GroupError::UnknownMemberId)), "{result:?}");
        }
    }

    fn leave(&mut self, n: usize) {
        let client = self.clients[n].clone();
        self.h.leave(&[(&client.id, client.instance.as_deref())]);
        self.clients[n] = Client { instance: client.instance, ..Client::default() };
        self.note("leave", n);
    }

    /// The process behind the member is started again: it has forgotten everything.
    fn bounce(&mut self, n: usize) {
        self.clients[n] = Client { instance: self.clients[n].instance.clone(), ..Client::default() };
        self.note("bounce", n);
    }

    fn forget_answers(&mut self, n: usize) {
        self.clients[n].joining = None;
        self.clients[n].syncing = None;
    }

    fn persist(&mut self) {
        if self.h.to_persist.is_empty() {
            return;
        }
        let (token, snapshot) = self.h.to_persist.remove(0);
        let result = if self.rng.below(10) == 0 { Err(GroupError::CoordinatorNotAvailable) } else { Ok(()) };
        if result.is_ok() {
            self.h.log.push(snapshot);
        }
        let outputs = self.h.group.persisted(token, result, self.h.now);
        self.h.take(outputs);
        self.note("persist", usize::from(result.is_ok()));
    }

    fn pass(&mut self) {
        let time = Duration::from_millis(self.rng.below(8000));
        self.h.pass(time);
        self.note("pass", time.as_millis() as usize);
    }

    /// kill -9: what was not in the log is gone; generations that were not written may be used again.
    fn restart(&mut self) {
        let options = Arc::clone(&self.h.group.options);
        self.h.group = match self.h.log.last() {
            Some(snapshot) => Group::restore("g", snapshot.clone(), options, self.h.now),
            None => Group::new("g", options),
        };
        let outputs = self.h.group.after_restore(self.h.now);
        self.h.to_persist.clear();
        self.h.take(outputs);
        for client in &mut self.clients {
            client.joining = None;
            client.syncing = None;
        }
        let durable = self.h.group.generation();
        self.leaders.retain(|generation, _| *generation <= durable);
        self.decided.retain(|(generation, _), _| *generation <= durable);
        self.fenced.retain(|(id, _)| !self.h.group.members.contains(id));
        self.last_heard = self.h.group.members.ids().into_iter().map(|id| (id, self.h.now.instant)).collect();
        self.epoch += 1;
        self.note("restart", 0);
    }

    /// Clients read their answers. One in ten is lost on the way.
    fn deliver(&mut self) {
        for n in 0..self.clients.len() {
            let lost = self.rng.below(10) == 0;
            if let Some(ticket) = self.clients[n].joining
                && let Some(answer) = self.h.joins.get(&ticket).cloned()
            {
                self.clients[n].joining = None;
                if !lost {
                    self.joined(n, answer);
                }
            }
            if let Some(ticket) = self.clients[n].syncing
                && let Some(answer) = self.h.syncs.get(&ticket).cloned()
            {
                self.clients[n].syncing = None;
                if !lost {
                    self.synced(n, answer);
                }
            }
        }
        self.h.joins.clear();
        self.h.syncs.clear();
    }

    fn joined(&mut self, n: usize, answer: JoinAnswer) {
        let client = &mut self.clients[n];
        match answer {
            JoinAnswer::Granted(granted) => {
                assert!(granted.members.is_empty() || granted.leader == granted.member_id);
                client.leads = granted.leader == granted.member_id && !granted.skip_assignment;
                client.id = granted.member_id;
                client.generation = granted.generation;
                client.members = granted.members.into_iter().map(|member| member.member_id).collect();
                client.assigned = false;
                let id = client.id.clone();
                self.heard(&id);
            }
            JoinAnswer::Refused { error: GroupError::MemberIdRequired, member_id } => client.id = member_id,
            JoinAnswer::Refused { error: GroupError::RebalanceInProgress, .. } => {}
            JoinAnswer::Refused { .. } => client.id = String::new(),
        }
    }

    fn synced(&mut self, n: usize, answer: Result<SyncGranted, GroupError>) {
        let Ok(granted) = answer else { return };
        let client = &mut self.clients[n];
        client.assigned = true;
        let key = (client.generation, client.id.clone());
        // A static member that bounced inherits what was decided for its predecessor, under another id.
        if client.instance.is_none() {
            assert_eq!(Some(&granted.assignment), self.decided.get(&key), "assigned by this generation's leader");
        }
        self.heard(&key.1);
    }

    fn check(&mut self) {
        let group = &self.h.group;
        group.members.check();
        match group.state {
            GroupState::Empty => {
                assert!(group.members.is_empty() && group.leader.is_none() && group.join_phase.is_none());
            }
            GroupState::PreparingRebalance => {
                assert!(group.join_phase.is_some() && group.sync_deadline.is_none() && group.pending_sync.is_empty());
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                assert!(group.join_phase.is_none());
                let leader = group.leader.clone().expect("a generation has a leader");
                assert!(group.members.contains(&leader));
                assert!(group.pending_sync.iter().all(|id| group.members.contains(id)));
                assert!(
                    group.members.iter().all(|(_, member)| member.join.is_none() || group.state == GroupState::Stable)
                );
                let known = self.leaders.insert(group.generation, leader.clone());
                // Only a static leader that came back may have a new id within its generation.
                assert!(known.is_none_or(|known| known == leader || !group.members.contains(&known)));
            }
            GroupState::Dead => unreachable!("nobody removes this group"),
        }
        if group.state == GroupState::Stable {
            assert!(group.members.iter().all(|(_, member)| member.sync.is_none()), "nobody waits in Stable");
        }
        assert!(group.pending_members.len() <= group.options.max_pending_members);
        assert!(group.members.len() <= 2 * group.options.max_size);
        for (id, member) in group.members.iter() {
            assert!(
                member.session_deadline.is_some() || member.join.is_some() || member.sync.is_some(),
                "immortal {id}"
            );
            if member.join.is_none()
                && member.sync.is_none()
                && let Some(heard) = self.last_heard.get(id)
            {
                // Answers the client never read start a session too, so there may be one more.
                let silent = self.h.now.instant - *heard;
                assert!(silent <= SESSION + SESSION + REBALANCE, "{id} silent for {silent:?}");
            }
        }
        self.h
            .group
            .next_deadline()
            .map(|deadline| assert!(deadline > self.h.now.instant - SESSION))
            .unwrap_or_default();
    }
}

#[test]
fn invariants_hold_over_many_schedules() {
    for seed in 0..400 {
        World::new(seed).run(600);
    }
}

#[test]
fn same_seed_gives_the_same_trace() {
    let (one, two) = (World::new(7).run(3000), World::new(7).run(3000));
    assert!(one.iter().any(|line| line.contains("Stable")), "the schedule reaches Stable");
    assert_eq!(one, two);
}

/// After all the trouble, members that behave find together: everybody in one Stable generation, nobody else.
#[test]
fn group_converges_when_the_trouble_ends() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            let n = world.rng.below(8) as usize;
            match world.rng.below(6) {
                0 => world.join(n),
                1 => world.sync(n),
                2 => world.bounce(n),
                3 => world.pass(),
                4 => world.restart(),
                _ => world.persist(),
            }
            world.deliver();
            world.check();
        }
        world.calm_down();
    }
}

impl World {
    fn calm_down(&mut self) {
        self.clients.truncate(3);
        for (n, client) in self.clients.iter_mut().enumerate() {
            *client = Client { instance: (n == 0).then(|| "i0".to_owned()), ..Client::default() };
        }
        for round in 0..200 {
            for n in 0..3 {
                self.behave(n);
            }
            while let Some((token, snapshot)) = self.h.to_persist.pop() {
                self.h.log.push(snapshot);
                let outputs = self.h.group.persisted(token, Ok(()), self.h.now);
                self.h.take(outputs);
            }
            for n in 0..3 {
                let (joining, syncing) = (self.clients[n].joining, self.clients[n].syncing);
                if let Some(answer) = joining.and_then(|ticket| self.h.joins.remove(&ticket)) {
                    self.clients[n].joining = None;
                    self.joined(n, answer);
                }
                if let Some(answer) = syncing.and_then(|ticket| self.h.syncs.remove(&ticket)) {
                    self.clients[n].syncing = None;
                    self.clients[n].assigned = answer.is_ok();
                }
            }
            self.h.pass(Duration::from_secs(1));
            let group = &self.h.group;
            let together = self.clients.iter().all(|c| c.assigned && c.generation == group.generation());
            if group.state() == GroupState::Stable && group.members().len() == 3 && together {
                return;
            }
            assert!(round < 199, "no agreement: {:?} {:?}", self.h.group, self.clients);
        }
    }

    /// What a client library does.
    fn behave(&mut self, n: usize) {
        let client = self.clients[n].clone();
        if client.joining.is_some() || client.syncing.is_some() {
            return;
        }
        if client.assigned {
            let result = self.h.group.heartbeat(&client.id, client.instance.as_deref(), client.generation, self.h.now);
            if let Err(error) = result {
                self.clients[n].assigned = false;
                self.clients[n].generation = 0;
                if error == GroupError::UnknownMemberId {
                    self.clients[n].id = String::new();
                }
            }
        } else if client.generation > 0 && client.generation == self.h.group.generation() {
            self.sync(n);
            let ticket = self.clients[n].syncing.unwrap();
            if self.h.syncs.get(&ticket).is_some_and(Result::is_err) {
                self.clients[n].generation = 0;
            }
        } else {
            let mut request = self.h.request(&client.id);
            request.group_instance_id = client.instance;
            self.clients[n].joining = Some(self.h.send_join(request));
        }
    }
}
