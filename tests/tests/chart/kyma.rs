//! Kyma's whole migration in one value.

use serde_json::Value;

use crate::{CHART, HELMS, normal, objects, release, text};

fn rendered(more: &[&str]) -> Vec<Value> {
    let [three, four] = HELMS.map(|helm| normal(&release(helm, "kyma-system", "essentials", CHART, more).expect(0).stdout));
    assert_eq!(three, four);
    objects(&four)
}

fn names<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a str> {
    objects.iter().filter(|object| object["kind"] == kind).map(|object| text(&object["metadata"]["name"])).collect()
}

/// The sections that a ConfigMap holds.
fn configuration(objects: &[Value], name: &str) -> String {
    let is_it = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == name;
    text(&objects.iter().find(is_it).expect(name)["data"]["configuration.yaml"]).to_owned()
}

#[test]
fn one_value_arms_and_the_same_one_migrates() {
    let armed = rendered(&["--set", "kyma=arm"]);
    assert_eq!(names(&armed, "Job"), ["essentials-fairlead-pre-rollback", "essentials-fairlead-post-rollback"]);
    let places = armed.iter().filter(|it| it["kind"] == "Deployment").map(|it| text(&it["metadata"]["namespace"]));
    assert_eq!(places.collect::<Vec<_>>(), ["kyma-system", "kyma-integration"]);

    let replicates = rendered(&["--set", "kyma=replicate"]);
    assert!(names(&replicates, "Job").contains(&"essentials-trigger-replicator"));
    assert!(!names(&replicates, "Job").contains(&"essentials-drain-waiter"));

    let migrates = rendered(&["--set", "kyma=migrate"]);
    for job in ["trigger-replicator", "drain-waiter", "legacy-purger", "unhold"] {
        assert!(names(&migrates, "Job").contains(&format!("essentials-{job}").as_str()), "{job}");
    }
    // The upgrade must not exchange the pods that the Services are led to.
    let pods = |objects: &[Value]| {
        let deployments = objects.iter().filter(|object| object["kind"] == "Deployment");
        deployments.map(|it| it["spec"]["template"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(pods(&armed), pods(&migrates));
    let drained = configuration(&migrates, "essentials-drain-waiter");
    for word in ["app.kubernetes.io/instance: essentials", "name: '{each}-event-service'", "event-bus-event-publish-service"]
    {
        assert!(drained.contains(word), "{word}: {drained}");
    }
}

#[test]
fn what_the_values_say_of_a_section_takes_its_place() {
    let own = [
        "--set",
        "kyma=migrate,configuration.layer.target.http.url=http://own",
        "--set-json",
        "configuration.drain={\"sources\": []}",
    ];
    let configuration = configuration(&rendered(&own), "essentials-drain-waiter");
    assert!(configuration.contains("http://own") && !configuration.contains("event-service"), "{configuration}");
    for helm in HELMS {
        let said = release(helm, "kyma-system", "essentials", CHART, &["--set", "kyma=yes"]).expect(1).stderr;
        assert!(said.contains("kyma"), "{said}");
    }
}

#[test]
fn how_triggers_are_delivered_to_is_told_to_the_job() {
    let objects =
        rendered(&["--set", "triggerReplicator.delivery.retry=10,triggerReplicator.delivery.backoffPolicy=linear"]);
    let is_it = |object: &&Value| object["metadata"]["name"] == "essentials-trigger-replicator" && object["kind"] == "Job";
    let job = objects.iter().find(is_it).expect("the Job");
    let env = job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("a list");
    let told = env.iter().find(|it| it["name"] == "FAIRLEAD_DELIVERY").expect("it is told");
    assert_eq!(told["value"], "{\"backoffPolicy\":\"linear\",\"retry\":10}");
}
