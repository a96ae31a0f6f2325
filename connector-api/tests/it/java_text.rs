//! Texts of numbers and dates against what Java prints, captured by `tests/data/JavaTexts.java`.

use levada_connector_api::java_text::{Double, Float, decimal, integer, write_date};

const GOLDENS: &str = include_str!("../data/java-texts.tsv");

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn text(kind: &str, number: &[&str]) -> String {
    match (kind, number) {
        ("double", [bits]) => Double(f64::from_bits(u64::from_str_radix(bits, 16).unwrap())).to_string(),
        ("float", [bits]) => Float(f32::from_bits(u32::from_str_radix(bits, 16).unwrap())).to_string(),
        ("decimal", [unscaled, scale]) => decimal(&bytes(unscaled), scale.parse().unwrap()).unwrap(),
        ("date", [millis]) => {
            let mut text = Vec::new();
            write_date(millis.parse().unwrap(), &mut text).unwrap();
            String::from_utf8(text).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_and_dates_are_javas() {
    let mut kinds = std::collections::BTreeMap::new();
    for line in GOLDENS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [kind, number @ .., expected] = fields.as_slice() else { panic!("{line}") };
        assert_eq!(text(kind, number), *expected, "{line}");
        *kinds.entry(*kind).or_insert(0) += 1;
    }
    assert!(kinds.len() == 4 && kinds.values().all(|count| *count > 100), "{kinds:?}");
}

#[test]
fn a_number_too_large_to_be_written_quickly_is_refused() {
    assert_eq!(integer(&vec![1; 1_000_000]), None);
    assert_eq!(decimal(&vec![1; 1_000_000], 3), None);
    assert_eq!(integer(&[]).as_deref(), Some("0"));
    assert_eq!(integer(&vec![0xff; 4000]).as_deref(), Some("-1"));
}
