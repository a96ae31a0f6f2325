//! Fetches Apache's jars with Maven and unpacks the definitions in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The Kafka release whose definitions are used.
const RELEASE: &str = "4.3.1";
const ARTIFACTS: [&str; 3] = ["kafka-clients", "kafka-group-coordinator", "kafka-transaction-coordinator"];

/// Unpacks the definitions under `target/` and answers the directories that hold them.
pub(super) fn unpack(root: &Path) -> Result<Vec<PathBuf>> {
    let work = root.join("target/xtask-wire");
    fs::create_dir_all(&work)?;
    ARTIFACTS.iter().map(|artifact| unpack_one(&work, artifact)).collect()
}

fn unpack_one(work: &Path, artifact: &str) -> Result<PathBuf> {
    let jar = work.join(format!("{artifact}-{RELEASE}.jar"));
    if !jar.exists() {
        run(Command::new("mvn")
            .args(["-q", "-B", "dependency:copy"])
            .arg(format!("-Dartifact=org.apache.kafka:{artifact}:{RELEASE}"))
            .arg(format!("-DoutputDirectory={}", work.display())))?;
    }
    let directory = work.join(artifact);
    run(Command::new("unzip").args(["-q", "-o"]).arg(&jar).arg("common/message/*.json").arg("-d").arg(&directory))?;
    Ok(directory.join("common/message"))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("running {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
