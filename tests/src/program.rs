//! Runs a program to its end.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use backon::{BlockingRetryable as _, ExponentialBuilder};

use crate::{printed, timing};

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// The command line, for messages.
    pub command: String,
    /// Exit status; none when a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Ended {
    /// Asserts the exit status; what the program wrote is shown when it is another one.
    #[expect(clippy::return_self_not_must_use, reason = "often only the assertion matters")]
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}\n--- stdout\n{}--- stderr\n{}", self.command, self.stdout, self.stderr);
        self
    }

    /// Both outputs, as an operator sees them.
    #[must_use]
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: no JSON: {error}\n{}", self.command, self.stdout))
    }
}

/// Tests write it into passwords and the like, in any case; no job may ever tell it.
pub const PLANTED_SECRET: &str = "hunter2";

/// Runs `command` to its end with `input` on stdin. What a job writes is searched for [`PLANTED_SECRET`], and for commands, all of which
/// their programs must understand.
#[track_caller]
pub fn run(command: &mut Command, input: &str) -> Ended {
    timing::begin();
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("failed to start {line}: {error}; `make cluster` builds what the tests need"));
    // A program that does not read its input closes it: no failure of ours.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("failed to wait for {line}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ended =
        Ended { command: line, status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
    let is_job = BUILT.get().is_some_and(|folder| Path::new(command.get_program()).starts_with(folder));
    if is_job {
        assert!(!ended.output().to_lowercase().contains(PLANTED_SECRET), "a secret is told: {ended:?}");
        printed::check(&ended.output());
    }
    ended
}

/// How long anything may take that a test waits for: what takes this long does not come any more.
const PATIENCE: Duration = Duration::from_mins(10);

/// Whether something becomes so in the end. It is looked at often, and not all the time: others need the processors.
#[must_use]
pub fn becomes(mut is_so: impl FnMut() -> bool) -> bool {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(10))
        .with_max_delay(Duration::from_millis(250))
        .without_max_times()
        .with_total_delay(Some(PATIENCE));
    (|| is_so().then_some(()).ok_or(())).retry(pauses).call().is_ok()
}

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A program that the Makefile has built.
#[must_use]
pub fn tool(name: &str) -> Command {
    let mut command = Command::new(root().join("target/tools/bin").join(name));
    // Each of the clusters would leave what it serves in the home folder.
    command.env("KUBECACHEDIR", root().join("target/kube-cache"));
    // kubectl and Helm end before their garbage is worth collecting: a fifth of their processor time. A cluster stays.
    if name != "cluster" {
        command.env("GOGC", "off").env("GOMEMLIMIT", "1GiB");
    }
    command
}

/// The binary of a job, built from the sources as they are, with the profile and the flags of the tests.
#[must_use]
pub fn job(name: &str) -> Command {
    let mut command = Command::new(binaries().join(name));
    // The machine's own settings must not decide what a test does.
    command.env_remove("KUBECONFIG").env("NO_COLOR", "1");
    command
}

static BUILT: OnceLock<PathBuf> = OnceLock::new();

/// The folder of the jobs' binaries.
#[must_use]
pub fn binaries() -> &'static Path {
    BUILT.get_or_init(|| {
        let mut build = builder(env!("CARGO"));
        // With a test among what is built, the dependencies have the features that they have for the tests.
        run(build.args(["build", "--quiet", "--workspace", "--bins", "--test", "chart"]), "").expect(0);
        let test = std::env::current_exe().expect("a test has a file");
        // FOLDER/deps/TEST
        test.ancestors().nth(2).expect("cargo puts it into a folder").to_owned()
    })
}

/// A program that runs cargo, in the root of the repository.
#[must_use]
pub fn builder(program: &str) -> Command {
    let mut build = Command::new(program);
    // What cargo tells tests of their package is for build scripts a change: they would run again, now and after us.
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        build.env_remove(name);
    }
    build.current_dir(root());
    build
}
