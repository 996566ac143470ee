//! Gates, switches, sweeps and a second executor, killed at each write.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use fairlead_tests::program::{Ended, becomes};
use fairlead_tests::proxy::{Asked, Fault, Moment, Proxy};
use fairlead_tests::state::{State, differences};
use serde_json::{Value, json};

use crate::scenario::{Method, Order, Stage, again_while_told, clusters, counted, kind};

/// At work at once, each with a namespace and a kind of its own.
const WORKERS: usize = 12;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A namespace with a Service, a kind of its own with three objects, a folder with a file, and what a gate reads.
pub(crate) struct Newer {
    pub(crate) stage: Stage,
}

impl Newer {
    pub(crate) fn new(index: usize, name: &str) -> Self {
        let stage = Stage::new(&clusters()[index % clusters().len()], name);
        let newer = Self { stage };
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": newer.definition()},
            "spec": {"group": "example.com", "scope": "Namespaced", "versions": versions("v1"),
                "names": {"kind": newer.kind(), "plural": newer.plural(), "singular": newer.plural().trim_end_matches('s')}},
        });
        newer.stage.api.expect(&Method::POST, DEFINITIONS, &definition);
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "intake"},
            "spec": {"selector": {"app": "old"}, "ports": [{"port": 80}]}});
        let path = newer.stage.path("/api/v1", "services");
        newer.stage.api.expect(&Method::POST, &format!("{path}?fieldManager=helm"), &service);
        let gadgets = newer.stage.path("/apis/example.com/v1", &newer.plural());
        for name in ["a", "b", "c"] {
            let gadget = json!({"apiVersion": "example.com/v1", "kind": newer.kind(), "metadata": {"name": name}, "spec": {"size": 1}});
            // A kind that is established is not served at once.
            assert!(becomes(|| [201, 409].contains(&newer.stage.api.ask(&Method::POST, &gadgets, &gadget).0)));
        }
        newer.write("gate", "empty");
        newer.write("folder/there", "old");
        let files = json!({"folder": newer.file("folder"), "wanted": {"there": "new", "added": "new"}});
        newer.write("files", &files.to_string());
        newer.stage.wish(&newer.changes());
        newer
    }

    fn plural(&self) -> String {
        format!("gadgets{}", self.stage.name.replace('-', ""))
    }

    fn kind(&self) -> String {
        format!("Gadget{}", self.stage.name.replace('-', ""))
    }

    fn definition(&self) -> String {
        format!("{}.example.com", self.plural())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.stage.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, text).expect("written");
    }

    /// The sweep is there twice: forward the second one acts, going back the first.
    fn changes(&self) -> Value {
        let stage = |name: &str, kind: &str, wanted: Value| {
            json!({"name": name, "kind": kind, "undoAt": "post-rollback", "concurrency": 2, "wanted": [wanted],
                "undoWaits": [{"duration": {"seconds": 0}}]})
        };
        let service = json!({"apiVersion": "v1", "kind": "Service", "namespace": self.stage.name, "name": "intake"});
        let definition =
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "name": self.definition()});
        let gadgets = json!({"apiVersion": "example.com/v1", "kind": self.kind(), "name": "*"});
        let sweep = || stage("stored form", "expand", json!({"target": gadgets, "sweep": ["v1", "v2"]}));
        json!([
            stage("intake", "switch", json!({"target": service, "patch": {"spec": {"selector": {"app": "new"}}}})),
            sweep(),
            stage("definition", "expand", json!({"target": definition, "patch": {"spec": {"versions": versions("v2")}}})),
            sweep(),
        ])
    }

    fn run(&self, order: Order, fault: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) -> (Ended, Vec<String>) {
        let [files, gate] = ["files", "gate"].map(|name| self.file(name).display().to_string());
        let more: &[&str] = if order == Order::Apply { &["--files", &files, "--gate", &gate] } else { &[] };
        let (ended, proxy) = self.stage.run(order, more, fault);
        let writes = proxy.asked().iter().filter(|asked| asked.write.is_some()).map(kind).collect();
        (ended, writes)
    }

    fn run_to_the_end(&self, order: Order) -> Ended {
        again_while_told(|| self.run(order, |_| None).0)
    }

    /// All of it, but for what cannot be the same again.
    pub(crate) fn state(&self) -> State {
        let api = &self.stage.api;
        let service = api.get(&format!("{}/intake", self.stage.path("/api/v1", "services")));
        let mut managers = service["metadata"]["managedFields"].clone();
        for entry in managers.as_array_mut().into_iter().flatten() {
            entry.as_object_mut().map(|entry| entry.remove("time"));
        }
        let definition = api.get(&format!("{DEFINITIONS}/{}", self.definition()));
        let files = ["there", "added"].map(|name| fs::read_to_string(self.file(&format!("folder/{name}"))).ok());
        State::from([
            ("service".to_owned(), json!([service["spec"]["selector"], managers])),
            ("definition".to_owned(), definition["spec"]["versions"].clone()),
            ("files".to_owned(), json!(files)),
        ])
    }

    fn gadget(&self, name: &str) -> String {
        format!("{}/{name}", self.stage.path("/apis/example.com/v1", &self.plural()))
    }

    /// Writes nothing to an object, and returns its resourceVersion: another one only if it was stored otherwise.
    fn touched(&self, name: &str) -> String {
        let object = self.stage.api.expect(&Method::PATCH, &self.gadget(name), &json!({}));
        object["metadata"]["resourceVersion"].as_str().expect("a text").to_owned()
    }

    /// Has the definition store this version, as somebody else.
    fn store_as(&self, version: &str) {
        let definition = format!("{DEFINITIONS}/{}", self.definition());
        self.stage.api.expect(&Method::PATCH, &definition, &json!({"spec": {"versions": versions(version)}}));
    }

    /// The writes of a sweep.
    fn swept(&self, proxy: &Proxy) -> Vec<Asked> {
        proxy.asked().into_iter().filter(|asked| kind(asked) == format!("patch {}", self.plural())).collect()
    }

    fn resource_version(&self, name: &str) -> String {
        let object = self.stage.api.get(&self.gadget(name));
        object["metadata"]["resourceVersion"].as_str().expect("a text").to_owned()
    }
}

fn versions(stored: &str) -> Value {
    let version = |name: &str| {
        json!({"name": name, "served": true, "storage": name == stored,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    json!([version("v1"), version("v2")])
}

/// One kill, and whether the run is taken back then.
#[derive(Clone, Copy, Debug)]
struct Point {
    order: Order,
    write: usize,
    moment: Moment,
    then: Order,
}

fn meet(newer: &Newer, point: Point, old: &State, new: &State) -> Result<(), String> {
    newer.run_to_the_end(Order::Rollback);
    if point.order == Order::Rollback {
        newer.run_to_the_end(Order::Apply).expect(0);
    }
    let killed =
        newer.run(point.order, move |asked| (asked.write == Some(point.write)).then_some(Fault::Kill(point.moment)));
    let ended = newer.run_to_the_end(point.then);
    // 4: there was nothing to take back.
    let may: &[i32] = if point.then == Order::Apply { &[0] } else { &[0, 4] };
    let differences = differences(if point.then == Order::Apply { new } else { old }, &newer.state());
    if ended.status.is_some_and(|status| may.contains(&status)) && differences.is_empty() {
        return Ok(());
    }
    Err(format!("{}\n{}\n---\n{}", differences.join("\n"), killed.0.output(), ended.output()))
}

#[test]
fn gates_switches_sweeps_and_other_executors_that_are_killed_at_any_write_end_fully_new_or_exactly_old() {
    let first = Newer::new(0, "newer");
    let old = first.state();
    let (ended, forward) = first.run(Order::Apply, |_| None);
    ended.expect(0);
    let new = first.state();
    assert_eq!(new["files"], json!(["new", "new"]));
    assert_eq!(new["service"][0], json!({"app": "new"}));
    // Helm applies the Service, too: who owns its fields is as it was.
    assert_eq!(new["service"][1], old["service"][1]);
    let (ended, back) = first.run(Order::Rollback, |_| None);
    ended.expect(0);
    assert_eq!(differences(&old, &first.state()), Vec::<String>::new());
    let mut points = Vec::new();
    for (order, writes) in [(Order::Apply, forward.len()), (Order::Rollback, back.len())] {
        for write in 0..writes {
            let [one, other] =
                if write % 2 == 0 { [Order::Apply, Order::Rollback] } else { [Order::Rollback, Order::Apply] };
            points.push(Point { order, write, moment: Moment::AfterCommit, then: one });
            if order == Order::Apply {
                points.push(Point { order, write, moment: Moment::BeforeSent, then: other });
            }
        }
    }
    let count = points.len();
    let (points, wrong) = (Mutex::new(points.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (points, wrong, new) = (&points, &wrong, &new);
            scope.spawn(move || {
                let newer = Newer::new(worker, &format!("newer-{worker}"));
                let old = newer.state();
                loop {
                    let Some(point) = points.lock().expect("nobody panics with it").next() else { return };
                    if let Err(what) = meet(&newer, point, &old, new) {
                        wrong.lock().expect("nobody panics with it").push(format!("{point:?}: {what}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panics with it");
    assert!(wrong.is_empty(), "{} of {count} points:\n{}", wrong.len(), wrong.join("\n=====\n"));
    println!(
        "a gate, a switch, a sweep and a second executor killed at {count} points: {} writes forward ({}), {} back ({})",
        forward.len(),
        counted(&forward),
        back.len(),
        counted(&back)
    );
}

#[test]
fn a_sweep_stores_every_object_anew_also_one_that_was_made_meanwhile() {
    let newer = Newer::new(1, "swept");
    let stages = newer.changes();
    newer.store_as("v2");
    // The API server stores anew a moment after its definition has changed.
    let before = newer.resource_version("a");
    assert!(becomes(|| newer.touched("a") != before), "it is not stored anew");
    let [b, c] = ["b", "c"].map(|name| newer.resource_version(name));
    newer.stage.wish(&json!([stages[3]]));
    newer.run_to_the_end(Order::Apply).expect(0);
    for (name, before) in [("b", b), ("c", c)] {
        let swept = newer.resource_version(name);
        assert_ne!(swept, before, "{name} is stored anew");
        assert_eq!(newer.touched(name), swept, "{name} is stored as it should be");
    }
    newer.store_as("v1");
    let (ended, proxy) = newer.stage.run(Order::Rollback, &[], |_| None);
    ended.expect(0);
    // One that took too long is sent again.
    assert_eq!(newer.swept(&proxy).into_iter().map(|asked| asked.path).collect::<BTreeSet<_>>().len(), 3);
}

/// Who takes the old version out of the definition then would lose what is stored so.
#[test]
fn a_sweep_that_does_nothing_is_not_done() {
    let newer = Newer::new(0, "unswept");
    let stages = newer.changes();
    let old = newer.state();
    // Nobody has changed the definition when the last of them looks.
    for wishes in [json!([stages[3]]), json!([stages[1], stages[3]])] {
        newer.stage.wish(&wishes);
        let told = newer.stage.run(Order::Apply, &[], |_| None).0.expect(1).output();
        assert!(told.contains("its definition, which stores v1, is not as it must be"), "{told}");
        assert_eq!(differences(&old, &newer.state()), Vec::<String>::new());
    }
}

#[test]
fn a_gate_keeps_what_it_has_seen_and_its_verdict_has_the_codes_exit_status() {
    let newer = Newer::new(0, "gated");
    newer.stage.wish(&json!([]));
    newer.write("files", &json!({"folder": newer.file("folder"), "wanted": {}}).to_string());
    newer.write("gate", "7 messages");
    let (refused, _) = newer.run(Order::Apply, |_| None);
    let refused = refused.expect(4);
    assert!(refused.stderr.contains("error LP103: it is not empty: 7 messages"), "{}", refused.stderr);
    newer.write("gate", "later 3");
    let (later, _) = newer.run(Order::Apply, |_| None);
    assert!(later.expect(0).stdout.contains("the run goes on in the background: 3 are left"));
    newer.write("gate", "empty");
    newer.run(Order::Apply, |_| None).0.expect(0);
    let phases: Vec<String> = newer.stage.phases().into_values().collect();
    // The look that finished the run is the one that was asked for.
    assert_eq!(phases, ["RolledBack", "Committed"]);
    let secrets = newer.stage.api.get(&newer.stage.path("/api/v1", "secrets"));
    let names = secrets["items"].as_array().expect("a list").iter().filter_map(|secret| secret["metadata"]["name"].as_str());
    assert_eq!(names.filter(|name| name.contains("-e")).count(), 3, "evidence of each look");
    // It has changed nothing: nothing is in force, and a rollback of the last run has nothing to do.
    let last = newer.stage.run(Order::Rollback, &["--dry-run"], |_| None).0.expect(0);
    assert!(!last.stdout.contains("delete"), "{}", last.stdout);
}
