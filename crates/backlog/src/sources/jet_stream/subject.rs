//! Subjects of NATS: `*` stands for one token, `>` at the end for one or more.

/// Whether every subject that `inner` means is one of those that `outer` means. A plain subject means itself.
pub(super) fn covers(outer: &str, inner: &str) -> bool {
    let mut inner = inner.split('.');
    for token in outer.split('.') {
        match (token, inner.next()) {
            (">", Some(_)) => return true,
            (_, None | Some(">")) => return false,
            ("*", Some(_)) => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    inner.next().is_none()
}

/// Whether one of the patterns covers it.
pub(super) fn is_covered<'a>(subject: &str, patterns: impl IntoIterator<Item = &'a String>) -> bool {
    patterns.into_iter().any(|pattern| covers(pattern, subject))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_pattern_covers_what_it_means() {
        for (outer, inner, expected) in [
            (">", "orders.new", true),
            ("orders.>", "orders.new.eu", true),
            ("orders.>", "orders.*", true),
            ("orders.>", "orders.>", true),
            ("orders.*", "orders.new", true),
            ("orders.*", "orders.*", true),
            ("orders.new", "orders.new", true),
            ("orders.*", "orders.>", false),
            ("orders.new", "orders.*", false),
            ("orders.>", "orders", false),
            ("orders.*", "orders.new.eu", false),
            ("orders.new", "orders.old", false),
            ("orders", "orders.new", false),
        ] {
            assert_eq!(covers(outer, inner), expected, "{outer} {inner}");
        }
    }
}
