//! The transforms that come with Debezium, under their Java names.

mod extract_new_record_state;
mod field_reference;

use super::Class;

/// All of them.
pub(super) fn classes() -> Vec<Class> {
    vec![Class::whole::<extract_new_record_state::ExtractNewRecordState>(
        "io.debezium.transforms.ExtractNewRecordState",
    )]
}
