//! From files, variables and flags to [`Settings`], with everything that is wrong named at once.

use super::{
    environment::{self, Meaning},
    file,
    key::{KeyDef, Kind, Table},
    settings::{Setting, Settings, Source},
    suggest::nearest,
};

/// Everything that can say something about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The file's name and text.
    pub file: Option<(String, String)>,
    /// Variables of the environment.
    pub environment: Vec<(String, String)>,
    /// The flag, the full or bare key it means, and the value.
    pub flags: Vec<(String, String, String)>,
}

/// All that is wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Settings {
    /// Reads all inputs against the known keys.
    pub fn resolve(keys: &[KeyDef], inputs: &Inputs) -> Result<Self, ConfigError> {
        let mut resolver = Resolver { keys, settings: Self::default(), errors: Vec::new() };
        resolver.defaults();
        if let Some((name, text)) = &inputs.file {
            resolver.file(name, text);
        }
        resolver.environment(&inputs.environment);
        for (flag, key, value) in &inputs.flags {
            resolver.give(key, value, Source::Flag(flag.clone()));
        }
        if resolver.errors.is_empty() { Ok(resolver.settings) } else { Err(ConfigError(resolver.errors)) }
    }
}

struct Resolver<'a> {
    keys: &'a [KeyDef],
    settings: Settings,
    errors: Vec<String>,
}

impl Resolver<'_> {
    fn defaults(&mut self) {
        for key in self.keys.iter().filter(|key| key.kind != Kind::Prefix) {
            let value = key.default.as_deref().unwrap_or_default().to_owned();
            self.settings.set(key.table, key.name.to_string(), Setting { value, source: Source::Default });
        }
    }

    fn file(&mut self, name: &str, text: &str) {
        match file::parse(text) {
            Ok(entries) => {
                for (key, value) in entries {
                    self.give(&key, &value, Source::File(name.to_owned()));
                }
            }
            Err(cause) => self.errors.push(format!("{name}: {cause}")),
        }
    }

    fn environment(&mut self, variables: &[(String, String)]) {
        let mut known = Vec::new();
        for (variable, value) in variables {
            match environment::meaning(variable, self.keys) {
                Meaning::Key(key) => known.push((key, variable, value)),
                Meaning::Other => {}
                Meaning::Unknown(near) => self.errors.push(unknown(variable, near.as_deref(), "the environment")),
            }
        }
        known.sort();
        for (key, variable, value) in known {
            self.give(&key, value, Source::Environment(variable.clone()));
        }
    }

    fn give(&mut self, written: &str, value: &str, source: Source) {
        match self.find(written, &source) {
            Ok((definition, name)) => {
                let value = listener(definition, value.trim());
                if let Err(mend) = definition.check(&value) {
                    let shown = if secret(&name) { "[hidden]" } else { value.as_str() };
                    self.errors.push(format!("{}.{name} = `{shown}` (from {source}) {mend}", definition.table));
                    return;
                }
                self.settings.set(definition.table, name, Setting { value, source });
            }
            Err(error) => self.errors.push(error),
        }
    }

    /// The definition a written key means and its name inside the table.
    fn find(&self, written: &str, source: &Source) -> Result<(&KeyDef, String), String> {
        let place = source.to_string();
        if let Some((table, name)) = written.split_once('.').and_then(|(head, rest)| Some((Table::parse(head)?, rest)))
        {
            return match self.named(table, name) {
                Some(key) => Ok((key, name.to_owned())),
                None => Err(unknown(written, self.near(written).as_deref(), &place)),
            };
        }
        let found: Vec<&KeyDef> = Table::ALL.into_iter().filter_map(|table| self.named(table, written)).collect();
        match found.as_slice() {
            [key] => Ok((key, written.to_owned())),
            [] => Err(unknown(written, self.near(written).as_deref(), &place)),
            several => {
                let names: Vec<String> = several.iter().map(|key| format!("`{}.{written}`", key.table)).collect();
                Err(format!("key `{written}` (from {place}) could mean more than one: write {}", names.join(" or ")))
            }
        }
    }

    fn named(&self, table: Table, name: &str) -> Option<&KeyDef> {
        let mut of_table = self.keys.iter().filter(|key| key.table == table);
        of_table.clone().find(|key| key.kind != Kind::Prefix && key.name == name).or_else(|| {
            of_table.find(|key| key.kind == Kind::Prefix && name.len() > key.name.len() && name.starts_with(&*key.name))
        })
    }

    fn near(&self, written: &str) -> Option<String> {
        let full: Vec<String> = self.keys.iter().map(KeyDef::full_name).collect();
        let bare = self.keys.iter().map(|key| &*key.name);
        let prefixed = written.split_once('.').is_some_and(|(head, _)| Table::parse(head).is_some());
        if prefixed {
            nearest(written, full.iter().map(String::as_str)).map(str::to_owned)
        } else {
            nearest(written, bare).or_else(|| nearest(written, full.iter().map(String::as_str))).map(str::to_owned)
        }
    }
}

fn unknown(written: &str, near: Option<&str>, place: &str) -> String {
    match near {
        Some(near) => format!("unknown key `{written}` (from {place}): did you mean `{near}`?"),
        None => format!("unknown key `{written}` (from {place}): `levada config` lists the known ones"),
    }
}

/// A bare HOST:PORT is accepted where Kafka and Connect want a protocol in front.
fn listener(key: &KeyDef, value: &str) -> String {
    let bare = key.name == "listeners" && !value.is_empty() && !value.contains("://");
    match key.table {
        Table::Broker if bare => format!("PLAINTEXT://{value}"),
        Table::Worker if bare => format!("http://{value}"),
        _ => value.to_owned(),
    }
}

/// Whether a key's value is a secret, by its name (invariant 12).
pub fn secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "sasl.jaas.config", "token", "private.key", "keystore.key"]
        .iter()
        .any(|part| name.contains(part))
}
