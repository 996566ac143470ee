//! The name that somebody may have meant. Pure.

/// The name that is nearest to `name`, if somebody may have meant it: a fourth of its letters may be others.
pub(crate) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let edits = |other: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let near = names.into_iter().map(|other| (edits(other), other)).min()?;
    (near.0 <= (name.chars().count() / 4).max(1)).then_some(near.1)
}

/// That a name which is absent, and may be, is nearly that of another one; none where it is not.
pub(crate) fn warning<'n>(what: &str, name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let meant = nearest(name, names)?;
    Some(format!("there is no {what} {name}, which counts as empty (whenAbsent: empty); did you mean {meant}?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_near_name_is_found_and_another_word_is_not() {
        let names = ["payments", "orders", "orders.retry"];
        for (name, expected) in
            [("paymnets", Some("payments")), ("Orders", Some("orders")), ("order", Some("orders")), ("mails", None)]
        {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
        assert_eq!(nearest("orders", []), None);
    }
}
