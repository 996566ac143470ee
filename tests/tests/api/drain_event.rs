//! `drain-waiter` shows where new connections lead after a redirect: an event is sent until the new side answers, or the Service leads back.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use fairlead_tests::cluster::{Lease, lease};
use fairlead_tests::program::{Ended, PLANTED_SECRET, job, run};
use fairlead_tests::request::read;
use fairlead_tests::servers::process::closed_port;
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What becomes of a request.
#[derive(Clone, Copy)]
pub(crate) enum Reply {
    /// This status with these lines of a head, and a body.
    Answer(u16, &'static str, &'static str),
    /// The connection stays open, and nothing comes.
    Silence,
}

pub(crate) const OLD: Reply = Reply::Answer(202, "x-side: old\r\n", "");
pub(crate) const NEW: Reply = Reply::Answer(202, "x-side: new\r\n", "");

/// A request, and the number of the connection that it came over.
#[derive(Clone, Debug)]
struct Request {
    connection: usize,
    head: String,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// Both sides of a Service: who answers is decided for each request by its number, as kube-proxy decides it in time. It keeps every
/// connection open for as long as the client does.
pub(crate) struct Sides {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Sides {
    pub(crate) fn start(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (seen, reply) = (Arc::clone(&requests), Arc::new(reply));
        // Both end with the test's process; a client that hangs up ends its thread.
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let (seen, reply) = (Arc::clone(&seen), Arc::clone(&reply));
                std::thread::spawn(move || serve(connection, stream, &seen, &*reply));
            }
        });
        Self { port, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("nobody panics with it").clone()
    }
}

fn serve(connection: usize, mut stream: TcpStream, seen: &Mutex<Vec<Request>>, reply: &dyn Fn(usize) -> Reply) {
    while let Some((head, body)) = read(&mut stream) {
        let number = {
            let mut seen = seen.lock().expect("nobody panics with it");
            seen.push(Request { connection, head, body });
            seen.len()
        };
        let Reply::Answer(status, lines, body) = reply(number) else { continue };
        let answer = format!("HTTP/1.1 {status} X\r\n{lines}content-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A Service, a pod of its new side, and a queue.
struct Scene {
    cluster: Lease,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let cluster = lease();
        let at = |name: &str| json!({"namespace": "default", "name": name});
        cluster
            .kubectl(&["delete", "services,pods,leases.coordination.k8s.io", "--all", "-n", "default", "--force"])
            .expect(0);
        let spec = json!({"automountServiceAccountToken": false, "containers": [{"name": "it", "image": "none"}]});
        let mut pod = at("new");
        pod["labels"] = json!({"app": "new"});
        let token = json!({"token": format!("Bearer {PLANTED_SECRET}")});
        cluster.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": at("default")}));
        cluster.apply(&json!([
            {"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": spec},
            {"apiVersion": "v1", "kind": "Secret", "metadata": at("shop"), "stringData": token},
            {"apiVersion": "v1", "kind": "Service", "metadata": at("front"),
                "spec": {"selector": {"app": "old"}, "ports": [{"port": 80}]}},
        ]));
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}).to_string();
        let patch = ["patch", "pod", "new", "-n", "default", "--subresource=status", "--type=merge", "-p", &ready];
        cluster.kubectl(&patch).expect(0);
        let scene = Self { cluster, folder: tempfile::tempdir().expect("a temporary folder") };
        scene.leave(0);
        scene
    }

    fn leave(&self, left: u32) {
        self.cluster.apply(&json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": "default", "name": "queue"}, "spec": {"leaseTransitions": left}}));
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("fairlead.json")
    }

    /// A redirect with this event.
    fn configure(&self, event: &Value) {
        let queue = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": "default", "name": "queue",
            "until": {"field": {"pointer": "/spec/leaseTransitions", "is": 0}}});
        let redirect = json!({"namespace": "default", "name": "front", "selector": {"app": "new"}, "event": event});
        let drain = json!({"sources": [{"name": "orders", "kubernetes": queue}], "intake": [{"redirect": redirect}]});
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": drain});
        std::fs::write(self.file(), document.to_string()).expect("written");
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = job("drain-waiter");
        command.args(args).args(["--grace-period", "1s", "--interval", "100ms", "--ledger-namespace", "default"]);
        command.args(["--kubeconfig", self.cluster.kubeconfig(), "--config"]).arg(self.file());
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args), "")
    }

    fn leads_to(&self) -> Value {
        self.cluster.get("service", "default", "front")["spec"]["selector"]["app"].clone()
    }
}

#[test]
fn an_event_is_sent_over_new_connections_until_the_new_side_answers() {
    let sides = Sides::start(|number| if number <= 3 { OLD } else { NEW });
    let scene = Scene::new();
    scene.configure(&json!({"url": sides.url(), "body": {"order": 7}, "expect": {"headers": {"x-side": "new"}},
        "headers": {"ce-type": "order.checked", "authorization": {"name": "shop", "key": "token"}}}));
    let plan = scene.run(&["plan"]).expect(0).stdout;
    let sent = format!(
        "DW211 Service default/front: after the redirect an event goes to {} until 3 answers in a row are ",
        sides.url()
    );
    assert!(plan.contains(&sent), "{plan}");
    assert!(!plan.contains("DW210") && plan.contains("an event shows only where new ones lead"), "{plan}");
    assert!(sides.requests().is_empty(), "a plan sends nothing");

    let ended = scene.run(&["apply"]).expect(0);
    assert!(ended.stderr.contains("and has x-side: old"), "{}", ended.stderr);
    let requests = sides.requests();
    let connections: Vec<usize> = requests.iter().map(|request| request.connection).collect();
    // Three answers in a row are looked for; `plan` and `apply` have only connected before.
    assert_eq!(connections, [2, 3, 4, 5, 6, 7]);
    let certificate = scene.run(&["certificate"]).expect(0);
    let reached = &certificate.json()["evidence"]["reached"][0];
    let id = reached["id"].as_str().expect("an id");
    assert!(id.starts_with("default/fairlead.v1.fairlead."), "{id}");
    for request in &requests {
        assert!(request.head.starts_with("POST /events HTTP/1.1\r\n"), "{}", request.head);
        // A receiver that knows an id answers as before, and that may have been the old side.
        let of_try = request.header("ce-id").expect("an id");
        assert!(of_try.strip_prefix(id).is_some_and(|number| number.starts_with('/')), "{of_try}: {id}");
        assert_eq!(request.header("idempotency-key"), Some(of_try));
        assert_eq!(request.header("authorization"), Some(format!("Bearer {PLANTED_SECRET}").as_str()));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.body, "{\"order\":7}");
    }
    let ids: BTreeSet<Option<&str>> = requests.iter().map(|request| request.header("ce-id")).collect();
    assert_eq!(ids.len(), 6, "{ids:?}");
    assert_eq!((&reached["tries"], &reached["status"]), (&json!(6), &json!(202)));
    assert_eq!(reached["inARow"], 3);
    assert_eq!(scene.leads_to(), "new");

    let file = scene.folder.path().join("certificate.json");
    std::fs::write(&file, &certificate.stdout).expect("written");
    let holds = run(job("drain-waiter").args(["certificate", "--verify"]).arg(&file), "").expect(0).stdout;
    let said = format!("new connections to Service default/front: {} answered HTTP 202 at ", sides.url());
    assert!(
        holds.contains(&said) && holds.contains("after 6 tries, and HTTP 2xx, header x-side: new was expected"),
        "{holds}"
    );
}

#[test]
fn a_service_whose_new_side_does_not_answer_leads_back() {
    let scene = Scene::new();
    let nobody = format!("http://127.0.0.1:{}/events", closed_port());
    for (reply, said) in [
        (Some(OLD), "answers HTTP 202 Accepted, and has x-side: old; expected is HTTP 2xx, header x-side: new, and "),
        (Some(Reply::Answer(500, "", "")), "answers HTTP 500 Internal Server Error; expected is "),
        (
            Some(Reply::Answer(302, "location: /login\r\n", "")),
            "answers HTTP 302 Found and leads to /login, which is not followed",
        ),
        (Some(Reply::Silence), "cannot be reached: no answer within 1 s; expected is "),
        (None, "cannot be reached: "),
    ] {
        let sides = reply.map(|reply| Sides::start(move |_| reply));
        let url = sides.as_ref().map_or(nobody.clone(), Sides::url);
        scene.configure(&json!({"url": url, "within": "1s", "expect": {"headers": {"x-side": "new"}}}));
        let plan = scene.run(&["plan"]).expect(0).stdout;
        assert_eq!(plan.contains("DW213 Service default/front: its event: "), reply.is_none(), "{plan}");
        let failed = scene.run(&["apply"]).expect(4);
        let whole = format!("error DW120: Service default/front: {url} {said}");
        assert!(failed.stderr.contains(&whole), "{whole}\n{}", failed.stderr);
        assert_eq!(scene.leads_to(), "old", "{said}");
    }
}

#[test]
fn an_event_that_cannot_be_sent_is_found_before_the_service_is_redirected() {
    let sides = Sides::start(|_| NEW);
    let scene = Scene::new();
    let url = sides.url();
    for (event, status, said) in [
        (json!({"url": "orders.shop.svc"}), 2, "redirect.event: url \"orders.shop.svc\" is no URL of http or https"),
        (json!({"url": url, "method": "FETCH"}), 2, "redirect.event: method \"FETCH\" is none of "),
        (json!({"url": url, "body": "x".repeat(70_000)}), 2, "redirect.event: body has 70000 bytes, and may have 65536"),
        (json!({"url": url, "headers": {"x-api-key": PLANTED_SECRET}}), 2, "headers.x-api-key must be a key of a Secret"),
        (
            json!({"url": url, "headers": {"authorization": {"name": "shop", "key": "nope"}}}),
            4,
            "DW104 Service default/front: its event: Secret default/shop has no key nope",
        ),
    ] {
        scene.configure(&event);
        let refused = scene.run(&["apply"]).expect(status);
        assert!(refused.stderr.contains(said), "{said}\n{}", refused.stderr);
        assert_eq!(scene.leads_to(), "old", "{said}");
    }
    // Whoever answers so may be the old side.
    scene.configure(&json!({"url": url}));
    let plan = scene.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("DW210 Service default/front: the event expects HTTP 2xx, which the old side"), "{plan}");
    assert!(sides.requests().is_empty());
}

/// A Service that leads to both sides answers as the new one now and then.
#[test]
fn one_answer_of_the_new_side_is_not_enough() {
    let sides = Sides::start(|number| if number % 3 == 0 { OLD } else { NEW });
    let scene = Scene::new();
    scene.configure(&json!({"url": sides.url(), "within": "1s", "expect": {"headers": {"x-side": "new"}}}));
    let failed = scene.run(&["apply"]).expect(4).stderr;
    assert!(failed.contains("error DW120: ") && failed.contains("and has x-side: old; expected is"), "{failed}");
    assert_eq!(scene.leads_to(), "old");
}

#[test]
fn a_new_selector_that_leaves_the_old_side_in_is_named() {
    let scene = Scene::new();
    let labels = |app: &str| json!({"metadata": {"labels": {"app": app, "tier": "front"}}}).to_string();
    let selector = json!({"spec": {"selector": {"app": "new"}}}).to_string();
    scene.cluster.kubectl(&["patch", "service", "front", "-n", "default", "--type=merge", "-p", &selector]).expect(0);
    scene.cluster.kubectl(&["patch", "pod", "new", "-n", "default", "--type=merge", "-p", &labels("new")]).expect(0);
    let mut document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration"});
    document["drain"] =
        json!({"intake": [{"redirect": {"namespace": "default", "name": "front", "selector": {"tier": "front"}}}]});
    std::fs::write(scene.file(), document.to_string()).expect("written");
    let plan = scene.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("DW212 Service default/front: every pod that it leads to today, like new, is one of"), "{plan}");
}

/// Whoever gets it twice knows it by its id.
#[test]
fn a_run_that_goes_on_sends_its_event_again_with_the_same_id() {
    let sides = Sides::start(|_| NEW);
    let scene = Scene::new();
    scene.leave(3);
    scene.configure(&json!({"url": sides.url(), "expect": {"headers": {"x-side": "new"}}}));
    let waiting = Watched::start_until(&mut scene.command(&["apply", "--stall", "10m"]), "orders: 3 left");
    waiting.signal(Signal::TERM);
    let (status, said) = waiting.finish();
    assert_eq!(status, Some(75), "{said:?}");
    assert_eq!(scene.leads_to(), "new");
    scene.leave(0);
    // As it was told before: then it does not look again when it has finished the earlier run.
    scene.run(&["apply", "--stall", "10m"]).expect(0);
    let id = |request: usize| {
        let requests = sides.requests();
        let id = requests[request].header("ce-id").expect("an id").to_owned();
        let (run, number) = id.rsplit_once('/').expect("a number");
        (run.to_owned(), number.to_owned())
    };
    assert_eq!(sides.requests().len(), 6);
    assert!(id(0).0 == id(3).0 && id(0).1 != id(3).1, "{:?} {:?}", id(0), id(3));
    // The next run is another one.
    scene.run(&["rollback", "--last"]).expect(0);
    scene.run(&["apply"]).expect(0);
    assert_ne!(id(6).0, id(0).0);
}
