//! Commands that a program or a page shows: each must be one that its program understands, because people paste them.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::program::{binaries, tool};

/// Programs that are shown, and what follows the name of one in a command and in no sentence.
const PROGRAMS: [(&str, &[&str]); 9] = [
    ("kubectl fairlead", PLUGIN),
    ("drain-waiter", RELEASE),
    ("trigger-replicator", RELEASE),
    ("legacy-purger", RELEASE),
    ("schema-migrator", &["apply", "background", "explain", "export", "import", "plan", "rollback", "status", "unhold"]),
    // Not `serve`, which does not end.
    ("compatibility-layer", &["check", "explain"]),
    ("every-kind", &["apply", "check", "export", "import", "rollback", "status", "unhold"]),
    (
        "kubectl",
        &[
            "-n", "annotate", "apply", "create", "delete", "describe", "events", "get", "label", "logs", "patch", "replace",
            "scale", "wait",
        ],
    ),
    ("helm", &["dependency", "get", "history", "install", "package", "rollback", "template", "uninstall", "upgrade"]),
];

const PLUGIN: &[&str] =
    &["certificate", "check", "explain", "export", "history", "import", "matrix", "rollback", "status", "unhold"];

const RELEASE: &[&str] =
    &["apply", "certificate", "check", "explain", "export", "import", "plan", "rollback", "status", "unhold"];

/// What ends a command on its line.
const ENDS: [&str; 6] = ["|", "&&", ";", ">", "2>", "||"];

/// A command that is shown, or as much of it as stands on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    text: String,
    /// It stands in a sentence between two backquotes of which the second is on another line.
    is_broken: bool,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The commands in a text: on lines of their own, at the end of a line after a colon, and in backquotes.
#[must_use]
pub fn commands(text: &str) -> Vec<Shown> {
    let mut shown = Vec::new();
    let joined: Vec<&str> =
        text.split("\\\n").enumerate().map(|(part, text)| if part == 0 { text } else { text.trim_start() }).collect();
    for line in joined.join("").lines() {
        let line = line.trim().trim_start_matches("$ ");
        if line.starts_with("Usage:") {
            continue;
        }
        shown.extend(after(line).map(|text| Shown { text: text.to_owned(), is_broken: false }));
        shown.extend(line.match_indices(": ").filter(|_| !line.contains('`')).filter_map(|(at, colon)| {
            after(&line[at + colon.len()..]).map(|text| Shown { text: text.to_owned(), is_broken: false })
        }));
        // Between the first two, the next two …
        let quoted = line.split('`').enumerate().filter(|(position, _)| position % 2 == 1).map(|(_, text)| text);
        let count = line.matches('`').count();
        let last_is_open = count % 2 == 1;
        let quoted: Vec<&str> = quoted.collect();
        for (position, text) in quoted.iter().enumerate() {
            let is_broken = last_is_open && position + 1 == quoted.len();
            shown.extend(after(text).map(|text| Shown { text: text.to_owned(), is_broken }));
        }
    }
    shown
}

/// The text, if it is a command, up to where it is explained.
fn after(text: &str) -> Option<&str> {
    let text = text.split("   ").next()?;
    PROGRAMS.iter().find_map(|(program, verbs)| {
        let verb = text.strip_prefix(program)?.strip_prefix(' ')?.split_whitespace().next()?;
        verbs.contains(&verb).then_some(text)
    })
}

/// Fails where a text shows a command that its program does not understand. Nothing is done: there is no cluster.
#[track_caller]
pub fn check(text: &str) {
    assert_eq!(faults(text), Vec::<String>::new());
}

/// The commands in a text that its readers cannot paste, each with the reason.
#[must_use]
pub fn faults(text: &str) -> Vec<String> {
    let fault = |shown: Shown| {
        let broken = shown.is_broken.then(|| "it is broken into two lines".to_owned());
        broken.or_else(|| misunderstood(&shown.text)).map(|why| format!("{shown}: {}", why.trim()))
    };
    commands(text).into_iter().filter_map(fault).collect()
}

/// Why a program does not understand a command.
fn misunderstood(command: &str) -> Option<String> {
    static UNDERSTOOD: LazyLock<Mutex<HashSet<Vec<String>>>> = LazyLock::new(Mutex::default);
    let Some(words) = words(command) else { return Some("a quote is not closed".to_owned()) };
    if !UNDERSTOOD.lock().unwrap_or_else(PoisonError::into_inner).insert(words.clone()) {
        return None;
    }
    if is_mention(&words) {
        return unknown(&words);
    }
    let text = String::from_utf8_lossy(&run(&words).stderr).into_owned();
    let complaints = [
        "For more information, try '--help'",
        "unknown flag",
        "unknown shorthand",
        "unknown command",
        "flag needs an argument",
        "invalid argument",
        "requires at least",
        "requires exactly",
        "accepts",
    ];
    complaints.iter().any(|complaint| text.contains(complaint)).then_some(text)
}

/// A sentence may name a command and its flags, without what they take. A job requires nothing, so that its commands are whole.
fn is_mention(words: &[String]) -> bool {
    let (named, flags) = named(words);
    ["kubectl", "helm"].contains(&words[0].as_str())
        && !named[named.len() - 1].starts_with('-')
        && flags.iter().all(|flag| flag.starts_with('-'))
}

/// What the help of a command that is only mentioned does not have.
fn unknown(words: &[String]) -> Option<String> {
    let (named, flags) = named(words);
    let help = run(&[named, &["--help".to_owned()]].concat());
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    if !help.status.success() {
        return Some("there is no such command".to_owned());
    }
    let unknown = flags.iter().find(|flag| !text.contains(flag.split('=').next().unwrap_or_default()));
    unknown.map(|flag| format!("it has no flag {flag}"))
}

/// A program and what it is to do; and the rest.
fn named(words: &[String]) -> (&[String], &[String]) {
    let is_plugin = words.get(1).is_some_and(|word| word == "fairlead");
    words.split_at(words.len().min(if is_plugin { 3 } else { 2 }))
}

/// The words of a command up to what ends it; without the flags that lead to a cluster, and with something for what is to be filled in.
fn words(command: &str) -> Option<Vec<String>> {
    let words = shlex::split(command)?;
    let mut kept: Vec<String> = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if ENDS.contains(&word.as_str()) {
            break;
        }
        if ["--kubeconfig", "--context", "--kube-context"].contains(&word.as_str()) {
            words.next();
            continue;
        }
        let (word, is_last) = word.strip_suffix(';').map_or((word.as_str(), false), |word| (word, true));
        let is_to_be_filled_in =
            word == "…" || word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase()) || word == "N";
        kept.push(if is_to_be_filled_in { "1".to_owned() } else { word.to_owned() });
        if is_last {
            break;
        }
    }
    Some(kept)
}

fn run(words: &[String]) -> Output {
    let nowhere = Path::new("/nonexistent/kubeconfig");
    let (mut command, rest) = match words {
        [kubectl, plugin, rest @ ..] if kubectl == "kubectl" && plugin == "fairlead" => {
            (Command::new(binaries().join("kubectl-fairlead")), rest)
        }
        [program, rest @ ..] if program == "kubectl" => (tool("kubectl"), rest),
        [program, rest @ ..] if program == "helm" => (tool("helm4"), rest),
        [program, rest @ ..] => (Command::new(binaries().join(program)), rest),
        [] => unreachable!("a command has a program"),
    };
    command.args(rest).env("KUBECONFIG", nowhere).stdin(Stdio::null()).current_dir(std::env::temp_dir());
    command.output().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        commands(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn commands_are_found_where_people_copy_them() {
        let shown = texts("Next:\n  helm rollback shop 1 -n shop\n      takes back run 1 with the release\n");
        assert_eq!(shown, ["helm rollback shop 1 -n shop"]);
        assert_eq!(texts("Next: kubectl fairlead rollback a -n b --last"), ["kubectl fairlead rollback a -n b --last"]);
        assert_eq!(texts("or `kubectl get a -n b`, or `legacy-purger plan`"), ["kubectl get a -n b", "legacy-purger plan"]);
        assert_eq!(texts("$ trigger-replicator plan \\\n    --strict"), ["trigger-replicator plan --strict"]);
        assert_eq!(texts("legacy-purger has failed, and helm says so: kubectl is old"), Vec::<String>::new());
        assert!(commands("go back with `helm rollback shop\n 1 -n shop`")[0].is_broken);
    }

    #[test]
    fn words_end_where_the_command_does() {
        let words = |command: &str| words(command).expect("its quotes are closed").join("|");
        assert_eq!(words("kubectl get a -o jsonpath='{.a b}' | sort"), "kubectl|get|a|-o|jsonpath={.a b}");
        assert_eq!(
            words("helm rollback RELEASE N --kubeconfig /a --kube-context 'b c' -n x; echo $?"),
            "helm|rollback|1|1|-n|x"
        );
        assert_eq!(words("kubectl fairlead explain    # all codes"), "kubectl|fairlead|explain");
    }
}
