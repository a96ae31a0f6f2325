//! Finds `${provider:path:key}` and `${provider:key}` in a text.

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Placeholder { whole: &'a str, provider: &'a str, path: &'a str, key: &'a str },
}

/// The parts of a text in order. What is no placeholder is text.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        let Some(end) = from.find('}') else { break };
        let (whole, after) = from.split_at(end + 1);
        let inside = whole.get(2..end).unwrap_or_default();
        let placeholder = inside.split_once(':').map(|(provider, rest)| {
            let (path, key) = rest.split_once(':').unwrap_or(("", rest));
            Piece::Placeholder { whole, provider, path, key }
        });
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(placeholder.unwrap_or(Piece::Text(whole)));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}
