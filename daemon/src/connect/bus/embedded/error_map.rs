//! Kafka's errors as the bus's: the one place that translates them.

use crate::connect::bus::BusError;
use levada_client::{ClientError, TransportError};
use levada_wire::ErrorCode;

/// What a failed `action` means for the Connect runtime.
pub(super) fn bus_error(action: impl Into<String>, error: ClientError) -> BusError {
    let action = action.into();
    match error {
        ClientError::Revoked => BusError::Revoked,
        ClientError::Transport(TransportError::Closed) => BusError::Closed,
        ClientError::Timeout { after, .. } => BusError::Timeout { action, after },
        ClientError::Refused { code: ErrorCode::RebalanceInProgress, .. } => {
            BusError::Retriable { action, cause: "the group is rebalancing".to_owned() }
        }
        ClientError::Refused {
            code: code @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::FencedInstanceId),
            subject,
            ..
        } => BusError::NotMember { group: subject, cause: code.name() },
        ClientError::Refused { code, message, .. } if !code.is_retriable() => {
            let detail = message.unwrap_or_else(|| code.message().to_owned());
            BusError::Refused { action, code: code.name(), detail: format!(": {detail}") }
        }
        error @ ClientError::PastEnd { .. } => {
            let detail = format!(
                ": {error}; the topic was made anew or has lost records. To read what it has now, stop the connector, delete \
                 its offsets by DELETE /connectors/NAME/offsets (or set them by PATCH) and resume it"
            );
            BusError::Refused { action, code: "OFFSET_OUT_OF_RANGE", detail }
        }
        error if error.is_retriable() => BusError::Retriable { action, cause: error.to_string() },
        error => BusError::Refused { action, code: "ClientError", detail: format!(": {error}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_membership_is_told_from_a_rebalance() {
        let refused = |code| ClientError::Refused { subject: "g".to_owned(), code, message: None };
        assert!(matches!(bus_error("commit", refused(ErrorCode::UnknownMemberId)), BusError::NotMember { .. }));
        assert!(bus_error("commit", refused(ErrorCode::RebalanceInProgress)).is_retriable());
        assert!(!bus_error("produce", refused(ErrorCode::MessageTooLarge)).is_retriable());
    }
}
