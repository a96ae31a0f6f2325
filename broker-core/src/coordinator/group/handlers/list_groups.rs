//! ListGroups (16), versions 0 to 5: 4 filter by state, 5 filter by type.

use levada_wire::messages::list_groups::ListedGroup;
use levada_wire::messages::{ListGroupsRequest, ListGroupsResponse};

use super::super::entry::Entry;
use super::super::machine::{GroupError, GroupState};
use super::{Caller, GroupCoordinator};

/// The type of all groups here, as Kafka names it.
const CLASSIC: &str = "Classic";

impl GroupCoordinator {
    /// Lists all groups that fit the filters; the caller leaves out those it may not show.
    pub async fn list_groups(&self, _caller: &Caller<'_>, request: &ListGroupsRequest) -> ListGroupsResponse {
        match self.list(request).await {
            Ok(groups) => ListGroupsResponse { groups, ..ListGroupsResponse::default() },
            Err(error) => ListGroupsResponse { error_code: error.code(), ..ListGroupsResponse::default() },
        }
    }

    async fn list(&self, request: &ListGroupsRequest) -> Result<Vec<ListedGroup>, GroupError> {
        if !self.inner.is_active() {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        if !fits(&request.types_filter, CLASSIC) {
            return Ok(Vec::new());
        }
        // The filter is looked through once per state, not per group: it is as long as the client likes.
        let fitting: Vec<GroupState> =
            GroupState::ALL.into_iter().filter(|state| fits(&request.states_filter, state.name())).collect();
        let mut groups = Vec::new();
        for shard in &self.inner.shards {
            self.inner.loaded(shard).await?;
            for entry in shard.entries() {
                let entry = entry.lock();
                if !entry.removed && fitting.contains(&entry.group.state()) {
                    groups.push(listed(&entry));
                }
            }
        }
        groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(groups)
    }
}

/// An empty filter fits all. Kafka's tools write the names in any case.
fn fits(filter: &[String], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
}

fn listed(entry: &Entry) -> ListedGroup {
    ListedGroup {
        group_id: entry.group.id().to_owned(),
        protocol_type: entry.group.protocol_type().unwrap_or_default().to_owned(),
        group_state: entry.group.state().name().to_owned(),
        group_type: CLASSIC.to_owned(),
    }
}
