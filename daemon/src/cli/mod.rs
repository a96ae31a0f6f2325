//! The command line. stdout is data, stderr is talk; exit codes: 0 fine, 1 a failure while running, 2 a wrong
//! configuration or command line, 3 the environment (address taken, directory not writable).

mod args;
mod config;
mod doctor;
mod plugin_scan;
mod serve;

use args::{Cli, Command};
use clap::Parser;
use std::{ffi::OsString, io::Write, process::ExitCode};

/// Why a command failed: one line for each cause, and the exit code.
#[derive(Debug)]
pub struct CliError {
    code: u8,
    message: String,
}

impl CliError {
    /// A failure while running.
    pub fn runtime(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// A wrong configuration.
    pub fn config(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// Something outside of the process.
    pub fn environment(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }
}

/// Runs the command line and gives the process's exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, the rest are mistakes; clap knows where each is printed.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let served = matches!(cli.command, Command::Serve(_));
    let outcome = match cli.command {
        Command::Serve(arguments) => {
            levada_env::process::raise_open_files_limit();
            serve::run(&arguments)
        }
        Command::Config(arguments) => config::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::PluginScan(arguments) => plugin_scan::run(&arguments),
    };
    let code = outcome.err().map_or(0, |error| {
        for line in error.message.lines() {
            eprintln!("levada: {line}");
        }
        error.code
    });
    if served {
        let _ = std::io::stdout().flush();
        // What hangs in plugin code must not hold up the end of the process (invariant 10): a library that hangs while
        // it is loaded holds a lock that the end routines of libraries wait for.
        levada_env::process::end(code);
    }
    ExitCode::from(code)
}
