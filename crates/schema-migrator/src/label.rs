//! Names of what we make in a database: as long as both engines take, and never the same for two things.

use sha2::{Digest as _, Sha256};

/// Bytes of a name that both engines take whole; MariaDB takes 64 characters, PostgreSQL 63 bytes.
const LONGEST: usize = 60;

/// A name that says what it is for, of something that there is once for each of these parts.
pub(crate) fn unique(prefix: &str, parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\0"));
    let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let last = parts.last().copied().unwrap_or_default();
    let room = LONGEST - prefix.len() - hash.len() - 2;
    format!("{prefix}_{hash}_{}", &last[..last.floor_char_boundary(room)])
}

/// Whether we have given a trigger its name.
pub(crate) fn is_ours(trigger: &str) -> bool {
    trigger.trim_start_matches("zz_").starts_with("fairlead_")
}

/// A name, shortened where it is too long, and then with a mark that tells it from others that begin alike.
pub(crate) fn shortened(prefix: &str, name: &str) -> String {
    let whole = format!("{prefix}_{name}");
    if whole.len() <= LONGEST { whole } else { unique(prefix, &[name]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_alike_stay_apart() {
        let long = "settlement_window_state_change_history_archive_of_the_year_";
        let [a, b] =
            ["2025", "2026"].map(|year| unique("fairlead_sync", &[&format!("{long}{year}"), "ž".repeat(60).as_str()]));
        assert!(a != b && a.len() <= LONGEST && b.len() <= LONGEST, "{a} {b}");
        let [a, b] = ["2025", "2026"].map(|year| shortened("fairlead_dropped", &format!("{long}{year}")));
        assert!(a != b && a.len() <= LONGEST, "{a} {b}");
        assert_eq!(shortened("fairlead_dropped", "note"), "fairlead_dropped_note");
    }
}
