//! The README's table of keys is that of the connector.

use std::{fs, path::Path};

/// Set to write the table instead of comparing it.
const WRITE: &str = "LEVADA_WRITE_README";

#[test]
fn the_readme_has_the_keys_of_every_class() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let mut expected = readme.clone();
    let sources = levada_connector_postgres::sources().into_iter().map(|new| new().info());
    let sinks = levada_connector_postgres::sinks().into_iter().map(|new| new().info());
    for info in sources.chain(sinks) {
        let start = format!("<!-- keys: {} -->\n", info.aliases.last().unwrap());
        let from = expected.find(&start).unwrap() + start.len();
        let to = from + expected[from..].find("<!-- end -->").unwrap();
        expected.replace_range(from..to, &info.config_def.reference());
    }
    if std::env::var_os(WRITE).is_some() {
        fs::write(path, expected).unwrap();
        return;
    }
    assert_eq!(readme, expected, "run this test with {WRITE}=1 to write them");
}
