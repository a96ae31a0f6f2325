//! Parts of a request, with refusals in Connect's form.

use super::error::RestError;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The parameters of the path, decoded.
pub struct Params(Vec<String>);

impl Params {
    /// The `index`-th parameter.
    pub fn get(&self, index: usize) -> &str {
        self.0.get(index).map(String::as_str).unwrap_or_default()
    }

    /// The `index`-th parameter as a number; Connect's routes know no other task.
    pub fn number(&self, index: usize) -> Result<usize, RestError> {
        self.get(index).parse().map_err(|_| RestError::http(StatusCode::NOT_FOUND))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RestError> {
        let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Path(params) = path.map_err(|_| RestError::http(StatusCode::NOT_FOUND))?;
        Ok(Self(params.into_iter().map(|(_, value)| value).collect()))
    }
}

/// The query: names may come more than once.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A truth value with a default.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.first(name).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    fn parse(query: &str) -> Self {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        });
        Self(pairs.collect())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, RestError> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// A JSON body.
pub struct Json(pub Value);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RestError> {
        let body = MaybeJson::from_request(request, state).await?;
        body.0.map(Json).ok_or_else(|| RestError::bad_request("the request needs a JSON body"))
    }
}

/// A JSON body, or none.
pub struct MaybeJson(pub Option<Value>);

impl<S: Send + Sync> FromRequest<S> for MaybeJson {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RestError> {
        if !is_json(request.headers()) {
            return Err(RestError::http(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            let status = rejection.status();
            RestError::new(status, format!("the request body could not be read: {}", rejection.body_text()))
        })?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(None));
        }
        let value = serde_json::from_slice(&body);
        let value =
            value.map_err(|error| RestError::bad_request(format!("the request body is no valid JSON: {error}")));
        value.map(|value| Self(Some(value)))
    }
}

/// A body without a type is taken as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let value = value.to_str().unwrap_or("?");
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_keeps_repeated_names_and_decodes() {
        let query = Query::parse("expand=status&expand=info&includeTasks=TRUE&x=a%2Fb+c&flag");
        assert_eq!(query.all("expand").collect::<Vec<_>>(), ["status", "info"]);
        assert!(query.flag("includeTasks", false) && !query.flag("onlyFailed", false));
        assert_eq!(query.first("x"), Some("a/b c"));
        assert_eq!(query.first("flag"), Some(""));
    }
}
