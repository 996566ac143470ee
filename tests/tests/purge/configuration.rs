//! Other kinds than those of the legacy bus, by the configuration file.

use fairlead_tests::cluster::lease;
use fairlead_tests::program::{becomes, job, root, run};
use fairlead_tests::proxy::Proxy;
use fairlead_tests::state::{self, differences};
use serde_json::{Value, json};

const PURGE: &str = "
  kinds:
    - group: example.com
      kind: Widget
      namespaces: [default]
      selector: {matchLabels: {generation: old}}
";

fn widget(name: &str, generation: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"namespace": "default", "name": name, "labels": {"generation": generation}},
        "spec": {"size": 1, "replicas": 1}})
}

#[test]
fn any_custom_kind_goes_as_the_file_says_and_comes_back() {
    let cluster = lease();
    let definition = root().join("tests/definitions/widgets.yaml");
    cluster.kubectl(&["apply", "-f", definition.to_str().expect("UTF-8")]).expect(0);
    assert!(becomes(|| cluster.kubectl(&["get", "widgets", "-A"]).status == Some(0)), "widgets are not served");
    cluster.apply(&json!([widget("a", "old"), widget("b", "old"), widget("c", "new")]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.yaml");
    let write = |purge: &str| {
        std::fs::write(&file, format!("apiVersion: fairlead.dev/v1\nkind: Configuration\npurge:{purge}")).expect("written");
    };
    let run = |args: &[&str]| {
        let mut command = job("legacy-purger");
        let kubeconfig = ["--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", "default", "--config"];
        run(command.args(args).args(kubeconfig).arg(&file), "")
    };
    let states = || state::canonical(state::of_kinds(&cluster, "widgets").into_values().collect());
    let names = || {
        cluster
            .list("widgets")
            .iter()
            .map(|it| it["metadata"]["name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };

    write(PURGE);
    let before = states();
    let said = run(&["apply"]).expect(0).output();
    assert!(said.contains("! warning LP205") && said.contains("! warning LP206"), "{said}");
    assert_eq!(names(), ["c"]);
    run(&["rollback", "--last"]).expect(0);
    assert_eq!(differences(&before, &states()), Vec::<String>::new());

    // Without the selector the kind goes, too.
    write("\n  kinds: [{group: example.com, kind: Widget}]\n");
    run(&["apply"]).expect(0);
    assert!(cluster.kubectl(&["get", "crd", "widgets.example.com"]).status != Some(0));
    run(&["rollback", "--last"]).expect(0);
    assert_eq!(differences(&before, &states()), Vec::<String>::new());

    for (purge, said) in [
        ("\n  kinds: [{group: '', kind: Secret}]\n", "error FL022: "),
        (
            "\n  kinds: [{group: apps, kind: Deployment}]\n",
            "Deployment of \"apps\" is not a custom kind, and must not be purged",
        ),
        ("\n  kinds: [{group: example.com, kind: Widget, colour: red}]\n", "purge.kinds[0].colour: unknown field `colour`"),
        (": : :", "error FL005: "),
    ] {
        write(purge);
        let refused = run(&["apply"]).expect(2);
        assert!(refused.stderr.contains(said), "{said}\n{}", refused.stderr);
    }
    for (purge, said) in [
        ("\n  kinds: []\n", "error FL022: "),
        (
            "\n  kinds: [{group: example.com, kind: widget}]\n",
            "error LP002: FILE: purge.kinds[0]: there is no kind widget of example.com; did you mean Widget?",
        ),
        (
            "\n  kinds: [{group: example.com, kind: Widget}, {group: exampel.com, kind: Widget}]\n",
            "purge.kinds[1]: there is no kind Widget of exampel.com; did you mean example.com?",
        ),
        (
            "\n  kinds: [{group: example.com, kind: Widget, namespaces: [default, typo]}]\n",
            "purge.kinds[0].namespaces: there is no namespace \"typo\"",
        ),
        (
            "\n  kinds: [{group: example.com, kind: Widget}]\n  dependents: [{group: example.com, kind: Gadget}]\n",
            "purge.dependents[0]: there is no kind Gadget of example.com",
        ),
        (
            "\n  kinds: [{group: example.com, kind: Widget}]\n  consumers:\n  - workload: {apiVersion: apps/v1, kind: Deployement, namespace: default, name: a}\n",
            "purge.consumers[0].workload: there is no kind Deployement of apps/v1; did you mean Deployment?",
        ),
        ("\n  kinds: [{group: example.com, kind: Widget}]\n  drainedBy: ''\n", "error FL022: "),
    ] {
        write(purge);
        for command in ["plan", "apply"] {
            let refused = run(&[command]).expect(2);
            let said = said.replace("FILE", file.to_str().expect("UTF-8"));
            assert!(refused.stderr.contains(&said), "{said}\n{}", refused.stderr);
        }
    }
    // What this release has removed may be named again.
    write("\n  kinds: [{group: example.com, kind: Widget}]\n");
    run(&["apply"]).expect(0);
    assert_eq!(run(&["apply", "-o", "json"]).expect(0).json()["outcome"], "Unchanged");
    // Also when what went with it is gone for good.
    write(
        "\n  kinds: [{group: example.com, kind: Widget, namespaces: [left]}]\n  dependents: [{group: example.com, kind: Gadget}]\n",
    );
    assert_eq!(run(&["apply", "-o", "json"]).expect(0).json()["outcome"], "Unchanged");
    run(&["rollback", "--last"]).expect(0);
    cluster.kubectl(&["delete", "crd", "widgets.example.com"]).expect(0);
    let served = ["api-resources", "--api-group=example.com", "-o", "name"];
    assert!(becomes(|| !cluster.kubectl(&served).stdout.contains("widgets")), "the kind is still served");
    run(&["apply"]).expect(2);
}

#[test]
fn slips_in_names_are_told_wherever_they_stand() {
    let cluster = lease();
    cluster.define(&root().join("tests/definitions/widgets.yaml"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.yaml");
    for (purge, said) in [
        (
            "\n  kinds: [{group: example.com, kind: Widget}]\n  consumers:\n  - workload: {apiVersion: apps/v1beta1, kind: Deployment, namespace: default, name: a}\n",
            "purge.consumers[0].workload: there is no kind Deployment of apps/v1beta1; did you mean apps/v1?",
        ),
        (
            "\n  kinds: [{group: example.com, kind: Widget}]\n  consumers:\n  - workload: {apiVersion: v1, kind: ConfigMpa, namespace: default, name: a}\n",
            "purge.consumers[0].workload: there is no kind ConfigMpa of v1; did you mean ConfigMap?",
        ),
        (
            "\n  kinds: [{group: example.com, kind: Widget}]\n  dependents: [{group: '', kind: Secrets}]\n",
            "purge.dependents[0]: there is no kind Secrets of the core group; did you mean Secret?",
        ),
        (
            "\n  kinds: [{group: example.com, kind: Widget}]\n  finalizers:\n  - name: example.com/f\n    owner: {apiVersion: apps/v1, kind: Deploymnt, namespace: default, name: a}\n    \
             deletes: [{group: exmple.com, kind: Widget, namespace: default, selector: {matchLabels: {a: b}}}]\n",
            "purge.finalizers[0].owner: there is no kind Deploymnt of apps/v1; did you mean Deployment?; \
             purge.finalizers[0].deletes[0]: there is no kind Widget of exmple.com; did you mean example.com?",
        ),
    ] {
        std::fs::write(&file, format!("apiVersion: fairlead.dev/v1\nkind: Configuration\npurge:{purge}")).expect("written");
        let mut command = job("legacy-purger");
        command.args(["plan", "--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", "default", "--config"]);
        let refused = run(command.arg(&file), "").expect(2).stderr;
        assert!(refused.contains("error LP002: ") && refused.contains(said), "{said}\n{refused}");
    }
    // What is not there is no slip where there may be none of it: the kinds of add-ons that this cluster does not have.
    let finalizer = "name: example.com/f, owner: {apiVersion: apps/v1, kind: Deployment, namespace: default, name: a}";
    let product = |group: &str, kind: &str| {
        format!("{{group: {group}, kind: {kind}, namespace: default, selector: {{matchLabels: {{a: b}}}}}}")
    };
    let absent = [
        ("serving.knative.dev", "Service"),
        ("kafka.eventing.knative.dev", "Broker"),
        ("authentication.istio.io", "Policy"),
        ("eventing.knative.dev", "Thing"),
        ("apps", "Rollout"),
        ("nowhere.io", "Thing"),
    ];
    let deletes = absent.map(|(group, kind)| product(group, kind)).join(", ");
    let stays = absent.map(|(group, kind)| format!("{{group: {group}, kind: {kind}, reason: r}}")).join(", ");
    let text = format!(
        "apiVersion: fairlead.dev/v1\nkind: Configuration\npurge:\n  kinds: [{{group: example.com, kind: Widget}}]\n  \
         finalizers: [{{{finalizer}, deletes: [{deletes}]}}]\n  \
         stays: [{stays}, {{group: apps, kind: Daemonset, reason: r}}, {{group: exmple.com, kind: Widget, reason: r}}]\n"
    );
    std::fs::write(&file, text).expect("written");
    let mut command = job("legacy-purger");
    command.args(["plan", "--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", "default", "--config"]);
    let said = run(command.arg(&file), "").expect(0).stdout;
    let warned: Vec<&str> = said.lines().filter(|line| line.contains(" LP216 ")).collect();
    let expected = [
        "stays[6]: there is no kind Daemonset of apps; did you mean DaemonSet?",
        "stays[7]: there is no kind Widget of exmple.com; did you mean example.com?",
    ]
    .map(|what| format!("! warning LP216 Configuration {}: nothing fits purge.{what}", file.display()));
    assert_eq!(warned, expected, "{said}");
    cluster.kubectl(&["delete", "crd", "widgets.example.com"]).expect(0);
}

#[test]
fn files_of_which_a_kind_is_not_named_as_they_have_it_are_no_plan() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, dump) = (folder.path().join("fairlead.yaml"), widget("a", "old").to_string());
    let plan = |kind: &str, input: &str| {
        let purge = format!(
            "apiVersion: fairlead.dev/v1\nkind: Configuration\npurge: {{kinds: [{{group: example.com, kind: {kind}}}]}}\n"
        );
        std::fs::write(&file, purge).expect("written");
        run(job("legacy-purger").args(["plan", "--from", "-", "--config"]).arg(&file), input)
    };
    plan("Widget", &dump).expect(0);
    let said = plan("widgets", &dump).expect(2).stderr;
    assert!(said.contains("purge.kinds[0]: there is no kind widgets of example.com; did you mean Widget?"), "{said}");
}

#[test]
fn a_file_without_a_section_and_names_that_nothing_has_are_said_in_the_plan() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.yaml");
    std::fs::write(&file, "apiVersion: fairlead.dev/v1\nkind: Configuration\n").expect("written");
    let older = json!({"apiVersion": "eventing.kyma.cx/v1alpha1", "kind": "Subscription",
        "metadata": {"namespace": "orders", "name": "older"}, "spec": {}});
    let activation = json!({"apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": "EventActivation",
        "metadata": {"namespace": "orders", "name": "shop", "finalizers": ["example.com/theirs"]}, "spec": {"sourceId": "shop"}});
    // Its Subscription has gone, and its owner does not come back to it.
    let left = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Subscription", "metadata": {"namespace": "kyma-system",
        "name": "paid--orders", "finalizers": ["subscription.finalizers.kyma-project.io"]}, "spec": {}});
    let items = json!({"apiVersion": "v1", "kind": "List", "items": [older, activation, left]}).to_string();
    let flags = ["--allow-unreplicated", "orders/typo", "--allow-helm-owned", "shop", "--allow-finalizers"];
    let mut command = job("legacy-purger");
    command.args(["plan", "--from", "-", "--require-step", "review"]).args(flags);
    let said = run(command.arg("example.com/theirs,example.com/tehirs").arg("--config").arg(&file), &items).expect(0).stdout;
    let name = file.display().to_string();
    let warned: Vec<String> =
        said.lines().filter_map(|line| line.strip_prefix("! warning ")).map(|line| line.replace(&name, "FILE")).collect();
    let warned: Vec<&str> = warned.iter().map(String::as_str).filter(|line| !line.starts_with("LP202")).collect();
    let expected = [
        "LP218 CustomResourceDefinition subscriptions.eventing.kyma.cx: Subscriptions of the older group eventing.kyma.cx stay: 1",
        "LP216 EventActivation *: nothing fits --allow-finalizers example.com/tehirs",
        "LP216 EventActivation *: nothing fits --allow-helm-owned shop",
        "LP216 EventActivation *: nothing fits --allow-unreplicated orders/typo",
        "LP217 Configuration FILE: it has no section `purge`, so this is the purge of Kyma's legacy event bus",
        "LP216 Step review: whether --require-step review has run is not known: files have no ledger",
        "LP219 Subscription kyma-system/paid--orders: 1 object of this kind in kyma-system carries \
         subscription.finalizers.kyma-project.io, and what it was made for has gone",
    ];
    assert_eq!(warned, expected, "{said}");
}

#[test]
fn a_purge_of_other_kinds_has_nothing_to_do_with_kyma() {
    let cluster = lease();
    let definition = root().join("tests/definitions/widgets.yaml");
    cluster.kubectl(&["apply", "-f", definition.to_str().expect("UTF-8")]).expect(0);
    assert!(becomes(|| cluster.kubectl(&["get", "widgets", "-A"]).status == Some(0)), "widgets are not served");
    let instance = json!({"apiVersion": "servicecatalog.k8s.io/v1beta1", "kind": "ServiceInstance",
        "metadata": {"namespace": "default", "name": "shop"}, "spec": {"serviceClassExternalName": "shop"}});
    cluster.apply(&json!([widget("a", "old"), instance]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.yaml");
    let proxy = Proxy::start(cluster.kubeconfig().as_ref(), |_| None);
    for (purge, words) in [
        ("kinds: [{group: example.com, kind: Widget}]", "# its kind goes"),
        ("kinds: [{group: example.com, kind: Widget, keepDefinition: true}]", "# the configuration selects it"),
    ] {
        let text = format!("apiVersion: fairlead.dev/v1\nkind: Configuration\npurge: {{{purge}}}\n");
        std::fs::write(&file, text).expect("written");
        let mut command = job("legacy-purger");
        command.args(["apply", "--ledger-namespace", "default", "--kubeconfig"]).arg(proxy.kubeconfig());
        let said = run(command.arg("--config").arg(&file), "").expect(0).output();
        assert!(said.contains(words), "{words}\n{said}");
        for words in ["mesh", "kyma", "Kyma", "drain-waiter", "ServiceInstance", "legacy bus", "Trigger"] {
            assert!(!said.contains(words), "{words}\n{said}");
        }
        let mut back = job("legacy-purger");
        run(back.args(["rollback", "--last", "--ledger-namespace", "default", "--kubeconfig", cluster.kubeconfig()]), "")
            .expect(0);
    }
    for asked in proxy.asked() {
        for group in ["kyma-project.io", "knative.dev", "servicecatalog.k8s.io"] {
            assert!(!asked.path.contains(group), "{asked:?}");
        }
    }
    cluster.kubectl(&["delete", "crd", "widgets.example.com"]).expect(0);
}

#[test]
fn what_a_gitops_tool_puts_back_is_warned_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let purge = "kinds: [{group: example.com, kind: Widget}], consumers: [{hold: true, workload: {apiVersion: apps/v1, kind: Deployment, \
                 namespace: default, name: maker}}]";
    let config = folder.path().join("fairlead.yaml");
    std::fs::write(&config, format!("apiVersion: fairlead.dev/v1\nkind: Configuration\npurge: {{{purge}}}\n"))
        .expect("written");
    let of_argo = json!({"argocd.argoproj.io/tracking-id": "shop:example.com/Widget:default/a"});
    let mut objects = vec![widget("a", "old"), widget("b", "old"), widget("c", "old")];
    objects[0]["metadata"]["annotations"] = of_argo.clone();
    // Made by an operator, with all annotations of what it was made for.
    objects[1]["metadata"]["annotations"] = of_argo;
    objects[2]["metadata"]["labels"]["argocd.argoproj.io/instance"] = "shop".into();
    let flux = json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
    objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1},
        "metadata": {"namespace": "default", "name": "maker", "labels": flux}}));
    let definition = std::fs::read_to_string(root().join("tests/definitions/widgets.yaml")).expect("it is there");
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let input = format!("{definition}\n---\n{objects}");
    let planned = run(job("legacy-purger").args(["plan", "--from", "-", "--config"]).arg(&config), &input).expect(0).stdout;
    let warned: Vec<&str> = planned.lines().filter(|line| line.contains(" LP213 ")).collect();
    let expected = [
        "! warning LP213 Deployment default/maker: Flux has put 1 object there: Deployment default/maker",
        "! warning LP213 Widget default/a: Argo CD has put 2 objects there: Widget default/a, Widget default/c",
    ];
    assert_eq!(warned, expected, "{planned}");
}
