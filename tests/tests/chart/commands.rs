//! The commands that people are shown can be pasted: on pages, in help, behind codes and in charts.

use fairlead_tests::printed;
use fairlead_tests::program::{binaries, root, run, tool};

use crate::pages::pages;
use crate::{ALL_JOBS, CHART, HELMS, template};

/// What has its examples in the help of the job itself.
const NO_EXAMPLES: [&str; 5] = ["plan", "apply", "check", "certificate", "background"];

const PROGRAMS: [&str; 5] = ["drain-waiter", "kubectl-fairlead", "trigger-replicator", "legacy-purger", "schema-migrator"];

fn said_by(program: &str, args: &[&str]) -> String {
    run(std::process::Command::new(binaries().join(program)).args(args), "").expect(0).stdout
}

/// The commands in a program's help.
fn verbs(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[test]
fn every_command_on_a_page_can_be_pasted() {
    let (mut found, mut faults) = (0, Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        found += printed::commands(&text).len();
        faults.extend(printed::faults(&text).into_iter().map(|fault| format!("{}: {fault}", page.display())));
    }
    assert_eq!(faults, Vec::<String>::new());
    assert!(found > 100, "only {found} commands");
}

/// Whatever a job writes is looked through by `run`.
#[test]
fn every_command_in_help_and_behind_a_code_can_be_pasted() {
    for program in PROGRAMS {
        let help = said_by(program, &["--help"]);
        assert!(!printed::commands(&help).is_empty(), "{program} has no examples");
        let verbs = verbs(&help);
        assert!(verbs.contains(&"rollback"), "{verbs:?}");
        for verb in verbs.into_iter().filter(|verb| *verb != "help") {
            let help = said_by(program, &[verb, "--help"]);
            let is_exempt = program != "kubectl-fairlead" && NO_EXAMPLES.contains(&verb);
            assert!(is_exempt || help.contains("\nExamples:\n"), "{program} {verb}\n{help}");
        }
    }
    let codes = said_by("kubectl-fairlead", &["explain"]);
    assert!(codes.lines().count() > 60, "{codes}");
    for code in codes.lines().filter_map(|line| line.split_whitespace().next()) {
        said_by("kubectl-fairlead", &["explain", code]);
    }
}

#[test]
fn every_command_in_a_chart_can_be_pasted() {
    for helm in HELMS {
        printed::check(&template(helm, CHART, &["--set", ALL_JOBS]).expect(0).output());
        for chart in [CHART, "hooks"] {
            printed::check(&run(tool(helm).args(["show", "values", chart]).current_dir(root()), "").expect(0).stdout);
        }
    }
}
