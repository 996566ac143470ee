//! Objects from files, the only place that reads YAML. A file that ends with `.json` is read as what it is, so that its errors
//! have JSON's words; everywhere else JSON is read as the YAML that it also is.

use std::io::{Read as _, Write, stdin};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use serde_saphyr::Spanned;

/// Why files cannot be read as objects.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file or folder itself.
    #[error("failed to read {path}")]
    Read {
        /// File or folder.
        path: String,
        /// The operating system's word.
        #[source]
        source: std::io::Error,
    },
    /// A document is not YAML.
    #[error("{file}: document {document} is not YAML{}", at(*.line))]
    Yaml {
        /// File; `-` is standard input.
        file: String,
        /// From 1.
        document: usize,
        /// From 1, where the parser stopped.
        line: Option<u64>,
        /// The parser's words.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// The file is not JSON.
    #[error("{file}: not JSON, line {}", .source.line())]
    Json {
        /// File; `-` is standard input.
        file: String,
        /// The parser's words.
        #[source]
        source: serde_json::Error,
    },
    /// A document is YAML or JSON, but no object.
    #[error("{file}: document {document}{} is not a Kubernetes object: {what}", at(*.line))]
    NoObject {
        /// File; `-` is standard input.
        file: String,
        /// From 1.
        document: usize,
        /// From 1, where the document begins.
        line: Option<u64>,
        /// What it lacks.
        what: &'static str,
    },
    /// There is nothing to read.
    #[error("{path} has no file that ends with .yaml, .yml or .json")]
    Empty {
        /// The folder.
        path: String,
    },
}

fn at(line: Option<u64>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

/// Reads every object of a file, of a folder and the folders in it (files that end with `.yaml`, `.yml` or `.json`, in the
/// order of their names), or of standard input (`-`). Lists, as `kubectl get -o yaml` prints them, give their items.
pub fn read(path: &Path) -> Result<Vec<Value>, Error> {
    if path == Path::new("-") {
        let mut text = String::new();
        stdin().read_to_string(&mut text).map_err(|source| Error::Read { path: "standard input".into(), source })?;
        return parse("-", &text);
    }
    let mut files = Vec::new();
    collect(path, &mut files)?;
    if files.is_empty() {
        return Err(Error::Empty { path: path.display().to_string() });
    }
    let mut objects = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).map_err(|source| Error::Read { path: name.clone(), source })?;
        objects.extend(parse(&name, &text)?);
    }
    Ok(objects)
}

/// Writes one document as YAML.
pub fn write_yaml(out: &mut dyn Write, document: &impl Serialize) -> Result<(), serde_saphyr::ser::Error> {
    serde_saphyr::to_io_writer(&mut &mut *out, document)
}

/// A file that is named is read whatever its name; in folders only those that are manifests by name.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::Read { path: path.display().to_string(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    entries.sort();
    for entry in entries {
        let is_manifest =
            entry.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if is_manifest || entry.is_dir() {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

/// Reads every object of a text; `file` is what errors call it.
pub fn parse(file: &str, text: &str) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    if Path::new(file).extension().is_some_and(|extension| extension == "json") {
        for (index, document) in serde_json::Deserializer::from_str(text).into_iter::<Value>().enumerate() {
            let document = document.map_err(|source| Error::Json { file: file.to_owned(), source })?;
            flatten(document, &mut objects).map_err(|what| Error::NoObject {
                file: file.to_owned(),
                document: index + 1,
                line: None,
                what,
            })?;
        }
        return Ok(objects);
    }
    let mut reader = text.as_bytes();
    // Without a budget: a dump of a cluster is large, and whoever runs us wrote the file.
    let options = serde_saphyr::options! { budget: None };
    for (index, document) in serde_saphyr::read_with_options::<_, Spanned<Value>>(&mut reader, options).enumerate() {
        let document = document.map_err(|source| Error::Yaml {
            file: file.to_owned(),
            document: index + 1,
            line: source.location().map(|location| location.line()),
            source: Box::new(source),
        })?;
        let line = Some(document.defined.line());
        flatten(document.value, &mut objects).map_err(|what| Error::NoObject {
            file: file.to_owned(),
            document: index + 1,
            line,
            what,
        })?;
    }
    Ok(objects)
}

fn flatten(document: Value, objects: &mut Vec<Value>) -> Result<(), &'static str> {
    // Templates often render to nothing but a comment.
    if document.is_null() {
        return Ok(());
    }
    let text = |field: &str| document.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = text("kind").ok_or("it has no kind")?.to_owned();
    let api_version = text("apiVersion").ok_or("it has no apiVersion")?.to_owned();
    let Some(items) = document.get("items").and_then(Value::as_array).filter(|_| kind.ends_with("List")) else {
        // A kustomization and the like have no metadata at all, and are none of our business.
        let name = document.get("metadata").map(|metadata| &metadata["name"]);
        if name.is_some_and(|name| name.as_str().is_none_or(str::is_empty)) {
            return Err("it has no metadata.name");
        }
        objects.push(document);
        return Ok(());
    };
    for item in items {
        let mut item = item.clone();
        let Some(entries) = item.as_object_mut() else { return Err("it is a list of something else") };
        // A typed list (`TriggerList`) may name kind and version once for all.
        if let Some(kind) = kind.strip_suffix("List").filter(|kind| !kind.is_empty()) {
            entries.entry("kind").or_insert_with(|| kind.into());
            entries.entry("apiVersion").or_insert_with(|| api_version.as_str().into());
        }
        flatten(item, objects)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(error: &Error) -> String {
        error.to_string()
    }

    #[test]
    fn documents_lists_and_comments_are_read() {
        let text = "# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\nitems:\n\
                    - {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n";
        let names: Vec<Value> =
            parse("f", text).expect("valid").iter().map(|object| object["metadata"]["name"].clone()).collect();
        assert_eq!(names, ["a", "b"]);
        let typed = r#"{"apiVersion": "x.io/v1", "kind": "ThingList", "items": [{"metadata": {"name": "c"}}]}"#;
        let objects = parse("f", typed).expect("valid");
        assert_eq!((&objects[0]["kind"], &objects[0]["apiVersion"]), (&"Thing".into(), &"x.io/v1".into()));
    }

    #[test]
    fn a_broken_document_is_named_by_number_and_line() {
        let error = parse("f.yaml", "apiVersion: v1\nkind: Namespace\n---\na: b: c\n").expect_err("not YAML");
        assert_eq!(chain(&error), "f.yaml: document 2 is not YAML, line 4");
        let error = parse("f.json", "{\n\"a\": \n").expect_err("not JSON");
        assert!(chain(&error).starts_with("f.json: not JSON, line "), "{error}");
    }

    #[test]
    fn a_document_that_is_no_object_is_named() {
        for (text, expected) in [
            ("replicas: 3\n", "f: document 1, line 1 is not a Kubernetes object: it has no kind"),
            ("kind: A\n", "f: document 1, line 1 is not a Kubernetes object: it has no apiVersion"),
            (
                "apiVersion: v1\nkind: A\nmetadata: {labels: {}}\n",
                "f: document 1, line 1 is not a Kubernetes object: it has no metadata.name",
            ),
            (
                "apiVersion: v1\nkind: A\n---\njust text\n",
                "f: document 2, line 4 is not a Kubernetes object: it has no kind",
            ),
        ] {
            assert_eq!(chain(&parse("f", text).expect_err(text)), expected);
        }
    }

    #[test]
    fn folders_are_read_in_the_order_of_names_and_files_whatever_their_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        std::fs::create_dir(folder.path().join("deeper")).expect("created");
        write("b.yaml", "{apiVersion: v1, kind: B}");
        write("deeper/c.json", r#"{"apiVersion": "v1", "kind": "C"}"#);
        write("a.yml", "apiVersion: v1\nkind: A\n");
        write("values.txt", "not: read");
        let kinds: Vec<Value> = read(folder.path()).expect("valid").iter().map(|object| object["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
        assert!(matches!(read(&folder.path().join("values.txt")), Err(Error::NoObject { .. })));
        assert!(matches!(read(&folder.path().join("absent")), Err(Error::Read { .. })));
        std::fs::create_dir(folder.path().join("empty")).expect("created");
        assert!(matches!(read(&folder.path().join("empty")), Err(Error::Empty { .. })));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let object = serde_json::json!({"apiVersion": "v1", "kind": "A", "labels": {"on": "yes", "n": "1", "e": ""}});
        let mut text = Vec::new();
        write_yaml(&mut text, &object).expect("plain data");
        assert_eq!(parse("f", &String::from_utf8_lossy(&text)).expect("our own"), [object]);
    }
}
