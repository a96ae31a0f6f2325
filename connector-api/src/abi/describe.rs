//! One description for both languages: [`abi_struct!`] declares a `repr(C)` struct and, from the same
//! tokens, what [`super::header`] prints as C. So `connector.h` can't drift from the Rust structs.

use std::ffi::c_void;

/// A struct of the ABI as C sees it.
#[derive(Debug)]
pub struct StructDescription {
    /// Its C name.
    pub name: &'static str,
    /// Its documentation, a line each.
    pub doc: &'static [&'static str],
    /// Its members in order.
    pub members: Vec<MemberDescription>,
    /// Its size on this machine.
    pub size: usize,
}

/// A member of such a struct.
#[derive(Debug)]
pub struct MemberDescription {
    /// Its name.
    pub name: &'static str,
    /// Its documentation, a line each.
    pub doc: &'static [&'static str],
    /// Its declaration in C, without the semicolon.
    pub declaration: String,
    /// Its offset on this machine.
    pub offset: usize,
}

/// A Rust type that has a C spelling.
pub trait CType {
    /// The C type.
    fn c_name() -> String;
}

macro_rules! c_types {
    ($($rust:ty => $c:literal),* $(,)?) => {$(
        impl CType for $rust {
            fn c_name() -> String {
                $c.to_owned()
            }
        }
    )*};
}

c_types! {
    () => "void",
    u16 => "uint16_t",
    i32 => "int32_t",
    u32 => "uint32_t",
    u64 => "uint64_t",
    i64 => "int64_t",
    usize => "size_t",
    c_void => "void",
}

impl<T: CType> CType for *mut T {
    fn c_name() -> String {
        format!("{} *", T::c_name())
    }
}

impl<T: CType> CType for *const T {
    fn c_name() -> String {
        format!("const {} *", T::c_name())
    }
}

/// A pointer to constant pointers: C writes the inner `const` last.
impl<T: CType> CType for *const super::layout::Pointer<T> {
    fn c_name() -> String {
        format!("const {} *const *", T::c_name())
    }
}

impl CType for *const u8 {
    fn c_name() -> String {
        "const uint8_t *".to_owned()
    }
}

impl CType for *mut u8 {
    fn c_name() -> String {
        "uint8_t *".to_owned()
    }
}

/// `type name`, without a blank after a `*`.
pub fn declared<T: CType>(name: &str) -> String {
    let c_name = T::c_name();
    if c_name.ends_with('*') { format!("{c_name}{name}") } else { format!("{c_name} {name}") }
}

/// Declares `repr(C)` structs: first data, then calls, each call a nullable function pointer.
macro_rules! abi_struct {
    ($(
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:ident),*)])?
        struct $name:ident = $c_name:literal {
            $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)*
        } calls {
            $($(#[doc = $call_doc:literal])* $call:ident($($arg:ident: $arg_type:ty),*) -> $result:ty;)*
        }
    )*) => {$(
        $(#[doc = $doc])*
        $(#[derive($($derive),*)])?
        #[repr(C)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $type,)*
            $($(#[doc = $call_doc])* pub $call: Option<unsafe extern "C" fn($($arg: $arg_type),*) -> $result>,)*
        }

        impl $crate::abi::describe::CType for $name {
            fn c_name() -> String {
                $c_name.to_owned()
            }
        }

        impl $name {
            /// This struct as C sees it.
            pub fn describe() -> $crate::abi::describe::StructDescription {
                use $crate::abi::describe::{MemberDescription, StructDescription, declared};
                StructDescription {
                    name: $c_name,
                    doc: &[$($doc),*],
                    members: vec![
                        $(MemberDescription {
                            name: stringify!($field),
                            doc: &[$($field_doc),*],
                            declaration: declared::<$type>(stringify!($field)),
                            offset: std::mem::offset_of!($name, $field),
                        },)*
                        $(MemberDescription {
                            name: stringify!($call),
                            doc: &[$($call_doc),*],
                            declaration: {
                                let arguments: &[String] = &[$(declared::<$arg_type>(stringify!($arg))),*];
                                let result = declared::<$result>("");
                                let blank = if result.ends_with('*') { "" } else { " " };
                                format!("{}{blank}(*{})({})", result.trim_end(), stringify!($call), arguments.join(", "))
                            },
                            offset: std::mem::offset_of!($name, $call),
                        },)*
                    ],
                    size: std::mem::size_of::<$name>(),
                }
            }
        }
    )*};
}
pub(super) use abi_struct;
