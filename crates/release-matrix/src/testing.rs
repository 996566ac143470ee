//! What several tests read.

use fairlead_job::manifests;

use crate::matrix::Matrix;

/// The proposal that the matrix is for, as it stands.
pub(crate) const PROPOSAL: &str = include_str!("fixtures/zero-downtime-versioning.md");

/// Its changelog.
pub(crate) const CHANGELOG: &str = include_str!("../../../examples/mojaloop/CHANGELOG.md");

/// The matrix of the example.
pub(crate) const SEED: &str = include_str!("../../../examples/mojaloop/matrix.yaml");

/// A matrix of a text.
pub(crate) fn matrix(text: &str) -> Matrix {
    let documents = manifests::parse("matrix.yaml", text).expect("it is YAML");
    Matrix::read("matrix.yaml", &documents).unwrap_or_else(|failure| panic!("{failure}"))
}

/// A matrix of releases, each with the API versions that it serves.
pub(crate) fn served(releases: &[(&str, &str)]) -> Matrix {
    let releases: Vec<String> =
        releases.iter().map(|(version, apis)| format!("    - {{version: {version}, apis: [{apis}]}}\n")).collect();
    let head = "apiVersion: fairlead.dev/v1\nkind: ReleaseMatrix\nmetadata: {name: shop}\nspec:\n  releases:\n";
    matrix(&format!("{head}{}", releases.concat()))
}
