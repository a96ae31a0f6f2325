//! Development tasks: `cargo xtask NAME`. None of them is needed to build or test.
#![expect(clippy::print_stdout, reason = "a development tool talks to its user")]

mod header;
mod tidy;
mod wire;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask TASK
tasks:
  header  write connector-api/connector.h from the plugin interface's Rust structs
  tidy    check dependency direction, layers, file sizes, headers
  wire    generate wire/src/messages and wire/src/schemas from the definitions inside Apache Kafka's jars (needs mvn and unzip)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy::workspace_root().and_then(|root| tidy::run(&root)),
        ["header"] => header::run(),
        ["wire"] => wire::run(),
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
