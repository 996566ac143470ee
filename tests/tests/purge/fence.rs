//! Objects that are created while they are purged.

use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_tests::program::{becomes, job, run, tool};
use fairlead_tests::proxy::{Answer, Asked, Fault, Proxy};
use fairlead_tests::state::differences;
use serde_json::{Value, json};

use crate::scene::{AT_ONCE, PATIENT, Scene, activation, replicas};

const ACTIVATIONS: &str = "eventactivations.applicationconnector.kyma-project.io";

fn create(scene: &Scene, object: &Value) -> fairlead_tests::program::Ended {
    run(tool("kubectl").args(["--kubeconfig", scene.cluster.kubeconfig(), "create", "-f", "-"]), &object.to_string())
}

/// Whether an EventActivation is being deleted.
pub(crate) fn is_going(scene: &Scene, name: &str) -> bool {
    let found =
        scene.cluster.kubectl(&["get", ACTIVATIONS, "-n", "orders", name, "-o", "jsonpath={.metadata.deletionTimestamp}"]);
    !found.stdout.is_empty()
}

#[test]
fn nothing_like_it_can_be_created_while_it_goes() {
    let scene = Scene::new();
    let before = scene.state();
    // Nobody plays its controller yet: it goes on going.
    let child = scene.start(&[&["apply"], &PATIENT[..]].concat());
    assert!(becomes(|| is_going(&scene, "shop-events")), "it is not deleted");
    let denied = create(&scene, &activation("meanwhile"));
    assert!(
        denied.stderr.contains("release shop in namespace default is purging this kind from the cluster"),
        "{}",
        denied.stderr
    );
    // What is not of the legacy bus is nobody's business.
    let later = json!({
        "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription", "metadata": {"namespace": "orders", "name": "later"},
        "spec": {"sink": "http://mail.orders.svc.cluster.local", "filter": {"filters": []}},
    });
    create(&scene, &later).expect(0);
    scene.playing(AT_ONCE, || {
        let output = child.wait_with_output().expect("it ends");
        // It was created after the plan, and its definition would take it along.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains("Subscription orders/later: it was created while its kind was purged"), "{said}");
        scene.cluster.kubectl(&["delete", "subscriptions.eventing.kyma-project.io", "-n", "orders", "later"]).expect(0);
    });
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
}

#[test]
fn without_a_fence_what_was_created_meanwhile_stops_the_purge_before_it_is_lost() {
    let scene = Scene::new();
    let planned = scene.run(&["plan", "--fence", "false"]).expect(0).stdout;
    assert!(
        planned.contains("! warning LP206 CustomResourceDefinition") && !planned.contains("ValidatingAdmissionPolicy"),
        "{planned}"
    );
    let before = scene.state();
    let child = scene.start(&[&["apply", "--fence", "false"], &PATIENT[..]].concat());
    assert!(becomes(|| is_going(&scene, "shop-events")), "it is not deleted");
    let mut meanwhile = activation("meanwhile");
    meanwhile["metadata"].as_object_mut().expect("an object").remove("finalizers");
    create(&scene, &meanwhile).expect(0);
    scene.playing(AT_ONCE, || {
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains("EventActivation orders/meanwhile: it was created while its kind was purged"), "{said}");
    });
    assert_eq!(replicas(&scene.cluster, "kyma-integration", "application-broker"), 1);
    scene.cluster.kubectl(&["delete", ACTIVATIONS, "-n", "orders", "meanwhile"]).expect(0);
    assert_eq!(differences(&before, &scene.state()), Vec::<String>::new());
    scene.playing(AT_ONCE, || scene.run(&["apply", "--fence", "false"]).expect(0));
}

/// Behind one address there may be several API servers, and each learns of the fence by itself.
#[test]
fn nothing_goes_before_every_api_server_has_the_fence() {
    let scene = Scene::new();
    let is_trial = |asked: &Asked| {
        let is_dry =
            asked.method == "POST" && asked.path.contains("/eventactivations?") && asked.path.contains("dryRun=All");
        is_dry && !String::from_utf8_lossy(&asked.body).contains("fairlead.dev/ticket")
    };
    // The other one: it says at two of the tries that there is such an object, and lets it pass.
    let other = |trial: usize| [1, 3].contains(&trial);
    let trials = AtomicUsize::new(0);
    let proxy = Proxy::start(scene.cluster.kubeconfig().as_ref(), move |asked| {
        let is_others = is_trial(asked) && other(trials.fetch_add(1, Ordering::SeqCst));
        is_others.then(|| Fault::Instead(Answer::new(409, "AlreadyExists")))
    });
    let mut purger = job("legacy-purger");
    purger.args(["apply", "--ledger-namespace", "default", "--release", "shop", "--kubeconfig"]).arg(proxy.kubeconfig());
    scene.playing(AT_ONCE, || run(&mut purger, "")).expect(0);
    let asked = proxy.asked();
    let trials: Vec<&Asked> = asked.iter().filter(|asked| is_trial(asked)).collect();
    let first = asked.iter().position(|asked| asked.method == "DELETE").expect("something is deleted");
    let before = asked[..first].iter().filter(|asked| is_trial(asked)).count();
    assert!(before > 5 && before == trials.len(), "{before} of {}", trials.len());
    let mut connections: Vec<usize> = trials.iter().map(|asked| asked.connection).collect();
    connections.dedup();
    assert_eq!(connections.len(), trials.len(), "each has its own");
}
