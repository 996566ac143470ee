//! The options of a purge: from the command line, the configuration file and the release. Pure.

use std::collections::HashSet;
use std::time::SystemTime;

use fairlead_driver::earlier_steps::Valid;
use fairlead_job::failure::Failure;
use fairlead_observe::kind::Kind;
use serde_json::Value;

use crate::args::Args;
use crate::configuration::{Finalizer, Product, Purge, invalid};
use crate::decide::{Known, Mesh};
use crate::finalizers::foreign_finalizers;

/// The step, named like the binary.
pub const STEP: &str = "legacy-purger";

/// The options of a purge.
pub(crate) struct Options<'a> {
    pub(crate) purge: &'a Purge,
    pub(crate) unreplicated: HashSet<String>,
    pub(crate) helm_releases: HashSet<String>,
    /// Finalizers that may be on what goes although nobody knows their owners.
    pub(crate) finalizers: HashSet<String>,
    pub(crate) stripped: HashSet<String>,
    pub(crate) has_fence: bool,
    /// Whether the plan tries if what goes could be created again.
    pub(crate) rehearses: bool,
    pub(crate) required_steps: &'a [String],
    pub(crate) release: &'a str,
    pub(crate) namespace: &'a str,
    /// Which runs of required steps count.
    pub(crate) valid: Valid,
    pub(crate) concurrency: usize,
}

impl<'a> Options<'a> {
    /// Reads the command line; `namespace` is that of the ledger.
    pub(crate) fn new(args: &'a Args, purge: &'a Purge, namespace: &'a str) -> Result<Self, Failure> {
        let set = |names: &[String]| names.iter().cloned().collect::<HashSet<String>>();
        for finalizer in &args.purge.strip_finalizers {
            if purge.finalizer(finalizer).is_none() {
                let names: Vec<&str> = purge.finalizers.iter().map(|finalizer| finalizer.name.as_str()).collect();
                let names = if names.is_empty() { "it names none".to_owned() } else { names.join(", ") };
                let what =
                    format!("--strip-finalizers {finalizer}: only those that the configuration names may go: {names}");
                return Err(invalid(&what));
            }
        }
        Ok(Self {
            purge,
            unreplicated: set(&args.purge.allow_unreplicated),
            helm_releases: set(&args.purge.allow_helm_owned),
            finalizers: set(&args.purge.allow_finalizers),
            stripped: set(&args.purge.strip_finalizers),
            has_fence: args.purge.fence,
            rehearses: args.purge.rehearse,
            required_steps: &args.purge.require_step,
            release: &args.common.release.release,
            namespace,
            valid: Valid {
                revision: args.common.release.helm_revision,
                age: args.purge.evidence_age,
                now: SystemTime::now(),
            },
            concurrency: args.common.concurrency.into(),
        })
    }

    /// The facts that the guards of one object need.
    pub(crate) fn known<'k>(&'k self, mesh: &'k Mesh) -> Known<'k> {
        Known { release: self.release, mesh, unreplicated: &self.unreplicated, helm_releases: &self.helm_releases }
    }

    /// The first finalizer of an object whose owner nobody knows, if that is not allowed.
    pub(crate) fn unknown_finalizer<'o>(&self, object: &'o Value) -> Option<&'o str> {
        foreign_finalizers(object).find(|it| self.purge.finalizer(it).is_none() && !self.finalizers.contains(*it))
    }

    /// The kinds whose objects the garbage collector deletes with their owners.
    pub(crate) fn dependents(&self) -> impl Iterator<Item = Kind> {
        self.purge.dependents.iter().map(|named| Kind::named(&named.group, &named.kind))
    }

    /// Each finalizer with the objects that its owner deletes.
    pub(crate) fn products(&self) -> impl Iterator<Item = (&Finalizer, &Product)> {
        self.purge.finalizers.iter().flat_map(|finalizer| finalizer.deletes.iter().map(move |product| (finalizer, product)))
    }
}
