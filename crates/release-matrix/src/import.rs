//! The matrix that a changelog suggests, as YAML with comments.

mod backport;
mod concluded;
mod yaml;

use fairlead_job::failure::Failure;

use crate::changelog;

/// What the changelog cannot know, and somebody says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Name of the Helm release.
    pub release: Option<String>,
    /// The chart, as `helm upgrade` takes it.
    pub chart: Option<String>,
    /// Namespace of the Helm release.
    pub namespace: Option<String>,
}

/// A matrix, and what is doubtful about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// YAML of kind `ReleaseMatrix`.
    pub yaml: String,
    /// What was not read but concluded, and what is missing; a sentence each.
    pub notes: Vec<String>,
}

/// Reads a changelog, which errors call `file`.
///
/// # Errors
///
/// `RM103`
pub fn import(file: &str, text: &str, known: &Known) -> Result<Imported, Failure> {
    let changelog = changelog::read(file, text)?;
    let mut concluded = concluded::concluded(&changelog);
    let backports = backport::notes(&changelog.entries, &concluded.schema);
    for (release, note) in concluded.releases.iter_mut().zip(backports) {
        release.notes.extend(note);
    }
    let (yaml, notes) = yaml::write(&changelog, &concluded, known);
    Ok(Imported { yaml, notes })
}

#[cfg(test)]
mod tests;
