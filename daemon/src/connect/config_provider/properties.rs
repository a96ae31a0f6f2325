//! Java's properties files, as `FileConfigProvider` reads them.

/// The value of a key; the last one counts.
pub(super) fn find(text: &str, wanted: &str) -> Option<String> {
    entries(text).into_iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value)
}

fn entries(text: &str) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start_matches([' ', '\t', '\x0c']);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = line.to_owned();
        while ends_open(&whole) {
            whole.pop();
            let Some(next) = lines.next() else { break };
            whole.push_str(next.trim_start_matches([' ', '\t', '\x0c']));
        }
        entries.push(entry(&whole));
    }
    entries
}

/// Whether the next line goes on with this one: an odd number of backslashes at its end.
fn ends_open(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn entry(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !escaped && matches!(c, '=' | ':' | ' ' | '\t' | '\x0c');
        escaped = !escaped && *c == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.map_or(line.len(), |(at, _)| at));
    let blank = [' ', '\t', '\x0c'];
    let rest = rest.trim_start_matches(blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(blank);
    (unescaped(key), unescaped(value))
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\x0c'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(c) => out.push(c),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_java_reads_them() {
        let text = "# c\n! c\n  a = 1 \nb:2\nc 3\nd\\ e=f\\=\\u0041\\n\nlong = one, \\\n   two\na=last\nempty=\nnone\n";
        let find = |key| find(text, key);
        assert_eq!(find("a").as_deref(), Some("last"));
        assert_eq!(find("b").as_deref(), Some("2"));
        assert_eq!(find("c").as_deref(), Some("3"));
        assert_eq!(find("d e").as_deref(), Some("f=A\n"));
        assert_eq!(find("long").as_deref(), Some("one, two"));
        assert_eq!(find("empty").as_deref(), Some(""));
        assert_eq!(find("none").as_deref(), Some(""));
        assert_eq!(find("nope"), None);
    }
}
