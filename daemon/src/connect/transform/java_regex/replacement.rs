//! Replacement texts of Java's `Matcher`: `$1`, `${name}`, `\` before any character.

/// A piece of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(usize),
    Name(String),
}

/// A replacement that fits its pattern.
#[derive(Clone, Debug)]
pub(in crate::connect::transform) struct Replacement {
    pieces: Vec<Piece>,
}

impl Replacement {
    /// Reads a text for a pattern with `groups` groups (the whole match counted) of which some have names.
    pub(super) fn parse(text: &str, groups: usize, names: &[&str]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => literal.push(chars.next().ok_or("character to be escaped is missing")?),
                '$' => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(match chars.peek() {
                        Some('{') => {
                            chars.next();
                            let name: String =
                                std::iter::from_fn(|| chars.next_if(char::is_ascii_alphanumeric)).collect();
                            if name.is_empty() || chars.next() != Some('}') {
                                return Err("named capturing group is missing its name or trailing '}'".to_owned());
                            }
                            if !names.contains(&name.as_str()) {
                                return Err(format!("no group with name {{{name}}}"));
                            }
                            Piece::Name(name)
                        }
                        Some(digit) if digit.is_ascii_digit() => Piece::Group(number(&mut chars, groups)?),
                        Some(_) => return Err("illegal group reference".to_owned()),
                        None => return Err("illegal group reference: group index is missing".to_owned()),
                    });
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// Appends the replacement of one match.
    pub(super) fn expand(&self, captures: &fancy_regex::Captures<'_, str>, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(number) => out.push_str(captures.get(*number).map_or("", |found| found.as_str())),
                Piece::Name(name) => out.push_str(captures.name(name).map_or("", |found| found.as_str())),
            }
        }
    }
}

/// The longest run of digits that is a group's number; the first digit alone must be one.
fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, groups: usize) -> Result<usize, String> {
    let digit = |c: char| c.to_digit(10).map(|digit| digit as usize);
    let mut number = chars.next().and_then(digit).unwrap_or(0);
    if number >= groups {
        return Err(format!("no group {number}"));
    }
    while let Some(longer) =
        chars.peek().and_then(|c| digit(*c)).map(|next| number * 10 + next).filter(|longer| *longer < groups)
    {
        number = longer;
        chars.next();
    }
    Ok(number)
}
