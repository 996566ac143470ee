//! The name that somebody may have meant. Pure.

/// So many names are listed; of more only the first.
const LISTED: usize = 8;

/// The name that is nearest to `name`, if somebody may have meant it.
pub(crate) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let near = names.into_iter().map(|other| (edits(name, other), other)).min()?;
    (near.0 <= (name.chars().count() / 4).max(1)).then_some(near.1)
}

/// So many letters have to be changed.
pub(crate) fn edits(name: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase())
}

/// The name that somebody may have meant; or all that there are, after `has`: `namespace shop has`.
pub(crate) fn meant_of(name: &str, has: &str, names: &[&str]) -> String {
    meant_beside(name, has, names, &[])
}

/// The same where nobody means a name that is named elsewhere already.
pub(crate) fn meant_beside(name: &str, has: &str, names: &[&str], elsewhere: &[&str]) -> String {
    match (nearest(name, names.iter().copied().filter(|it| !elsewhere.contains(it))), names.len()) {
        (Some(meant), _) => format!("did you mean {meant}?"),
        (None, 0) => format!("{has} none"),
        (None, 1..=LISTED) => format!("{has} {}", names.join(", ")),
        (None, count) => format!("{has} {} and {} more", names[..LISTED].join(", "), count - LISTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_hinted_at_and_another_word_is_not() {
        let names = ["ConfigMap", "Pod", "PodTemplate", "Secret"];
        for (name, expected) in
            [("ConfigMpa", "ConfigMap"), ("configmaps", "ConfigMap"), ("Pods", "Pod"), ("Sercet", "Secret"), ("Gadget", "")]
        {
            assert_eq!(nearest(name, names).unwrap_or_default(), expected, "{name}");
        }
    }

    #[test]
    fn what_there_is_is_named_where_nothing_is_near() {
        assert_eq!(meant_of("drain-waitr", "there are", &["drain-waiter", "legacy-purger"]), "did you mean drain-waiter?");
        assert_eq!(
            meant_of("review", "there are", &["drain-waiter", "legacy-purger"]),
            "there are drain-waiter, legacy-purger"
        );
        assert_eq!(meant_of("review", "shop has", &[]), "shop has none");
        assert_eq!(
            meant_of("review", "there are", &["name"; 10]),
            format!("there are {} and 2 more", ["name"; 8].join(", "))
        );
    }

    #[test]
    fn a_name_that_is_named_elsewhere_is_not_meant() {
        let names = ["gateway-a", "gateway-c"];
        let meant = |elsewhere: &[&str]| meant_beside("gateway-b", "shop has", &names, elsewhere);
        assert_eq!(meant(&[]), "did you mean gateway-a?");
        assert_eq!(meant(&["gateway-a"]), "did you mean gateway-c?");
        assert_eq!(meant(&names), "shop has gateway-a, gateway-c");
    }
}
