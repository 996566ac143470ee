//! Stable codes of all programs, in one place, so that each of them can explain every code that it meets in a ledger.
//!
//! `FL` is shared, each program has its own two letters. A code is never used again for anything else.

pub mod compatibility_layer;
pub mod drain_waiter;
pub mod legacy_purger;
pub mod loss_meter;
pub mod release_matrix;
pub mod schema_migrator;
pub mod shared;
pub mod trigger_replicator;

use std::fmt::Write as _;

use crate::code::Code;

/// The codes of each program, by their letters.
static ALL: [(&str, &[&Code]); 8] = [
    ("FL", shared::CODES),
    ("TR", trigger_replicator::CODES),
    ("DW", drain_waiter::CODES),
    ("LP", legacy_purger::CODES),
    ("CL", compatibility_layer::CODES),
    ("LM", loss_meter::CODES),
    ("SM", schema_migrator::CODES),
    ("RM", release_matrix::CODES),
];

/// Every code there is.
pub fn all() -> impl Iterator<Item = &'static Code> {
    ALL.iter().flat_map(|(_, codes)| codes.iter().copied())
}

/// The code with this id, whatever its case.
#[must_use]
pub fn find(id: &str) -> Option<&'static Code> {
    all().find(|code| code.id.eq_ignore_ascii_case(id))
}

/// The text behind `explain`.
#[must_use]
pub fn explain(id: &str) -> Option<String> {
    let code = find(id)?;
    let mut text = format!("{}: {}\n\n", code.id, code.title);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Cause: {}\n\nNext: {}", code.cause, code.next);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitStatus;

    /// What is wrong with a table of codes: ill-formed, twice, or without a text.
    fn defects(prefix: &str, codes: &[&Code]) -> Vec<String> {
        let mut defects = Vec::new();
        for (index, code) in codes.iter().enumerate() {
            let digits = code.id.strip_prefix(prefix).unwrap_or_default();
            if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                defects.push(format!("{} is not {prefix} and three digits", code.id));
            }
            if codes[..index].iter().any(|other| other.id == code.id) {
                defects.push(format!("{} stands twice", code.id));
            }
            let texts = [code.title, code.cause, code.next];
            if texts.iter().any(|text| text.trim().is_empty()) || code.title.ends_with('.') {
                defects.push(format!("{} lacks a text", code.id));
            }
            if texts.iter().any(|text| text.contains("  ")) {
                defects.push(format!("{} has a hole in a text", code.id));
            }
        }
        defects
    }

    #[test]
    fn every_code_is_complete() {
        for (prefix, codes) in ALL {
            assert_eq!(defects(prefix, codes), Vec::<String>::new());
        }
    }

    /// The table for people who have a page and no program.
    fn page() -> String {
        let mut page = "# Codes\n\nEvery message has one. `kubectl fairlead explain CODE` says the same. `make docs` writes this page.\n".to_owned();
        for (letters, codes) in ALL {
            let _ = write!(page, "\n## {letters}\n\n| code | exit | what is the matter | what to do |\n|---|---|---|---|\n");
            for Code { id, exit, title, cause, next } in codes {
                let exit = if *exit == ExitStatus::Done { "warning".to_owned() } else { exit.code().to_string() };
                let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
                let _ = writeln!(page, "| {id} | {exit} | **{}.** {} | {} |", cell(title), cell(cause), cell(next));
            }
        }
        page
    }

    #[test]
    fn the_page_of_codes_says_what_explain_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/codes.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).expect("it can be written");
        }
        assert!(std::fs::read_to_string(path).is_ok_and(|text| text == page()), "`make docs` writes docs/codes.md anew");
    }

    #[test]
    fn a_defect_is_found() {
        assert_eq!(defects("XX", &[&shared::DRIFT, &shared::DRIFT]).len(), 3);
    }

    #[test]
    fn a_code_is_explained_whatever_its_case() {
        assert!(explain("fl004").expect("a shared code").starts_with("FL004: "));
        assert!(explain("lp101").expect("a purger's").starts_with("LP101: "));
        assert_eq!(explain("FL999"), None);
    }
}
