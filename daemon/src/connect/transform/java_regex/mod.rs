//! Java's regular expressions, as users of Connect write them: look-around, possessive quantifiers, `\Q..\E`,
//! `\p{Alpha}`, named groups, `$1` and `${name}` in replacements.
//!
//! The engine backtracks, so its steps are limited: a catastrophic pattern is an error, never a hang (invariant 9).

mod replacement;
mod translate;

pub(super) use replacement::Replacement;

/// Steps one search may take. Topic and field names are short; a pattern that needs more than this is a mistake.
const STEP_LIMIT: usize = 200_000;
/// Bytes that a pattern's automata may take.
const SIZE_LIMIT: usize = 4 * 1024 * 1024;

/// Why a pattern, a replacement or a match failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// The pattern is none, or uses what this engine lacks.
    #[error("\"{pattern}\" is no regular expression: {reason}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The replacement names a group that is not there, or ends in the middle of something.
    #[error("replacement \"{replacement}\": {reason}")]
    Replacement {
        /// As given.
        replacement: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The match took too many steps.
    #[error("regular expression \"{pattern}\" takes too many steps on this input; make it simpler")]
    TooManySteps {
        /// As given.
        pattern: String,
    },
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct JavaRegex {
    pattern: String,
    /// The pattern bound to both ends, for Java's `matches()`.
    whole: fancy_regex::Regex,
    /// The pattern as it is, for `find()`.
    part: fancy_regex::Regex,
}

impl JavaRegex {
    /// Compiles a pattern.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let wrong = |reason: String| RegexError::Pattern { pattern: pattern.to_owned(), reason };
        let translated = translate::translate(pattern).map_err(wrong)?;
        let compile = |text: &str| {
            let mut builder = fancy_regex::RegexBuilder::new(text);
            builder.backtrack_limit(STEP_LIMIT).delegate_size_limit(SIZE_LIMIT);
            builder.build().map_err(|error| wrong(error.to_string()))
        };
        let (whole, part) = (compile(&format!(r"\A(?:{translated})\z"))?, compile(&translated)?);
        Ok(Self { pattern: pattern.to_owned(), whole, part })
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> Result<bool, RegexError> {
        self.whole.is_match(text).map_err(|_| self.too_many_steps())
    }

    /// Java's `replaceFirst`: the first part of the text that matches gives way to the replacement.
    pub(super) fn replace_first(&self, text: &str, replacement: &Replacement) -> Result<String, RegexError> {
        let Some(captures) = self.part.captures(text).map_err(|_| self.too_many_steps())? else {
            return Ok(text.to_owned());
        };
        let Some(found) = captures.get(0) else { return Ok(text.to_owned()) };
        let mut out = String::with_capacity(text.len() + 16);
        out.push_str(text.get(..found.start()).unwrap_or_default());
        replacement.expand(&captures, &mut out);
        out.push_str(text.get(found.end()..).unwrap_or_default());
        Ok(out)
    }

    /// Reads a replacement for this pattern.
    pub(super) fn replacement(&self, text: &str) -> Result<Replacement, RegexError> {
        let names: Vec<&str> = self.part.capture_names().flatten().collect();
        Replacement::parse(text, self.part.captures_len(), &names)
            .map_err(|reason| RegexError::Replacement { replacement: text.to_owned(), reason })
    }

    fn too_many_steps(&self) -> RegexError {
        RegexError::TooManySteps { pattern: self.pattern.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pattern: &str, replacement: &str, text: &str) -> Option<String> {
        let regex = JavaRegex::new(pattern).unwrap_or_else(|error| panic!("{error}"));
        let replacement = regex.replacement(replacement).unwrap();
        regex.matches(text).unwrap().then(|| regex.replace_first(text, &replacement).unwrap())
    }

    #[test]
    fn java_syntax_matches_as_in_java() {
        for (pattern, text, expected) in [
            (r"(?<a>\w+)-\d++", "topic-12", true),
            (r"\w+", "tópic", false),
            (r"(?U)\w+", "topic", true),
            (r"(?i)TOPIC", "topic", true),
            (r"(?!foo)\w+", "foobar", false),
            (r"(?<=a)b", "ab", false),
            (r"a(?<=a)b", "ab", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\Qa.b\E", "axb", false),
            (r"\Qa.b", "a.b", true),
            (r"[\w&&[^\d]]+", "abc", true),
            (r"[\w&&[^\d]]+", "ab1", false),
            (r"[a-z&&[^bc]]+", "adz", true),
            (r"\p{Alpha}\p{Digit}", "a1", true),
            (r"\p{Alpha}", "é", false),
            (r"\p{IsAlphabetic}", "é", true),
            (r"\p{L}\P{Lower}", "éA", true),
            (r"\p{javaLowerCase}", "a", true),
            (r"\x41\u0042\t", "AB\t", true),
            (r"a\_b\-c\@\<", "a_b-c@<", true),
            (r"(a|ab)(c|bcd)", "abcd", true),
            (r"(\w)\1", "aa", true),
            (r"(?<x>\w)\k<x>", "ab", false),
            (r"[^\s]+", "a b", false),
            (r"[\[\]a]+", "[a]", true),
            (r"a{2,3}+", "aaa", true),
            (r"(?>a+)b", "aab", true),
            (r".*", "a\nb", false),
            (r"(?s).*", "a\nb", true),
            (r"", "", true),
        ] {
            let regex = JavaRegex::new(pattern).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(regex.matches(text), Ok(expected), "{pattern} on {text}");
        }
    }

    #[test]
    fn replacements_name_groups_by_number_and_by_name() {
        let given = |pattern, replacement, text| replaced(pattern, replacement, text);
        assert_eq!(given(r"(.*)\.(.*)", "$2_$1", "a.b").as_deref(), Some("b_a"));
        assert_eq!(given(r"(?<db>\w+)\.(?<t>\w+)", "${t}-${db}", "d.t").as_deref(), Some("t-d"));
        // The longest number that names a group: $11 is group 1 followed by a 1.
        assert_eq!(given("(a)", "$11", "a").as_deref(), Some("a1"));
        assert_eq!(given("(a)|b", "x$1", "b").as_deref(), Some("x"));
        assert_eq!(given("a", r"\$1\\", "a").as_deref(), Some(r"$1\"));
        // As in Java the first match is replaced, even where all of the text matches in another way.
        assert_eq!(given("a|ab", "X", "ab").as_deref(), Some("Xb"));
        assert_eq!(given("b", "X", "a"), None);
        assert_eq!(given(".*", "x-$0", "abc").as_deref(), Some("x-abc"));
    }

    #[test]
    fn wrong_replacements_are_refused() {
        let regex = JavaRegex::new("(?<n>a)").unwrap();
        for text in ["$2", "${m}", "$", r"\", "${n", "$x", "${}"] {
            let error = regex.replacement(text).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for pattern in ["(", "[a", r"\p{Nonsense}", "*a"] {
            assert!(matches!(JavaRegex::new(pattern), Err(RegexError::Pattern { .. })), "{pattern}");
        }
    }

    #[test]
    fn a_catastrophic_pattern_ends_with_an_error() {
        let regex = JavaRegex::new(r"(?:(a+)(?=a*))+\1b").unwrap();
        let text = "a".repeat(64);
        assert!(matches!(regex.matches(&text), Err(RegexError::TooManySteps { .. })));
    }
}
