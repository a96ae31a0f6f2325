//! `#[derive(ConnectorConfig)]` and `#[derive(ConfigEnum)]`: a connector's keys declared once, as the
//! fields of the struct it reads its configuration into.

mod attributes;
mod config;
mod enumeration;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Writes `ConnectorConfig` for a struct with named fields.
///
/// Each field is a key. Its doc comment is the key's documentation; its type decides Connect's type
/// (`String`, `bool`, `i16`, `i32`, `i64`, `f64`, `Duration` for milliseconds, `Vec<String>`,
/// `Secret`, an enum with `ConfigEnum`, or an `Option` of one of them). A field that has no default
/// and is no `Option` is required.
///
/// | attribute | meaning |
/// | --- | --- |
/// | `key = "batch.size"` | name; else the field's name with `.` for `_` |
/// | `default = "2000"` | value when it is not given |
/// | `required` | says so; an error beside `default` or on an `Option` |
/// | `importance = "high"` | `high`, `medium` (if not said) or `low` |
/// | `group = "..."`, `order = 3` | place in a form; without `order`, that of declaration in the group |
/// | `width = "short"`, `display = "..."` | form field |
/// | `one_of("a", "b")`, `min = 1`, `max = 9`, `non_empty`, `check = function` | all must accept |
/// | `secret` | a password: never shown |
/// | `class` | the name of a plugin class |
/// | `flatten` | the field is itself a `ConnectorConfig`, whose keys stand among these |
/// | `dependents("other.key")` | keys whose meaning depends on this one |
///
/// On the struct, `#[config(rule = function)]` adds a check over several keys:
/// `fn(&Config) -> Vec<KeyError>`.
#[proc_macro_derive(ConnectorConfig, attributes(config))]
pub fn connector_config(input: TokenStream) -> TokenStream {
    config::derive(&parse_macro_input!(input as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Writes `ConfigEnum` for an enum of unit variants: `KeepAll` is `keep-all`, unless
/// `#[config(name = "...")]` on the variant says otherwise.
#[proc_macro_derive(ConfigEnum, attributes(config))]
pub fn config_enum(input: TokenStream) -> TokenStream {
    enumeration::derive(&parse_macro_input!(input as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}
