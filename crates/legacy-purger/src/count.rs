//! Numbers of objects, in words.

/// `1 Thing` or `2 Things`.
pub(crate) fn count_of(count: usize, kind: &str) -> String {
    if count == 1 { format!("1 {kind}") } else { format!("{count} {kind}s") }
}
