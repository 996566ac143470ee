//! What both Helms make of the chart and its values, and which values are refused.

use fairlead_tests::program::{root, run, tool};
use serde_json::Value;

use crate::{ALL_JOBS, CHART, HELMS, normal, objects, release, template, text};

#[test]
fn both_helms_render_the_same() {
    let purge = "legacyPurger.enabled=true,legacyPurger.allowUnreplicated={a/b,c/d.e},legacyPurger.allowHelmOwned={crm},\
                 configuration.purge.kinds[0].group=a.b,configuration.purge.kinds[0].kind=C";
    let cases: [&[&str]; 12] = [
        &[],
        &["--set", "mode=job"],
        &["--set", "triggerReplicator.enabled=false"],
        &["--set", "triggerReplicator.runOnInstall=true,triggerReplicator.excludeNamespaces={a,b}"],
        &["--set", "legacyPurger.enabled=true,mode=job"],
        &["--set", "drainWaiter.enabled=true,legacyPurger.enabled=true,mode=job"],
        &["--set", purge],
        &["--set", "proxy.https=http://proxy:3128,imagePullSecrets[0].name=x,extraLabels.team=mesh,logFormat=json"],
        &["--set", "rollback.enabled=false"],
        &["--set", "mode=job,rollback.now={--last}"],
        &["--set", "release=system,rollback.waitTimeout=1m30s", "--set-json", "rollback.waitFor=[]", "--is-upgrade"],
        &["--set", "image.tag=dev,image.pullPolicy=Never,rollback.image.tag=other"],
    ];
    for case in cases {
        let [three, four] = HELMS.map(|helm| alike(&normal(&template(helm, CHART, case).expect(0).stdout)));
        assert_eq!(three, four, "{case:?}");
    }
    let without_rollback = ["--set", "rollback.enabled=false"];
    insta::assert_snapshot!(normal(&template("helm4", CHART, &without_rollback).expect(0).stdout));
    let only = format!("triggerReplicator.enabled=false,rollback.enabled=false,{purge}");
    insta::assert_snapshot!("a_purge", normal(&template("helm4", CHART, &["--set", &only]).expect(0).stdout));
    let only = ["--set", "triggerReplicator.enabled=false", "--is-upgrade"];
    insta::assert_snapshot!("a_rollback", normal(&template("helm4", CHART, &only).expect(0).stdout));
}

#[test]
fn names_of_long_releases_are_cut_and_stay_different() {
    for helm in HELMS {
        let names = ["a", "b"].map(|end| {
            let name = format!("{}{end}", "r".repeat(52));
            let rendered = release(helm, "shop", &name, CHART, &["--set", ALL_JOBS]).expect(0).stdout;
            let names: Vec<String> = rendered
                .lines()
                .filter_map(|line| line.strip_prefix("  name: ").map(|name| name.trim_matches('"').to_owned()))
                .collect();
            assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
            names
        });
        assert!(names[0].iter().zip(&names[1]).all(|(one, other)| one != other), "{names:?}");
    }
}

/// Image and pull policy of each Job, by its name.
fn images(values: &str) -> Vec<[String; 3]> {
    let rendered = template("helm4", CHART, &["--set", values]).expect(0).stdout;
    let jobs = objects(&rendered).into_iter().filter(|object| object["kind"] == "Job");
    let mut images: Vec<[String; 3]> = jobs
        .map(|job| {
            let container = &job["spec"]["template"]["spec"]["containers"][0];
            [&job["metadata"]["name"], &container["image"], &container["imagePullPolicy"]].map(|it| text(it).to_owned())
        })
        .collect();
    images.sort();
    images
}

#[test]
fn an_image_has_what_it_does_not_say_itself_from_all_images() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let values = format!(
        "image.registry=r,image.tag=t,image.pullPolicy=Never,legacyPurger.enabled=true,legacyPurger.image.digest={digest},\
         triggerReplicator.image.tag=own,triggerReplicator.image.pullPolicy=Always,rollback.image.registry=q"
    );
    let purger = format!("r/fairlead/legacy-purger@{digest}");
    let expected = [
        ["shop-fairlead-post-rollback", "q/fairlead/schema-migrator:t", "Never"],
        ["shop-fairlead-pre-rollback", "q/fairlead/schema-migrator:t", "Never"],
        ["shop-legacy-purger", &purger, "Never"],
        ["shop-trigger-replicator", "r/fairlead/trigger-replicator:own", "Always"],
        ["shop-unhold", &purger, "Never"],
    ];
    assert_eq!(images(&values), expected);
}

/// As hooks, Helm keeps the order.
#[test]
fn each_job_waits_for_those_before_it_where_all_are_plain_jobs() {
    for helm in HELMS {
        for name in ["shop", &"r".repeat(53)] {
            let of = |values: &str| {
                let objects = objects(&release(helm, "shop", name, CHART, &["--set", values]).expect(0).stdout);
                let jobs: Vec<Value> = objects.into_iter().filter(|object| object["kind"] == "Job").collect();
                let job =
                    |job: &str| jobs.iter().find(|it| it["metadata"]["labels"]["app.kubernetes.io/name"] == job).cloned();
                let others = ["drain-waiter", "trigger-replicator"].map(|name| job(name).unwrap_or_default());
                (job("legacy-purger").expect("it is on"), others)
            };
            let awaited = |job: &Value| {
                let args = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().cloned().unwrap_or_default();
                args.iter().skip_while(|it| **it != "--after-job").nth(1).cloned()
            };
            let (purger, [drain, triggers]) =
                of(&format!("{ALL_JOBS},mode=job,triggerReplicator.activeDeadlineSeconds=300"));
            let [first, second] = [&triggers, &drain].map(|job| text(&job["metadata"]["name"]).to_owned());
            assert_eq!(awaited(&drain), Some(first.clone().into()));
            assert_eq!(drain["spec"]["activeDeadlineSeconds"], 260 + 300);
            assert_eq!(awaited(&purger), Some(format!("{first},{second}").into()));
            // Longer than both: the drain's time begins when the Triggers are there.
            assert_eq!(purger["spec"]["activeDeadlineSeconds"], 260 + 300 + 260);
            for values in [ALL_JOBS, "legacyPurger.enabled=true,triggerReplicator.enabled=false,mode=job"] {
                let (purger, _) = of(values);
                assert_eq!(
                    (awaited(&purger), &purger["spec"]["activeDeadlineSeconds"]),
                    (None, &Value::from(260)),
                    "{values}"
                );
            }
        }
    }
}

#[test]
fn a_strict_job_is_told_so() {
    for helm in HELMS {
        let is_strict = |value: &str| template(helm, CHART, &["--set", value]).expect(0).stdout.contains("FAIRLEAD_STRICT");
        assert_eq!(["true", "false"].map(|it| is_strict(&format!("triggerReplicator.strict={it}"))), [true, false]);
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let cases = [
        ("triggerReplicater.enabled=true", "triggerReplicater"),
        ("triggerReplicator.enabled=perhaps", "enabled"),
        ("mode=daemon", "mode"),
        ("triggerReplicator.strict=perhaps", "strict"),
        ("logFormat=xml", "logFormat"),
        ("image.pullPolicy=", "pullPolicy"),
        ("image.tag=a/b", "tag"),
        ("triggerReplicator.runTimeout=soon", "runTimeout"),
        ("triggerReplicator.image.digest=latest", "digest"),
        ("triggerReplicator.image.pullPolicy=Sometimes", "pullPolicy"),
        ("triggerReplicator.runTimeout=3m31s", "activeDeadlineSeconds"),
        ("triggerReplicator.runTimeout=0s", "runTimeout"),
        ("legacyPurger.enabled=true,legacyPurger.allowUnreplicated={created}", "allowUnreplicated"),
        ("legacyPurger.fence=perhaps", "fence"),
        ("configuration=text", "configuration"),
        ("configuration.purge.kinds=text", "kinds"),
        ("configuration.purge.kinds[0].group=a.b", "kind"),
        ("configuration.purge.dependents[0].kind=C", "group"),
        ("configuration.purge.consumers[0].hold=true", "workload"),
        ("configuration.purge.finalizers[0].name=f", "owner"),
        ("schemaMigrator.contract=true", "contract"),
        ("configuration.tables.database.engine=oracle", "engine"),
        ("configuration.tables.migrations=text", "migrations"),
        ("rollback.waitFor={pods}", "waitFor"),
        ("rollback.waitFor=workloads", "waitFor"),
        ("rollback.waitTimeout=soon", "waitTimeout"),
        ("rollback.waitTimeout=3m", "waitTimeout (3m)"),
        ("rollback.runTimeout=2m", "runTimeout (2m)"),
        ("rollback.runTimeout=3m31s", "activeDeadlineSeconds"),
        ("rollback.args={--last}", "args"),
        ("rollback.now={--last}", "now (--last) is for mode job"),
        ("rollback.now={--last},rollback.enabled=false", "now (--last) is for mode job"),
        ("mode=job,rollback.now={--to,3}", "now"),
    ];
    for helm in HELMS {
        for (value, named) in cases {
            let refused = template(helm, CHART, &["--set", value]);
            assert!(refused.status != Some(0) && refused.stderr.contains(named), "{helm} {value}\n{}", refused.output());
        }
    }
}

#[test]
fn the_charts_pass_lint() {
    for helm in HELMS {
        run(tool(helm).args(["lint", "--strict", CHART, "hooks"]).current_dir(root()), "").expect(0);
    }
}

/// Without what is made up each time: the end of the name of the Job that watches in the background.
fn alike(rendered: &str) -> String {
    let mut parts = rendered.split("-background-1-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "-background-1-" + part.split_at(5).1)
}
