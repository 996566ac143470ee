//! What a name means that the server does not know.

use serde::{Deserialize, Serialize};

/// What becomes of a name that the server does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenAbsent {
    /// An error at the start, and unknown later.
    #[default]
    Unknown,
    /// Nothing is left in it.
    Empty,
}
