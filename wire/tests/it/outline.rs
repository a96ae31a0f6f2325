//! Reads `outline.txt`, which `cargo xtask wire` writes beside the Rust types.

/// A range of versions, inclusive.
#[derive(Debug, Clone, Copy)]
pub struct Versions(pub i16, pub i16);

impl Versions {
    pub fn has(self, version: i16) -> bool {
        self.0 <= version && version <= self.1
    }

    fn parse(text: &str) -> Self {
        if text == "none" {
            return Self(i16::MAX, -1);
        }
        if let Some(min) = text.strip_suffix('+') {
            return Self(min.parse().unwrap(), i16::MAX);
        }
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        Self(min.parse().unwrap(), max.parse().unwrap())
    }
}

#[derive(Debug)]
pub struct Message {
    pub name: String,
    pub versions: Versions,
    pub flexible: Versions,
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub struct Field {
    /// Type without array brackets.
    pub kind: String,
    pub array: bool,
    pub versions: Versions,
    pub nullable: Versions,
    pub tagged: Versions,
    pub tag: u32,
    pub compact: bool,
    pub default: Option<String>,
    pub fields: Vec<Field>,
}

/// All messages.
pub fn messages() -> Vec<Message> {
    let mut lines = include_str!("outline.txt").lines().filter(|line| !line.starts_with('#')).peekable();
    let mut messages = Vec::new();
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.split(' ').collect();
        let ["message", name, versions, flexible] = words.as_slice() else { panic!("not a message: {line}") };
        messages.push(Message {
            name: (*name).to_owned(),
            versions: Versions::parse(versions),
            flexible: Versions::parse(flexible),
            fields: fields(&mut lines, 1),
        });
    }
    messages
}

/// The message of this name.
pub fn message(name: &str) -> Message {
    messages().into_iter().find(|message| message.name == name).unwrap()
}

fn fields<'a>(lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>, depth: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some(line) = lines.next_if(|line| line.len() - line.trim_start().len() == depth * 2) {
        let words: Vec<&str> = line.trim_start().split(' ').collect();
        let [_, kind, versions, nullable, tagged, tag, compact, default] = words.as_slice() else {
            panic!("not a field: {line}")
        };
        fields.push(Field {
            kind: kind.trim_start_matches("[]").to_owned(),
            array: kind.starts_with("[]"),
            versions: Versions::parse(versions),
            nullable: Versions::parse(nullable),
            tagged: Versions::parse(tagged),
            tag: tag.parse().unwrap_or(u32::MAX),
            compact: *compact == "compact",
            default: (*default != "-").then(|| (*default).to_owned()),
            fields: self::fields(lines, depth + 1),
        });
    }
    fields
}
