//! The README's tables of keys are those that the connectors have.

use levada_connector_api::ConnectorInfo;
use std::{fs, path::Path};

/// Set to write the tables instead of comparing them.
const WRITE: &str = "LEVADA_WRITE_README";

#[test]
fn the_readme_has_the_keys_of_every_class() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let sources = levada_connector_file::sources().into_iter().map(|new| new().info());
    let infos: Vec<ConnectorInfo> =
        sources.chain(levada_connector_file::sinks().into_iter().map(|new| new().info())).collect();
    let mut expected = readme.clone();
    for info in &infos {
        let short = info.aliases.last().filter(|_| info.class.contains('.')).unwrap_or(&info.class);
        let start = format!("<!-- keys: {short} -->\n");
        let from = expected.find(&start).unwrap_or_else(|| panic!("no table of {short}")) + start.len();
        let to = from + expected[from..].find("<!-- end -->").unwrap();
        expected.replace_range(from..to, &info.config_def.reference());
    }
    if std::env::var_os(WRITE).is_some() {
        fs::write(path, expected).unwrap();
        return;
    }
    assert_eq!(readme, expected, "run this test with {WRITE}=1 to write them");
}
