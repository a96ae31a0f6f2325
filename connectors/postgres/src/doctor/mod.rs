//! What must be set up before anything can be captured: looked at all at once, each finding with its key and the SQL.
//!
//! Asked by validation (through a rule of the connector's definition) and by the task at its start. `facts` asks the
//! server, `judge` is pure.

mod access;
mod facts;
mod judge;

pub use facts::{Facts, TableFacts};
pub use judge::{judge, shared_topic};

use crate::{
    config::SourceConfig,
    error::{Error, Result},
    filter::Filters,
    net::{Dialer, Login, Replication},
    reading,
};
use levada_connector_api::{Config, ConnectorConfig, config::KeyError};
use std::time::Duration;

/// Longest time that validation waits for the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Nothing can be captured until somebody mends it.
    Error,
    /// The same, but it may pass by itself.
    Passing,
    /// It works, but perhaps not as it is meant.
    Warning,
    /// It works, and something could be better; nobody is told who does not ask.
    Advice,
}

impl Weight {
    /// Whether nothing can be captured.
    pub fn hinders(self) -> bool {
        matches!(self, Self::Error | Self::Passing)
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Key that it is about.
    pub key: &'static str,
    /// How bad it is.
    pub weight: Weight,
    /// What it is, and the mend.
    pub text: String,
}

/// Errors of a configuration that is right for itself: what its server lacks.
pub fn check(config: &Config) -> Vec<KeyError> {
    found(config, Weight::hinders)
}

/// What is no error: it works, but perhaps not as it is meant.
pub fn advice(config: &Config) -> Vec<KeyError> {
    found(config, |weight| !weight.hinders())
}

fn found(config: &Config, which: impl Fn(Weight) -> bool) -> Vec<KeyError> {
    // What is wrong with the configuration alone is told by its own rules.
    let Ok(typed) = SourceConfig::parse(config) else { return Vec::new() };
    let findings = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let findings = runtime.block_on(async { tokio::time::timeout(PATIENCE, examine(&typed)).await });
            runtime.shutdown_timeout(Duration::from_millis(100));
            findings.unwrap_or_else(|_| {
                let text = format!("the server did not answer within {} seconds", PATIENCE.as_secs());
                vec![Finding { key: "database.hostname", weight: Weight::Passing, text }]
            })
        }
        Err(error) => {
            let text = format!("the server can't be asked: {error}");
            vec![Finding { key: "database.hostname", weight: Weight::Passing, text }]
        }
    };
    let findings = findings.into_iter().filter(|finding| which(finding.weight));
    findings.map(|finding| KeyError { key: finding.key.to_owned(), message: finding.text }).collect()
}

/// Connects and looks.
async fn examine(config: &SourceConfig) -> Vec<Finding> {
    let looked = async {
        let login = Login::of(&config.connection);
        let dialer = Dialer::new(&config.connection)?;
        let sql = reading::connect(config, &dialer, &login).await?;
        let facts = Facts::ask(&sql, config, &Filters::new(&config.capture)).await?;
        let mut findings = judge(config, &facts);
        // Whether a replication session is let in is only known by opening one.
        if !findings.iter().any(|finding| finding.weight.hinders())
            && let Err(error) = Replication::connect(&dialer, &login).await
        {
            findings.push(access::finding(&error));
        }
        Ok::<_, Error>(findings)
    };
    looked.await.unwrap_or_else(|error| vec![access::finding(&error)])
}

/// The failure of a task that can't begin; none when nothing that hinders was found.
pub fn failure(findings: &[Finding]) -> Result<()> {
    let bad: Vec<_> = findings.iter().filter(|finding| finding.weight.hinders()).collect();
    let text = match bad.as_slice() {
        [] => return Ok(()),
        [one] => format!("{}: {}", one.key, one.text),
        several => {
            let lines: Vec<_> = several.iter().map(|finding| format!("- {}: {}", finding.key, finding.text)).collect();
            format!("{} things are to be set up first:\n{}", several.len(), lines.join("\n"))
        }
    };
    if bad.iter().all(|finding| finding.weight == Weight::Passing) {
        // insufficient_resources: tried again.
        return Err(Error::server("the server has no room", "53000", &text));
    }
    Err(Error::Setup(text))
}
