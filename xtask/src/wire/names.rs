//! Kafka's names in Rust's spelling.

/// `PartitionIndex` or `partitionIndex` as `partition_index`.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after_lower = i > 0 && (chars[i - 1].is_lowercase() || chars[i - 1].is_ascii_digit());
        let before_lower =
            i > 0 && chars[i - 1].is_uppercase() && chars.get(i + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_lower || before_lower) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// A field's Rust identifier.
pub(super) fn field(name: &str) -> String {
    let name = snake(name);
    if ["type", "match", "ref", "move", "where"].contains(&name.as_str()) { format!("r#{name}") } else { name }
}
