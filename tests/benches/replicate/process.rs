//! The job as a process.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::run;

use crate::objects::LEDGER;

/// How often the memory is looked at: what is used for a shorter time at the very end is not seen.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The job's binary.
pub(crate) struct Job {
    binary: PathBuf,
}

/// A run that has succeeded.
pub(crate) struct Ran {
    /// From exec to exit.
    pub(crate) elapsed: Duration,
    /// The most memory that was resident at once, in bytes.
    pub(crate) peak: usize,
    log: String,
}

impl Job {
    /// The job `binary`.
    pub(crate) fn new(binary: &Path) -> Self {
        Self { binary: binary.to_owned() }
    }

    /// Its name and version.
    pub(crate) fn version(&self) -> String {
        run(self.command("--version").env_clear(), "").expect(0).stdout.trim().to_owned()
    }

    /// The command, without anything of this machine's settings.
    pub(crate) fn command(&self, command: &str) -> Command {
        let mut job = Command::new(&self.binary);
        job.arg(command).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        job
    }

    /// Shows the plan.
    pub(crate) fn plan(&self, cluster: &Cluster) -> Ran {
        measure(self.command("plan").args(["--kubeconfig", cluster.kubeconfig()]))
    }

    /// Shows the plan of a file.
    pub(crate) fn plan_from(&self, file: &Path) -> Ran {
        measure(self.command("plan").arg("--from").arg(file))
    }

    /// Applies it.
    pub(crate) fn apply(&self, cluster: &Cluster, concurrency: usize) -> Ran {
        let args = ["--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", LEDGER, "--run-timeout", "1h"];
        measure(self.command("apply").args(args).arg("--concurrency").arg(concurrency.to_string()))
    }
}

impl Ran {
    /// How long the writes took, by the log.
    pub(crate) fn writes(&self) -> Duration {
        let entered = |phase: &str| -> SystemTime {
            let line = self.log.lines().find(|line| line.contains("phase=") && line.contains(phase));
            let stamp = line.and_then(|line| line.split_whitespace().next());
            let stamp = stamp.unwrap_or_else(|| panic!("the log says nothing of phase {phase}"));
            humantime::parse_rfc3339(stamp).expect("the log begins its lines with the time")
        };
        entered("Verifying").duration_since(entered("Applying")).expect("time goes on")
    }
}

/// Runs a job to its end.
pub(crate) fn measure(command: &mut Command) -> Ran {
    let started = Instant::now();
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the job starts");
    // Opened once: when the process is gone, the file tells nothing of another one with its number.
    let memory = File::open(format!("/proc/{}/status", child.id())).expect("a running process has its file");
    let mut stderr = child.stderr.take().expect("it is piped");
    let (end, ended) = channel();
    let (status, elapsed, log, peak) = thread::scope(|scope| {
        let log = scope.spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).map(|_| log)
        });
        let peak = scope.spawn(move || watch(&memory, &ended));
        let status = child.wait().expect("the job ends");
        let elapsed = started.elapsed();
        drop(end);
        (status, elapsed, log.join().expect("no panic").expect("the log is text"), peak.join().expect("no panic"))
    });
    assert!(status.success(), "{command:?}: {status}\n{}", last_lines(&log));
    Ran { elapsed, peak, log }
}

/// The highest `VmHWM` until the other end of `ended` is gone.
fn watch(memory: &File, ended: &Receiver<()>) -> usize {
    let mut peak = 0;
    loop {
        let mut buffer = [0; 4096];
        let length = memory.read_at(&mut buffer, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&buffer[..length]);
        // A process that has ended has no such line.
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
        peak = peak.max(kib.unwrap_or(0) * 1024);
        if ended.recv_timeout(POLL_INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return peak;
        }
    }
}

fn last_lines(log: &str) -> &str {
    log.rmatch_indices('\n').nth(20).map_or(log, |(position, _)| &log[position..])
}
