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
