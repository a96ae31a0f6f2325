//! The types of a database, by their number.

use std::collections::HashMap;

/// What a type is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A base type, known by its name.
    Base,
    /// An array of the type of this number, whose elements are apart by this character.
    Array(u32, u8),
    /// Another type with constraints: its number and modifier.
    Domain(u32, i32),
    /// Labels, in order.
    Enum(Vec<String>),
    /// A range.
    Range,
    /// A row.
    Composite,
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeInfo {
    /// Name, without its schema.
    pub name: String,
    /// What it is made of.
    pub kind: Kind,
}

/// Types by number.
#[derive(Clone, Debug, Default)]
pub struct TypeRegistry(HashMap<u32, TypeInfo>);

impl TypeRegistry {
    /// Adds or replaces a type.
    pub fn insert(&mut self, oid: u32, info: TypeInfo) {
        self.0.insert(oid, info);
    }

    /// Whether the type is known.
    pub fn contains(&self, oid: u32) -> bool {
        self.0.contains_key(&oid)
    }

    /// The type.
    pub fn get(&self, oid: u32) -> Option<&TypeInfo> {
        self.0.get(&oid)
    }

    /// The type that values are of, beneath domains, with the modifier that counts. The depth is bounded, whatever the
    /// catalog says.
    pub fn root(&self, oid: u32, modifier: i32) -> Option<(&TypeInfo, u32, i32)> {
        let (mut oid, mut modifier) = (oid, modifier);
        for _ in 0..64 {
            let info = self.0.get(&oid)?;
            let Kind::Domain(base, of_domain) = info.kind else { return Some((info, oid, modifier)) };
            oid = base;
            if modifier < 0 {
                modifier = of_domain;
            }
        }
        None
    }
}

impl Extend<(u32, TypeInfo)> for TypeRegistry {
    fn extend<T: IntoIterator<Item = (u32, TypeInfo)>>(&mut self, types: T) {
        self.0.extend(types);
    }
}
