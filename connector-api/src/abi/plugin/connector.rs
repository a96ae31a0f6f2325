//! Tables of connectors.

use super::{Export, sink_task, source_task, task};
use crate::{
    ConnectorContext, ConnectorError, ConnectorInfo, ExactlyOnceSupport, Result, SinkConnector, SourceConnector,
    abi::{
        guard::guard,
        json,
        layout::{self, Buffer, Connector, Handle, KIND_SINK, KIND_SOURCE, Slice, Status},
    },
};
use std::{ffi::c_void, ptr};

/// Marks a source.
#[derive(Debug)]
pub enum OfSource {}
/// Marks a sink.
#[derive(Debug)]
pub enum OfSink {}

/// The instance behind a handle.
///
/// # Safety
/// `handle` is null or comes from `create` of the same table and was not released; no other call is
/// going on for it.
unsafe fn instance<'a, C>(handle: Handle) -> Result<&'a mut C> {
    // SAFETY: by contract.
    unsafe { handle.cast::<C>().as_mut() }.ok_or_else(|| ConnectorError::fatal("the connector's handle is null"))
}

/// # Safety
/// `place` is null or may be written.
unsafe fn put<T>(place: *mut T, value: T) -> Result<Vec<u8>> {
    if place.is_null() {
        return Err(ConnectorError::fatal("the place for an answer is null"));
    }
    // SAFETY: by contract, and it is not null.
    unsafe { place.write(value) };
    Ok(Vec::new())
}

fn info_bytes(info: &ConnectorInfo) -> Vec<u8> {
    json::bytes(&json::of_info(info))
}

fn validated(info: &ConnectorInfo, config: &[u8]) -> Result<Vec<u8>> {
    let config = json::to_config(json::parse(config, "a configuration")?)?;
    Ok(json::bytes(&json::of_key_errors(&info.config_def.validate(&config).errors())))
}

/// The calls that sources and sinks answer alike, for a connector type `$c` of trait `$trait`.
macro_rules! common_calls {
    ($module:ident, $trait:ident) => {
        /// Shims of one kind. Each is called with what [`Connector`] documents: that is its safety contract.
        mod $module {
            use super::*;

            pub unsafe extern "C" fn info<C: $trait + Default>(out: *mut Buffer) -> Status {
                // SAFETY: `out` is the caller's place for the answer.
                unsafe { guard(out, || Ok(info_bytes(&C::default().info()))) }
            }

            pub unsafe extern "C" fn create<C: Default>(connector: *mut Handle, out: *mut Buffer) -> Status {
                // SAFETY: both are the caller's places for answers.
                unsafe { guard(out, || put(connector, Box::into_raw(Box::<C>::default()).cast::<c_void>())) }
            }

            pub unsafe extern "C" fn start<C: $trait>(
                connector: Handle,
                name: Slice,
                config: Slice,
                out: *mut Buffer,
            ) -> Status {
                // SAFETY: what this call is given, and no context.
                unsafe { start_in::<C>(connector, ptr::null(), name, config, out) }
            }

            pub unsafe extern "C" fn start_in<C: $trait>(
                connector: Handle,
                context: *const layout::ConnectorContext,
                name: Slice,
                config: Slice,
                out: *mut Buffer,
            ) -> Status {
                let body = || {
                    // SAFETY: the context now belongs to the connector, the handle is one of ours, the slices live as
                    // long as this call.
                    let (offered, connector, name, config) = unsafe {
                        let offered = super::super::context::ConnectorContext::take(context);
                        (offered, instance::<C>(connector)?, name.bytes(), config.bytes())
                    };
                    let mut context = ConnectorContext::new(String::from_utf8_lossy(name));
                    if let Some(offered) = offered {
                        context = context.with_reconfiguration(move || offered.request_task_reconfiguration());
                    }
                    connector.start(context, json::to_config(json::parse(config, "a configuration")?)?)?;
                    Ok(Vec::new())
                };
                // SAFETY: `out` is the caller's place for the answer.
                unsafe { guard(out, body) }
            }

            pub unsafe extern "C" fn task_configs<C: $trait>(
                connector: Handle,
                max_tasks: u32,
                out: *mut Buffer,
            ) -> Status {
                let body = || {
                    // SAFETY: the handle is one of ours.
                    let configs = unsafe { instance::<C>(connector)? }.task_configs(max_tasks as usize)?;
                    Ok(json::bytes(&configs.iter().map(json::of_config).collect()))
                };
                // SAFETY: `out` is the caller's place for the answer.
                unsafe { guard(out, body) }
            }

            pub unsafe extern "C" fn create_task<C: $trait>(
                connector: Handle,
                out_task: *mut Handle,
                out: *mut Buffer,
            ) -> Status {
                // SAFETY: the handle is one of ours, the rest are the caller's places for answers.
                unsafe { guard(out, || put(out_task, task::into_handle(instance::<C>(connector)?.task()))) }
            }

            pub unsafe extern "C" fn stop<C: $trait>(connector: Handle, out: *mut Buffer) -> Status {
                let body = || {
                    // SAFETY: the handle is one of ours.
                    unsafe { instance::<C>(connector)? }.stop();
                    Ok(Vec::new())
                };
                // SAFETY: `out` is the caller's place for the answer.
                unsafe { guard(out, body) }
            }

            pub unsafe extern "C" fn release<C>(connector: Handle) {
                let body = || {
                    if !connector.is_null() {
                        // SAFETY: made by `create`, released once, no call is going on.
                        drop(unsafe { Box::from_raw(connector.cast::<C>()) });
                    }
                    Ok(Vec::new())
                };
                // SAFETY: no place for an answer is given.
                unsafe { guard(ptr::null_mut(), body) };
            }

            pub unsafe extern "C" fn validate<C: $trait + Default>(config: Slice, out: *mut Buffer) -> Status {
                // SAFETY: the slice lives as long as this call, and `out` is the place for the answer.
                unsafe { guard(out, || validated(&C::default().info(), config.bytes())) }
            }

            pub unsafe extern "C" fn alter_offsets<C: $trait>(
                connector: Handle,
                config: Slice,
                changes: Slice,
                vouched: *mut i32,
                out: *mut Buffer,
            ) -> Status {
                let body = || {
                    // SAFETY: the handle is one of ours.
                    let connector = unsafe { instance::<C>(connector)? };
                    // SAFETY: the slices live as long as this call.
                    let (config, changes) = unsafe { (config.bytes(), changes.bytes()) };
                    let config = json::to_config(json::parse(config, "a configuration")?)?;
                    let changes = json::to_offsets(json::parse(changes, "offsets")?)?;
                    let yes = connector.alter_offsets(&config, &changes)?;
                    // SAFETY: the caller's place for an answer.
                    unsafe { put(vouched, i32::from(yes)) }
                };
                // SAFETY: `out` is the caller's place for the answer.
                unsafe { guard(out, body) }
            }
        }
    };
}

common_calls!(source, SourceConnector);
common_calls!(sink, SinkConnector);

/// See [`Connector::exactly_once`], which is its safety contract.
unsafe extern "C" fn exactly_once<C: SourceConnector>(
    connector: Handle,
    config: Slice,
    supported: *mut i32,
    out: *mut Buffer,
) -> Status {
    let body = || {
        // SAFETY: the slice lives as long as this call; the handle is one of ours.
        let (connector, config) = unsafe { (instance::<C>(connector)?, config.bytes()) };
        let config = json::to_config(json::parse(config, "a configuration")?)?;
        let yes = connector.exactly_once_support(&config) == ExactlyOnceSupport::Supported;
        // SAFETY: the caller's place for an answer.
        unsafe { put(supported, i32::from(yes)) }
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

impl<C: SourceConnector + Default + 'static> Export<OfSource> for C {
    const CONNECTOR: &'static Connector = &Connector {
        struct_size: size_of::<Connector>() as u32,
        kind: KIND_SOURCE,
        source_task: &raw const source_task::TABLE,
        sink_task: ptr::null(),
        info: Some(source::info::<C>),
        create: Some(source::create::<C>),
        start: Some(source::start::<C>),
        task_configs: Some(source::task_configs::<C>),
        create_task: Some(source::create_task::<C>),
        stop: Some(source::stop::<C>),
        release: Some(source::release::<C>),
        validate: Some(source::validate::<C>),
        exactly_once: Some(exactly_once::<C>),
        alter_offsets: Some(source::alter_offsets::<C>),
        start_in: Some(source::start_in::<C>),
    };
}

impl<C: SinkConnector + Default + 'static> Export<OfSink> for C {
    const CONNECTOR: &'static Connector = &Connector {
        struct_size: size_of::<Connector>() as u32,
        kind: KIND_SINK,
        source_task: ptr::null(),
        sink_task: &raw const sink_task::TABLE,
        info: Some(sink::info::<C>),
        create: Some(sink::create::<C>),
        start: Some(sink::start::<C>),
        task_configs: Some(sink::task_configs::<C>),
        create_task: Some(sink::create_task::<C>),
        stop: Some(sink::stop::<C>),
        release: Some(sink::release::<C>),
        validate: Some(sink::validate::<C>),
        exactly_once: None,
        alter_offsets: Some(sink::alter_offsets::<C>),
        start_in: Some(sink::start_in::<C>),
    };
}
