//! `slot.stream.params`: options of pgoutput (PostgreSQL 55.5), as `a=b;c=d`.

const FORM: &str = "must be name=value, several apart by semicolons";

/// Whether large transactions are to come at their commit only.
pub fn whole_transactions(text: &str) -> bool {
    stream_params(text).any(|(name, value)| name == "streaming" && is_off(value))
}

/// What of it goes to a server of this version, with the default of `messages`.
pub fn server_options(text: &str, version: u32) -> Vec<(String, String)> {
    let mut options = Vec::new();
    if version >= 140_000 {
        let off = stream_params(text).any(|(name, value)| name == "messages" && is_off(value));
        options.push(("messages".to_owned(), (!off).to_string()));
    }
    if version >= 160_000
        && let Some((name, value)) = stream_params(text).find(|(name, _)| *name == "origin")
    {
        options.push((name.to_owned(), value.to_ascii_lowercase()));
    }
    options
}

/// The options that are given.
fn stream_params(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let options = text.split(';').filter(|option| !option.trim().is_empty());
    options.filter_map(|option| option.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
}

/// Whether an option is switched off.
fn is_off(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "off" | "false" | "no" | "0")
}

fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "yes" | "1")
}

/// Checks them; the server would only say at each start that it does not know one.
pub(super) fn check_stream_params(text: &str) -> Result<(), String> {
    if let Some(wrong) = text.split(';').find(|option| !option.trim().is_empty() && !option.contains('=')) {
        return Err(format!("\"{}\" {FORM}", wrong.trim()));
    }
    stream_params(text).try_for_each(|(name, value)| match name {
        "streaming" | "proto_version" => Ok(()),
        "messages" if is_on(value) || is_off(value) => Ok(()),
        "messages" => Err("messages must be true or false".to_owned()),
        "origin" if ["any", "none"].iter().any(|known| value.eq_ignore_ascii_case(known)) => Ok(()),
        "origin" => Err("origin must be any or none".to_owned()),
        "binary" | "two_phase" if is_off(value) => Ok(()),
        "binary" => Err("values are read as text; remove binary".to_owned()),
        "two_phase" => Err("prepared transactions are read at their commit; remove two_phase".to_owned()),
        "publication_names" => {
            Err("the publication is the one of publication.name; remove publication_names".to_owned())
        }
        _ => Err(format!("\"{name}\" is no option of pgoutput; there are streaming, messages and origin")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_or_the_reader_would_refuse_is_told() {
        for right in ["", " streaming=off ; messages = False;", "proto_version=3;origin=none;binary=off"] {
            assert_eq!(check_stream_params(right), Ok(()), "{right}");
        }
        for (wrong, word) in [
            ("streaming", FORM),
            ("binary=true", "remove binary"),
            ("two_phase=on", "remove two_phase"),
            ("publication_names=p", "publication.name"),
            ("messages=perhaps", "true or false"),
            ("add-tables=public.t", "\"add-tables\" is no option of pgoutput"),
        ] {
            let told = check_stream_params(wrong).unwrap_err();
            assert!(told.contains(word), "{wrong}: {told}");
        }
        let told =
            |text, version| server_options(text, version).into_iter().map(|(name, value)| format!("{name}={value}"));
        assert_eq!(
            told("messages=no;origin=NONE;binary=off", 160_000).collect::<Vec<_>>(),
            ["messages=false", "origin=none"]
        );
        assert_eq!(told("origin=none", 150_000).collect::<Vec<_>>(), ["messages=true"]);
        assert_eq!(told("messages=1", 130_000).count(), 0);
        assert!(whole_transactions("streaming = OFF") && !whole_transactions("streaming=parallel"));
        assert_eq!(stream_params("a=b; c = d=e ;f").collect::<Vec<_>>(), [("a", "b"), ("c", "d=e")]);
    }
}
