//! What is being read: where it is, who takes it, and why the reading ends before the input does.

use std::sync::Arc;

use fairlead_apis::object;
use serde_json::{Map, Value};

use super::passed::Passed;
use super::{Error, Place};

/// Takes an object; says what is wrong with it.
pub(super) type Take<'r> = &'r mut dyn FnMut(&Place, Value) -> Result<(), String>;

/// The reading has noted why it does not go on.
pub(super) struct Stopped;

/// The reading of one file after the other.
pub(super) struct Reading<'r> {
    wants: &'r dyn Fn(&str, &str) -> bool,
    take: Take<'r>,
    /// Whether what is no object is passed over: somebody has named a folder, and not this file.
    pub(super) is_lenient: bool,
    pub(super) passed: Passed,
    pub(super) place: Place,
    /// Objects that were found, wanted or not.
    pub(super) found: usize,
    /// Why it is not read to its end.
    pub(super) failed: Option<Error>,
}

impl<'r> Reading<'r> {
    pub(super) fn new(wants: &'r dyn Fn(&str, &str) -> bool, take: Take<'r>) -> Self {
        let place = Place { file: Arc::from(""), document: 0, line: None, item: None };
        Self { wants, take, is_lenient: false, passed: Passed::default(), place, found: 0, failed: None }
    }

    pub(super) fn begin_file(&mut self, file: &str) {
        self.place = Place { file: Arc::from(file), document: 0, line: None, item: None };
    }

    pub(super) fn begin_document(&mut self, line: Option<u64>) {
        self.place.document += 1;
        self.place.line = line;
        self.place.item = None;
    }

    /// Returns what [`Self::end_list`] is given back.
    pub(super) fn begin_list(&mut self) -> Option<usize> {
        self.place.item.replace(0)
    }

    pub(super) fn next_item(&mut self) {
        self.place.item = self.place.item.map(|item| item + 1);
    }

    pub(super) fn end_list(&mut self, outer: Option<usize>) {
        self.place.item = outer;
    }

    pub(super) fn is_in_list(&self) -> bool {
        self.place.item.is_some()
    }

    pub(super) fn is_wanted(&self, api_version: &str, kind: &str) -> bool {
        (self.wants)(api_version, kind)
    }

    /// Takes an object, or what should be one.
    pub(super) fn add_object(&mut self, object: Value) -> Result<(), Stopped> {
        let Value::Object(object) = object else { return self.add_other("it is no object") };
        if let Some(field) = ["kind", "apiVersion"].iter().find(|field| !object.contains_key(**field)) {
            let what = if *field == "kind" { "it has no kind" } else { "it has no apiVersion" };
            // A chart's own file has an API version, too, and no metadata; what has one of them and metadata is a manifest.
            let is_either = |key: &String| ["kind", "apiVersion"].iter().any(|field| key.eq_ignore_ascii_case(field));
            let has_either = object.keys().any(is_either);
            let is_broken = has_either && object.contains_key("metadata");
            return if is_broken { self.fail_other(what) } else { self.add_other(what) };
        }
        let text = |field| object.get(field).and_then(Value::as_str).filter(|text: &&str| !text.is_empty());
        let Some(api_version) = text("apiVersion") else { return self.refuse_field(&object, "apiVersion") };
        let Some(kind) = text("kind") else { return self.refuse_field(&object, "kind") };
        if let Some(what) = answer(&object, api_version, kind) {
            return self.refuse(&object, what);
        }
        self.found += 1;
        if !self.is_wanted(api_version, kind) {
            self.passed.add_object(kind);
            return Ok(());
        }
        let what = describe(&object);
        let taken = (self.take)(&self.place, object.into());
        taken.map_err(|why| self.fail(Error::Invalid { place: self.place.clone(), object: what, what: why }))
    }

    /// Passes over what is no object, or ends.
    pub(super) fn add_other(&mut self, what: &'static str) -> Result<(), Stopped> {
        if self.is_lenient {
            self.passed.add_file(&self.place.to_string(), what);
            return Ok(());
        }
        self.fail_other(what)
    }

    /// Ends because of an object.
    pub(super) fn refuse(&mut self, object: &Map<String, Value>, what: String) -> Result<(), Stopped> {
        Err(self.fail(Error::Invalid { place: self.place.clone(), object: describe(object), what }))
    }

    fn refuse_field(&mut self, object: &Map<String, Value>, field: &str) -> Result<(), Stopped> {
        let what = match object.get(field) {
            Some(Value::String(_)) => format!("{field} is empty"),
            Some(value) => format!("{field} is not text but {}", object::type_of(value)),
            None => format!("{field} is missing"),
        };
        self.refuse(object, what)
    }

    fn fail_other(&mut self, what: &'static str) -> Result<(), Stopped> {
        Err(self.fail(Error::NoObject { place: self.place.clone(), what }))
    }

    fn fail(&mut self, error: Error) -> Stopped {
        self.failed.get_or_insert(error);
        Stopped
    }
}

/// What is wrong with an answer of the server that has no objects in it.
fn answer(object: &Map<String, Value>, api_version: &str, kind: &str) -> Option<String> {
    match kind {
        "Status" if api_version == "v1" && object.get("status").is_some_and(|status| status == "Failure") => {
            let message = object.get("message").and_then(Value::as_str).unwrap_or("it says no reason");
            Some(format!("the server answered with an error, and not with objects: {message}"))
        }
        "Table" if api_version.starts_with("meta.k8s.io/") => Some(
            "it is what the server shows of objects, and not the objects: write them with kubectl get -o json".to_owned(),
        ),
        _ if kind != "List" && kind.eq_ignore_ascii_case("List") && object.contains_key("items") => {
            Some(format!("its kind is written {kind}, and a list has kind List"))
        }
        _ => None,
    }
}

/// As much of kind, namespace and name as there is.
fn describe(object: &Map<String, Value>) -> String {
    let kind = object.get("kind").and_then(Value::as_str).filter(|kind| !kind.is_empty()).unwrap_or("object");
    let text = |field| object.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
    match (text("namespace"), text("name")) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (None, Some(name)) => format!("{kind} {name}"),
        (Some(namespace), None) => format!("{kind} in {namespace}"),
        (None, None) => kind.to_owned(),
    }
}
