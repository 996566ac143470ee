//! Examples in the help of the commands on a release: the same for every job and for the kubectl plugin, in the words of each.

use crate::place::PLUGIN;

/// A line of a terminal with 80 columns has room for so much behind the margin of an example.
const WIDTH: usize = 76;

/// What somebody wants, and the commands for that.
type Example = (&'static str, &'static [Line]);

/// A line of an example.
enum Line {
    /// The command on the release, with these words behind it.
    This(&'static str),
    /// A command of another program.
    Other(&'static str),
}

use Line::{Other, This};

const STATUS: &[Example] = &[
    ("Where does the release stand, and what is the next command?", &[This("")]),
    ("Show it again whenever it changes, while Helm is at work:", &[This("--watch")]),
    ("Which runs are in force, for a script?", &[This("-o json")]),
];

const ROLLBACK: &[Example] = &[
    ("Take back the newest run; see first what that would change:", &[This("--last --dry-run"), This("--last")]),
    ("Take back every run after run 3; 0 takes back all:", &[This("--to 3")]),
    ("Take back what Helm has begun after revision 2. The Helm release stays as it is:", &[This("--to-revision 2")]),
    (
        "Others have changed objects since (FL021): leave those as they are, or write over them:",
        &[This("--last --on-drift keep"), This("--last --on-drift overwrite")],
    ),
    (
        "By hand, where the rollback hooks of revision 2 are not there or cannot succeed: first what was removed or held, then Helm's \
         manifests, then the rest:",
        &[
            This("--to-revision 2 --undo-at pre-rollback"),
            Other("helm rollback shop 2 -n shop --no-hooks"),
            This("--to-revision 2 --undo-at post-rollback --wait-for workloads,restored"),
        ],
    ),
    ("Somebody has deleted a ticket, and nobody has exported it: go on without:", &[This("--last --without-missing")]),
];

const UNHOLD: &[Example] = &[("After an upgrade without the chart's hooks: start what was held:", &[This("")])];

const EXPORT: &[Example] = &[
    ("Keep the tickets in a file that only you can read:", &[This("tickets.json")]),
    ("What were the objects before? For `kubectl apply`, when nothing else is left:", &[This("before.yaml --as-manifests")]),
    ("The same from such a file, where the ledger is lost:", &[This("before.yaml --as-manifests --tickets tickets.json")]),
];

const IMPORT: &[Example] = &[("Bring back the tickets that somebody has deleted, from an export:", &[This("tickets.json")])];

const CERTIFICATE: &[Example] = &[("Keep the proof that nothing was in flight:", &[This("> drain.json")])];

const CHECK: &[Example] = &[
    ("Can the release be upgraded, and is there a way back?", &[This("")]),
    ("The same where no Helm release brings the jobs:", &[This("--without-helm")]),
    ("Can the images be pulled? This starts a pod of each:", &[This("--start-pods")]),
    (
        "Would the jobs of the next upgrade do their work?",
        &[
            Other("helm template shop my-chart -n shop -f your-values.yaml --is-upgrade > upgrade.yaml"),
            This("--upgrade upgrade.yaml"),
        ],
    ),
];

const EXPLAIN: &[Example] = &[
    ("What does a code mean, and what is to be done?", &[This("LP101")]),
    ("Which codes are there, of all programs?", &[This("")]),
];

/// The examples of a command of this program; none where it has its own.
pub(crate) fn examples(program: &str, verb: &str) -> Option<String> {
    let examples = match verb {
        "status" => STATUS,
        "rollback" => ROLLBACK,
        "unhold" => UNHOLD,
        "export" => EXPORT,
        "import" => IMPORT,
        "explain" => EXPLAIN,
        "certificate" if program == PLUGIN => CERTIFICATE,
        "check" if program == PLUGIN => CHECK,
        _ => return None,
    };
    let mut text = "Examples:".to_owned();
    for (what, lines) in examples {
        text.extend([
            "\n",
            &textwrap::fill(what, textwrap::Options::new(WIDTH).initial_indent("  ").subsequent_indent("  ")),
        ]);
        for line in *lines {
            let command = match line {
                This(words) => command(program, verb, words),
                Other(command) => (*command).to_owned(),
            };
            text.extend(["\n    ", &broken(&command)]);
        }
    }
    if verb == "status" && program == PLUGIN {
        text.push_str("\n  Which releases have runs?\n    kubectl fairlead status");
    }
    Some(text)
}

/// As whoever uses the program writes it for release shop.
fn command(program: &str, verb: &str, words: &str) -> String {
    let words = if words.is_empty() { String::new() } else { format!(" {words}") };
    match (verb, program) {
        ("explain", _) => format!("{program} {verb}{words}"),
        (_, PLUGIN) => format!("{program} {verb} shop -n shop{words}"),
        _ => format!("{program} {verb}{words} --release shop -n shop"),
    }
}

/// Broken before a flag, as a shell takes it, where a line would be too long.
fn broken(command: &str) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for (position, part) in command.split(" --").enumerate() {
        let part = if position == 0 { part.to_owned() } else { format!("--{part}") };
        if position > 0 && column + part.len() + 3 > WIDTH {
            text.push_str(" \\\n      ");
            column = 2;
        } else if position > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(&part);
        column += part.len();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_in_the_words_of_its_program() {
        let rollback = |program: &str| examples(program, "rollback").expect("it has some");
        let (job, plugin) = (rollback("legacy-purger"), rollback(PLUGIN));
        assert!(job.contains("\n    legacy-purger rollback --to 3 --release shop -n shop\n"), "{job}");
        assert!(plugin.contains("\n    kubectl fairlead rollback shop -n shop --to 3\n"), "{plugin}");
        assert_eq!(examples("drain-waiter", "check"), None);
        assert_eq!(examples(PLUGIN, "plan"), None);
    }

    #[test]
    fn a_long_command_goes_on_after_a_backslash() {
        let long =
            "legacy-purger rollback --to-revision 2 --undo-at post-rollback --wait-for workloads,restored --release shop";
        assert_eq!(
            broken(long),
            "legacy-purger rollback --to-revision 2 --undo-at post-rollback \\\n      --wait-for workloads,restored --release shop"
        );
        assert_eq!(broken("kubectl fairlead status"), "kubectl fairlead status");
    }
}
