//! Tickets as documents, and back: what `export` writes and `import` reads, whatever the store.

use std::fmt;

use serde_json::Value;

use crate::obstacle::Obstacle;

/// What is exported.
#[derive(Debug)]
pub struct Exported {
    /// One after the other, in the order in which they can be imported.
    pub documents: Vec<Value>,
    /// Why other tickets are not among them.
    pub damages: Vec<Obstacle>,
}

/// What became of an imported document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was not there.
    Created(String),
    /// It is there, with the same content.
    Same(String),
    /// It is there with the same content, and what is recorded beside it says something else: it was written since, or somebody edited it.
    Differs {
        /// Its name.
        name: String,
        /// What it says, and what the file says.
        what: String,
        /// The command that removes what is there.
        remove: String,
    },
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(name) => write!(f, "created {name}"),
            Self::Same(name) => write!(f, "is there already: {name}"),
            Self::Differs { name, what, remove } => write!(
                f,
                "is there already, and not as in the file: {name}: {what}\n  \
                 to have it as in the file: {remove}\n  and import again"
            ),
        }
    }
}
