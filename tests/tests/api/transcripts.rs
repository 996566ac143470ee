//! What the pages show of a terminal is what one shows: the commands of a block that is marked `<!-- transcript: SCENE -->` are run, those
//! of one scene and page one after the other. In a block `[…]` stands for what is left out, and times are not compared. `make docs` writes
//! what the commands print today; what is to be left out is left out by hand.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use fairlead_tests::cluster::{Cluster, Lease, lease};
use fairlead_tests::program::{job, root, run, tool};
use fairlead_tests::watched::Watched;
use serde_json::json;

use crate::fixtures::{namespace, subscription};
use crate::person::Person;

/// What a page says before a block.
const MARK: (&str, &str) = ("<!-- transcript: ", " -->");

const LEFT_OUT: &str = "[…]";

/// A command of a block, and the lines below it.
struct Step {
    command: String,
    shown: Vec<String>,
}

/// A page in parts: lines as they are, and marked blocks with their scene.
enum Part {
    Line(String),
    Block(String, Vec<Step>),
}

fn parts(text: &str) -> Vec<Part> {
    let (mut parts, mut lines, mut scene) = (Vec::new(), text.lines(), None);
    while let Some(line) = lines.next() {
        parts.push(Part::Line(line.to_owned()));
        if let Some(name) = line.strip_prefix(MARK.0).and_then(|rest| rest.strip_suffix(MARK.1)) {
            scene = Some(name.to_owned());
        } else if line.starts_with("```")
            && let Some(scene) = scene.take()
        {
            let mut steps: Vec<Step> = Vec::new();
            for line in lines.by_ref().take_while(|line| *line != "```") {
                match (line.strip_prefix("$ "), steps.last_mut()) {
                    (Some(command), _) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
                    (None, Some(step)) => step.shown.push(line.to_owned()),
                    (None, None) => unreachable!("a transcript begins with a command, not with {line}"),
                }
            }
            parts.push(Part::Block(scene, steps));
            parts.push(Part::Line("```".to_owned()));
        }
    }
    parts
}

/// Whether what is shown is what was printed.
fn is_same(shown: &[String], printed: &[&str]) -> bool {
    match shown {
        [] => printed.is_empty(),
        [first, rest @ ..] if first == LEFT_OUT => (0..=printed.len()).any(|left| is_same(rest, &printed[left..])),
        [first, rest @ ..] => {
            let is_first = |printed: &&str| is_same_line(&without_times(first), &without_times(printed));
            printed.first().is_some_and(is_first) && is_same(rest, &printed[1..])
        }
    }
}

fn is_same_line(shown: &str, printed: &str) -> bool {
    let Some((before, after)) = shown.split_once(LEFT_OUT) else { return shown == printed };
    let rest = printed.strip_prefix(before);
    rest.is_some_and(|rest| rest.char_indices().any(|(at, _)| is_same_line(after, &rest[at..])) || after.is_empty())
}

fn without_times(line: &str) -> String {
    let is_time = |word: &str| word.len() >= 20 && word.as_bytes()[10] == b'T' && word.ends_with('Z');
    line.split(' ').map(|word| if is_time(word) { "TIME" } else { word }).collect::<Vec<_>>().join(" ")
}

/// Where commands are run.
struct Stage {
    person: Person,
    cluster: Option<Lease>,
}

impl Stage {
    fn new(scene: &str) -> Self {
        let person = Person::new();
        for folder in ["examples", "charts"] {
            symlink(root().join(folder), person.home.path().join(folder)).expect("a link");
        }
        let prepare: fn(&Cluster, &Path) = match scene {
            "files" => {
                fs::write(
                    person.home.path().join("broken.yaml"),
                    "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: [\n",
                )
                .expect("written");
                return Self { person, cluster: None };
            }
            "killed" => killed,
            "edited" => edited,
            "armed" => armed,
            other => unreachable!("there is no scene {other}"),
        };
        let cluster = lease();
        cluster.apply(&namespace("shop"));
        cluster.kubectl(&["delete", "secrets,leases,configmaps", "--all", "-n", "shop"]).expect(0);
        prepare(&cluster, person.home.path());
        Self { person, cluster: Some(cluster) }
    }

    fn run(&self, command: &str) -> String {
        let kubeconfig = self.cluster.as_ref().map(|cluster| Path::new(cluster.kubeconfig()));
        self.person.paste(&format!("{{ {command}; }} 2>&1"), kubeconfig).stdout
    }
}

fn subscriptions(cluster: &Cluster, count: usize) {
    cluster.create((1..=count).map(|n| subscription("shop", &format!("s{n:02}"), &format!("order.created.{n}"))));
}

fn apply(cluster: &Cluster) {
    let args = ["apply", "--release", "shop", "--ledger-namespace", "shop", "--kubeconfig", cluster.kubeconfig()];
    run(job("trigger-replicator").args(args), "").expect(0);
}

/// 60 Subscriptions, and a run that was killed in the middle.
fn killed(cluster: &Cluster, _: &Path) {
    subscriptions(cluster, 60);
    let mut job = job("trigger-replicator");
    job.args(["apply", "--release", "shop", "--ledger-namespace", "shop", "--kubeconfig", cluster.kubeconfig()]);
    let mut job = Watched::start_until(job.args(["--concurrency", "1"]), "changed");
    // Some of them, so that one has been made when it is killed.
    (0..2).for_each(|_| job.until("changed"));
    job.kill();
    // The page shows that somebody waits for it, and not how long.
    let short = r#"{"spec": {"leaseDurationSeconds": 6}}"#;
    cluster.kubectl(&["patch", "lease", "-n", "shop", "fairlead-shop", "--type=merge", "-p", short]).expect(0);
}

/// A run of 60 changes, after which somebody has edited the first Trigger.
fn edited(cluster: &Cluster, _: &Path) {
    subscriptions(cluster, 60);
    apply(cluster);
    let name = cluster.list("triggers")[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let elsewhere = json!({"spec": {"subscriber": {"uri": "http://elsewhere.shop/"}}}).to_string();
    cluster.kubectl(&["patch", "trigger", "-n", "shop", &name, "--type=merge", "-p", &elsewhere]).expect(0);
}

/// A release with the chart's rollback hooks, and a run of its upgrade.
fn armed(cluster: &Cluster, home: &Path) {
    subscriptions(cluster, 3);
    let chart = root().join("charts/fairlead").display().to_string();
    for _ in 0..2 {
        let mut helm = tool("helm4");
        helm.args([
            "upgrade",
            "--install",
            "shop",
            &chart,
            "-n",
            "shop",
            "--no-hooks",
            // Nobody starts pods here.
            "--set",
            "triggerReplicator.background.enabled=false",
            "--kubeconfig",
            cluster.kubeconfig(),
        ]);
        run(helm.current_dir(home), "").expect(0);
    }
    // What a hook would have brought: the role for going back.
    let mut hooks = tool("helm4");
    hooks.args(["get", "hooks", "shop", "-n", "shop", "--kubeconfig", cluster.kubeconfig()]);
    let hooks = run(&mut hooks, "").expect(0).stdout;
    let mut roles = tool("kubectl");
    roles.args(["apply", "-l", "fairlead.dev/namespace=shop", "-f", "-", "--kubeconfig", cluster.kubeconfig()]);
    run(&mut roles, &hooks).expect(0);
    let args = ["apply", "--release", "shop", "--ledger-namespace", "shop", "--helm-revision", "2"];
    run(job("trigger-replicator").args(args).args(["--kubeconfig", cluster.kubeconfig()]), "").expect(0);
}

/// Runs the blocks of a page; returns it as it should be, and what is not so.
fn played(page: &Path) -> (String, Vec<String>) {
    let text = fs::read_to_string(page).expect("a page");
    let (mut written, mut wrong) = (String::new(), Vec::new());
    let mut stage: Option<(String, Stage)> = None;
    for part in parts(&text) {
        match part {
            Part::Line(line) => writeln!(written, "{line}").expect("memory"),
            Part::Block(scene, steps) => {
                if stage.as_ref().is_none_or(|(name, _)| *name != scene) {
                    // One at a time: the earlier one gives its cluster back.
                    drop(stage.take());
                    stage = Some((scene.clone(), Stage::new(&scene)));
                }
                let (_, stage) = stage.as_ref().expect("it has just been set");
                for Step { command, shown } in steps {
                    let printed = stage.run(&command);
                    let printed: Vec<&str> = printed.lines().collect();
                    writeln!(written, "$ {command}").expect("memory");
                    let lines = if is_same(&shown, &printed) {
                        shown
                    } else {
                        wrong.push(format!(
                            "{}: {command}\n--- shown\n{}\n--- printed\n{}",
                            page.display(),
                            shown.join("\n"),
                            printed.join("\n")
                        ));
                        printed.into_iter().map(str::to_owned).collect()
                    };
                    for line in lines {
                        writeln!(written, "{line}").expect("memory");
                    }
                }
            }
        }
    }
    (written, wrong)
}

#[test]
fn pages_show_what_the_commands_print() {
    let docs = fs::read_dir(root().join("docs")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (mut marked, mut all) = (0, Vec::new());
    for page in docs.chain([root().join("README.md")]) {
        if !fs::read_to_string(&page).expect("a page").contains(MARK.0) {
            continue;
        }
        marked += 1;
        let (written, wrong) = played(&page);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&page, written).expect("it can be written");
        }
        all.extend(wrong);
    }
    assert!(marked > 3, "{marked} pages are marked");
    assert!(all.is_empty(), "`make docs` writes what the commands print today:\n{}", all.join("\n"));
}

#[test]
fn what_is_left_out_may_be_anything() {
    let is_same = |shown: &str, printed: &str| {
        let (shown, printed): (Vec<String>, Vec<&str>) =
            (shown.lines().map(str::to_owned).collect(), printed.lines().collect());
        super::transcripts::is_same(&shown, &printed)
    };
    assert!(
        is_same("a\n[…]\nd", "a\nb\nc\nd") && is_same("[…]", "") && is_same("a […] d", "a b c d") && is_same("a […]", "a b")
    );
    assert!(
        !is_same("a\n[…]\nd", "a\nb\nc") && !is_same("a […] d", "a b c") && !is_same("a", "a\nb") && !is_same("a\nb", "a")
    );
    assert!(is_same("2026-11-21T16:28:06Z  a", "2026-11-26T01:02:03.456Z  a"));
}
