//! Triggers on a real Knative: they become ready, events arrive, and what does not become ready is taken back.

use std::process::{Child, Stdio};

use fairlead_tests::cluster::{Cluster, node};
use fairlead_tests::program::{Ended, becomes, job, run};
use fairlead_tests::state::is_ready;
use serde_json::{Value, json};

use crate::release::Release;

/// Where Applications have their Channels.
const INTEGRATION: &str = "kyma-integration";

/// A namespace with a mailbox, to which a legacy Subscription delivers.
struct Tenant<'a> {
    cluster: &'a Cluster,
    namespace: &'static str,
}

impl<'a> Tenant<'a> {
    fn new(cluster: &'a Cluster, namespace: &'static str) -> Self {
        let labels = json!({"app": "mailbox"});
        let container = json!({"name": "mailbox", "image": "docker.io/fairlead/mailbox:dev", "imagePullPolicy": "Never", "args": ["serve"],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}});
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        cluster.apply(&json!([
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace, "name": "mailbox"},
             "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": "mailbox"},
             "spec": {"selector": labels, "ports": [{"port": 8080}]}},
            {"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
             "metadata": {"namespace": namespace, "name": "mailbox"},
             "spec": {"source_id": "shop", "event_type": "order.created", "event_type_version": "v1",
                "endpoint": format!("http://mailbox.{namespace}:8080/orders")}},
        ]));
        Self { cluster, namespace }
    }

    /// The Broker, with its configuration in a ConfigMap of the namespace, which may be missing.
    fn broker(&self, config: &str) {
        self.cluster.apply(&json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker",
            "metadata": {"namespace": self.namespace, "name": "default"},
            "spec": {"config": {"apiVersion": "v1", "kind": "ConfigMap", "name": config, "namespace": self.namespace}}}));
    }

    fn config(&self, name: &str) {
        let template = "apiVersion: messaging.knative.dev/v1\nkind: InMemoryChannel\n";
        self.cluster.apply(
            &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": self.namespace, "name": name},
            "data": {"channel-template-spec": template}}),
        );
    }

    /// Lets the events of an Application in, of which the mailbox subscribes to some.
    fn activate(&self, application: &str) {
        let id = format!("{}-events", self.namespace);
        let connector = |kind: &str, name: &str, spec: Value| {
            json!({"apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": kind,
                "metadata": {"namespace": self.namespace, "name": name}, "spec": spec})
        };
        let services = json!({"services": [{"id": id, "entries": [{"type": "Events"}]}]});
        let mut registered = connector("Application", application, services);
        registered["metadata"].as_object_mut().expect("an object").remove("namespace");
        self.cluster.apply(&json!([
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": INTEGRATION}},
            registered,
            connector("ApplicationMapping", application, json!({})),
            connector("EventActivation", &id, json!({"sourceId": application})),
        ]));
    }

    /// Does what Kyma's event-sources did for an Application.
    fn channel(&self, application: &str) {
        self.cluster.apply(&json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Channel",
            "metadata": {"namespace": INTEGRATION, "name": application, "labels": {"application-name": application}}}));
    }

    /// Where an Application would send its events.
    fn channel_address(&self, application: &str) -> String {
        let ready = "--for=condition=Ready";
        let channel = format!("channels.messaging.knative.dev/{application}");
        self.cluster.kubectl(&["wait", "-n", INTEGRATION, ready, &channel, "--timeout=10m"]).expect(0);
        let channel = self.cluster.get("channels.messaging.knative.dev", INTEGRATION, application);
        channel["status"]["address"]["url"].as_str().expect("a Channel that is ready has an address").to_owned()
    }

    /// Names of the Subscriptions that carry events of an Application.
    fn carriers(&self, application: &str) -> Vec<String> {
        let label = format!("application-name={application}");
        let list = ["get", "subscriptions.messaging.knative.dev", "-n", INTEGRATION, "-l", &label, "-o", "name"];
        self.cluster.kubectl(&list).expect(0).stdout.lines().map(str::to_owned).collect()
    }

    /// Publishes as an application would; returns the ids of the events.
    fn send(&self, count: usize, version: &str) -> Vec<String> {
        let to = format!("http://broker-ingress.knative-eventing.svc.cluster.local/{}/default", self.namespace);
        self.send_to(&to, count, version)
    }

    fn send_to(&self, to: &str, count: usize, version: &str) -> Vec<String> {
        let (count, name) = (count.to_string(), format!("sender-{version}"));
        let mut args = vec!["run", &name, "--namespace", self.namespace, "--image=docker.io/fairlead/mailbox:dev"];
        args.extend(["--image-pull-policy=Never", "--restart=Never", "--", "send", "--to", to]);
        args.extend(["--source", "shop", "--type", "order.created", "--version", version, "--count", &count]);
        self.cluster.kubectl(&args).expect(0);
        // Not attached: a pod that ends quickly may be gone before its output is read.
        let pod = format!("pod/{name}");
        let has_ended = "--for=jsonpath={.status.phase}=Succeeded";
        self.cluster.kubectl(&["wait", has_ended, &pod, "-n", self.namespace, "--timeout=10m"]).expect(0);
        let sent = self.cluster.kubectl(&["logs", &pod, "-n", self.namespace]).expect(0).stdout;
        self.cluster.kubectl(&["delete", &pod, "-n", self.namespace]).expect(0);
        sent.lines().map(str::to_owned).collect()
    }

    /// What has arrived.
    fn received(&self) -> Vec<Value> {
        let path = format!("/api/v1/namespaces/{}/services/http:mailbox:8080/proxy/", self.namespace);
        let list = self.cluster.kubectl(&["get", "--raw", &path]).expect(0).json();
        list.as_array().expect("the mailbox lists events").clone()
    }

    /// Waits until as many events have arrived as were sent, and returns them. Nothing keeps their order.
    #[track_caller]
    fn assert_arrived(&self, mut sent: Vec<String>, why: &str) -> Vec<Value> {
        assert!(becomes(|| self.received().len() >= sent.len()), "{:?}", self.received());
        let received = self.received();
        let mut ids: Vec<&str> = received.iter().filter_map(|event| event["attributes"]["id"].as_str()).collect();
        sent.sort_unstable();
        ids.sort_unstable();
        assert_eq!(ids, sent, "{why}");
        received
    }

    fn triggers(&self) -> Vec<Value> {
        let list = self.cluster.kubectl(&["get", "triggers", "-n", self.namespace, "-o", "json"]).expect(0).json();
        list["items"].as_array().expect("kubectl prints a list").clone()
    }
}

impl Drop for Tenant<'_> {
    fn drop(&mut self) {
        for name in ["applications.applicationconnector.kyma-project.io", "channels.messaging.knative.dev"] {
            self.cluster.kubectl(&["delete", name, "-A", "--all", "--wait=false"]);
        }
        self.cluster.kubectl(&["delete", "namespace", self.namespace, "--wait=false"]);
    }
}

fn start(cluster: &Cluster, more: &[&str]) -> Child {
    let args: Vec<&str> = ["apply", "--ledger-namespace", "default"].iter().chain(more).copied().collect();
    let mut command = cluster.job("trigger-replicator", &args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn apply(cluster: &Cluster, more: &[&str]) -> Ended {
    let args: Vec<&str> = ["apply", "--ledger-namespace", "default"].iter().chain(more).copied().collect();
    run(&mut cluster.job("trigger-replicator", &args), "")
}

#[test]
fn after_the_upgrade_every_event_arrives_exactly_once() {
    let cluster = node();
    let shop = Release::install(&cluster, "helm4", "mesh");
    cluster.load_mailbox();
    let tenant = Tenant::new(&cluster, "mesh-arrives");
    tenant.config("channel");
    tenant.broker("channel");
    cluster.kubectl(&["wait", "-n", tenant.namespace, "--for=condition=Ready", "broker/default", "--timeout=10m"]).expect(0);
    cluster.kubectl(&["rollout", "status", "-n", tenant.namespace, "deployment/mailbox", "--timeout=10m"]).expect(0);

    shop.upgrade(&[]).expect(0);
    assert_eq!(tenant.triggers().len(), 1);
    assert!(becomes(|| tenant.triggers().iter().all(is_ready)), "{:?}", tenant.triggers());

    let sent = tenant.send(5, "v1");
    tenant.send(3, "v2");
    let received = tenant.assert_arrived(sent, "those of the version that the Subscription asked for, and each once");
    assert!(received.iter().all(|event| event["path"] == "/orders" && event["attributes"]["eventtypeversion"] == "v1"));
}

/// What is not ready when the time of the hook is over is watched by a Job that Helm does not wait for.
#[test]
fn what_the_hook_has_no_time_for_goes_on_in_the_background() {
    let cluster = node();
    let shop = Release::install(&cluster, "helm4", "mesh-late");
    cluster.load_mailbox();
    let [early, late] = ["mesh-early", "mesh-late"].map(|namespace| Tenant::new(&cluster, namespace));
    early.config("channel");
    early.broker("channel");
    cluster.kubectl(&["wait", "-n", early.namespace, "--for=condition=Ready", "broker/default", "--timeout=10m"]).expect(0);
    late.broker("late");

    let short = "fairlead.triggerReplicator.runTimeout=40s,fairlead.triggerReplicator.args={--ready-timeout,10m}";
    shop.upgrade(&["--set", short]).expect(0);
    assert_eq!((shop.bus(), late.triggers().iter().any(is_ready)), (json!("mesh"), false));
    let ledger = ["status", "-o", "json", "--release", "shop", "--ledger-namespace", &shop.namespace];
    let status = || {
        let mut status = job("trigger-replicator");
        run(status.args(ledger).args(["--kubeconfig", cluster.kubeconfig()]), "").expect(0).json()
    };
    assert_eq!(status()["runs"][0]["phase"], "Background");
    let how_far = || status()["watches"]["howFar"].as_str().unwrap_or_default().to_owned();
    assert!(becomes(|| how_far().starts_with("1 of 2 are not ready yet, the first is Trigger mesh-late/")), "{}", status());

    late.config("late");
    let background = "app.kubernetes.io/name=background";
    let complete = ["wait", "-n", &shop.namespace, "--for=condition=Complete", "job", "-l", background, "--timeout=10m"];
    cluster.kubectl(&complete).expect(0);
    assert_eq!(status()["runs"][0]["phase"], "Committed");
    assert!(late.triggers().iter().all(is_ready), "{:?}", late.triggers());
}

/// Triggers that go together leave dead subscribers in the channel behind their Broker (knative/eventing#6636), and senders hang.
#[test]
fn what_is_taken_back_leaves_no_dead_subscriber_behind() {
    let cluster = node();
    let tenant = Tenant::new(&cluster, "mesh-back");
    cluster.load_mailbox();
    tenant.config("channel");
    tenant.broker("channel");
    for number in 1..8 {
        cluster.apply(&json!({"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
            "metadata": {"namespace": "mesh-back", "name": format!("more-{number}")},
            "spec": {"source_id": "shop", "event_type": format!("order.paid.{number}"), "event_type_version": "v1",
                "endpoint": "http://mailbox.mesh-back:8080/paid"}}));
    }
    // What Knative loses of several that are added at once, it may add again only when it looks at everything anew.
    let args = ["--release", "mesh-back", "--ready-timeout", "10m", "--run-timeout", "15m"];
    apply(&cluster, &args).expect(0);
    let subscribers = || {
        let channel = cluster.get("inmemorychannels", "mesh-back", "default-kne-trigger");
        channel["spec"]["subscribers"].as_array().map_or(0, Vec::len)
    };
    // Knative loses one of several that are added at once, and adds it again.
    let all_subscribe = || (tenant.triggers().len(), subscribers()) == (8, 8) && tenant.triggers().iter().all(is_ready);
    assert!(becomes(all_subscribe), "{} subscribers", subscribers());
    let back = ["rollback", "--last", "--ledger-namespace", "default", "--release", "mesh-back"];
    run(&mut cluster.job("trigger-replicator", &back), "").expect(0);
    // A dead one stays; the last one may take a moment.
    assert!(becomes(|| (tenant.triggers().len(), subscribers()) == (0, 0)), "{} subscribers", subscribers());

    // Somebody else is not so careful: what is left behind is warned of. The channel's controllers are asleep meanwhile, so that
    // it is left behind for certain.
    apply(&cluster, &args).expect(0);
    assert!(becomes(all_subscribe), "{} subscribers", subscribers());
    let sleep = |replicas: &str| {
        let to = format!("--replicas={replicas}");
        cluster
            .kubectl(&["scale", "deployment", "-n", "knative-eventing", "eventing-controller", "mt-broker-controller", &to])
            .expect(0);
    };
    sleep("0");
    let is_asleep = || {
        let pods = cluster.kubectl(&["get", "pods", "-n", "knative-eventing", "-o", "name"]).expect(0).stdout;
        !pods.contains("eventing-controller") && !pods.contains("mt-broker-controller")
    };
    assert!(becomes(is_asleep), "the controllers do not go to sleep");
    cluster.kubectl(&["delete", "triggers", "-n", "mesh-back", "--all"]).expect(0);
    let plan = run(&mut cluster.job("trigger-replicator", &["plan"]), "").expect(0).stdout;
    sleep("1");
    let deployments =
        ["rollout", "status", "-n", "knative-eventing", "deployment/eventing-controller", "deployment/mt-broker-controller"];
    cluster.kubectl(&deployments).expect(0);
    let warned = "TR211 InMemoryChannel mesh-back/default-kne-trigger: it still has 8 subscribers whose Trigger is gone";
    assert!(plan.contains(warned), "{plan}");
}

#[test]
fn a_trigger_that_does_not_become_ready_is_taken_back_and_the_cause_is_named() {
    let cluster = node();
    fairlead_tests::cluster::empty(&cluster);
    let tenant = Tenant::new(&cluster, "mesh-broken");
    tenant.broker("there-is-no-such-config");
    // From Knative: otherwise the cause would be that nobody has looked at it.
    let is_looked_at =
        || cluster.get("broker", tenant.namespace, "default")["status"].to_string().contains("there-is-no-such-config");
    assert!(becomes(is_looked_at), "Knative does not look at the Broker");
    let failed = apply(&cluster, &["--ready-timeout", "3s"]).expect(1);
    let named = "waited in vain to see Trigger mesh-broken/order-created-";
    for word in [
        named,
        "become ready, and nothing has for 3s",
        "the cause is Broker mesh-broken/default: ",
        "there-is-no-such-config",
    ] {
        assert!(failed.stderr.contains(word), "{word}\n{}", failed.stderr);
    }
    assert!(failed.stderr.contains("everything is as before"), "{}", failed.stderr);
    assert_eq!(tenant.triggers(), Vec::<Value>::new());
}

/// Kyma issue 7696: a Broker that heals was given up for good.
#[test]
fn a_broker_that_heals_while_we_wait_is_waited_for() {
    let cluster = node();
    fairlead_tests::cluster::empty(&cluster);
    let tenant = Tenant::new(&cluster, "mesh-heals");
    tenant.broker("late");
    let child = start(&cluster, &["--ready-timeout", "10m", "--run-timeout", "15m"]);
    // The Trigger is there and not ready: now the Broker gets what it lacks.

    assert!(becomes(|| !tenant.triggers().is_empty()), "the job creates a Trigger");
    tenant.config("late");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(tenant.triggers().len(), 1);
}

#[test]
fn without_a_broker_triggers_are_pending_and_not_waited_for() {
    let cluster = node();
    fairlead_tests::cluster::empty(&cluster);
    let tenant = Tenant::new(&cluster, "mesh-pending");
    let ended = apply(&cluster, &["--ready-timeout", "10m", "--run-timeout", "15m"]).expect(0);
    let warning = "warning TR204 Broker mesh-pending/default: pending: no Broker, so 1 Trigger delivers";
    assert!(ended.stdout.contains(warning), "{}", ended.stdout);
    assert_eq!(tenant.triggers().len(), 1);
}

/// kyma-project/kyma#7193: provisioning failed for good when the Channel was late.
#[test]
fn a_channel_that_comes_late_is_waited_for_and_then_every_event_arrives_once() {
    let cluster = node();
    fairlead_tests::cluster::empty(&cluster);
    cluster.load_mailbox();
    let tenant = Tenant::new(&cluster, "mesh-late");
    tenant.activate("shop");

    let has_no_broker = || cluster.list("brokers").is_empty();
    // Not waited for long enough: taken back, the Broker, too. And that is not for good.
    let mut failed = apply(&cluster, &["--ready-timeout", "5s"]).expect(1);
    // Where Knative is slow it is the Broker that is not ready in time. The next one finds it warm.
    for _ in 0..10 {
        if failed.stderr.contains("waited in vain to see Broker ") {
            assert!(becomes(has_no_broker), "the Broker is taken back");
            failed = apply(&cluster, &["--ready-timeout", "5s"]).expect(1);
        }
    }
    let named = "waited in vain to see Subscription kyma-integration/shop-to-mesh-late-";
    for word in [
        named,
        "become ready, and nothing has for 5s",
        "the cause is Channel kyma-integration/shop, which is not there",
        "everything is as before",
    ] {
        assert!(failed.stderr.contains(word), "{word}\n{}", failed.stderr);
    }
    assert_eq!((tenant.triggers(), tenant.carriers("shop")), (Vec::<Value>::new(), Vec::<String>::new()));
    // Those of other tests may still be going.
    assert!(becomes(has_no_broker), "{:?}", cluster.list("brokers"));

    let child = start(&cluster, &["--ready-timeout", "10m", "--run-timeout", "15m"]);
    assert!(becomes(|| !tenant.carriers("shop").is_empty()), "the job creates a Subscription");
    tenant.channel("shop");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));

    cluster.kubectl(&["rollout", "status", "-n", tenant.namespace, "deployment/mailbox", "--timeout=10m"]).expect(0);
    let sent = tenant.send_to(&tenant.channel_address("shop"), 3, "v1");
    tenant.assert_arrived(sent, "from the Channel to the mailbox, each once");
    let again = apply(&cluster, &[]).expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
}

/// A Subscription that Kyma's application-broker made, whose Broker has moved with Knative's upgrade.
#[test]
fn a_subscription_of_kymas_own_carries_to_where_the_broker_is_now() {
    let cluster = node();
    fairlead_tests::cluster::empty(&cluster);
    cluster.load_mailbox();
    let tenant = Tenant::new(&cluster, "mesh-foreign");
    tenant.config("channel");
    tenant.broker("channel");
    tenant.activate("shop");
    tenant.channel("shop");
    cluster.kubectl(&["wait", "-n", tenant.namespace, "--for=condition=Ready", "broker/default", "--timeout=10m"]).expect(0);
    let spec = json!({"channel": {"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "shop"},
        "subscriber": {"uri": "http://default-broker.mesh-foreign"}});
    cluster.apply(&json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Subscription", "spec": spec,
        "metadata": {"namespace": INTEGRATION, "name": "brokersub-x7k2p",
            "labels": {"broker-namespace": tenant.namespace, "application-name": "shop"}}}));
    let ended = apply(&cluster, &["--ready-timeout", "10m", "--run-timeout", "15m"]).expect(0);
    assert!(ended.stdout.contains("~ update Subscription kyma-integration/brokersub-x7k2p"), "{}", ended.stdout);
    assert_eq!(tenant.carriers("shop"), ["subscription.messaging.knative.dev/brokersub-x7k2p"]);
    cluster.kubectl(&["rollout", "status", "-n", tenant.namespace, "deployment/mailbox", "--timeout=10m"]).expect(0);
    let sent = tenant.send_to(&tenant.channel_address("shop"), 3, "v1");
    tenant.assert_arrived(sent, "each once");
}

/// Knative cannot take a Subscription out of a Channel that never got its backing channel, and keeps it with its finalizer.
#[test]
fn a_broken_channel_is_named_as_the_cause_and_what_knative_keeps_is_told() {
    let cluster = node();
    fairlead_tests::cluster::empty(&cluster);
    let tenant = Tenant::new(&cluster, "mesh-channel");
    tenant.activate("shop");
    let template = json!({"channelTemplate": {"apiVersion": "messaging.knative.dev/v1", "kind": "NatssChannel"}});
    cluster.apply(&json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "spec": template,
        "metadata": {"namespace": INTEGRATION, "name": "shop", "labels": {"application-name": "shop"}}}));
    // Longer than it takes until the Broker is ready.
    let failed = apply(&cluster, &["--ready-timeout", "20s"]).expect(3);
    for word in [
        "waited in vain to see Subscription kyma-integration/shop-to-mesh-channel-",
        "the cause is Channel kyma-integration/shop: ",
        "1 object is NOT as before",
        "kept by finalizer subscriptions.messaging.knative.dev. If nobody is left who does that work: kubectl -n kyma-integration patch",
    ] {
        assert!(failed.stderr.contains(word), "{word}\n{}", failed.stderr);
    }
    assert_eq!(tenant.triggers(), Vec::<Value>::new());
    assert!(becomes(|| cluster.list("brokers").is_empty()), "{:?}", cluster.list("brokers"));
    // Without the Channel Knative lets go.
    cluster.kubectl(&["delete", "channels.messaging.knative.dev", "-n", INTEGRATION, "shop"]).expect(0);
    let is_gone = || tenant.carriers("shop").is_empty();
    assert!(becomes(is_gone), "Knative keeps the Subscription");
}
