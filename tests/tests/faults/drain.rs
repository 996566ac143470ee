//! A drain that dies at any write ends with its intake closed in every way there is, or exactly as it was: a Service redirected, a workload at
//! zero, a `CronJob` suspended, a field set. Likewise its rollback, and the end of its holds.

use std::path::PathBuf;
use std::sync::Mutex;

use fairlead_tests::api::Api;
use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::{Ended, becomes, job};
use fairlead_tests::proxy::{Asked, Fault, Moment, Proxy};
use fairlead_tests::state::{State, canonical, differences};
use serde_json::{Value, json};

use crate::scenario::{Method, again_while_told, clusters, counted, free_lease_of_killed, kind, through_proxy};

/// At work at once: most of the time each waits for its processes and for the API server.
const WORKERS: usize = 24;

/// What is closed, by path and name.
const INTAKE: [(&str, &str, &str); 4] = [
    ("/api/v1", "services", "front"),
    ("/apis/apps/v1", "deployments", "intake"),
    ("/apis/batch/v1", "cronjobs", "reports"),
    ("/api/v1", "configmaps", "settings"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Apply,
    Rollback,
    /// The upgrade is over.
    Unhold,
}

/// A run that is killed at a write, and what is done then.
#[derive(Clone, Copy, Debug)]
struct Point {
    order: Order,
    write: usize,
    then: Order,
    /// Whether the run was not over yet: then it is finished, and is no second one.
    is_finished: bool,
}

/// How the intake stands before, while and after it is held.
struct Ends {
    open: State,
    closed: State,
    /// The Service leads to the new side, and everything else is open.
    upgraded: State,
}

/// A namespace with an intake, and a queue that is empty.
struct Scene {
    api: Api,
    name: String,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(cluster: &Cluster, name: &str) -> Self {
        let api = Api::new(cluster.kubeconfig().as_ref());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.expect(&Method::POST, "/api/v1/namespaces", &namespace);
        let scene = Self {
            api,
            name: name.to_owned(),
            kubeconfig: cluster.kubeconfig().into(),
            folder: tempfile::tempdir().expect("a folder"),
        };
        let at = |name: &str| json!({"namespace": scene.name, "name": name});
        let with = |name: &str, more: Value| {
            let mut object = at(name);
            object.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
            object
        };
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap"});
        let queue = with("queue", json!({"until": {"field": {"pointer": "/data/left", "is": "0"}}}));
        let merged = |mut object: Value| {
            object.as_object_mut().expect("a map").extend(map.as_object().expect("a map").clone());
            object
        };
        let drain = json!({"sources": [{"name": "queue", "kubernetes": merged(queue)}], "intake": [
            {"redirect": with("front", json!({"selector": {"app": "new"}}))}, {"scale": at("intake")}, {"suspend": at("reports")},
            {"set": merged(with("settings", json!({"field": ["data", "paused"], "value": "true"})))},
        ]});
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": drain});
        std::fs::write(scene.configuration(), document.to_string()).expect("written");
        scene.new_side();
        scene
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("configuration.json")
    }

    fn path(&self, root: &str, plural: &str) -> String {
        format!("{root}/namespaces/{}/{plural}", self.name)
    }

    /// A pod that says that it is ready, and needs no node for that.
    fn new_side(&self) {
        let accounts = self.path("/api/v1", "serviceaccounts");
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        self.api.ask(&Method::POST, &accounts, &account);
        let spec = json!({"automountServiceAccountToken": false, "containers": [{"name": "it", "image": "none"}]});
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new", "labels": {"app": "new"}}, "spec": spec});
        let pods = self.path("/api/v1", "pods");
        assert!(becomes(|| self.api.ask(&Method::POST, &pods, &pod).0 == 201), "there is no account for pods");
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        self.api.expect(&Method::PATCH, &format!("{pods}/new/status"), &ready);
    }

    /// The intake as it was in the beginning, and no trace of an earlier run.
    fn reset(&self) {
        let leases = self.path("/apis/coordination.k8s.io/v1", "leases");
        for collection in [self.path("/api/v1", "secrets"), self.path("/api/v1", "configmaps"), leases] {
            self.api.expect(&Method::DELETE, &collection, &Value::Null);
        }
        let containers = json!([{"name": "it", "image": "none"}]);
        let template = json!({"metadata": {"labels": {"app": "it"}}, "spec": {"containers": containers}});
        let pod = json!({"spec": {"restartPolicy": "Never", "containers": containers}});
        let specs = [
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"selector": {"app": "old", "tier": "front"}, "ports": [{"port": 80}]}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "it"}}, "template": template}}),
            json!({"apiVersion": "batch/v1", "kind": "CronJob",
                "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pod}}}}),
            // Without the map that gets the field.
            json!({"apiVersion": "v1", "kind": "ConfigMap", "binaryData": {"other": ""}}),
        ];
        for ((root, plural, name), mut object) in INTAKE.into_iter().zip(specs) {
            object["metadata"] = json!({"name": name});
            self.api.ask(&Method::DELETE, &format!("{}/{name}", self.path(root, plural)), &Value::Null);
            self.api.expect(&Method::POST, &format!("{}?fieldManager=helm", self.path(root, plural)), &object);
        }
        let queue = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "queue"}, "data": {"left": "0"}});
        self.api.expect(&Method::POST, &self.path("/api/v1", "configmaps"), &queue);
    }

    /// The objects of the intake, and who owns which of their fields.
    fn state(&self) -> State {
        let object = |(root, plural, name): (&str, &str, &str)| {
            let mut object = self.api.get(&format!("{}/{name}", self.path(root, plural)));
            // Which addresses a Service got is no matter.
            for field in ["clusterIP", "clusterIPs"] {
                object["spec"].as_object_mut().map(|spec| spec.remove(field));
            }
            object
        };
        canonical(INTAKE.into_iter().map(object).collect())
    }

    /// Phases of all tickets, by name.
    fn phases(&self) -> Vec<String> {
        let list = self.api.get(&format!("{}?labelSelector=fairlead.dev/phase", self.path("/api/v1", "secrets")));
        let phase = |secret: &Value| secret["metadata"]["labels"]["fairlead.dev/phase"].as_str().map(str::to_owned);
        list["items"].as_array().expect("a list").iter().filter_map(phase).collect()
    }

    fn run(&self, order: Order, fault: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) -> (Ended, Proxy) {
        let mut command = job("drain-waiter");
        match order {
            Order::Apply => command.args(["apply", "--config"]).arg(self.configuration()),
            Order::Rollback => command.args(["rollback", "--to", "0"]),
            Order::Unhold => command.arg("unhold"),
        };
        let variables = [
            ("RELEASE", self.name.as_str()),
            ("LEDGER_NAMESPACE", &self.name),
            ("CONCURRENCY", "1"),
            ("GRACE_PERIOD", "0s"),
            ("INTERVAL", "100ms"),
            ("SAMPLES", "2"),
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

    /// The writes of a run that nothing happens to, in words.
    fn writes(&self, order: Order) -> Vec<String> {
        let (ended, proxy) = self.run(order, |_| None);
        ended.expect(0);
        proxy.asked().iter().filter(|asked| asked.write.is_some()).map(kind).filter(|kind| kind != "renew lease").collect()
    }

    fn ends(&self) -> Ends {
        self.reset();
        let open = self.state();
        self.run_to_the_end(Order::Apply).expect(0);
        let closed = self.state();
        self.run_to_the_end(Order::Unhold).expect(0);
        Ends { open, closed, upgraded: self.state() }
    }

    fn meet(&self, point: Point, ends: &Ends) -> Result<(), String> {
        self.reset();
        if point.order != Order::Apply {
            self.run_to_the_end(Order::Apply).expect(0);
        }
        let kill = move |asked: &Asked| (asked.write == Some(point.write)).then_some(Fault::Kill(Moment::AfterCommit));
        let (killed, _) = self.run(point.order, kill);
        let mut outputs = vec![killed.output()];
        self.go_on(point.then, ends, &mut outputs).map_err(|why| format!("{why}\n{}", outputs.join("\n---\n")))?;
        let runs = self.phases().iter().filter(|phase| *phase == "Committed").count();
        if point.is_finished && runs > 1 {
            return Err(format!("{runs} runs are recorded\n{}", outputs.join("\n---\n")));
        }
        // From every end the way back leads to the beginning.
        if point.then == Order::Rollback { Ok(()) } else { self.go_on(Order::Rollback, ends, &mut outputs) }
            .map_err(|why| format!("and then {why}\n{}", outputs.join("\n---\n")))
    }

    /// Runs to the end, and looks at what is there then.
    fn go_on(&self, order: Order, ends: &Ends, outputs: &mut Vec<String>) -> Result<(), String> {
        let ended = self.run_to_the_end(order);
        outputs.push(ended.output());
        let expected = match order {
            Order::Apply => &ends.closed,
            Order::Rollback => &ends.open,
            Order::Unhold => &ends.upgraded,
        };
        let different = differences(expected, &self.state());
        // 4: it had not begun, or was done, so there is nothing to take back.
        let is_expected = matches!((order, ended.status), (_, Some(0)) | (Order::Rollback, Some(4)));
        let phases = self.phases();
        let is_whole = phases.iter().all(|phase| ["Committed", "RolledBack", "Planned"].contains(&phase.as_str()));
        if is_expected && different.is_empty() && is_whole {
            return Ok(());
        }
        Err(format!("{order:?} ended with {:?}, tickets {phases:?}\n{}", ended.status, different.join("\n")))
    }
}

#[test]
fn a_drain_that_is_killed_at_any_write_ends_with_its_intake_closed_or_exactly_as_it_was() {
    let first = Scene::new(&clusters()[0], "drain-first");
    let ends = first.ends();
    assert!(differences(&ends.open, &ends.closed).len() == 4 && differences(&ends.open, &ends.upgraded).len() == 1);
    first.reset();
    let forward = first.writes(Order::Apply);
    let back = first.writes(Order::Rollback);
    first.run_to_the_end(Order::Apply).expect(0);
    let over = first.writes(Order::Unhold);

    let mut points = Vec::new();
    let committed = forward.iter().position(|kind| kind == "patch ticket, phase Committed").expect("it is committed");
    let mut killed = |order, writes: &[String], then| {
        let is_finished = |write| order != Order::Apply || write < committed;
        points.extend((0..writes.len()).map(|write| Point { order, write, then, is_finished: is_finished(write) }));
    };
    killed(Order::Apply, &forward, Order::Apply);
    killed(Order::Apply, &forward, Order::Rollback);
    killed(Order::Rollback, &back, Order::Rollback);
    killed(Order::Unhold, &over, Order::Unhold);
    killed(Order::Unhold, &over, Order::Rollback);
    let count = points.len();
    let (points, wrong) = (Mutex::new(points.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (points, wrong) = (&points, &wrong);
            scope.spawn(move || {
                let scene = Scene::new(&clusters()[worker % 2], &format!("drain-{worker}"));
                let ends = scene.ends();
                loop {
                    let Some(point) = points.lock().expect("nobody panics with it").next() else { return };
                    if let Err(what) = scene.meet(point, &ends) {
                        wrong.lock().expect("nobody panics with it").push(format!("{point:?}: {what}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panics with it");
    assert!(wrong.is_empty(), "{} of {count} points:\n{}", wrong.len(), wrong.join("\n=====\n"));
    let [forward, over, back] = [forward, over, back].map(|writes| format!("{} ({})", writes.len(), counted(&writes)));
    println!("a drain killed at {count} points: {forward} writes forward, {over} when its holds end, {back} back");
}
