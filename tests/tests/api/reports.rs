//! Reports of several runs in one output, and what has no report.

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, Ended, run};
use serde_json::Value;

use crate::fixtures::{apply, subscription};

fn plugin(cluster: &Cluster, verb: &str, more: &[&str]) -> Ended {
    let args = [verb, "fairlead", "-n", "default", "--kubeconfig", cluster.kubeconfig()];
    run(program::job("kubectl-fairlead").args(args).args(more), "")
}

/// Two runs in force, of Subscriptions whose names begin with `prefix`.
fn two_runs(cluster: &Cluster, prefix: &str) {
    for name in ["one", "two"] {
        cluster.apply(&subscription("default", &format!("{prefix}-{name}"), &format!("{prefix}.{name}")));
        apply(cluster, &[]).expect(0);
    }
}

#[test]
fn reports_of_two_runs_can_be_read_in_every_form() {
    let cluster = lease();
    let taken_back = |form: &str| {
        two_runs(&cluster, form);
        plugin(&cluster, "rollback", &["--to", "0", "-o", form]).expect(0).stdout
    };
    let text = taken_back("json");
    let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let outcomes: Vec<Value> = documents.map(|document| document.expect("JSON")["outcome"].clone()).collect();
    assert_eq!(outcomes, ["RolledBack", "RolledBack"], "{text}");

    let text = taken_back("yaml");
    let documents: Vec<&str> = text.split("---\n").collect();
    assert_eq!(documents.len(), 2, "{text}");
    for document in documents {
        let heads = document.lines().filter(|line| line.starts_with("apiVersion:")).count();
        assert!(heads == 1 && document.starts_with("apiVersion: fairlead.dev/v1"), "{text}");
    }

    let text = taken_back("junit");
    let count = |what: &str| text.matches(what).count();
    assert_eq!((count("<?xml"), count("<testsuites "), count("<testsuite ")), (1, 1, 2), "{text}");
    assert!(text.starts_with("<?xml") && text.trim_end().ends_with("</testsuites>"), "{text}");
}

#[test]
fn what_is_text_only_says_so_before_it_does_anything() {
    let cluster = lease();
    two_runs(&cluster, "text");
    for form in ["json", "yaml", "junit", "github"] {
        for args in [&["rollback", "--last", "--dry-run"][..], &["unhold"]] {
            let refused = plugin(&cluster, args[0], &[&args[1..], &["-o", form]].concat()).expect(2);
            assert!(refused.stderr.contains("FL033") && refused.stdout.is_empty(), "{}", refused.output());
        }
    }
    plugin(&cluster, "rollback", &["--last", "--dry-run"]).expect(0);
}
