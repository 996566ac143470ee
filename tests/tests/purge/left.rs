//! What a purge leaves of the old side: `status` names it, and who takes it away.

use fairlead_tests::program::{job, run};

use crate::scene::{AT_ONCE, Scene};

#[test]
fn status_names_what_nobody_has_deleted_with_the_purged_objects_and_a_label_of_the_old_side() {
    let scene = Scene::new();
    let kubectl = |args: &[&str]| scene.cluster.kubectl(args).expect(0);
    kubectl(&["label", "namespace", "orders", "knative-eventing-injection=enabled", "--overwrite"]);
    let channel = ["patch", "channels.messaging.knative.dev", "created-x7k2p", "-n", "kyma-system", "--type=merge", "-p"];
    // Its owner deletes it, and somebody else keeps it.
    let keep = |finalizers: &str| {
        kubectl(&[&channel[..], &[&format!("{{\"metadata\":{{\"finalizers\":{finalizers}}}}}")]].concat())
    };
    keep("[\"example.com/mine\"]");
    scene.playing(AT_ONCE, || scene.run(&["apply"]).expect(0));
    let status = |form: &str| {
        let mut status = job("legacy-purger");
        status.args(["status", "-o", form, "--release", "shop", "--ledger-namespace", "default"]);
        run(status.args(["--kubeconfig", scene.cluster.kubeconfig()]), "").expect(0)
    };
    let said = status("text").stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "Left of the old side: Channel kyma-system/created-x7k2p should have gone with what was purged, and is still there.",
        "Or: `kubectl -n kyma-system delete channel.messaging.knative.dev created-x7k2p",
        "Namespace orders has label knative-eventing-injection, which Knative does not read any more.",
        "`kubectl -n default label namespace orders knative-eventing-injection-",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    let what = || -> Vec<String> {
        let document = status("json").json();
        let left = document["leftOver"].as_array().expect("a list").iter();
        left.map(|left| left["what"].as_str().expect("a word").to_owned()).collect()
    };
    // application-broker was stopped.
    assert_eq!(what(), ["undeleted", "labelled", "stopped"]);
    keep("null");
    kubectl(&["label", "namespace", "orders", "knative-eventing-injection-"]);
    assert_eq!(what(), ["stopped"]);
    scene.playing(AT_ONCE, || scene.run(&["rollback", "--last"]).expect(0));
}
