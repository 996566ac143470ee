//! A place, recorded runs and revisions for the tests of this crate.

use fairlead_kube_client::access::Access;
use fairlead_kube_client::helm::Revision;
use fairlead_migration::progress::{Asked, Phase, Progress, WhyBack};
use fairlead_migration::run::RecordedRun;

use crate::place::Place;

/// Where the release `shop` is.
pub(crate) const PLACE: Place<'_> = Place {
    namespace: "shops",
    release: "shop",
    binary: "job",
    helm_release: "shop",
    access: Access::USUAL,
    store_flags: None,
    store_name: None,
};

/// A run of trigger-replicator with three changes, all begun.
pub(crate) fn run(sequence: u64, phase: Phase) -> RecordedRun {
    RecordedRun {
        name: format!("fairlead.v1.shop.{sequence}"),
        sequence,
        step: "trigger-replicator".to_owned(),
        helm_revision: None,
        installation: None,
        created: String::new(),
        changes: 3,
        holds: false,
        progress: Progress { phase, begun: 3, ..Progress::planned() },
    }
}

/// A revision of Helm's.
pub(crate) fn revision(number: u32, status: &str) -> Revision {
    Revision { number, status: status.to_owned(), created: String::new(), goes_to: None }
}

/// Somebody asked for it when this was Helm's newest revision, to go back to that one.
pub(crate) fn asked(revision: u32, to: u32) -> WhyBack {
    WhyBack::Asked(Asked { revision: Some(revision), to: Some(to), ..Asked::default() })
}
