//! The tests of the file connectors once more, on connectors that come out of the library.
//!
//! The modules are those of `connectors/file/tests/it`; what they import as `levada_connector_file` is here
//! [`library`], whose types have the same names and hand every call over to the library.

extern crate self as levada_connector_file;

mod library;

pub use library::{FileSink, FileSource, FileStreamSink, FileStreamSource};

#[path = "../../../tests/it/acceptance.rs"]
mod acceptance;
#[path = "../../../tests/it/contents.rs"]
mod contents;
#[path = "../../../tests/it/errors.rs"]
mod errors;
#[path = "../../../tests/it/model.rs"]
mod model;
#[path = "../../../tests/it/rotation.rs"]
mod rotation;
#[path = "../../../tests/it/sink.rs"]
mod sink;
#[path = "../../../tests/it/source.rs"]
mod source;
#[path = "../../../tests/it/world.rs"]
mod world;

#[test]
fn no_module_of_the_suite_is_left_out() {
    let modules = |text: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        // The library is of this suite alone, the README's tests are about text.
        names.filter(|name| !["library", "readme"].contains(name)).map(str::to_owned).collect()
    };
    let (here, there) = (modules(include_str!("main.rs")), modules(include_str!("../../../tests/it/main.rs")));
    assert_eq!(here, there, "a new module of connectors/file/tests/it belongs into this list too");
}
