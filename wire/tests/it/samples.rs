//! Every message in every version against the outline, also where `kafka-protocol` lags behind.

use bytes::Bytes;

use crate::outline;
use crate::rng::Rng;
use crate::targets;
use crate::values::{Random, encode};

fn rounds(rounds: u64) {
    let targets = targets::all();
    let outlines = outline::messages();
    assert_eq!(targets.len(), outlines.len());
    for outline in outlines {
        let target = targets.iter().find(|target| target.name == outline.name).unwrap();
        assert_eq!((target.min, target.max), (outline.versions.0, outline.versions.1), "{}", outline.name);
        for version in target.min..=target.max {
            for seed in 0..rounds {
                let bytes = Bytes::from(encode(&outline, version, &mut Random(&mut Rng::new(seed))));
                let context = format!("{} version {version} seed {seed}", outline.name);
                let again = (target.again)(bytes.clone(), version).unwrap_or_else(|e| panic!("{context}: {e}"));
                assert_eq!((again.bytes.as_ref(), again.left), (Ok(&bytes), 0), "{context}");
            }
        }
    }
}

#[test]
fn every_version_reads_and_writes_what_the_definitions_say() {
    rounds(25);
}

#[test]
#[ignore = "long"]
fn every_version_reads_and_writes_what_the_definitions_say_long() {
    rounds(2_000);
}

#[test]
fn default_values_can_be_written_in_every_version() {
    for target in targets::all() {
        for version in target.min..=target.max {
            let bytes = (target.encode_default)(version).unwrap_or_else(|e| panic!("{} {version}: {e}", target.name));
            let again = (target.again)(bytes.clone(), version).unwrap();
            assert_eq!((again.bytes, again.left), (Ok(bytes), 0), "{} {version}", target.name);
        }
    }
}
