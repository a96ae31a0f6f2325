//! The config derive: definition, validation, typed values, Connect's answers, JSON Schema.

use levada_connector_api::{
    Config, ConfigEnum, ConnectorConfig, ConnectorError, ErrorKind,
    config::{HIDDEN, Importance, KeyError, KeyFamily, Rule, Secret, Type, UnknownKey, Width},
};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
enum LongLines {
    Split,
    KeepAll,
    #[config(name = "DROP")]
    Drop,
}

fn even(text: &str) -> Result<(), String> {
    match text.parse::<i64>() {
        Ok(number) if number % 2 == 0 => Ok(()),
        _ => Err(format!("{text} is not even")),
    }
}

fn password_is_long(text: &str) -> Result<(), String> {
    if text.len() >= 8 { Ok(()) } else { Err(format!("'{text}' is too short")) }
}

fn topic_or_pattern(config: &Config) -> Vec<KeyError> {
    if config.get("pattern") == config.get("topic") {
        return vec![KeyError::invalid("pattern", &config["topic"], "must differ from topic")];
    }
    Vec::new()
}

/// Keys that stand among others.
#[derive(Debug, ConnectorConfig)]
struct Shared {
    /// Small number.
    small: Option<i16>,
}

/// Keys of a test connector.
#[derive(Debug, ConnectorConfig)]
#[config(rule = topic_or_pattern)]
struct TestConfig {
    /// Topic to write to.
    ///
    /// Exactly one.
    #[config(importance = "high", non_empty, required, group = "Data", width = "long", display = "Topic")]
    topic: String,
    /// Records per poll.
    #[config(key = "batch.size", default = "2000", min = 1, max = 100000, importance = "low", group = "Data")]
    batch_size: i32,
    /// A pattern.
    pattern: Option<String>,
    /// Hidden text.
    #[config(default = "no secret at all", secret, check = password_is_long)]
    password: Secret,
    /// Pause.
    #[config(key = "pause.ms", default = "1500")]
    pause: Duration,
    /// What is done with long lines.
    #[config(key = "long.lines", default = "split", dependents("topic"))]
    long_lines: LongLines,
    /// Names.
    #[config(default = "a, b", one_of("a", "b", "c"))]
    names: Vec<String>,
    /// On or off.
    #[config(default = "false")]
    on: bool,
    /// Even.
    #[config(default = "2", check = even)]
    even: i64,
    /// Share.
    #[config(default = "0.5", min = 0, max = 1)]
    share: f64,
    #[config(flatten)]
    shared: Shared,
}

fn config(pairs: &[(&str, &str)]) -> Config {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn errors(pairs: &[(&str, &str)]) -> Vec<String> {
    TestConfig::parse(&config(pairs)).unwrap_err().0.into_iter().map(|error| error.message).collect()
}

#[test]
fn reads_defaults_and_given_values() {
    let typed = TestConfig::parse(&config(&[("topic", " lines "), ("small", "-3"), ("names", "c ,a"), ("on", "TRUE")]));
    let typed = typed.unwrap();
    assert_eq!((typed.topic.as_str(), typed.batch_size, typed.shared.small), ("lines", 2000, Some(-3)));
    assert_eq!((typed.pause, typed.long_lines), (Duration::from_millis(1500), LongLines::Split));
    assert_eq!((typed.names, typed.on, typed.even, typed.share), (vec!["c".to_owned(), "a".to_owned()], true, 2, 0.5));
    assert_eq!((typed.pattern, typed.password.reveal()), (None, "no secret at all"));
}

#[test]
fn tells_every_error_at_once_in_kafkas_words() {
    let found = errors(&[
        ("batch.size", "abc"),
        ("long.lines", "chop"),
        ("names", "a,z"),
        ("on", "yes"),
        ("even", "3"),
        ("share", "1.5"),
        ("small", "40000"),
        ("pause.ms", "-1"),
    ]);
    assert_eq!(
        found,
        [
            "Missing required configuration \"topic\" which has no default value.",
            "Invalid value abc for configuration batch.size: Not a number of type INT",
            "Invalid value -1 for configuration pause.ms: Value must be at least 0",
            "Invalid value chop for configuration long.lines: String must be one of: split, keep-all, DROP",
            "Invalid value a,z for configuration names: String must be one of: a, b, c",
            "Invalid value yes for configuration on: Expected value to be either true or false",
            "Invalid value 3 for configuration even: 3 is not even",
            "Invalid value 1.5 for configuration share: Value must be no more than 1",
            "Invalid value 40000 for configuration small: Not a number of type SHORT",
        ]
    );
    assert_eq!(errors(&[("topic", "")]), ["Invalid value  for configuration topic: String must be non-empty"]);
    assert_eq!(
        errors(&[("topic", "t"), ("batch.size", "0")]),
        ["Invalid value 0 for configuration batch.size: Value must be at least 1"]
    );
    let error: ConnectorError = TestConfig::parse(&Config::new()).unwrap_err().into();
    assert_eq!(error.kind, ErrorKind::Config);
}

#[test]
fn rules_over_several_keys_are_asked_once_each_key_is_right() {
    let same = [("topic", "t"), ("pattern", "t")];
    assert_eq!(errors(&same), ["Invalid value t for configuration pattern: must differ from topic"]);
    assert_eq!(errors(&[("topic", "t"), ("pattern", "t"), ("even", "1")]).len(), 1);
}

#[test]
fn shows_no_secret_anywhere() {
    let given = config(&[("topic", "t"), ("password", "hunter2")]);
    let found = TestConfig::parse(&given).unwrap_err().to_string();
    assert_eq!(found, "Invalid value [hidden] for configuration password: '[hidden]' is too short");
    let def = TestConfig::config_def();
    let answers: Vec<_> = def.validate(&given).states.iter().map(|state| state.info().to_string()).collect();
    assert!(!answers.concat().contains("hunter2"));
    assert!(!answers.concat().contains("no secret at all"), "not even a default");
    assert!(!def.json_schema("test").to_string().contains("no secret at all"));
    assert_eq!(def.redacted(&given)["password"], HIDDEN);
    let typed = TestConfig::parse(&config(&[("topic", "t"), ("password", "correct horse")])).unwrap();
    assert!(!format!("{typed:?}").contains("horse"));
}

#[test]
fn describes_its_keys_as_connect_does() {
    let def = TestConfig::config_def();
    let topic = def.key("topic").unwrap();
    assert_eq!((topic.kind, topic.importance, topic.width), (Type::String, Importance::High, Width::Long));
    assert_eq!(topic.documentation, "Topic to write to.\nExactly one.");
    assert_eq!(
        def.key("batch.size").unwrap().info(),
        json!({"name": "batch.size", "type": "INT", "required": false, "default_value": "2000", "importance": "LOW",
            "documentation": "Records per poll.", "group": "Data", "order_in_group": 2, "order": 2, "width": "NONE",
            "display_name": "batch.size", "dependents": []})
    );
    let given = config(&[("topic", "t"), ("batch.size", "x")]);
    let states = def.validate(&given).states;
    assert_eq!(states[0].info()["value"]["value"], "t");
    assert_eq!(states[1].info()["value"]["value"], json!(null), "an ill-typed value is not shown as the key's");
    assert_eq!(states[5].info()["value"]["recommended_values"], json!(["split", "keep-all", "DROP"]));
    assert_eq!(def.groups(), ["Data"]);
    assert!(def.reference().contains("| `batch.size` | int | `2000` | Records per poll. |"));
}

#[test]
fn gives_a_json_schema() {
    let schema = TestConfig::config_def().json_schema("Test");
    assert_eq!(schema["required"], json!(["topic"]));
    let size = &schema["properties"]["batch.size"];
    assert_eq!((&size["minimum"], &size["maximum"], &size["default"]), (&json!(1.0), &json!(100000.0), &json!(2000)));
    assert_eq!(schema["properties"]["long.lines"]["enum"], json!(["split", "keep-all", "DROP"]));
    assert_eq!(schema["properties"]["password"]["writeOnly"], json!(true));
}

#[derive(Debug, ConnectorConfig)]
#[expect(dead_code, reason = "families hold nothing")]
struct FamilyConfig {
    /// Columns that are cut.
    #[config(key = "cut.to.(d+).chars")]
    cut: KeyFamily,
}

#[test]
fn a_family_of_keys_is_known_by_its_form() {
    let mut def = FamilyConfig::config_def();
    let given = config(&[("cut.to.x.chars", "a"), ("cut.to.chars", "b")]);
    let unknown = def.unknown_keys(&given, |_| false);
    assert_eq!(unknown.iter().map(|unknown| unknown.key.as_str()).collect::<Vec<_>>(), ["cut.to.chars"]);
    def.rules.push(Rule::new(|_| vec![KeyError::invalid("cut.to.x.chars", "a", "\"x\" is no number")]));
    let states = def.validate(&given).states;
    assert_eq!(states.len(), 1);
    assert!(states[0].errors[0].contains("cut.to.x.chars"), "{:?}", states[0].errors);
    let schema = def.json_schema("Test");
    assert_eq!(schema["properties"], json!({}));
    assert_eq!(schema["patternProperties"]["^cut\\.to\\..+\\.chars$"]["description"], json!("Columns that are cut."));
}

#[test]
fn what_a_rule_says_of_a_key_without_definition_is_told() {
    let mut def = FamilyConfig::config_def();
    def.rules.push(Rule::new(|_| vec![KeyError::invalid("elsewhere", "a", "\"a\" is no number")]));
    let told = def.check(&Config::new()).unwrap_err().0;
    assert_eq!(told.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), ["elsewhere"]);
    assert!(told[0].message.contains("is no number"), "{told:?}");
}

#[test]
fn unknown_keys_are_kept_and_told_with_what_was_meant() {
    let given = config(&[("topic", "t"), ("bacth.size", "1"), ("tasks.max", "1"), ("colour", "red")]);
    let unknown = TestConfig::config_def().unknown_keys(&given, |key| key == "tasks.max");
    let meant = |key: &str, meant: Option<&str>| UnknownKey { key: key.into(), meant: meant.map(Into::into) };
    assert_eq!(unknown, [meant("bacth.size", Some("batch.size")), meant("colour", None)]);
    assert_eq!(unknown[0].to_string(), "unknown configuration key bacth.size: did you mean batch.size?");
    assert!(TestConfig::parse(&given).is_ok());
}

proptest! {
    #[test]
    fn no_text_breaks_validation_and_validation_agrees_with_parsing(
        values in proptest::collection::vec((0usize..11, "\\PC{0,12}|-?[0-9]{1,20}|true|a,b"), 0..12)
    ) {
        let def = TestConfig::config_def();
        let mut given = config(&[("topic", "t")]);
        for (key, value) in values {
            given.insert(def.keys[key].name.clone(), value);
        }
        let wrong = !def.validate(&given).errors().is_empty();
        prop_assert_eq!(TestConfig::parse(&given).is_err(), wrong);
    }
}
