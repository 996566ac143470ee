//! Other kinds than those of the legacy bus, by the configuration file.

use fairlead_tests::cluster::lease;
use fairlead_tests::program::{becomes, job, root, run};
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
    cluster.kubectl(&["delete", "crd", "widgets.example.com"]).expect(0);
}
