//! The connector in Rust that stands in examples/ and in docs/plugins.md, through its own exported entry.

#[path = "../../../../examples/rust-connector/numbers.rs"]
mod numbers;

use levada_connector_api::{
    abi::host::Library,
    testkit::{Offsets, SourceRun, config},
};

#[test]
fn it_counts_and_resumes() {
    // SAFETY: made by the macro.
    let library = unsafe { Library::from_entry(&raw const numbers::levada_plugin_entry) }.unwrap();
    let class = &library.connectors[0];
    assert_eq!(class.info.class, "example.Numbers");
    assert!(class.info.config_def.check(&config([("topic", "")])).is_err());
    let offsets = Offsets::default();
    for expected in [["1", "2", "3"], ["4", "5", "6"]] {
        let mut run = SourceRun::start(&mut *class.source().unwrap(), config([("topic", "t")]), &offsets).unwrap();
        assert_eq!(run.take_texts(3), expected);
        run.commit().unwrap();
        run.stop();
    }
}

#[test]
fn the_documentation_shows_it_as_it_is() {
    let (documentation, example) =
        (include_str!("../../../../docs/plugins.md"), include_str!("../../../../examples/rust-connector/numbers.rs"));
    assert!(documentation.contains(&format!("```rust\n{example}```")));
}
