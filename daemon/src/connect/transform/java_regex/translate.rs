//! From Java's pattern syntax to that of the engine: where the two mean different things by the same text, the text is
//! changed.

use std::{fmt::Write as _, iter::Peekable, str::Chars};

/// The pattern in the engine's syntax; the error says what is wrong with it.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translator = Translator { chars: pattern.chars().peekable(), out: String::new(), depth: 0 };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    chars: Peekable<Chars<'a>>,
    out: String,
    /// How many character classes are open.
    depth: usize,
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.chars.next() {
            match c {
                '\\' => self.escape()?,
                '[' => {
                    self.depth += 1;
                    self.out.push('[');
                    if let Some(not) = self.chars.next_if_eq(&'^') {
                        self.out.push(not);
                    }
                    // A bracket right at the start stands for itself.
                    if self.chars.next_if_eq(&']').is_some() {
                        self.out.push_str(r"\]");
                    }
                }
                ']' if self.depth > 0 => {
                    self.depth -= 1;
                    self.out.push(']');
                }
                // Operators of the engine's classes that Java does not have.
                '~' if self.depth > 0 => self.out.push_str(r"\x7E"),
                '-' if self.depth > 0 && self.chars.peek() == Some(&'-') => self.out.push_str(r"\x2D"),
                // Java's flag for Unicode classes; the engine's are what `(?U)` asks for or are translated.
                '(' if self.depth == 0 => self.group(),
                c => self.out.push(c),
            }
        }
        if self.depth > 0 { Err("unclosed character class".to_owned()) } else { Ok(()) }
    }

    /// Flags that Java has and the engine has not, or not with the same meaning: `d`, `u` and `U` are left out.
    fn group(&mut self) {
        self.out.push('(');
        let mut ahead = self.chars.clone();
        if ahead.next() != Some('?') {
            return;
        }
        let flags: String = ahead.clone().take_while(|c| c.is_ascii_alphabetic() || *c == '-').collect();
        let end = ahead.nth(flags.len());
        if flags.is_empty() || !matches!(end, Some(')' | ':')) {
            return;
        }
        let kept: String = flags.chars().filter(|flag| !matches!(flag, 'd' | 'u' | 'U')).collect();
        let kept = kept.trim_end_matches('-');
        // What is read here stands in `kept` or is left out.
        for _ in 0..flags.len() + 2 {
            self.chars.next();
        }
        match end {
            Some(')') if kept.is_empty() => self.out.push_str("?:)"),
            Some(end) => {
                let _ = write!(self.out, "?{kept}{end}");
            }
            None => {}
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        let c = self.chars.next().ok_or("a backslash at the end")?;
        let class = self.depth > 0;
        match c {
            'Q' => self.quoted(),
            'd' => self.set("0-9", false),
            'D' => self.set("0-9", true),
            'w' => self.set("a-zA-Z_0-9", false),
            'W' => self.set("a-zA-Z_0-9", true),
            's' => self.set(r" \t\n\x0B\f\r", false),
            'S' => self.set(r" \t\n\x0B\f\r", true),
            'h' => self.set(r" \t\xA0\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}", false),
            'H' => self.set(r" \t\xA0\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}", true),
            'v' => self.set(r"\n\x0B\f\r\x85\x{2028}\x{2029}", false),
            'V' => self.set(r"\n\x0B\f\r\x85\x{2028}\x{2029}", true),
            'R' if !class => self.out.push_str(r"(?:\r\n|[\n\x0B\f\r\x85\x{2028}\x{2029}])"),
            'Z' if !class => self.out.push_str(r"(?=\n?\z)"),
            'e' => self.out.push_str(r"\x1B"),
            'a' => self.out.push_str(r"\x07"),
            'c' => {
                let control = self.chars.next().ok_or("\\c without a character")?;
                self.character((control as u32) ^ 0x40)?;
            }
            '0' => {
                let code = self.digits(8, 3)?;
                self.character(code)?;
            }
            'u' => {
                let code = self.digits(16, 4)?;
                self.character(code)?;
            }
            'x' if self.chars.peek() == Some(&'{') => self.out.push_str(r"\x"),
            'x' => {
                let code = self.digits(16, 2)?;
                self.character(code)?;
            }
            'p' | 'P' => self.property(c == 'P')?,
            c if c.is_ascii_alphanumeric() => {
                self.out.push('\\');
                self.out.push(c);
            }
            c => self.character(c as u32)?,
        }
        Ok(())
    }

    /// A class by its members; inside of another class a nested one.
    fn set(&mut self, members: &str, not: bool) {
        let _ = write!(self.out, "[{}{members}]", if not { "^" } else { "" });
    }

    fn character(&mut self, code: u32) -> Result<(), String> {
        let known = char::from_u32(code).ok_or_else(|| format!("no character has the code {code:x}"))?;
        let _ = write!(self.out, r"\x{{{:X}}}", known as u32);
        Ok(())
    }

    fn digits(&mut self, radix: u32, most: usize) -> Result<u32, String> {
        let (mut code, mut count) = (0, 0);
        while count < most
            && let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(radix))
        {
            code = code * radix + digit;
            self.chars.next();
            count += 1;
        }
        if count == 0 { Err("a character code without digits".to_owned()) } else { Ok(code) }
    }

    /// `\Q..\E`; without an end it goes to the end of the pattern.
    fn quoted(&mut self) {
        while let Some(c) = self.chars.next() {
            if c == '\\' && self.chars.next_if_eq(&'E').is_some() {
                return;
            }
            let _ = write!(self.out, r"\x{{{:X}}}", c as u32);
        }
    }

    fn property(&mut self, not: bool) -> Result<(), String> {
        let name = match self.chars.next() {
            Some('{') => {
                let name: String = self.chars.by_ref().take_while(|c| *c != '}').collect();
                name.trim().to_owned()
            }
            Some(letter) => letter.to_string(),
            None => return Err("\\p without a name".to_owned()),
        };
        if let Some(members) = posix(&name) {
            self.set(members, not);
            return Ok(());
        }
        let name = match name.as_str() {
            "javaLowerCase" => "Lowercase",
            "javaUpperCase" => "Uppercase",
            "javaWhitespace" => "White_Space",
            "javaAlphabetic" => "Alphabetic",
            "javaDigit" => "Nd",
            "javaLetter" => "L",
            name => ["Is", "In"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name),
        };
        let _ = write!(self.out, r"\{}{{{name}}}", if not { 'P' } else { 'p' });
        Ok(())
    }
}

/// Java's POSIX classes, which are of ASCII only.
fn posix(name: &str) -> Option<&'static str> {
    Some(match name {
        "Lower" => "a-z",
        "Upper" => "A-Z",
        "ASCII" => r"\x00-\x7F",
        "Alpha" => "a-zA-Z",
        "Digit" => "0-9",
        "Alnum" => "a-zA-Z0-9",
        "Punct" => r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E",
        "Graph" => r"\x21-\x7E",
        "Print" => r"\x20-\x7E",
        "Blank" => r" \t",
        "Cntrl" => r"\x00-\x1F\x7F",
        "XDigit" => "0-9a-fA-F",
        "Space" => r" \t\n\x0B\f\r",
        _ => return None,
    })
}
