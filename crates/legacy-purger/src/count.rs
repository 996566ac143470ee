//! Numbers of objects, in words.

/// `1 Thing` or `2 Things`.
pub(crate) fn count_of(count: usize, kind: &str) -> String {
    if count == 1 { format!("1 {kind}") } else { format!("{count} {}", plural(kind)) }
}

/// The same with what they do: `1 Thing goes` or `2 Things go`.
pub(crate) fn count_that(count: usize, kind: &str, one_does: &str, several_do: &str) -> String {
    format!("{} {}", count_of(count, kind), if count == 1 { one_does } else { several_do })
}

/// The name of several objects of a kind.
pub(crate) fn plural(kind: &str) -> String {
    let is_hissing = ["s", "x", "ch", "sh"].iter().any(|end| kind.ends_with(end));
    match kind.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        Some(stem) => format!("{stem}ies"),
        None if is_hissing => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_does_what_several_do() {
        assert_eq!(count_that(1, "Gadget", "goes", "go"), "1 Gadget goes");
        assert_eq!(count_that(2, "NetworkPolicy", "goes", "go"), "2 NetworkPolicies go");
        assert_eq!(
            ["Gateway", "Ingress", "Mailbox"].map(|kind| count_of(2, kind)),
            ["2 Gateways", "2 Ingresses", "2 Mailboxes"]
        );
    }
}
