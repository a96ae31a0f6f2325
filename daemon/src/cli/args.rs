//! Flags and commands.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// One process: a durable log that Kafka clients talk to, and a Connect worker on it.
#[derive(Debug, Parser)]
#[command(name = "levada", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Examples:
  levada serve
  levada serve --data-dir /var/lib/levada --kafka-listen 0.0.0.0:9092 --rest-listen 0.0.0.0:8083
  levada serve --set group.initial.rebalance.delay.ms=0 --set worker.offset.flush.interval.ms=10000
  levada config --output json | less

Exit codes: 0 fine, 1 failure while running, 2 wrong configuration, 3 environment (address taken, directory not writable).")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the node until SIGTERM or SIGINT
    Serve(ServeArgs),
    /// Show every configuration key with its effective value and where it comes from
    Config(ConfigArgs),
    /// Check a connector's configuration and what it needs outside, and tell all that is wrong or may be unintended
    Doctor(DoctorArgs),
    /// Load one connector library and say what it is; started by the node itself
    #[command(hide = true)]
    PluginScan(PluginScanArgs),
}

/// `levada plugin-scan`.
#[derive(Args, Clone, Debug)]
pub struct PluginScanArgs {
    /// Library
    pub file: PathBuf,

    /// Time after which the process ends by itself
    #[arg(long, default_value_t = 10_000)]
    pub timeout_ms: u64,
}

/// Where the configuration comes from. Flags win over LEVADA_* variables, those over the file, the file over defaults.
#[derive(Args, Clone, Debug, Default)]
pub struct Inputs {
    /// Configuration file with tables [node], [broker] and [worker] [default: ./levada.toml where there is one; variable: LEVADA_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Directory of everything the node keeps [default: ./levada-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,

    /// Address for Kafka clients [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka_listen: Option<String>,

    /// Address of the REST API [default: 127.0.0.1:8083]
    #[arg(long, value_name = "HOST:PORT")]
    pub rest_listen: Option<String>,

    /// Directory with connector libraries; may be given more than once or as a comma-separated list
    #[arg(long, value_name = "DIR")]
    pub plugin_path: Vec<String>,

    /// Any key, as TABLE.KEY=VALUE or, where only one table has it, KEY=VALUE; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `levada serve`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Examples:
  levada serve
  levada serve --data-dir ./d1 --kafka-listen 127.0.0.1:19092 --rest-listen 127.0.0.1:18083
  LEVADA_BROKER_LOG_SEGMENT_BYTES=16777216 levada serve --config levada.toml
  levada serve --print-config")]
pub struct ServeArgs {
    /// Configuration.
    #[command(flatten)]
    pub inputs: Inputs,

    /// Show the effective configuration and end
    #[arg(long)]
    pub print_config: bool,
}

/// `levada config`.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration.
    #[command(flatten)]
    pub inputs: Inputs,

    /// Only what is not at its default
    #[arg(long)]
    pub changed: bool,

    /// Form of the output
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// `levada doctor`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  levada doctor inventory.json
  levada doctor inventory.json --output json | jq '.findings[]'

It asks the database that the configuration names, and needs no running node.")]
pub struct DoctorArgs {
    /// File with the configuration in JSON, as it is posted to /connectors
    pub file: PathBuf,

    /// Configuration of the node, for plugins and config providers.
    #[command(flatten)]
    pub inputs: Inputs,

    /// Form of the output
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// JSON.
    Json,
}
