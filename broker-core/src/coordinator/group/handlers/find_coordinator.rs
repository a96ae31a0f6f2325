//! FindCoordinator (10), versions 0 to 6: version 4 and later ask for several keys at once.

use levada_wire::ErrorCode;
use levada_wire::messages::find_coordinator::Coordinator;
use levada_wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::{Caller, GroupCoordinator};

/// Key type of groups.
const GROUP: i8 = 0;
/// First version with several keys.
const BATCHED: i16 = 4;

/// The broker that coordinates, with its address on the caller's listener.
#[derive(Debug, Clone)]
pub struct CoordinatorNode {
    /// Node id.
    pub id: i32,
    /// Advertised host.
    pub host: String,
    /// Advertised port.
    pub port: i32,
}

impl GroupCoordinator {
    /// Which node coordinates a group: with a single node, this one. Transactions have no coordinator yet; their keys are refused so
    /// that a client fails at once instead of asking for ever.
    pub fn find_coordinator(
        &self,
        caller: &Caller<'_>,
        request: &FindCoordinatorRequest,
        node: &CoordinatorNode,
    ) -> FindCoordinatorResponse {
        let error = self.find_error(request.key_type);
        if caller.api_version >= BATCHED {
            let answer = |key: &String| coordinator(key, error, node);
            let coordinators = request.coordinator_keys.iter().map(answer).collect();
            return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
        }
        let found = coordinator(&request.key, error, node);
        FindCoordinatorResponse {
            error_code: found.error_code,
            error_message: found.error_message,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..FindCoordinatorResponse::default()
        }
    }

    fn find_error(&self, key_type: i8) -> Option<(ErrorCode, &'static str)> {
        match key_type {
            GROUP if self.inner.is_active() => None,
            GROUP => Some((ErrorCode::CoordinatorNotAvailable, "the coordinator is stopping")),
            _ => Some((ErrorCode::InvalidRequest, "this broker coordinates groups only")),
        }
    }
}

fn coordinator(key: &str, error: Option<(ErrorCode, &str)>, node: &CoordinatorNode) -> Coordinator {
    match error {
        None => Coordinator {
            key: key.to_owned(),
            node_id: node.id,
            host: node.host.clone(),
            port: node.port,
            ..Coordinator::default()
        },
        Some((code, message)) => Coordinator {
            key: key.to_owned(),
            node_id: -1,
            port: -1,
            error_code: code as i16,
            error_message: Some(message.to_owned()),
            ..Coordinator::default()
        },
    }
}
