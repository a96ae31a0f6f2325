//! What a definition means in Rust: the structs of a message, their fields' types, defaults and version conditions.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::definition::{Definition, Field};
use super::names;
use super::versions::Versions;

/// A Rust struct to be written.
pub(super) struct Struct<'a> {
    /// Name in Rust.
    pub(super) name: String,
    /// The message it is part of, or is.
    pub(super) message: &'a Definition,
    /// Versions in which the struct can occur.
    pub(super) versions: Versions,
    pub(super) fields: Vec<Member<'a>>,
}

/// A field of a Rust struct.
pub(super) struct Member<'a> {
    pub(super) definition: &'a Field,
    /// Identifier in Rust.
    pub(super) name: String,
    /// Type in Rust.
    pub(super) rust_type: String,
    /// Default as a Rust expression.
    pub(super) default: String,
    /// Whether the default is also what `Default` gives for the type.
    pub(super) default_is_plain: bool,
    /// Expression that is true if the field's value is not its default.
    pub(super) differs: String,
    pub(super) nullable: bool,
    pub(super) versions: Versions,
    pub(super) null_versions: Versions,
    pub(super) tag_versions: Versions,
}

impl Struct<'_> {
    /// Members written one after the other.
    pub(super) fn plain(&self) -> impl Iterator<Item = &Member<'_>> {
        self.fields.iter().filter(|member| !member.is_tagged())
    }

    /// Members written with a tag, in the order of tags.
    pub(super) fn tagged(&self) -> Vec<&Member<'_>> {
        let mut tagged: Vec<_> = self.fields.iter().filter(|member| member.is_tagged()).collect();
        tagged.sort_by_key(|member| member.definition.tag);
        tagged
    }
}

impl Member<'_> {
    pub(super) fn is_tagged(&self) -> bool {
        !self.tag_versions.is_empty()
    }

    /// A single struct that can be null.
    pub(super) fn is_nullable_struct(&self) -> bool {
        self.nullable && !self.definition.is_array() && self.definition.element().starts_with(char::is_uppercase)
    }
}

/// The structs of a file: the messages first, each followed by its parts.
pub(super) fn structs<'a>(definitions: &[&'a Definition]) -> Result<Vec<Struct<'a>>> {
    let clashes = clashing_names(definitions);
    let mut all = Vec::new();
    for message in definitions {
        let mut builder = Builder { message, clashes: &clashes, structs: Vec::new() };
        builder.add(&message.name, message.valid_versions, &message.fields)?;
        for common in &message.common_structs {
            builder.add(&common.name, common.versions.and(message.valid_versions), &common.fields)?;
        }
        all.append(&mut builder.structs);
    }
    Ok(all)
}

/// Struct names that both messages of a file use; they get the message's name in front.
fn clashing_names(definitions: &[&Definition]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut clashes = BTreeSet::new();
    for message in definitions {
        let mut names: BTreeSet<String> = message.common_structs.iter().map(|common| common.name.clone()).collect();
        let mut open: Vec<&Field> = message.fields.iter().collect();
        while let Some(field) = open.pop() {
            if let Some(fields) = &field.fields {
                names.insert(field.element().to_owned());
                open.extend(fields);
            }
        }
        for name in names {
            if !seen.insert(name.clone()) {
                clashes.insert(name);
            }
        }
    }
    clashes
}

struct Builder<'a, 'b> {
    message: &'a Definition,
    clashes: &'b BTreeSet<String>,
    structs: Vec<Struct<'a>>,
}

impl<'a> Builder<'a, '_> {
    fn add(&mut self, name: &str, versions: Versions, fields: &'a [Field]) -> Result<()> {
        let mut members = Vec::new();
        for field in fields.iter().filter(|field| !field.versions().and(versions).is_empty()) {
            members.push(self.member(field, versions)?);
        }
        self.structs.push(Struct { name: self.struct_name(name), message: self.message, versions, fields: members });
        for field in fields {
            let inner = field.versions().and(versions);
            if let (Some(fields), false) = (&field.fields, inner.is_empty()) {
                self.add(field.element(), inner, fields)?;
            }
        }
        Ok(())
    }

    fn struct_name(&self, name: &str) -> String {
        if self.clashes.contains(name) { format!("{}{name}", self.message.name) } else { name.to_owned() }
    }

    fn member(&self, field: &'a Field, outer: Versions) -> Result<Member<'a>> {
        let versions = field.versions().and(outer);
        let null_versions = field.nullable_versions.and(versions);
        let tag_versions = field.tagged_versions.and(versions);
        if !tag_versions.is_empty() && tag_versions != versions {
            bail!("{}.{}: tagged in some versions only", self.message.name, field.name);
        }
        let nullable = !null_versions.is_empty();
        let base = self.base_type(field)?;
        let name = names::field(&field.name);
        let (default, default_is_plain) = default(field, &base, nullable)?;
        let differs = differs(field, &name, &default);
        let rust_type = if nullable { format!("Option<{base}>") } else { base };
        Ok(Member {
            definition: field,
            name,
            rust_type,
            default,
            default_is_plain,
            differs,
            nullable,
            versions,
            null_versions,
            tag_versions,
        })
    }

    fn base_type(&self, field: &Field) -> Result<String> {
        let element = match field.element() {
            "string" => "String".into(),
            "bytes" => "Bytes".into(),
            // Requests bring record data in one run; answers may send it from elsewhere.
            "records" if self.message.kind == "request" => "Bytes".into(),
            "records" => "RecordSet".into(),
            "uuid" => "Uuid".into(),
            "bool" => "bool".into(),
            "int8" => "i8".into(),
            "int16" => "i16".into(),
            "uint16" => "u16".into(),
            "int32" => "i32".into(),
            "int64" => "i64".into(),
            "float64" => "f64".into(),
            name if name.starts_with(char::is_uppercase) => self.struct_name(name),
            other => bail!("unknown type {other}"),
        };
        Ok(if field.is_array() { format!("Vec<{element}>") } else { element })
    }
}

/// The default as an expression, and whether it is the type's own.
fn default(field: &Field, base: &str, nullable: bool) -> Result<(String, bool)> {
    let text = field.default_text();
    if nullable && (text.as_deref() == Some("null") || field.kind == "records") {
        return Ok(("None".into(), true));
    }
    let (value, plain) = match (base, text.as_deref().unwrap_or("")) {
        ("bool", text) => (if text == "true" { "true" } else { "false" }.to_owned(), text != "true"),
        ("i8" | "i16" | "u16" | "i32" | "i64", text) => {
            let number = integer(text)?;
            (number.to_string(), number == 0)
        }
        ("f64", "") => ("0.0".into(), true),
        ("String", text) if !text.is_empty() => (format!("String::from({text:?})"), false),
        (_, "") => (format!("{}::default()", base.split('<').next().unwrap_or(base)), true),
        (base, text) => bail!("default {text:?} for {base}"),
    };
    // `Some` of an empty value is not what `Option::default` gives.
    Ok(if nullable { (format!("Some({value})"), false) } else { (value, plain) })
}

fn integer(text: &str) -> Result<i64> {
    Ok(match text.strip_prefix("0x") {
        _ if text.is_empty() => 0,
        Some(hex) => i64::from_str_radix(hex, 16)?,
        None => text.parse()?,
    })
}

/// The expression that is true when `self.name` is not the default.
fn differs(field: &Field, name: &str, default: &str) -> String {
    let sized = field.is_array() || matches!(field.element(), "string" | "bytes" | "records");
    match default {
        "None" => format!("self.{name}.is_some()"),
        "false" => format!("self.{name}"),
        "true" => format!("!self.{name}"),
        _ if sized && default.starts_with("Some(") && default.ends_with("::default())") => {
            format!("self.{name}.as_ref().is_none_or(|value| !value.is_empty())")
        }
        _ if sized && default.ends_with("::default()") => format!("!self.{name}.is_empty()"),
        _ if field.element() == "uuid" && !field.is_array() => format!("!self.{name}.is_nil()"),
        _ => format!("self.{name} != {default}"),
    }
}
