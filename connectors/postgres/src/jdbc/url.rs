//! JDBC URLs: `jdbc:postgresql://host:port,host:port/database?parameter=value`.

use crate::net::split_port;

/// A URL, taken apart. Holds secrets: its `Debug` says nothing of the parameters' values (invariant 12).
#[derive(Clone, Default)]
pub struct JdbcUrl {
    /// `host:port,host:port`, as it was written.
    pub hosts: String,
    /// Database; empty when it is not named.
    pub database: String,
    /// Parameters in order, decoded.
    parameters: Vec<(String, String)>,
}

impl std::fmt::Debug for JdbcUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.parameters.iter().map(|(name, _)| name).collect();
        f.debug_struct("JdbcUrl").field("hosts", &self.hosts).field("parameters", &names).finish_non_exhaustive()
    }
}

/// Parameters that have an effect, and those of the Java driver that change nothing here.
const KNOWN: [&str; 14] = [
    "user",
    "password",
    "ssl",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "currentSchema",
    "ApplicationName",
    "options",
    "tcpKeepAlive",
    "socketTimeout",
    "targetServerType",
    "prepareThreshold",
];
const HARMLESS: [&str; 3] = ["reWriteBatchedInserts", "stringtype", "preferQueryMode"];

impl JdbcUrl {
    /// Reads one; the error never repeats the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected jdbc:postgresql://host:port/database?parameter=value";
        let rest = text.trim();
        let rest = rest.strip_prefix("jdbc:").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix("postgresql:").or_else(|| rest.strip_prefix("postgres:")) else {
            return Err(format!("only PostgreSQL is known to this connector; {FORM}"));
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = match place.strip_prefix("//") {
            Some(place) => place.split_once('/').unwrap_or((place, "")),
            None => ("localhost", place),
        };
        if hosts.contains('@') {
            return Err(
                "user and password do not go before the host; use connection.user and connection.password".into()
            );
        }
        let ports = hosts.split(',').filter_map(|host| split_port(host.trim()));
        if ports.map(|(_, port)| port.parse::<u16>()).any(|port| port.is_err()) {
            return Err(format!("a port in it is no number up to 65535; {FORM}"));
        }
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text| decode(text).ok_or_else(|| format!("a % in it is not followed by two digits; {FORM}"));
            parameters.push((decoded(name)?, decoded(value)?));
        }
        let database = decode(database).ok_or(FORM)?;
        let hosts = if hosts.is_empty() { "localhost" } else { hosts };
        let url = Self { hosts: hosts.to_owned(), database, parameters };
        let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
        if url.get("sslmode").is_some_and(|mode| !modes.contains(&mode)) {
            return Err(format!("its sslmode must be one of: {}", modes.join(", ")));
        }
        if url.sslmode().starts_with("verify-") && url.get("sslrootcert").is_none_or(str::is_empty) {
            return Err("its sslmode needs sslrootcert, the file of the certificates to trust".into());
        }
        Ok(url)
    }

    /// A parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The mode of TLS; `ssl=true` is the driver's older word for checking everything.
    pub fn sslmode(&self) -> &str {
        let older = || if self.get("ssl").is_some_and(|ssl| ssl != "false") { "verify-full" } else { "prefer" };
        self.get("sslmode").unwrap_or_else(older)
    }

    /// Parameters that have no effect here.
    pub fn without_effect(&self) -> Vec<&str> {
        let known = |name: &str| KNOWN.contains(&name) || HARMLESS.contains(&name);
        self.parameters.iter().map(|(name, _)| name.as_str()).filter(|name| !known(name)).collect()
    }
}

/// The check of a key that holds a URL.
pub fn check(text: &str) -> Result<(), String> {
    JdbcUrl::parse(text).map(drop)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'+' => b' ',
            byte => byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = JdbcUrl::parse("jdbc:postgresql://a:1,[::1]:2/d%20b?user=u&password=p%26q&sslmode=require").unwrap();
        assert_eq!((url.hosts.as_str(), url.database.as_str()), ("a:1,[::1]:2", "d b"));
        assert_eq!((url.get("password"), url.sslmode()), (Some("p&q"), "require"));
        assert!(!format!("{url:?}").contains("p&q"));
        assert!(JdbcUrl::parse("jdbc:postgresql://a:1,b:x/d").unwrap_err().contains("a port in it"));
        let short = JdbcUrl::parse("jdbc:postgresql:shop?loginTimeout=3").unwrap();
        assert_eq!((short.hosts.as_str(), short.database.as_str()), ("localhost", "shop"));
        assert_eq!(short.without_effect(), ["loginTimeout"]);
        assert_eq!(JdbcUrl::parse("jdbc:postgresql://h/").unwrap().database, "");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_text() {
        for (wrong, reason) in [
            ("jdbc:mysql://h/d", "only PostgreSQL"),
            ("jdbc:postgresql://u:secret@h/d", "connection.password"),
            ("jdbc:postgresql://h/d?sslmode=sure", "sslmode"),
            ("jdbc:postgresql://h/d?sslmode=verify-full", "sslrootcert"),
            ("jdbc:postgresql://h/d?password=%zz", "two digits"),
        ] {
            let error = JdbcUrl::parse(wrong).unwrap_err();
            assert!(error.contains(reason) && !error.contains("secret"), "{wrong}: {error}");
        }
    }
}
