//! Config providers (KIP-297): `${provider:path:key}` in a connector's configuration stands for a value that is kept
//! elsewhere, mostly a secret.
//!
//! Configurations are stored, shown and compared with their placeholders. They are resolved only where they are handed to
//! a connector, a converter, a transform or a client, by the worker and by validation; what was resolved is masked in every
//! text that leaves (invariant 12, see [`secrets`](crate::telemetry::secrets)).

mod placeholder;
mod properties;
mod providers;

pub use providers::{ProviderError, Providers, Reader, SystemReader};

use crate::telemetry::secrets;
use levada_connector_api::Config;
use placeholder::{Piece, pieces};

/// A configuration with its placeholders resolved.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// Key to value, in the order of the original.
    pub config: Config,
    /// The resolved values with the placeholders they came from.
    values: Vec<Revealed>,
}

/// A value that a placeholder stands for.
#[derive(Clone, PartialEq, Eq)]
struct Revealed {
    placeholder: String,
    value: String,
}

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.placeholder)
    }
}

impl Providers {
    /// Resolves a configuration. Reads files: call it where that may block. The error names the placeholder.
    pub fn resolve(&self, config: &Config) -> Result<Resolved, ProviderError> {
        let mut resolved = Resolved::default();
        for (key, text) in config {
            self.resolve_into(key, text, &mut resolved)?;
        }
        Ok(resolved)
    }

    /// Resolves one key's text and adds it.
    pub fn resolve_into(&self, key: &str, text: &str, resolved: &mut Resolved) -> Result<(), ProviderError> {
        let value = self.resolve_text(key, text, &mut resolved.values)?;
        resolved.config.insert(key.to_owned(), value);
        Ok(())
    }

    /// Whether a text has a placeholder of a provider that there is.
    pub fn has_placeholder(&self, text: &str) -> bool {
        let known = |piece| matches!(piece, Piece::Placeholder { provider, .. } if self.knows(provider));
        text.contains("${") && pieces(text).into_iter().any(known)
    }

    fn resolve_text(&self, key: &str, text: &str, values: &mut Vec<Revealed>) -> Result<String, ProviderError> {
        if self.is_empty() || !text.contains("${") {
            return Ok(text.to_owned());
        }
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Placeholder { whole, provider, path, key: name } => match self.get(key, provider, path, name)? {
                    // As in Connect, what names no provider is no placeholder.
                    None => out.push_str(whole),
                    Some(value) => {
                        secrets::add(&value, whole != text || !is_open(key));
                        let revealed = Revealed { placeholder: whole.to_owned(), value };
                        out.push_str(&revealed.value);
                        if !values.contains(&revealed) {
                            values.push(revealed);
                        }
                    }
                },
            }
        }
        Ok(out)
    }
}

/// Whether a key's whole value is a name that everybody may know, which may be a common word.
fn is_open(key: &str) -> bool {
    let open =
        ["user", "username", "hostname", "host", "port", "dbname", "database", "prefix", "topics", "region", "bucket"];
    open.contains(&key.rsplit('.').next().unwrap_or(key))
}

impl Resolved {
    /// A configuration without placeholders.
    pub fn plain(config: Config) -> Self {
        Self { config, values: Vec::new() }
    }

    /// Whether there was anything to resolve.
    pub fn is_plain(&self) -> bool {
        self.values.is_empty()
    }

    /// A text with placeholders in the places of what they stand for.
    pub fn masked(&self, text: &str) -> String {
        secrets::with_placeholders(text, self.values.iter().map(|known| (&*known.value, &*known.placeholder)))
    }

    /// A task's configuration, made by a connector that saw resolved values, with the placeholders put back: it is stored
    /// and shown too. `original` is the connector's own configuration.
    pub fn unresolve(&self, original: &Config, task: Config) -> Config {
        if self.is_plain() {
            return task;
        }
        let back = |(key, value): (String, String)| {
            let same = self.config.get(&key) == Some(&value);
            let value = match original.get(&key).filter(|_| same) {
                Some(original) => original.clone(),
                None => self.masked(&value),
            };
            (key, value)
        };
        task.into_iter().map(back).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Fake;

    impl Reader for Fake {
        fn variable(&self, name: &str) -> Option<String> {
            let all = BTreeMap::from([("PASSWORD", "s3cret-pass"), ("PORT", "5"), ("OTHER", "s3cret-pass-2")]);
            all.get(name).map(|value| (*value).to_owned())
        }

        fn file(&self, path: &std::path::Path) -> std::io::Result<String> {
            match path.to_str() {
                Some("/run/db.properties") => Ok("user = app\npass\\ word: x\\u0041\n# no\n".to_owned()),
                Some("/run/secrets/token") => Ok("line 1\nline 2\n".to_owned()),
                _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
            }
        }
    }

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn providers(extra: &[(&str, &str)]) -> Providers {
        let mut keys = vec![
            ("config.providers", "env, file,directory"),
            ("config.providers.env.class", "org.apache.kafka.common.config.provider.EnvVarConfigProvider"),
            ("config.providers.file.class", "FileConfigProvider"),
            ("config.providers.directory.class", "org.apache.kafka.common.config.provider.DirectoryConfigProvider"),
        ];
        keys.extend(extra);
        Providers::from_worker(&config(&keys), std::sync::Arc::new(Fake)).unwrap()
    }

    fn resolved(value: &str) -> Result<String, ProviderError> {
        providers(&[]).resolve(&config(&[("k", value)])).map(|resolved| resolved.config["k"].clone())
    }

    #[test]
    fn placeholders_are_resolved_and_everything_else_is_left_alone() {
        for (text, expected) in [
            ("${env:PASSWORD}", "s3cret-pass"),
            ("jdbc:x?p=${env:PASSWORD}&port=${env:PORT}", "jdbc:x?p=s3cret-pass&port=5"),
            ("${file:/run/db.properties:user}", "app"),
            ("${file:/run/db.properties:pass word}", "xA"),
            ("${directory:/run/secrets:token}", "line 1\nline 2\n"),
            ("${topic}-${timestamp}", "${topic}-${timestamp}"),
            ("${vault:a:b}", "${vault:a:b}"),
            ("${env:PASSWORD", "${env:PASSWORD"),
            ("$", "$"),
        ] {
            assert_eq!(resolved(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_key() {
        for text in
            ["${env:NOPE}", "${file:/run/db.properties:nope}", "${file:/none:a}", "${directory:/run/secrets:nope}"]
        {
            let error = resolved(text).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("k is"), "{error}");
        }
    }

    #[test]
    fn directories_hold_no_way_out() {
        for text in ["${directory:/run/secrets:../db.properties}", "${directory:/run/secrets:/etc/passwd}"] {
            assert!(resolved(text).unwrap_err().to_string().contains("file name"), "{text}");
        }
    }

    #[test]
    fn paths_and_names_may_be_limited() {
        let limited = providers(&[
            ("config.providers.file.param.allowed.paths", "/etc/levada"),
            ("config.providers.env.param.allowlist.pattern", "LEVADA_.*"),
        ]);
        for text in ["${file:/run/db.properties:user}", "${file:/etc/levada/../shadow:user}", "${env:PASSWORD}"] {
            let error = limited.resolve(&config(&[("k", text)])).unwrap_err().to_string();
            assert!(error.contains("not allowed"), "{error}");
        }
    }

    #[test]
    fn texts_and_task_configurations_get_their_placeholders_back() {
        let original = config(&[("password", "${env:PASSWORD}"), ("port", "${env:PORT}"), ("other", "${env:OTHER}")]);
        let resolved = providers(&[]).resolve(&original).unwrap();
        assert_eq!(
            resolved.masked("login with s3cret-pass or s3cret-pass-2 failed"),
            "login with ${env:PASSWORD} or ${env:OTHER} failed"
        );
        let task = config(&[("password", "s3cret-pass"), ("port", "5"), ("url", "//u:s3cret-pass@h"), ("count", "5")]);
        let expected = config(&[
            ("password", "${env:PASSWORD}"),
            ("port", "${env:PORT}"),
            ("url", "//u:${env:PASSWORD}@h"),
            ("count", "5"),
        ]);
        assert_eq!(resolved.unresolve(&original, task), expected);
    }

    #[test]
    fn wrong_providers_are_refused() {
        let wrong = |pairs: &[(&str, &str)]| {
            Providers::from_worker(&config(pairs), std::sync::Arc::new(Fake)).unwrap_err().to_string()
        };
        assert!(wrong(&[("config.providers", "a")]).contains("config.providers.a.class"));
        let error = wrong(&[("config.providers", "a"), ("config.providers.a.class", "x.Vault")]);
        assert!(error.contains("x.Vault"), "{error}");
    }
}
