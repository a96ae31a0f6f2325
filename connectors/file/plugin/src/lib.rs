//! The file connectors as a library for `plugin.path`. The same code is compiled into the daemon; this is
//! the other placement of it, and what the plugin interface is tested with.

levada_connector_api::export_connectors!(
    file::FileStreamSource,
    file::FileSource,
    file::FileStreamSink,
    file::FileSink,
);
