//! Which version a program is, with the commit that it was built from where that is known.

/// What `git archive` has put into its archive instead of a placeholder; of a work tree the placeholder.
const ARCHIVED: &str = include_str!("commit.txt");

/// What whoever builds from a work tree may say.
const BUILT: Option<&str> = option_env!("FAIRLEAD_COMMIT");

/// A version for people: `0.1.0 (4c0a6b1)`, or the number alone.
#[must_use]
pub fn with_commit(number: &str) -> String {
    commit(BUILT, ARCHIVED).map_or_else(|| number.to_owned(), |commit| format!("{number} ({commit})"))
}

fn commit<'c>(built: Option<&'c str>, archived: &'c str) -> Option<&'c str> {
    let archived = Some(archived.trim()).filter(|archived| !archived.starts_with('$'));
    built.or(archived).filter(|commit| !commit.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_shown_where_somebody_knows_it() {
        assert_eq!(commit(None, "$Format:%h$\n"), None);
        assert_eq!(commit(None, "4c0a6b1\n"), Some("4c0a6b1"));
        assert_eq!(commit(Some("5d1b7c2"), "$Format:%h$\n"), Some("5d1b7c2"));
        assert_eq!(commit(Some(""), ""), None);
    }
}
