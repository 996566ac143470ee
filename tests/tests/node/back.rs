//! The way back with `helm rollback`, whatever came before it. Each play ends with a comparison of everything in its namespace.
//!
//! - `scene`: the application, its release, and what is compared
//! - `meter`: events that are published meanwhile
//! - `after_success`, `after_failure`, `by_hand`: plays side by side, each in a namespace of its own
//! - `definitions`: with the kinds themselves, alone

mod after_failure;
mod after_success;
mod by_hand;
mod definitions;
mod meter;
pub(crate) mod scene;

use fairlead_tests::cluster::{empty, node, shared_node};

use self::scene::Scene;

/// The namespaces of all plays that may be on at the same time: the jobs of each leave those of the others alone.
const NAMESPACES: [&str; 33] = [
    "released-helm4",
    "kinds-helm3",
    "kinds-helm4",
    "owned-helm4",
    "failing-helm3",
    "failing-helm4",
    "starting-helm3",
    "starting-helm4",
    "success-helm3",
    "success-helm4",
    "forth-helm3",
    "forth-helm4",
    "drift-helm4",
    "hooks-gone-helm4",
    "old-chart-helm4",
    "refused-helm4",
    "two-helm4",
    "two-helm4-other",
    "step-fails-helm3",
    "step-fails-helm4",
    "manifests-fail-helm3",
    "manifests-fail-helm4",
    "timeout-helm4",
    "late-helm4",
    "killed-helm3",
    "killed-helm4",
    "evicted-helm4",
    "not-ready-helm4",
    "not-armed-helm4",
    "job-mode-helm4",
    "pipeline-helm4",
    "argo-helm4",
    "crossed-helm4",
];

/// Plays something on the shared node, in a namespace that is gone afterwards.
pub(crate) fn play(helm: &'static str, name: &str, what: fn(&Scene<'_>)) {
    let cluster = shared_node();
    cluster.load_jobs();
    what(&Scene::set(&cluster, helm, &format!("{name}-{helm}")));
}

/// The same on a node where nothing else is played.
pub(crate) fn alone(helm: &'static str, name: &str, what: fn(&Scene<'_>)) {
    let cluster = node();
    empty(&cluster);
    cluster.load_jobs();
    what(&Scene::set(&cluster, helm, &format!("{name}-{helm}")));
}
