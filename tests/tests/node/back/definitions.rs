//! With the kinds themselves: alone on the cluster, because every namespace has objects of them.

use fairlead_tests::cluster::{Cluster, empty, node};
use fairlead_tests::program::root;
use serde_json::Value;

use super::scene::Scene;

/// Purges the legacy kinds as they are built in, of the whole cluster.
const EVERYTHING: &str = "fairlead.configuration.purge=null";

/// Gives the kinds back, whatever has become of them: other tests need them.
struct Kinds<'a>(&'a Cluster);

impl Drop for Kinds<'_> {
    fn drop(&mut self) {
        let path = root().join("examples/kyma-event-bus/legacy/crds.yaml");
        self.0.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            path.to_str().expect("a path of ours is UTF-8"),
        ]);
    }
}

fn alone(cluster: &Cluster) -> Kinds<'_> {
    empty(cluster);
    cluster.load_jobs();
    Kinds(cluster)
}

fn is_served(cluster: &Cluster) -> bool {
    cluster.kubectl(&["get", "crd", "subscriptions.eventing.kyma-project.io"]).status == Some(0)
}

/// Kinds go with their objects, and come back with them, also where Helm has never heard of them: its discovery is that of a new
/// machine.
fn kinds_come_back(helm: &'static str) {
    let cluster = node();
    let _kinds = alone(&cluster);
    let scene = Scene::set(&cluster, helm, &format!("kinds-{helm}"));
    scene.install(&[]);
    let before = scene.state();
    scene.upgrade(&["--set", EVERYTHING]).expect(0);
    assert!(!is_served(&cluster));
    assert_eq!(scene.names("triggers.eventing.knative.dev").len(), 2);
    scene.forget();
    scene.rollback(1).expect(0);
    assert!(is_served(&cluster));
    scene.assert_is(&before);
}

/// An object of the chart itself, of a kind that is gone: Helm cannot even build the old manifests, before any hook runs. First by hand.
#[test]
fn what_the_chart_owns_comes_back_by_hand_before_helm_can_go_back() {
    let cluster = node();
    let _kinds = alone(&cluster);
    let scene = Scene::set(&cluster, "helm4", "owned-helm4");
    let owned: Value = scene.subscription("owned");
    let text = format!("{{{{- if eq (int .Values.version) 1 }}}}\n{owned}\n{{{{- end }}}}\n");
    std::fs::write(scene.chart().join("templates/owned.yaml"), text).expect("written");
    scene.install(&[]);
    let before = scene.state();
    let allowed = format!("{EVERYTHING},fairlead.legacyPurger.allowHelmOwned={{shop}}");
    // Helm does not wait for what it drops when its kind has gone in between.
    scene.upgrade(&["--set", &allowed]).expect(0);
    assert!(!is_served(&cluster));
    scene.forget();
    // It fails at once: there is nothing to meter.
    let stuck = scene.rollback_unmetered(1);
    assert!(stuck.status != Some(0) && stuck.output().contains("no matches for kind"), "{}", stuck.output());
    let by_hand = |job: &str, at: &str| {
        scene
            .by_hand(&format!("{job} rollback --to-revision 1{at} --release shop --ledger-namespace {}", scene.namespace))
            .expect(0)
    };
    by_hand("legacy-purger", " --undo-at pre-rollback");
    scene.forget();
    scene.rollback(1).expect(0);
    scene.assert_is(&before);
}

#[test]
fn kinds_come_back_with_helm_3() {
    kinds_come_back("helm3");
}

#[test]
fn kinds_come_back_with_helm_4() {
    kinds_come_back("helm4");
}
