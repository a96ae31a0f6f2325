//! `levada plugin-scan`: the child process in which a library of `plugin.path` is loaded for the first time.

use super::{CliError, args::PluginScanArgs};
use crate::connect::plugin;
use std::{
    io::{self, Write},
    time::Duration,
};

pub(super) fn run(arguments: &PluginScanArgs) -> Result<(), CliError> {
    let answer = plugin::scan_in_this_process(&arguments.file, Duration::from_millis(arguments.timeout_ms));
    let mut out = io::stdout().lock();
    let written = out.write_all(answer.as_bytes()).and_then(|()| out.flush());
    written.map_err(|cause| CliError::runtime(format!("the answer could not be written: {cause}")))
}
