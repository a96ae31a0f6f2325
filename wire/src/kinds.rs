//! All APIs as enums: the key, any request, any response.
//!
//! The server decodes a frame's body into a [`RequestKind`] by the header's key and version, a handler answers with the
//! [`ResponseKind`] of the same API. In-process callers build the same values without any bytes.

use bytes::Bytes;

use crate::codec::{DecodeError, EncodeError, Message, Request, VersionRange, Writer};
use crate::messages::{self, for_each_api};

macro_rules! define {
    ($($name:ident = $key:literal, $request:ident, $response:ident;)*) => {
        /// Number of an API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        #[expect(missing_docs, reason = "the names are Kafka's")]
        pub enum ApiKey {
            $($name = $key,)*
        }

        impl ApiKey {
            /// Every API the codec knows, in the order of their numbers. What is served is in [`crate::versions`].
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The API with this number.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Kafka's name of the API.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Versions the codec knows.
            pub const fn codec_versions(self) -> VersionRange {
                match self {
                    $(Self::$name => <messages::$request as Message>::VERSIONS,)*
                }
            }

            /// Whether requests and responses of `version` have compact lengths and tagged fields.
            pub fn is_flexible(self, version: i16) -> bool {
                match self {
                    $(Self::$name => <messages::$request as Message>::is_flexible(version),)*
                }
            }
        }

        /// Any request.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "the names are Kafka's")]
        pub enum RequestKind {
            $($name(messages::$request),)*
        }

        impl RequestKind {
            /// The API it belongs to.
            pub const fn api_key(&self) -> ApiKey {
                match self {
                    $(Self::$name(_) => ApiKey::$name,)*
                }
            }

            /// Reads the body of a request. Bytes after it are ignored, as Kafka does.
            pub fn decode(api_key: ApiKey, version: i16, mut body: Bytes) -> Result<Self, DecodeError> {
                match api_key {
                    $(ApiKey::$name => messages::$request::decode(&mut body, version).map(Self::$name),)*
                }
            }

            /// Appends the body.
            pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(request) => request.encode(w, version),)*
                }
            }
        }

        /// Any response.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "the names are Kafka's")]
        pub enum ResponseKind {
            $($name(messages::$response),)*
        }

        impl ResponseKind {
            /// The API it belongs to.
            pub const fn api_key(&self) -> ApiKey {
                match self {
                    $(Self::$name(_) => ApiKey::$name,)*
                }
            }

            /// Reads the body of a response. Bytes after it are ignored.
            pub fn decode(api_key: ApiKey, version: i16, mut body: Bytes) -> Result<Self, DecodeError> {
                match api_key {
                    $(ApiKey::$name => messages::$response::decode(&mut body, version).map(Self::$name),)*
                }
            }

            /// Appends the body.
            pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(response) => response.encode(w, version),)*
                }
            }
        }

        $(
            impl From<messages::$request> for RequestKind {
                fn from(request: messages::$request) -> Self {
                    Self::$name(request)
                }
            }

            impl From<messages::$response> for ResponseKind {
                fn from(response: messages::$response) -> Self {
                    Self::$name(response)
                }
            }

            impl TryFrom<RequestKind> for messages::$request {
                type Error = RequestKind;

                fn try_from(kind: RequestKind) -> Result<Self, RequestKind> {
                    match kind {
                        RequestKind::$name(request) => Ok(request),
                        other => Err(other),
                    }
                }
            }

            impl TryFrom<ResponseKind> for messages::$response {
                type Error = ResponseKind;

                fn try_from(kind: ResponseKind) -> Result<Self, ResponseKind> {
                    match kind {
                        ResponseKind::$name(response) => Ok(response),
                        other => Err(other),
                    }
                }
            }
        )*
    };
}

for_each_api!(define);

impl ApiKey {
    /// The number.
    pub const fn code(self) -> i16 {
        self as i16
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A request type whose answer can be taken out of a [`ResponseKind`].
pub trait TypedRequest: Request<Response: TryFrom<ResponseKind, Error = ResponseKind>> + Into<RequestKind> {}

impl<R> TypedRequest for R where R: Request<Response: TryFrom<ResponseKind, Error = ResponseKind>> + Into<RequestKind> {}
