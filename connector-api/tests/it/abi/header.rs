//! `connector.h` is what the Rust structs are.

use levada_connector_api::abi::header::{render, structs};
use std::{fmt::Write, fs, process::Command};

#[test]
fn the_committed_header_is_the_generated_one() {
    let committed = include_str!("../../../connector.h");
    assert!(committed == render(), "connector.h is out of date: run `cargo xtask header`");
}

/// The C compiler, and the C++ compiler's view of C, lay the structs out as Rust does.
#[test]
fn c_lays_the_structs_out_as_rust_does() {
    let directory = tempfile::tempdir().unwrap();
    let mut source = "#include \"connector.h\"\n".to_owned();
    for description in structs() {
        let name = description.name;
        writeln!(source, "_Static_assert(sizeof({name}) == {}, \"size of {name}\");", description.size).unwrap();
        for member in description.members {
            let (member, offset) = (member.name, member.offset);
            let assert = format!("_Static_assert(offsetof({name}, {member}) == {offset}, \"{name}.{member}\");");
            writeln!(source, "{assert}").unwrap();
        }
    }
    let file = directory.path().join("layout.c");
    fs::write(&file, source).unwrap();
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"));
    let compiler =
        Command::new("cc").args(["-std=c11", "-Wall", "-Werror", "-fsyntax-only", include]).arg(file).output();
    let output = compiler.expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
