//! DeleteGroups (42), versions 0 to 2.

use levada_wire::messages::delete_groups::DeletableGroupResult;
use levada_wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use tokio::sync::oneshot;

use super::super::error_map::code_of;
use super::super::machine::GroupError;
use super::super::writes::DeleteGroupWrite;
use super::{Caller, GroupCoordinator, WRITE_OVERHEAD, check_group_id};

impl GroupCoordinator {
    /// Removes empty groups with their offsets.
    pub async fn delete_groups(&self, _caller: &Caller<'_>, request: &DeleteGroupsRequest) -> DeleteGroupsResponse {
        let mut results = Vec::with_capacity(request.groups_names.len());
        for group in &request.groups_names {
            let error_code = code_of(&self.delete_group(group).await);
            results.push(DeletableGroupResult { group_id: group.clone(), error_code });
        }
        DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
    }

    async fn delete_group(&self, group: &str) -> Result<(), GroupError> {
        check_group_id(group)?;
        self.inner.ready(group).await?;
        let permit = self.write_permit(group.len() + WRITE_OVERHEAD).await?;
        let (reply, done) = oneshot::channel();
        let write = DeleteGroupWrite::new(group.to_owned(), reply, permit);
        self.inner.enqueue(self.inner.shard_of(group), Box::new(write));
        done.await.unwrap_or(Err(GroupError::CoordinatorNotAvailable))
    }
}
