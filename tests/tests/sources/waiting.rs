//! `drain-waiter` as a process that waits for one source, against a real API server.

use std::process::Command;
use std::time::{Duration, SystemTime};

use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::{becomes, job, run};
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// A drain of one source, which has the name of its release.
pub(crate) struct Drain<'a> {
    cluster: &'a Cluster,
    release: String,
    configuration: NamedTempFile,
}

impl<'a> Drain<'a> {
    /// With this source, and a Deployment as the intake if `has_intake`.
    pub(crate) fn new(cluster: &'a Cluster, release: &str, source: &Value, has_intake: bool) -> Self {
        let mut named = source.clone();
        named["name"] = release.into();
        let mut drain = json!({"sources": [named]});
        if has_intake {
            let labels = json!({"app": release});
            let container = json!([{"name": "main", "image": "example.com/intake"}]);
            cluster.apply(
                &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "default", "name": release},
                "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": container}}}}),
            );
            drain["intake"] = json!([{"scale": {"namespace": "default", "name": release}}]);
        }
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": drain});
        let configuration = NamedTempFile::new().expect("a temporary file");
        std::fs::write(&configuration, document.to_string()).expect("written");
        Self { cluster, release: release.to_owned(), configuration }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = job("drain-waiter");
        command.args(args).args(["--kubeconfig", self.cluster.kubeconfig(), "--ledger-namespace", "default"]);
        command.args(["--release", &self.release, "--config"]).arg(self.configuration.path());
        command
    }

    /// Waits until a look finds this.
    #[track_caller]
    pub(crate) fn becomes(&self, said: &str) {
        let said = format!("{}: {said}", self.release);
        let mut last = None;
        let is_so = becomes(|| last.insert(run(&mut self.command(&["check"]), "")).output().contains(&said));
        assert!(is_so, "it does not become {said}: {last:?}");
    }

    /// Starts to wait, up to a line that says this of the source.
    #[track_caller]
    pub(crate) fn start(&self, said: &str, more: &[&str]) -> Waiting {
        let args = ["apply", "--grace-period", "0s", "--run-timeout", "20m", "--interval", "500ms"];
        let mut command = self.command(&[&args, more].concat());
        let said = format!("{}: {said}", self.release);
        Waiting { release: self.release.clone(), job: Watched::start_until(&mut command, &said) }
    }

    /// Asserts that the rounds of the proof have all ended after this.
    #[track_caller]
    pub(crate) fn is_proven_after(&self, moment: SystemTime) {
        let certificate = run(&mut self.command(&["certificate"]), "").expect(0).json();
        let evidence = &certificate["evidence"];
        let began = evidence["began"].as_str().and_then(|time| humantime::parse_rfc3339(time).ok()).expect("a time");
        let first = Duration::from_millis(evidence["row"][0]["toMillis"].as_u64().expect("a row"));
        assert!(evidence["isProven"] == true && began + first >= moment, "{}: {evidence}", self.release);
    }

    /// How many replicas its intake is to have.
    pub(crate) fn replicas(&self) -> Value {
        self.cluster.get("deployment", "default", &self.release)["spec"]["replicas"].clone()
    }
}

/// A run that waits.
pub(crate) struct Waiting {
    release: String,
    job: Watched,
}

impl Waiting {
    /// Reads on until it says this of its source; and never this before.
    #[track_caller]
    pub(crate) fn until(&mut self, said: &str, never: &[&str]) {
        let before = self.job.lines_until(&format!("{}: {said}", self.release));
        for what in
            never.iter().map(|what| if *what == PROVEN { PROVEN.to_owned() } else { format!("{}: {what}", self.release) })
        {
            assert!(!before.iter().any(|line| line.contains(&what)), "{what}\n{}", before.join("\n"));
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.job.signal(signal);
    }

    /// Waits until it ends like this, and returns what it still said.
    #[track_caller]
    pub(crate) fn ends(self, status: i32) -> String {
        let (ended, rest) = self.job.finish();
        let rest = rest.join("\n");
        assert_eq!(ended, Some(status), "{}\n{rest}", self.release);
        rest
    }
}

/// For a run that waits for a server that is broken for a while. So many rounds are time enough to break one that was found empty.
pub(crate) const PATIENT: [&str; 4] = ["--samples", "12", "--stall", "10m"];

/// What a run says that has come to its end.
pub(crate) const PROVEN: &str = "proven: every source was empty";
