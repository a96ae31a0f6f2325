//! Libraries that can't be used are refused with the cause, before anything of them is called.

use super::shims;
use levada_connector_api::abi::{
    host::{Library, LibraryError, load},
    layout::{Buffer, Connector, KIND_SINK, PluginEntry, Pointer},
    plugin::{Export, OfSource},
};
use std::{fs, ptr};

fn source_table() -> Connector {
    struct Unused;
    impl Default for Unused {
        fn default() -> Self {
            panic!("no connector today")
        }
    }
    impl levada_connector_api::SourceConnector for Unused {
        fn info(&self) -> levada_connector_api::ConnectorInfo {
            unreachable!()
        }
        fn start(
            &mut self,
            _: levada_connector_api::ConnectorContext,
            _: levada_connector_api::Config,
        ) -> levada_connector_api::Result<()> {
            unreachable!()
        }
        fn task_configs(&self, _: usize) -> levada_connector_api::Result<Vec<levada_connector_api::Config>> {
            unreachable!()
        }
        fn task(&self) -> Box<dyn levada_connector_api::SourceTask> {
            unreachable!()
        }
    }
    // SAFETY: a table is plain data.
    unsafe { ptr::read(<Unused as Export<OfSource>>::CONNECTOR) }
}

/// The error of a library with this table, changed by `change`.
fn refused(change: impl FnOnce(&mut Connector)) -> String {
    let mut table = source_table();
    change(&mut table);
    let table: &'static Connector = Box::leak(Box::new(table));
    refused_entry(PluginEntry::new("x", "1", Box::leak(Box::new([Pointer(&raw const *table)]))))
}

fn refused_entry(entry: PluginEntry) -> String {
    let entry = Box::leak(Box::new(entry));
    // SAFETY: the entry and its tables live for ever.
    unsafe { Library::from_entry(&raw const *entry) }.unwrap_err().to_string()
}

#[test]
fn entries_that_are_none() {
    let entry = || PluginEntry::new("x", "1", &[]);
    for (entry, told) in [
        (PluginEntry { magic: 7, ..entry() }, "mark"),
        (PluginEntry { abi_major: 7, abi_minor: 3, ..entry() }, "version 7.3"),
        (PluginEntry { struct_size: 24, ..entry() }, "24 bytes"),
        (entry(), "0 connectors"),
        (PluginEntry { connector_count: 1_000_000, ..entry() }, "1000000 connectors"),
        (PluginEntry::new("x", "1", &[Pointer(ptr::null())]), "null"),
    ] {
        let text = refused_entry(entry);
        assert!(text.contains(told), "{text}");
    }
}

/// Structs only grow: what a later minor version has at their ends is not looked at.
#[test]
fn a_later_minor_version_is_accepted() {
    let (struct_size, abi_minor) = (size_of::<PluginEntry>() as u32 + 64, 9);
    let entry = Box::leak(Box::new(PluginEntry { struct_size, abi_minor, ..shims::entry() }));
    // SAFETY: the entry and its tables live for ever.
    let library = unsafe { Library::from_entry(&raw const *entry) }.unwrap();
    assert_eq!((library.abi, library.connectors.len()), ((0, 9), 2));
}

#[test]
fn tables_that_contradict_themselves() {
    for (text, told) in [
        (refused(|table| table.struct_size = 8), "connector table has 8 bytes"),
        (refused(|table| table.kind = 9), "kind 9"),
        (refused(|table| table.kind = KIND_SINK), "no table of tasks"),
        (refused(|table| table.source_task = ptr::null()), "no table of tasks"),
        (refused(|table| table.create = None), "`create` is missing"),
        (refused(|_| ()), "does not say what it is: panicked: no connector today"),
        (refused(|table| table.info = Some(bad_info)), "form that can't be read"),
    ] {
        assert!(text.contains(told), "{text}");
    }
}

unsafe extern "C" fn bad_info(out: *mut Buffer) -> i32 {
    // SAFETY: the place is the caller's.
    unsafe { out.write(Buffer::of(b"{\"class\":".to_vec())) };
    0
}

#[test]
fn files_that_are_no_connector_library() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.so");
    fs::write(&text, "no library").unwrap();
    // SAFETY: neither runs anything.
    let load = |path: &std::path::Path| unsafe { load(path) }.unwrap_err();
    assert!(matches!(load(&text), LibraryError::Load(_)));
    assert!(matches!(load(&directory.path().join("missing.so")), LibraryError::Load(_)));
}
