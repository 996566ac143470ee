//! Objects from files, the only place that reads YAML. They are read one by one: an input may be larger than the memory.
//!
//! A file that ends with `.json` is read as JSON. Elsewhere a document that begins like JSON is read as such first; whatever is
//! not, is read as YAML.

mod documents;
mod files;
mod node;
mod passed;
mod reading;

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Write, stdin};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeSeed as _;
use serde_json::Value;

use self::documents::{Document, Documents};
use self::node::Node;
use self::reading::Reading;

/// A document up to this size is read as a whole, and so can be read twice.
const SMALL: usize = 64 * 1024;

/// A file that is longer than this is not looked through once more.
const LONG: u64 = 1024 * 1024;

/// Where something was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// File; `-` is standard input.
    pub file: Arc<str>,
    /// From 1.
    pub document: usize,
    /// Where the document begins, from 1.
    pub line: Option<u64>,
    /// Of a list, from 1.
    pub item: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, line, item } = self;
        write!(f, "{file}: document {document}")?;
        line.map_or(Ok(()), |line| write!(f, ", line {line}"))?;
        item.map_or(Ok(()), |item| write!(f, ", item {item}"))
    }
}

/// Why files cannot be read as objects.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such file.
    #[error("there is no file or folder {path}")]
    Absent {
        /// What was named.
        path: String,
    },
    /// The file or folder itself.
    #[error("failed to read {path}")]
    Read {
        /// File or folder.
        path: String,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// A document is not YAML.
    #[error("{file}: document {document} is not YAML{}: {what}", at(*.line))]
    Yaml {
        /// File; `-` is standard input.
        file: Arc<str>,
        /// From 1.
        document: usize,
        /// From 1, where the parser stopped.
        line: Option<u64>,
        /// The parser's words.
        what: String,
    },
    /// A document is not JSON.
    #[error("{file}: document {document} is not JSON, line {line}: {what}")]
    Json {
        /// File; `-` is standard input.
        file: Arc<str>,
        /// From 1.
        document: usize,
        /// From 1, where the parser stopped.
        line: u64,
        /// The parser's words.
        what: String,
    },
    /// A document is YAML or JSON, but no object.
    #[error("{place} is not a Kubernetes object: {what}")]
    NoObject {
        /// Where it stands.
        place: Place,
        /// What it lacks.
        what: &'static str,
    },
    /// A field of an object has the wrong type, or the object is not what another file says.
    #[error("{place}: {object}: {what}")]
    Invalid {
        /// Where it stands.
        place: Place,
        /// Its kind and name.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is no file to read.
    #[error("{path} has no file that ends with .yaml, .yml or .json")]
    NoFiles {
        /// The folder.
        path: String,
    },
    /// There is nothing in what was read.
    #[error("{path} holds no object: what should have written it has failed, or has found nothing")]
    Empty {
        /// What was named.
        path: String,
    },
}

fn at(line: Option<u64>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

/// Reads every object of a file, of a folder and the folders in it (files that end with `.yaml`, `.yml` or `.json`, in the
/// order of their names), or of standard input (`-`), into `take`, which may say what is wrong with it. Lists, as
/// `kubectl get -o yaml` prints them, give their items. An object that nobody `wants`, by `apiVersion` and `kind`, and a file
/// of a folder that is no manifest, are passed over, and that is logged. Managed fields are left out.
pub fn stream(
    path: &Path,
    wants: &dyn Fn(&str, &str) -> bool,
    take: &mut dyn FnMut(&Place, Value) -> Result<(), String>,
) -> Result<(), Error> {
    let mut reading = Reading::new(wants, take);
    let read = reading.read_path(path);
    reading.passed.say();
    read?;
    if reading.found == 0 {
        let path = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        return Err(Error::Empty { path });
    }
    Ok(())
}

/// Reads every object of a file, of a folder or of standard input into memory.
pub fn read(path: &Path) -> Result<Vec<Value>, Error> {
    collect(|reading| reading.read_path(path))
}

/// Reads every object of a text; `file` is what errors call it.
pub fn parse(file: &str, text: &str) -> Result<Vec<Value>, Error> {
    collect(|reading| reading.read_file(file, Cursor::new(text)))
}

/// Writes one document as YAML.
pub fn write_yaml(out: &mut dyn Write, document: &impl Serialize) -> Result<(), serde_saphyr::ser::Error> {
    serde_saphyr::to_io_writer(&mut &mut *out, document)
}

fn collect(read: impl FnOnce(&mut Reading<'_>) -> Result<(), Error>) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    let mut take = |_: &Place, object: Value| {
        // A kustomization and the like have no metadata at all, and are none of our business.
        let name = object.get("metadata").map(|metadata| &metadata["name"]);
        if name.is_some_and(|name| name.as_str().is_none_or(str::is_empty)) {
            return Err("it has no metadata.name".to_owned());
        }
        objects.push(object);
        Ok(())
    };
    read(&mut Reading::new(&|_, _| true, &mut take))?;
    Ok(objects)
}

impl Reading<'_> {
    fn read_path(&mut self, path: &Path) -> Result<(), Error> {
        if path == Path::new("-") {
            return self.read_file("-", stdin().lock());
        }
        self.is_lenient = path.is_dir();
        for file in files::files(path, &mut self.passed)? {
            let opened = File::open(&file).map_err(|source| files::failed(&file, source))?;
            let name = file.display().to_string();
            match self.read_file(&name, opened) {
                Err(Error::Yaml { .. } | Error::Json { .. }) if self.is_lenient && !self.may_be_wanted(&file) => {
                    self.passed.add_file(&name, "neither YAML nor JSON");
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Whether a file that cannot be read may hold what somebody wants: a manifest that is broken, or a template of one.
    fn may_be_wanted(&self, file: &Path) -> bool {
        let is_long = std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > LONG);
        let Some(text) = std::fs::read(file).ok().filter(|_| !is_long) else { return true };
        let text = String::from_utf8_lossy(&text);
        let (versions, kinds) = (values(&text, "apiVersion"), values(&text, "kind"));
        if versions.is_empty() || kinds.is_empty() {
            return text.to_ascii_lowercase().contains("apiversion");
        }
        let is_wanted = |version: &str, kind: &str| is_open(kind) || self.is_wanted(version, kind) || kind.ends_with("List");
        kinds.iter().any(|kind| versions.iter().any(|version| is_open(version) || is_wanted(version, kind)))
    }

    fn read_file(&mut self, file: &str, input: impl Read) -> Result<(), Error> {
        self.begin_file(file);
        let is_json = Path::new(file).extension().is_some_and(|extension| extension == "json");
        let failed = |source| Error::Read { path: file.to_owned(), source };
        let mut documents = Documents::new(input);
        while let Some((lines, mut document)) = documents.next().map_err(failed)? {
            let mut head = Vec::new();
            document.by_ref().take(SMALL as u64).read_to_end(&mut head).map_err(failed)?;
            if let Some(what) = not_utf8(&head) {
                return Err(failed(io::Error::new(io::ErrorKind::InvalidData, what)));
            }
            self.read_document(lines, &head, &mut document, is_json)?;
            document.skip().map_err(failed)?;
        }
        Ok(())
    }

    /// Reads a document of which the beginning has been read.
    fn read_document<R: Read>(
        &mut self,
        lines: u64,
        head: &[u8],
        document: &mut Document<'_, R>,
        is_json: bool,
    ) -> Result<(), Error> {
        let text = without_marker(head);
        let is_whole = head.len() < SMALL;
        if is_json || looks_like_json(text) {
            let lines = lines + count_lines(&head[..head.len() - text.len()]);
            if !is_whole {
                let rest = BufReader::with_capacity(SMALL, text.chain(document));
                return self.read_json(lines, serde_json::Deserializer::from_reader(rest));
            }
            // YAML may begin like JSON; nothing is handed on before that is known.
            if is_json
                || serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>().all(|it| it.is_ok())
            {
                return self.read_json(lines, serde_json::Deserializer::from_slice(text));
            }
        }
        if document.line().is_none() {
            return Ok(());
        }
        self.begin_document(document.line());
        let options = serde_saphyr::options! {
            // Without a budget: a dump of a cluster is large, and whoever runs us wrote the file.
            budget: None,
            with_snippet: false,
        };
        let read = |deserializer: serde_saphyr::Deserializer<'_, '_>| {
            Node { reading: &mut *self, typed: None }.deserialize(deserializer).map(drop)
        };
        let result = if is_whole {
            serde_saphyr::with_deserializer_from_slice_with_options(head, options, read)
        } else {
            serde_saphyr::with_deserializer_from_reader_with_options(head.chain(document), options, read)
        };
        result.map_err(|error| self.failed.take().unwrap_or_else(|| self.no_yaml(lines, &error)))
    }

    fn read_json<'de, R: serde_json::de::Read<'de>>(
        &mut self,
        lines: u64,
        mut deserializer: serde_json::Deserializer<R>,
    ) -> Result<(), Error> {
        // One text may follow the other without anything in between.
        while deserializer.end().is_err() {
            self.begin_document(None);
            let result = Node { reading: self, typed: None }.deserialize(&mut deserializer);
            result.map_err(|error| self.failed.take().unwrap_or_else(|| self.no_json(lines, &error)))?;
        }
        Ok(())
    }

    fn no_yaml(&self, lines: u64, error: &serde_saphyr::Error) -> Error {
        let error = error.without_snippet();
        let what = match error {
            serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => format!("key {key:?} stands twice"),
            other => serde_saphyr::MessageFormatter::format_message(&serde_saphyr::UserMessageFormatter, other).into_owned(),
        };
        let line = error.location().map(|location| lines + location.line());
        Error::Yaml { file: self.place.file.clone(), document: self.place.document, line, what }
    }

    fn no_json(&self, lines: u64, error: &serde_json::Error) -> Error {
        let text = error.to_string();
        // The line is that of the document.
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned();
        let Place { file, document, .. } = self.place.clone();
        Error::Json { file, document, line: lines + error.line() as u64, what }
    }
}

/// The text after a line `---` and comments, as far as they stand before JSON.
fn without_marker(head: &[u8]) -> &[u8] {
    let mut text = head.trim_ascii_start();
    while let Some(line) = text.split_inclusive(|byte| *byte == b'\n').next() {
        let is_marker = line.trim_ascii_end() == b"---" || line.starts_with(b"#");
        if !is_marker {
            break;
        }
        text = text[line.len()..].trim_ascii_start();
    }
    text
}

/// `{"` and `[{`: YAML that begins like that mostly is JSON.
fn looks_like_json(text: &[u8]) -> bool {
    let inner = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    inner.is_some_and(|inner| matches!(inner.first(), Some(b'"' | b'}')))
}

fn count_lines(text: &[u8]) -> u64 {
    text.split(|byte| *byte == b'\n').skip(1).map(|_| 1).sum()
}

/// What is wrong with the bytes that a text begins with.
fn not_utf8(head: &[u8]) -> Option<&'static str> {
    // Without a mark every other byte of a manifest is zero.
    let is_utf16 = matches!(head, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, _, ..] | [_, 0, ..]);
    is_utf16.then_some("it is UTF-16, as PowerShell's > writes it; write it as UTF-8")
}

/// What a file that cannot be read says after `key`, wherever a line begins with it: the first word without a tag or an anchor.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let value = |line: &'a str| {
        let line = line.trim_start_matches([' ', '\t', '-', '{', '"', '\'']);
        let begins = line.get(..key.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(key));
        let rest = line.get(key.len()..).filter(|_| begins)?.trim_start_matches(['"', '\'', ' ', '\t']).strip_prefix(':')?;
        let rest = rest.split(" #").next().unwrap_or_default();
        let word = rest.split([' ', '\t', ',', '}']).find(|word| !word.is_empty() && !word.starts_with(['&', '!']))?;
        Some(word.trim_matches(['"', '\'', '\r']))
    };
    text.lines().filter_map(value).collect()
}

/// Whether a word is not known before something has been put in its place: a template, an alias, the lines that follow.
fn is_open(word: &str) -> bool {
    word.contains(['{', '*', '|', '>', '[', '$', '<'])
}

#[cfg(test)]
mod tests;
