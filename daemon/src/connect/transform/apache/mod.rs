//! The transforms that come with Apache Kafka Connect, under their Java names.

mod cast;
mod drop_headers;
mod extract_field;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod mask_field;
mod regex_router;
mod replace_field;
mod set_schema_metadata;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

pub(super) use replace_field::ReplaceField;

use super::{Class, Part};

/// Full names of a transform's two classes.
macro_rules! halves {
    ($($name:literal => $plugin:ty),* $(,)?) => {
        [$(
            Class::of::<$plugin>(concat!("org.apache.kafka.connect.transforms.", $name, "$Key"), Part::Key),
            Class::of::<$plugin>(concat!("org.apache.kafka.connect.transforms.", $name, "$Value"), Part::Value),
        )*]
    };
}

/// All of them.
pub(super) fn classes() -> Vec<Class> {
    let mut all = vec![
        Class::whole::<drop_headers::DropHeaders>("org.apache.kafka.connect.transforms.DropHeaders"),
        Class::whole::<filter::Filter>("org.apache.kafka.connect.transforms.Filter"),
        Class::whole::<insert_header::InsertHeader>("org.apache.kafka.connect.transforms.InsertHeader"),
        Class::whole::<regex_router::RegexRouter>("org.apache.kafka.connect.transforms.RegexRouter"),
        Class::whole::<timestamp_router::TimestampRouter>("org.apache.kafka.connect.transforms.TimestampRouter"),
        Class::whole::<value_to_key::ValueToKey>("org.apache.kafka.connect.transforms.ValueToKey"),
    ];
    all.extend(halves! {
        "Cast" => cast::Cast,
        "ExtractField" => extract_field::ExtractField,
        "Flatten" => flatten::Flatten,
        "HeaderFrom" => header_from::HeaderFrom,
        "HoistField" => hoist_field::HoistField,
        "InsertField" => insert_field::InsertField,
        "MaskField" => mask_field::MaskField,
        "ReplaceField" => replace_field::ReplaceField,
        "SetSchemaMetadata" => set_schema_metadata::SetSchemaMetadata,
        "TimestampConverter" => timestamp_converter::TimestampConverter,
    });
    all
}
