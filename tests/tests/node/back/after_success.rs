//! The upgrade has succeeded, and somebody goes back.

use fairlead_tests::program::becomes;
use fairlead_tests::state::differences;
use serde_json::json;

use super::play;
use super::scene::Scene;

/// One command brings the old side back before the new one goes, and leaves what others have made since.
fn success(scene: &Scene<'_>) {
    scene.install(&[]);
    let mut before = scene.state();
    scene.upgrade(&[]).expect(0);
    assert_eq!(scene.sides(), (0, 2));
    let theirs =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": scene.namespace, "name": "theirs"}});
    scene.cluster.apply(&theirs);
    let status = scene.status();
    assert_eq!(status["helm"]["armed"], true, "{status}");
    let next = scene.next();
    assert_eq!(next, format!("helm rollback shop 1 -n {}", scene.namespace));

    let said = scene.rollback(1).expect(0).output();
    assert!(said.contains("Rollback was a success"), "{said}");
    let after = scene.state();
    before.extend(
        after.iter().filter(|(name, _)| name.contains("theirs")).map(|(name, object)| (name.clone(), object.clone())),
    );
    scene.assert_is(&before);
    assert_eq!(scene.phases(), ["RolledBack", "RolledBack"]);
    // What the hooks said is with their Jobs gone, but for the Events.
    let args = ["events", "-n", &scene.namespace, "--types=Normal"];
    let events = scene.cluster.kubectl(&args).expect(0).stdout;
    for word in [
        "shop-fairlead-pre-rollback",
        "shop-fairlead-post-rollback",
        "changes taken back",
        "when Helm has applied the old manifests",
    ] {
        assert!(events.contains(word), "{word}\n{events}");
    }
}

/// To each revision that there was, also to one that was itself a rollback.
fn there_and_back_and_there(scene: &Scene<'_>) {
    scene.install(&[]);
    let first = scene.state();
    scene.upgrade(&[]).expect(0);
    let second = scene.state();
    scene.rollback(1).expect(0);
    scene.assert_is(&first);
    // Revision 4 does it again, so going to 2 has nothing to do.
    scene.upgrade(&[]).expect(0);
    assert_eq!(scene.sides(), (0, 2));
    scene.rollback(2).expect(0);
    assert_eq!(scene.sides(), (0, 2));
    assert!(becomes(|| scene.state().len() == second.len()), "{:?}", differences(&second, &scene.state()));
    // Revision 3 was a rollback to 1, and its hooks say so.
    scene.rollback(3).expect(0);
    scene.assert_is(&first);
    assert_eq!(scene.phases(), ["RolledBack"; 4]);
    // What was in force at 4 is not done again.
    let refused = scene.rollback(4);
    assert_ne!(refused.status, Some(0), "{}", refused.output());
    scene.assert_is(&first);
    let said = scene.termination("shop-fairlead-pre-rollback");
    for word in ["error FL023", "was in force at revision 4 of release shop", "helm upgrade", "helm rollback shop 6"] {
        assert!(said.contains(word), "{word}\n{said}");
    }
    assert_eq!(scene.next(), format!("helm rollback shop 6 -n {}", scene.namespace));
    scene.rollback_at_last(6).expect(0);
    scene.assert_is(&first);
    scene.upgrade(&[]).expect(0);
    assert_eq!(scene.sides(), (0, 2));
    scene.rollback(8).expect(0);
    scene.assert_is(&first);
}

/// Somebody has changed what would be taken back: Helm stops before anything, and says what to do.
fn drift(scene: &Scene<'_>) {
    scene.install(&[]);
    let before = scene.state();
    scene.upgrade(&[]).expect(0);
    let trigger = scene.names("triggers.eventing.knative.dev").remove(0);
    let patch = ["--type=merge", "-p", "{\"spec\": {\"filter\": {\"attributes\": {\"type\": \"theirs\"}}}}"];
    scene.cluster.kubectl(&[&["patch", &trigger, "-n", &scene.namespace], &patch[..]].concat()).expect(0);
    let migrated = scene.state();

    let stopped = scene.rollback(1);
    assert_ne!(stopped.status, Some(0), "{}", stopped.output());
    scene.assert_is(&migrated);
    assert!(stopped.output().contains("FL021"), "{}", stopped.output());
    assert_eq!(scene.status()["helm"]["revisions"][2]["status"], "pending-rollback");
    let said = scene.termination("shop-fairlead-pre-rollback");
    let line = |begin: &str| said.lines().find_map(|line| line.strip_prefix(begin)).expect(&said);
    let (by_hand, again) = (line("Next: ").to_owned(), line("and then: ").to_owned());
    assert_eq!(again, format!("helm rollback shop 1 -n {}", scene.namespace));
    // The first part by hand, and what was decided there holds for Helm's hook.
    scene.by_hand(&by_hand).expect(0);
    assert_eq!(scene.sides(), (2, 2));
    assert_eq!(scene.next(), again);
    scene.rollback(1).expect(0);
    let left = scene.names("triggers.eventing.knative.dev");
    assert_eq!(left, std::slice::from_ref(&trigger));
    scene.cluster.kubectl(&["delete", &trigger, "-n", &scene.namespace]).expect(0);
    scene.assert_is(&before);
}

/// A policy refuses what is to come back: nothing of the new side goes, and when the policy is gone the same command does it.
fn refused(scene: &Scene<'_>) {
    scene.install(&[]);
    let before = scene.state();
    scene.upgrade(&[]).expect(0);
    let name = format!("no-more-{}", scene.namespace);
    let rule = json!({"operations": ["CREATE"], "apiGroups": ["eventing.kyma-project.io"], "apiVersions": ["*"], "resources": ["subscriptions"]});
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}});
    scene.cluster.apply(&json!([
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
         "spec": {"matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector}, "validations": [{"expression": "false"}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
         "spec": {"policyName": name, "validationActions": ["Deny"]}},
    ]));
    let denies = |expected: bool| {
        let create = || {
            let mut kubectl = fairlead_tests::program::tool("kubectl");
            kubectl.args(["--kubeconfig", scene.cluster.kubeconfig(), "create", "--dry-run=server", "-f", "-"]);
            let created = fairlead_tests::program::run(&mut kubectl, &scene.subscription("rehearsed").to_string());
            (created.status == Some(0)) != expected
        };
        assert!(becomes(create), "the policy does not begin or end to act");
    };
    denies(true);
    let failed = scene.rollback(1);
    assert_ne!(failed.status, Some(0), "{}", failed.output());
    assert_eq!((scene.sides(), scene.phases()), ((0, 2), vec!["Committed".to_owned(), "Dirty".to_owned()]));
    let said = scene.termination("shop-fairlead-pre-rollback");
    for word in ["error FL006", "2 objects are NOT as before", &name] {
        assert!(said.contains(word), "{word}\n{said}");
    }
    assert_eq!(scene.next(), format!("helm rollback shop 1 -n {}", scene.namespace));
    let kinds = "validatingadmissionpolicybindings,validatingadmissionpolicies";
    scene.cluster.kubectl(&["delete", kinds, &name]).expect(0);
    denies(false);
    scene.rollback(1).expect(0);
    scene.assert_is(&before);
}

/// Somebody has cleaned up what hooks leave behind. What undoing takes stands apart from that, and is named when it is gone, too.
fn hooks_are_gone(scene: &Scene<'_>) {
    scene.install(&[]);
    let before = scene.state();
    let selector = "app.kubernetes.io/part-of=fairlead,app.kubernetes.io/instance=shop";
    let clean = |kinds: &str| scene.cluster.kubectl(&["delete", kinds, "-n", &scene.namespace, "-l", selector]).expect(0);
    scene.upgrade(&[]).expect(0);
    clean("jobs,serviceaccounts,roles,rolebindings");
    scene.rollback(1).expect(0);
    scene.assert_is(&before);

    scene.upgrade(&[]).expect(0);
    let migrated = scene.state();
    let bindings = scene.cluster.kubectl(&["get", "clusterrolebindings", "-l", selector, "-o", "json"]).expect(0).json();
    let is_ours = |binding: &&serde_json::Value| binding["subjects"][0]["namespace"] == *scene.namespace;
    let names: Vec<&str> = bindings["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(is_ours)
        .filter_map(|it| it["metadata"]["name"].as_str())
        .collect();
    scene.cluster.kubectl(&[&["delete", "clusterrolebindings"], &names[..]].concat()).expect(0);
    let refused = scene.rollback(1);
    assert_ne!(refused.status, Some(0), "{}", refused.output());
    let said = scene.termination("shop-fairlead-pre-rollback");
    assert!(said.contains("error FL002") && said.contains("verbs: [\"get\""), "{said}");
    scene.assert_is(&migrated);
    // An administrator has them.
    scene
        .by_hand(&format!(
            "legacy-purger rollback --to-revision 1 --undo-at pre-rollback --release shop --ledger-namespace {}",
            scene.namespace
        ))
        .expect(0);
    // Helm has not brought the old manifests: to take the rest back all the same has to be said.
    let rest = format!("kubectl fairlead rollback shop --to-revision 1 -n {}", scene.namespace);
    let held = scene.by_hand(&rest).expect(4);
    assert!(held.stderr.contains("error FL034"), "{}", held.stderr);
    let rest = format!("kubectl fairlead rollback shop --to 0 --undo-at post-rollback -n {}", scene.namespace);
    scene.by_hand(&rest).expect(0);
    scene.rollback_unmetered(1).expect(0);
    scene.assert_is(&before);
}

/// The revision to go back to has a chart without the step that is undone, and an image that knows nothing of it.
fn old_chart(scene: &Scene<'_>) {
    let templates = scene.chart().join("charts/fairlead/templates");
    let kept: Vec<(std::path::PathBuf, Vec<u8>)> = ["legacy-purger.yaml", "unhold.yaml"]
        .iter()
        .map(|file| templates.join(file))
        .map(|file| (file.clone(), std::fs::read(&file).expect("it is there")))
        .collect();
    for (file, _) in &kept {
        std::fs::remove_file(file).expect("removed");
    }
    scene.install(&[]);
    let before = scene.state();
    for (file, content) in kept {
        std::fs::write(file, content).expect("written");
    }
    scene.upgrade(&[]).expect(0);
    assert_eq!(scene.sides(), (0, 2));
    scene.rollback(1).expect(0);
    scene.assert_is(&before);
}

/// Of the same name, in two namespaces: each has its own way back.
fn two_releases(scene: &Scene<'_>) {
    let other = Scene::set(scene.cluster, scene.helm, "two-helm4-other");
    let scenes = [scene, &other];
    for scene in scenes {
        scene.install(&[]);
    }
    let before = scenes.map(Scene::state);
    for scene in scenes {
        scene.upgrade(&[]).expect(0);
    }
    let migrated = other.state();
    scene.rollback(1).expect(0);
    scene.assert_is(&before[0]);
    other.assert_is(&migrated);
    other.rollback(1).expect(0);
    other.assert_is(&before[1]);
    scene.assert_is(&before[0]);
}

#[test]
fn success_with_helm_3() {
    play("helm3", "success", success);
}

#[test]
fn success_with_helm_4() {
    play("helm4", "success", success);
}

#[test]
fn forth_with_helm_3() {
    play("helm3", "forth", there_and_back_and_there);
}

#[test]
fn forth_with_helm_4() {
    play("helm4", "forth", there_and_back_and_there);
}

#[test]
fn what_others_have_changed_stops_helm_before_anything() {
    play("helm4", "drift", drift);
}

#[test]
fn hooks_that_were_cleaned_up_come_again() {
    play("helm4", "hooks-gone", hooks_are_gone);
}

#[test]
fn an_old_chart_takes_back_what_it_has_never_heard_of() {
    play("helm4", "old-chart", old_chart);
}

#[test]
fn two_releases_of_one_name_have_each_its_own_way_back() {
    play("helm4", "two", two_releases);
}

#[test]
fn what_is_refused_comes_back_when_it_is_allowed_again() {
    play("helm4", "refused", refused);
}
