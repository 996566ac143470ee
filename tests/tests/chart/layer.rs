//! The server, which is no hook: a Deployment in each namespace whose Services are led to it.

use fairlead_tests::access;
use fairlead_tests::program::{job, run};
use serde_json::Value;

use crate::{ALL_JOBS, CHART, HELMS, normal, objects, release, template, text};

const ON: &str = "compatibilityLayer.enabled=true,triggerReplicator.enabled=false,rollback.enabled=false";

#[test]
fn both_helms_render_it_where_it_is_asked_for() {
    for helm in HELMS {
        let off = template(helm, CHART, &["--set", ALL_JOBS]).expect(0).stdout;
        assert!(!off.contains("compatibility-layer"), "it is off by default");
    }
    let [three, four] = HELMS.map(|helm| normal(&template(helm, CHART, &["--set", ON]).expect(0).stdout));
    assert_eq!(three, four);
    assert!(!four.contains("helm.sh/hook"), "Helm keeps it");
    insta::assert_snapshot!(four);
}

#[test]
fn each_namespace_gets_one_and_they_share_a_role() {
    for name in ["shop", &"r".repeat(53)] {
        let values = format!("{ON},compatibilityLayer.namespaces={{kyma-system,shop}}");
        let objects = objects(&release("helm4", "shop", name, CHART, &["--set", &values]).expect(0).stdout);
        let of = |kind: &str| objects.iter().filter(move |object| object["kind"] == kind).collect::<Vec<&Value>>();
        let places = of("Deployment").iter().map(|it| text(&it["metadata"]["namespace"])).collect::<Vec<_>>();
        assert_eq!(places, ["kyma-system", "shop"]);
        let account = |object: &&Value| (object["metadata"]["name"].clone(), object["metadata"]["namespace"].clone());
        let subject = |subject: &Value| (subject["name"].clone(), subject["namespace"].clone());
        let accounts: Vec<_> = of("ServiceAccount").iter().map(account).collect();
        let bound =
            of("ClusterRoleBinding")[0]["subjects"].as_array().expect("subjects").iter().map(subject).collect::<Vec<_>>();
        assert_eq!(accounts, bound);
        let rules = access::rules(&objects);
        assert_eq!(rules.len(), 1, "{rules:?}");
        assert_eq!((rules[0].resource.as_str(), rules[0].verb.as_str()), ("triggers", "list"));
        assert!(objects.iter().all(|object| text(&object["metadata"]["name"]).len() <= 63));
        for (deployment, service) in of("Deployment").iter().zip(of("Service")) {
            let pods = &deployment["spec"]["template"]["metadata"]["labels"];
            let selector = service["spec"]["selector"].as_object().expect("a selector");
            assert!(selector.iter().all(|(key, value)| pods[key] == *value) && selector.len() == 2, "{selector:?}");
        }
    }
}

/// Publishers reach its Service, and must not be able to take the connections of the kubelet.
#[test]
fn probes_have_a_port_that_no_service_leads_to() {
    let objects = objects(&template("helm4", CHART, &["--set", ON]).expect(0).stdout);
    let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).expect(kind);
    let container = &of("Deployment")["spec"]["template"]["spec"]["containers"][0];
    let ports = container["ports"].as_array().expect("ports");
    let probes = ports.iter().find(|port| port["name"] == "probes").expect("a port for probes");
    assert_eq!(probes["containerPort"], 9090, "the default of --probe-listen");
    for probe in ["readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "probes", "{probe}");
    }
    let led = of("Service")["spec"]["ports"].as_array().expect("ports");
    assert!(led.iter().all(|port| port["targetPort"] != "probes"), "{led:?}");
}

/// The kubelet kills what has not ended by then, and its publishers would get no answer.
#[test]
fn the_grace_period_is_longer_than_all_that_the_server_waits_for() {
    let help = run(job("compatibility-layer").args(["serve", "--help"]), "").expect(0).stdout;
    let seconds = |flag: &str| -> u64 {
        let (_, rest) = help.split_once(&format!("--{flag} <")).expect(flag);
        let (_, rest) = rest.split_once("[default: ").expect("a default");
        rest.split_once("s]").and_then(|(seconds, _)| seconds.parse().ok()).expect("seconds")
    };
    let sum: u64 = ["shutdown-delay", "body-timeout", "request-timeout"].into_iter().map(seconds).sum();
    let objects = objects(&template("helm4", CHART, &["--set", ON]).expect(0).stdout);
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().expect("a number");
    // The server itself gives the last answers five seconds more.
    assert!(grace > sum + 5, "{grace} seconds for {sum}");
    assert!(seconds("request-timeout") >= seconds("target-timeout"));
}

#[test]
fn another_configuration_makes_other_pods() {
    let pods = |values: &str| {
        let objects = objects(&template("helm4", CHART, &["--set", &format!("{ON},{values}")]).expect(0).stdout);
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
        let config = objects.iter().find(|object| object["kind"] == "ConfigMap").expect("a ConfigMap");
        let content = text(&config["data"]["configuration.yaml"]).to_owned();
        (deployment["spec"]["template"]["metadata"]["annotations"].clone(), content)
    };
    let [(first, _), (second, content), (third, _)] = [
        "configuration.layer.target.http.url=http://a",
        "configuration.layer.target.http.url=http://b",
        "configuration.layer.target.http.url=http://b",
    ]
    .map(pods);
    assert_ne!(first, second);
    assert_eq!(second, third);
    assert!(content.contains("url: http://b") && content.contains("kind: Configuration"), "{content}");
}

/// A Job is replaced by force, and the server with it.
#[test]
fn plain_jobs_do_not_bring_it() {
    for helm in HELMS {
        let said = template(helm, CHART, &["--set", &format!("{ON},mode=job")]).expect(1).stderr;
        assert!(said.contains("with mode job the layer would be replaced by force") && said.contains("mode hook"), "{said}");
        // Going back now needs no server.
        let back = format!("{ON},mode=job,rollback.enabled=true,rollback.now={{--last}}");
        template(helm, CHART, &["--set", &back]).expect(0);
    }
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    for helm in HELMS {
        for (value, expected) in [("replicas=0", "replicas"), ("namespaces={A}", "namespaces"), ("replica=2", "replica")] {
            let said = template(helm, CHART, &["--set", &format!("{ON},compatibilityLayer.{value}")]).expect(1).stderr;
            assert!(said.contains(expected), "{said}");
        }
        let without =
            ["--set", "triggerReplicator.enabled=false,rollback.enabled=false", "--set-json", "compatibilityLayer=null"];
        assert_eq!(template(helm, CHART, &without).expect(0).stdout.trim(), "");
    }
}
