//! `cargo xtask wire`: Rust message types from Kafka's message definitions.
//!
//! The definitions are facts (names, types, versions, tags); their texts and comments are not carried over. The output is committed, so
//! that a build needs neither network nor Java. Steps: [`jars`] fetches and unpacks, [`definition`] reads, [`shape`] works out Rust types
//! and version conditions, [`render`] writes Rust, [`outline`] writes the plain-text table that the codec's differential test walks.

mod definition;
mod jars;
mod names;
mod outline;
mod render;
mod selection;
mod shape;
mod versions;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use definition::Definition;

/// Generates everything and formats it.
pub(crate) fn run() -> Result<()> {
    let root = workspace_root()?;
    let definitions = read_definitions(&jars::unpack(&root)?)?;
    let mut files = BTreeMap::new();
    let mut outline = String::from(outline::HEADER);
    for file in selection::files(&definitions)? {
        for definition in &file.definitions {
            outline.push_str(&outline::message(definition));
        }
        files
            .insert(root.join("wire/src").join(file.directory).join(format!("{}.rs", file.name)), render::file(&file)?);
    }
    for directory in ["messages", "schemas"] {
        let members =
            selection::files(&definitions)?.into_iter().filter(|file| file.directory == directory).collect::<Vec<_>>();
        files.insert(root.join("wire/src").join(directory).join("mod.rs"), render::index(directory, &members));
    }
    files.insert(root.join("wire/src/messages/apis.rs"), render::api_list(&definitions)?);
    clear(&root)?;
    for (path, text) in &files {
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    fs::write(root.join("wire/tests/it/outline.txt"), outline)?;
    format(files.keys())?;
    println!("{} files written", files.len() + 1);
    Ok(())
}

fn workspace_root() -> Result<PathBuf> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").context("run this by cargo")?);
    Ok(manifest.parent().context("no workspace")?.to_path_buf())
}

fn read_definitions(directories: &[PathBuf]) -> Result<Vec<Definition>> {
    let mut definitions = Vec::new();
    for directory in directories {
        let mut paths = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
            let text = fs::read_to_string(path)?;
            definitions.push(definition::parse(&text).with_context(|| format!("reading {}", path.display()))?);
        }
    }
    Ok(definitions)
}

/// Removes earlier output, so that a message that is no longer selected leaves no file behind.
fn clear(root: &Path) -> Result<()> {
    for directory in ["messages", "schemas"] {
        let directory = root.join("wire/src").join(directory);
        fs::create_dir_all(&directory)?;
        for entry in fs::read_dir(directory)? {
            fs::remove_file(entry?.path())?;
        }
    }
    fs::create_dir_all(root.join("wire/tests/it"))?;
    Ok(())
}

fn format<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    let status = Command::new("rustfmt").args(["--edition", "2024"]).args(paths).status().context("running rustfmt")?;
    ensure!(status.success(), "rustfmt failed");
    Ok(())
}
