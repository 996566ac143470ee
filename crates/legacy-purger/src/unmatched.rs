//! Names on the command line that nothing has: a slip there allows nothing, and nobody would notice. Pure.

use std::collections::BTreeSet;

use fairlead_apis::object;
use serde_json::Value;

use crate::decide::helm_names;
use crate::finalizers::finalizers;
use crate::options::Options;

const UNREPLICATED: &str = "--allow-unreplicated";
const HELM_OWNED: &str = "--allow-helm-owned";
const FINALIZERS: &str = "--allow-finalizers";

/// Names that no object seen so far has, each with its flag.
#[derive(Clone, Default)]
pub(crate) struct Unmatched(BTreeSet<(&'static str, String)>);

impl Unmatched {
    /// All names that the command line allows.
    pub(crate) fn new(options: &Options<'_>) -> Self {
        let lists =
            [(UNREPLICATED, &options.unreplicated), (HELM_OWNED, &options.helm_releases), (FINALIZERS, &options.finalizers)];
        Self(lists.into_iter().flat_map(|(flag, names)| names.iter().map(move |name| (flag, name.clone()))).collect())
    }

    /// Takes out what an object has.
    pub(crate) fn see(&mut self, object: &Value) {
        if self.0.is_empty() {
            return;
        }
        self.0.remove(&(UNREPLICATED, format!("{}/{}", object::namespace(object), object::name(object))));
        for name in helm_names(object) {
            self.0.remove(&(HELM_OWNED, name));
        }
        for finalizer in finalizers(object) {
            self.0.remove(&(FINALIZERS, finalizer.to_owned()));
        }
    }

    /// Whether a finalizer is looked for, which objects of other kinds may have.
    pub(crate) fn has_finalizers(&self) -> bool {
        self.0.iter().any(|(flag, _)| *flag == FINALIZERS)
    }

    /// The rest, as on the command line.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(flag, name)| format!("{flag} {name}"))
    }
}
