//! A purge that dies at any write ends with everything gone or everything as it was: a workload held, a fence, objects that own others,
//! their kind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use fairlead_tests::api::Api;
use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::{Ended, becomes, job};
use fairlead_tests::proxy::{Asked, Fault, Moment, Proxy};
use fairlead_tests::state::{State, canonical, differences};
use serde_json::{Value, json};

use crate::scenario::{Method, Order, again_while_told, clusters, counted, free_lease_of_killed, kind, through_proxy};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const OBJECTS: [&str; 2] = ["a", "b"];

/// At work at once: each waits for the fence, and for the API server to serve a kind.
const WORKERS: usize = 16;

/// What is done after the kill.
#[derive(Clone, Copy, Debug)]
enum Then {
    Rerun,
    Rollback,
}

/// One kill, and what is done then.
#[derive(Clone, Copy, Debug)]
struct Point {
    order: Order,
    write: usize,
    moment: Moment,
    then: Then,
}

/// A namespace, a kind of its own, and a configuration that purges it.
struct Relics {
    api: Api,
    name: String,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl Relics {
    fn new(cluster: &Cluster, name: &str) -> Self {
        let api = Api::new(cluster.kubeconfig().as_ref());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.expect(&Method::POST, "/api/v1/namespaces", &namespace);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let relics = Self { api, name: name.to_owned(), kubeconfig: cluster.kubeconfig().into(), folder };
        let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": name, "name": "broker"});
        let purge = json!({"kinds": [{"group": "example.org", "kind": relics.kind()}], "consumers": [{"workload": workload, "hold": true}],
            "dependents": [{"group": "", "kind": "ConfigMap"}]});
        let configuration = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "purge": purge});
        std::fs::write(relics.configuration(), configuration.to_string()).expect("written");
        relics
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("configuration.json")
    }

    fn plural(&self) -> String {
        format!("relics{}", self.name.replace('-', ""))
    }

    fn kind(&self) -> String {
        format!("Relic{}", self.name.replace('-', ""))
    }

    fn objects(&self) -> String {
        format!("/apis/example.org/v1/namespaces/{}/{}", self.name, self.plural())
    }

    fn namespaced(&self, root: &str, plural: &str) -> String {
        format!("{root}/namespaces/{}/{plural}", self.name)
    }

    fn definition(&self) -> Value {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let version =
            json!({"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": schema});
        let (plural, kind) = (self.plural(), self.kind());
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.example.org")},
            "spec": {"group": "example.org", "scope": "Namespaced", "names": {"kind": kind, "plural": plural}, "versions": [version]}})
    }

    /// Everything as it was in the beginning, and no trace of an earlier run.
    fn reset(&self) {
        for (root, plural) in [
            ("/api/v1", "secrets"),
            ("/api/v1", "configmaps"),
            ("/apis/apps/v1", "deployments"),
            ("/apis/coordination.k8s.io/v1", "leases"),
        ] {
            self.api.expect(&Method::DELETE, &self.namespaced(root, plural), &Value::Null);
        }
        // Nobody waits for the kind where it is there.
        self.api.ask(&Method::POST, DEFINITIONS, &self.definition());
        let is_served = || self.api.ask(&Method::GET, &self.objects(), &Value::Null).0 == 200;
        assert!(becomes(is_served), "{} are not served", self.plural());
        for name in OBJECTS {
            self.api.ask(&Method::DELETE, &format!("{}/{name}", self.objects()), &Value::Null);
            let owners = if name == "a" { json!([]) } else { json!([self.owner_a()]) };
            let object = json!({"apiVersion": "example.org/v1", "kind": self.kind(), "metadata": {"name": name, "ownerReferences": owners}, "spec": {"size": 1}});
            let create = || self.api.ask(&Method::POST, &format!("{}?fieldManager=team", self.objects()), &object).0 == 201;
            assert!(becomes(create), "{name} cannot be created");
            let status = json!({"status": {"phase": "Running"}});
            self.api.expect(&Method::PATCH, &format!("{}/{name}/status?fieldManager=controller", self.objects()), &status);
        }
        // One that another owner keeps.
        let configmaps = format!("{}?fieldManager=team", self.namespaced("/api/v1", "configmaps"));
        let configmap = |name: &str, owners: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owners}});
        let other = self.api.expect(&Method::POST, &configmaps, &configmap("other", json!([])));
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other["metadata"]["uid"]});
        self.api.expect(&Method::POST, &configmaps, &configmap("shared", json!([self.owner_a(), other])));
        let template =
            json!({"metadata": {"labels": {"app": "it"}}, "spec": {"containers": [{"name": "it", "image": "none"}]}});
        let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "it"}}, "template": template});
        let broker = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "broker"}, "spec": spec});
        let path = format!("{}?fieldManager=helm", self.namespaced("/apis/apps/v1", "deployments"));
        self.api.expect(&Method::POST, &path, &broker);
    }

    /// What names the first object as an owner.
    fn owner_a(&self) -> Value {
        let a = self.api.get(&format!("{}/a", self.objects()));
        json!({"apiVersion": "example.org/v1", "kind": self.kind(), "name": "a", "uid": a["metadata"]["uid"]})
    }

    /// The workload, what is owned, the kind and its objects; and policies, of which there must be none in the end.
    fn state(&self) -> State {
        let mut found = vec![self.api.get(&format!("{}/broker", self.namespaced("/apis/apps/v1", "deployments")))];
        found.extend(
            self.api.get(&self.namespaced("/api/v1", "configmaps"))["items"].as_array().expect("a list").iter().cloned(),
        );
        let (status, mut definition) =
            self.api.ask(&Method::GET, &format!("{DEFINITIONS}/{}.example.org", self.plural()), &Value::Null);
        if status == 200 {
            definition.as_object_mut().expect("an object").remove("status");
            let managers = definition["metadata"]["managedFields"].as_array_mut().expect("a list");
            managers.retain(|entry| entry["subresource"] != "status");
            found.push(definition);
            found.extend(self.api.get(&self.objects())["items"].as_array().expect("a list").iter().cloned());
        }
        for plural in ["", "bindings"]
            .map(|end| if end.is_empty() { POLICIES.to_owned() } else { POLICIES.replace("policies", "policybindings") })
        {
            let (status, policy) =
                self.api.ask(&Method::GET, &format!("{plural}/fairlead-purge.{0}.{0}", self.name), &Value::Null);
            found.extend((status == 200).then_some(policy));
        }
        canonical(found)
    }

    fn run(&self, order: Order, fault: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) -> (Ended, Proxy) {
        let mut command = job("legacy-purger");
        match order {
            Order::Apply => command.args(["apply", "--config"]).arg(self.configuration()),
            _ => command.args(["rollback", "--to", "0"]),
        };
        let variables = [
            ("RELEASE", self.name.as_str()),
            ("LEDGER_NAMESPACE", &self.name),
            ("CONCURRENCY", "1"),
            ("LEASE_DURATION", "15s"),
            ("REQUEST_TIMEOUT", "5s"),
            ("LEASE_WAIT", "1m"),
        ];
        command.envs(variables.map(|(name, value)| (format!("FAIRLEAD_{name}"), value)));
        let ended = through_proxy(&self.kubeconfig, command, fault);
        free_lease_of_killed(&self.api, &self.name, &ended.0);
        ended
    }

    fn run_to_the_end(&self, order: Order) -> Ended {
        again_while_told(|| self.run(order, |_| None).0)
    }

    fn meet(&self, point: Point, old: &State, new: &State) -> Result<(), String> {
        self.reset();
        if point.order == Order::Rollback {
            self.run_to_the_end(Order::Apply).expect(0);
        }
        let Point { write, moment, .. } = point;
        let (killed, _) = self.run(point.order, move |asked| (asked.write == Some(write)).then_some(Fault::Kill(moment)));
        let (order, expected) = match point.then {
            Then::Rerun => (Order::Apply, new),
            Then::Rollback => (Order::Rollback, old),
        };
        let ended = self.run_to_the_end(order);
        let different = differences(expected, &self.state());
        // 4: it had not begun, or was done, so there is nothing to take back.
        let is_expected = matches!((order, ended.status), (_, Some(0)) | (Order::Rollback, Some(4)));
        if is_expected && different.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}: {}\n{}\n---\n{}", ended.status, different.join("\n"), killed.output(), ended.output()))
        }
    }
}

#[test]
fn a_purge_that_is_killed_at_any_write_ends_fully_new_or_exactly_old() {
    let first = Relics::new(&clusters()[0], "purge-first");
    first.reset();
    let old = first.state();
    assert_eq!(old.len(), 6);
    let writes = |order| {
        let (ended, proxy) = first.run(order, |_| None);
        ended.expect(0);
        proxy
            .asked()
            .iter()
            .filter(|asked| asked.write.is_some())
            .map(kind)
            .filter(|kind| kind != "renew lease")
            .collect::<Vec<_>>()
    };
    let forward = writes(Order::Apply);
    assert_eq!(first.state().len(), 3, "only the workload and what is kept are left");
    let back = writes(Order::Rollback);
    assert_eq!(differences(&old, &first.state()), Vec::<String>::new());

    let mut points = Vec::new();
    // Before a write is after the one before it: a run that goes on from there is the same.
    let forth =
        [(Moment::BeforeSent, Then::Rollback), (Moment::AfterCommit, Then::Rerun), (Moment::AfterCommit, Then::Rollback)];
    for (moment, then) in forth {
        points.extend((0..forward.len()).map(|write| Point { order: Order::Apply, write, moment, then }));
    }
    let killed_back = |write, then| Point { order: Order::Rollback, write, moment: Moment::AfterCommit, then };
    points.extend((0..back.len()).map(|write| killed_back(write, Then::Rollback)));
    // It takes back what is left, and then purges again: a sample, because that takes two runs.
    points.extend((0..back.len()).step_by(3).map(|write| killed_back(write, Then::Rerun)));
    let count = points.len();
    let (points, wrong) = (Mutex::new(points.into_iter()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (points, wrong) = (&points, &wrong);
            scope.spawn(move || {
                let relics = Relics::new(&clusters()[worker % 2], &format!("purge-{worker}"));
                relics.reset();
                let old = relics.state();
                relics.run_to_the_end(Order::Apply).expect(0);
                let new = relics.state();
                loop {
                    let Some(point) = points.lock().expect("nobody panics with it").next() else { return };
                    if let Err(what) = relics.meet(point, &old, &new) {
                        wrong.lock().expect("nobody panics with it").insert(format!("{point:?}"), what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panics with it");
    let text: Vec<String> = wrong.iter().map(|(point, what)| format!("{point}: {what}")).collect();
    assert!(wrong.is_empty(), "{} of {count} points:\n{}", wrong.len(), text.join("\n=====\n"));
    println!(
        "a purge killed at {count} points: {} writes forward ({}), {} back ({})",
        forward.len(),
        counted(&forward),
        back.len(),
        counted(&back)
    );
}
