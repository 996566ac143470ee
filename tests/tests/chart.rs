//! The chart rendered by Helm 3 and 4, without a cluster.

use fairlead_tests::program::{Ended, root, run, tool};

const HELMS: [&str; 2] = ["helm3", "helm4"];

fn template(helm: &str, chart: &str, more: &[&str]) -> Ended {
    run(tool(helm).args(["template", "shop", chart, "-n", "shop"]).args(more).current_dir(root()), "")
}

/// The two Helms put different blank lines between documents.
fn normal(rendered: &str) -> String {
    rendered.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn both_helms_render_the_same() {
    let cases: [&[&str]; 5] = [
        &[],
        &["--set", "mode=job"],
        &["--set", "triggerReplicator.enabled=false"],
        &["--set", "triggerReplicator.runOnInstall=true,triggerReplicator.excludeNamespaces={a,b}"],
        &["--set", "proxy.https=http://proxy:3128,imagePullSecrets[0].name=x,extraLabels.team=mesh,logFormat=json"],
    ];
    for case in cases {
        let [three, four] = HELMS.map(|helm| normal(&template(helm, "charts/fairlead", case).expect(0).stdout));
        assert_eq!(three, four, "{case:?}");
    }
    insta::assert_snapshot!(normal(&template("helm4", "charts/fairlead", &[]).expect(0).stdout));
}

#[test]
fn names_of_long_releases_are_cut_and_stay_different() {
    for helm in HELMS {
        let names = ["a", "b"].map(|end| {
            let release = format!("{}{end}", "r".repeat(52));
            let rendered =
                run(tool(helm).args(["template", &release, "charts/fairlead"]).current_dir(root()), "").expect(0).stdout;
            let names: Vec<String> =
                rendered.lines().filter_map(|line| line.strip_prefix("  name: ").map(str::to_owned)).collect();
            assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
            names
        });
        assert!(names[0].iter().zip(&names[1]).all(|(one, other)| one != other), "{names:?}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let cases = [
        ("triggerReplicater.enabled=true", "triggerReplicater"),
        ("triggerReplicator.enabled=perhaps", "enabled"),
        ("mode=daemon", "mode"),
        ("logFormat=xml", "logFormat"),
        ("triggerReplicator.runTimeout=soon", "runTimeout"),
        ("triggerReplicator.image.digest=latest", "digest"),
        ("triggerReplicator.runTimeout=3m31s", "activeDeadlineSeconds"),
        ("triggerReplicator.runTimeout=0s", "runTimeout"),
    ];
    for helm in HELMS {
        for (value, named) in cases {
            let refused = template(helm, "charts/fairlead", &["--set", value]);
            assert!(refused.status != Some(0) && refused.stderr.contains(named), "{helm} {value}\n{}", refused.output());
        }
    }
}

#[test]
fn the_chart_passes_lint() {
    for helm in HELMS {
        run(tool(helm).args(["lint", "--strict", "charts/fairlead"]).current_dir(root()), "").expect(0);
    }
}
