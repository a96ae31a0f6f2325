//! The connector in C that stands in examples/, compiled and driven as the daemon drives it.

use levada_connector_api::{
    ConnectorKind, TopicPartition, Value,
    abi::host::{Library, load},
    testkit::{GroupOffsets, Offsets, SinkCase, SinkRun, SourceRun, accept_sink, config, record},
};
use std::{fs, path::Path, process::Command, sync::Arc};

fn compiled(directory: &Path) -> Library {
    let library = directory.join("libc_connector.so");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(root)
        .arg("-o")
        .arg(&library)
        .arg(root.join("../examples/c-connector/connector.c"))
        .output()
        .expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // SAFETY: the example keeps to the interface; that is what is tested.
    unsafe { load(&library) }.unwrap()
}

#[test]
fn a_library_says_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let library = compiled(directory.path());
    assert_eq!((library.name.as_str(), library.version.as_str(), library.abi), ("c-connector", "1.0", (0, 5)));
    let classes: Vec<_> = library.connectors.iter().map(|each| (each.info.class.as_str(), each.info.kind)).collect();
    assert_eq!(classes, [("c.Count", ConnectorKind::Source), ("c.Lines", ConnectorKind::Sink)]);
    assert!(library.connectors[0].sink().is_err() && library.connectors[1].source().is_err());
}

#[test]
fn its_keys_and_its_own_checks_are_told_together() {
    let directory = tempfile::tempdir().unwrap();
    let library = compiled(directory.path());
    let def = &library.connectors[0].info.config_def;
    let told = |pairs: &[(&str, &str)]| {
        let errors = def.check(&config(pairs.iter().copied()));
        errors.err().map_or_else(Vec::new, |errors| errors.0.into_iter().map(|error| error.message).collect())
    };
    assert!(told(&[("topic", "t"), ("count", "5")]).is_empty());
    assert_eq!(told(&[("topic", "t"), ("count", "13")]), ["13 brings bad luck"]);
    assert_eq!(told(&[("count", "13")]).len(), 2, "beside a key that is wrong for itself");
}

#[test]
fn the_source_counts_and_resumes() {
    let directory = tempfile::tempdir().unwrap();
    let library = compiled(directory.path());
    let offsets = Offsets::default();
    let start = |count: &str| {
        let mut connector = library.connectors[0].source().unwrap();
        SourceRun::start(&mut *connector, config([("topic", "t"), ("count", count)]), &offsets).unwrap()
    };
    let mut run = start("250");
    let texts = run.take_texts(250);
    assert_eq!((texts[0].as_str(), texts[249].as_str()), ("1", "250"));
    run.expect_nothing();
    run.commit().unwrap();
    run.stop();

    let mut run = start("260");
    assert_eq!(run.take_texts(10)[0], "251");
    run.context.cancel();
    assert_eq!(run.take_error().message, "stopped");
}

#[test]
fn the_sink_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let library = compiled(directory.path());
    let path = directory.path().join("out");
    accept_sink(&SinkCase {
        new: &|| library.connectors[1].sink().unwrap(),
        config: config([("file", path.to_str().unwrap())]),
        broken: config([("file", "/nowhere/at/all"); 0]),
        wrong: &["file"],
        record: &|partition, offset| record("t", partition, offset, Value::string(format!("{partition}-{offset}"))),
        read: &|| fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect(),
        shown: &|record| format!("{}-{}", record.partition, record.offset),
        exactly_once: false,
    });
}

#[test]
fn the_sink_refuses_what_it_cant_write() {
    let directory = tempfile::tempdir().unwrap();
    let library = compiled(directory.path());
    let path = directory.path().join("out");
    let mut connector = library.connectors[1].sink().unwrap();
    let partitions = [TopicPartition { topic: Arc::from("t"), partition: 0 }];
    let config = config([("file", path.to_str().unwrap())]);
    let mut run = SinkRun::start(&mut *connector, config, &partitions, &GroupOffsets::new()).unwrap();
    let error = run.put(&[record("t", 0, 0, Value::Array(Vec::new()))]).unwrap_err();
    assert_eq!(error.kind, levada_connector_api::ErrorKind::Data);
    assert_eq!(error.message, "only plain values can be written");
}
