//! What a matrix holds, and what is probably not meant, as text.

use std::fmt::Write as _;

use fairlead_job::codes::release_matrix as codes;

use crate::doubt::doubts;
use crate::matrix::Matrix;
use crate::words::counted;

/// What the matrix holds, and what is doubtful about it.
#[must_use]
pub fn render(matrix: &Matrix) -> String {
    let doubts = doubts(matrix);
    let mut out = String::new();
    for doubt in &doubts {
        let _ = writeln!(out, "{} {doubt}", codes::DOUBTFUL.id);
    }
    let schema = if matrix.has_schema() { matrix.schema.len() } else { 0 };
    let (releases, schema) = (counted(matrix.releases.len(), "release"), counted(schema, "schema version"));
    let _ = writeln!(out, "{}: {releases}, {schema}, {}", matrix.name, counted(doubts.len(), "doubt"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SEED, matrix};

    #[test]
    fn nothing_is_doubtful_about_the_example() {
        assert_eq!(render(&matrix(SEED)), "mojaloop: 5 releases, 3 schema versions, 0 doubts\n");
    }

    #[test]
    fn what_is_doubtful_is_named() {
        let doubtful = SEED
            .replace("      backfill: [transfer.quoteId]\n", "")
            .replace("transfer.quoteId: always", "transfer.quoteId: optional")
            .replace("apis: [v1.X, v2.0]", "apis: [v1.X]")
            .replace("    - api: v1.X", "    - api: v3.X");
        let doubtful = format!("{doubtful}  blocked: [{{from: '9.*', to: 2.0.0, reason: x}}]\n");
        insta::assert_snapshot!(render(&matrix(&doubtful)));
    }
}
