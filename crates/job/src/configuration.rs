//! The configuration file, one for all jobs: `apiVersion: fairlead.dev/v1`, `kind: Configuration`, and a section for each job that
//! is to serve something else than what is built in. Every binary knows the names of all sections, so that one file serves all.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::codes::shared;
use crate::failure::Failure;
use crate::manifests;

/// What the file must be.
const HEAD: &str = "must hold one document with apiVersion fairlead.dev/v1 and kind Configuration";

/// What the file may hold beside the sections.
const COMMON: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// The sections, each read by the program that knows it: `purge` by legacy-purger, `drain` by drain-waiter, `layer` by
/// compatibility-layer, `health` by health-probe, `customResources` and `tables` by schema-migrator, `releases` by the release gate.
const SECTIONS: [&str; 7] = ["purge", "drain", "layer", "health", "customResources", "tables", "releases"];

/// A section as it was read, and as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<T> {
    /// What it says.
    pub content: T,
    /// The same as a document: it goes into the ticket of a run.
    pub document: Value,
}

/// Reads a section of the file; none when the file does not have it.
pub fn section<T: DeserializeOwned>(file: &Path, name: &str) -> Result<Option<Section<T>>, Failure> {
    let path = file.display().to_string();
    let documents = manifests::read(file).map_err(|error| unread(&path, error))?;
    read(&path, &documents, name)
}

/// Reads a section of a text, which errors call `file`.
pub fn section_of_text<T: DeserializeOwned>(file: &str, text: &str, name: &str) -> Result<Option<Section<T>>, Failure> {
    let documents = manifests::parse(file, text).map_err(|error| unread(file, error))?;
    read(file, &documents, name)
}

/// What the file must begin with stands in no message about manifests.
fn unread(file: &str, error: manifests::Error) -> Failure {
    match error {
        manifests::Error::NoObject { what, .. } => invalid(file, &format!("it {HEAD}, and {what}")),
        other => Failure::input(other),
    }
}

fn invalid(file: &str, what: &str) -> Failure {
    Failure::new(&shared::INVALID_CONFIGURATION, format!("{file}: {what}"))
}

fn read<T: DeserializeOwned>(file: &str, documents: &[Value], name: &str) -> Result<Option<Section<T>>, Failure> {
    let invalid = |what: String| invalid(file, &what);
    let is_ours = |document: &&Value| document["apiVersion"] == "fairlead.dev/v1" && document["kind"] == "Configuration";
    let ours: Vec<&Value> = documents.iter().filter(is_ours).collect();
    let [document] = ours.as_slice() else {
        let of = |document: &Value| format!("{} {}", document["apiVersion"], document["kind"]);
        let found = match (ours.len(), documents) {
            (0, []) => "no document".to_owned(),
            (0, others) => others.iter().map(of).collect::<Vec<_>>().join(", "),
            (count, _) => format!("{count} of them"),
        };
        return Err(invalid(format!("{HEAD}, and holds {found}")));
    };
    for key in document.as_object().into_iter().flatten().map(|(key, _)| key.as_str()) {
        if !COMMON.contains(&key) && !SECTIONS.contains(&key) {
            return Err(invalid(format!("there is no section {key:?}; there are {}", SECTIONS.join(", "))));
        }
    }
    let Some(section) = document.get(name) else { return Ok(None) };
    if section.is_null() {
        return Err(invalid(format!("the section `{name}` is empty")));
    }
    let read = serde_path_to_error::deserialize(section);
    read.map(|content| Some(Section { content, document: section.clone() })).map_err(|error| {
        invalid(match error.path().to_string().as_str() {
            "." => format!("{name}: {}", error.inner()),
            path => format!("{name}.{path}: {}", error.inner()),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Content = BTreeMap<String, u32>;

    fn read(text: &str) -> Result<Option<Content>, String> {
        let section = section_of_text("f.yaml", text, "purge").map(|section| section.map(|section| section.content));
        section.map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_section_is_read_and_what_is_wrong_is_named() {
        let head = "apiVersion: fairlead.dev/v1\nkind: Configuration\n";
        assert_eq!(read(&format!("{head}purge: {{a: 1}}")), Ok(Some([("a".to_owned(), 1)].into())));
        assert_eq!(read(head), Ok(None));
        for (text, expected) in [
            (format!("{head}purge: {{a: x}}"), "f.yaml: purge.a: invalid type: string \"x\", expected u32"),
            (format!("{head}porge: {{}}"), "f.yaml: there is no section \"porge\"; there are purge, drain"),
            ("apiVersion: v1\nkind: ConfigMap\n".to_owned(), "and holds \"v1\" \"ConfigMap\""),
            (format!("{head}---\n{head}"), "and holds 2 of them"),
            (format!("{head}purge:\n"), "f.yaml: the section `purge` is empty"),
            (
                "purge: {a: 1}\n".to_owned(),
                "f.yaml: it must hold one document with apiVersion fairlead.dev/v1 and kind Configuration, and it has no kind",
            ),
            (format!("{head}purge: 3\n"), "f.yaml: purge: invalid type: integer `3`"),
        ] {
            let error = read(&text).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
