//! `cargo xtask tidy`: what the compiler does not hold by itself.
//!
//! Dependency direction between crates and between the layers inside one, the rule that only `env` names
//! the operating system, file sizes, module headers, and names that say nothing.

mod layers;
mod source;

use anyhow::{Context, Result, bail};
use source::SourceFile;
use std::path::{Path, PathBuf};

/// A file past this many lines needs a split.
const MAX_LINES: usize = 800;
/// A file past this many lines needs a thought.
const THOUGHT_LINES: usize = 500;
/// File and directory names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["common", "util", "utils", "types", "helpers", "misc"];

/// Checks the whole tree under `root`.
///
/// # Errors
/// When anything breaks a rule; every finding has been printed by then.
pub fn run(root: &Path) -> Result<()> {
    let mut findings = layers::check_crates(root)?;
    let files = source::read_tree(root)?;
    for file in &files {
        findings.extend(check_file(file));
        findings.extend(layers::check_modules(file));
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings in {} files", findings.len(), files.len());
    }
    eprintln!("tidy: {} files, nothing to mend", files.len());
    Ok(())
}

fn check_file(file: &SourceFile) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines > MAX_LINES && !file.generated {
        findings.push(format!("{}: {lines} lines, split it (at most {MAX_LINES})", file.path.display()));
    } else if lines > THOUGHT_LINES && !file.generated {
        eprintln!("note: {}: {lines} lines, is it one thing?", file.path.display());
    }
    if !file.text.starts_with("//!") {
        findings.push(format!("{}: begins without a `//!` header that says what it is for", file.path.display()));
    }
    if let Some(name) = empty_name(&file.path) {
        findings.push(format!("{}: `{name}` says nothing, name it after what it does", file.path.display()));
    }
    findings
}

fn empty_name(path: &Path) -> Option<&str> {
    let stem = path.file_stem()?.to_str()?;
    let parents = path.parent()?.iter().filter_map(|part| part.to_str());
    std::iter::once(stem).chain(parents).find(|part| EMPTY_NAMES.contains(part))
}

/// The workspace's root, from where `cargo xtask` was called.
///
/// # Errors
/// When no `Cargo.lock` stands in this directory or above it.
pub fn workspace_root() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    here.ancestors()
        .find(|dir| dir.join("Cargo.lock").is_file())
        .map(Path::to_path_buf)
        .context("no Cargo.lock in this directory or above it: run it inside the repository")
}
