//! The library in a chart of somebody else, made as its README says.

use std::fs;
use std::path::Path;

use fairlead_tests::program::{root, run, tool};

use crate::{HELMS, names, normal, objects, template};

/// What a file of the chart is called in the example of `hooks/README.md`, and what it holds.
fn example() -> Vec<(String, String)> {
    let readme = fs::read_to_string(root().join("hooks/README.md")).expect("the library has a README");
    let blocks = readme.split("```yaml\n# ").skip(1).filter_map(|block| block.split("```").next()?.split_once('\n'));
    blocks.map(|(file, text)| (file.to_owned(), text.to_owned())).collect()
}

/// A chart of somebody else in `folder`, made as `hooks/README.md` says.
pub(crate) fn foreign(helm: &str, folder: &Path) -> String {
    std::os::unix::fs::symlink(root().join("hooks"), folder.join("hooks")).expect("linked");
    let chart = folder.join("shop");
    fs::create_dir_all(chart.join("templates")).expect("made");
    fs::write(chart.join("values.yaml"), "resources: {limits: {memory: 64Mi}}").expect("written");
    for (file, text) in example() {
        let head = if file == "Chart.yaml" { "apiVersion: v2\nname: shop\nversion: 0.1.0\nappVersion: 5.6.7\n" } else { "" };
        fs::write(chart.join(file), format!("{head}{text}")).expect("written");
    }
    run(tool(helm).args(["dependency", "build"]).arg(&chart), "").expect(0);
    chart.to_str().expect("a temporary path is UTF-8").to_owned()
}

#[test]
fn the_library_serves_a_chart_of_others() {
    let [three, four] = HELMS.map(|helm| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let chart = foreign(helm, folder.path());
        run(tool(helm).args(["lint", "--strict", &chart]), "").expect(0);
        normal(&template(helm, &chart, &[]).expect(0).stdout)
    });
    assert_eq!(three, four);
    insta::assert_snapshot!(four);
}

/// One that is right, for the cases below to change.
pub(crate) const DICT: &str = "job: reindex\nimage: {repository: shop/reindex}\n";

/// The same for going back.
pub(crate) const ROLLBACK: &str = "image: {repository: shop/reindex}\n";

/// The chart's only template: `of` the library, with `dict` as text and the chart's scope.
pub(crate) fn write(chart: &str, of: &str, dict: &str) {
    let job = "(include \"dict\" . | fromYaml | merge (dict \"root\" .))";
    let text =
        format!("{{{{ define \"dict\" }}}}\n{dict}\n{{{{ end }}}}\n{{{{ include \"fairlead-hooks.{of}\" {job} }}}}\n");
    let templates = Path::new(chart).join("templates");
    fs::remove_dir_all(&templates).expect("removed");
    fs::create_dir(&templates).expect("made");
    fs::write(templates.join("some.yaml"), text).expect("written");
}

#[test]
fn no_role_is_made_without_rules() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let chart = foreign("helm4", folder.path());
    let rule = "[{apiGroups: [''], resources: [pods], verbs: [list]}]";
    let cases = [
        (String::new(), ""),
        (format!("rules: {rule}"), "ClusterRole ClusterRoleBinding "),
        (format!("namespaceRules: {rule}"), "Role RoleBinding "),
        (format!("undoRules: {rule}"), "ClusterRole ClusterRoleBinding "),
        (format!("rules: {rule}\nundoRules: {rule}"), "ClusterRole ClusterRole ClusterRoleBinding ClusterRoleBinding "),
        ("rules: |\n  # none\nundoRules: |\n  # none".to_owned(), ""),
    ];
    for (more, roles) in cases {
        write(&chart, "job", &format!("{DICT}{more}"));
        for helm in HELMS {
            let rendered = template(helm, &chart, &[]).expect(0).stdout;
            let kinds: Vec<&str> = rendered.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
            assert_eq!(kinds.join(" "), format!("ServiceAccount {roles}Job"), "{helm} {more}");
        }
    }
}

/// Both names come from one function, whatever has to be cut.
#[test]
fn undo_rules_are_for_the_job_and_for_the_rollback_hooks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let chart = foreign("helm4", folder.path());
    write(&chart, "job", &format!("{DICT}undoRules: [{{apiGroups: [''], resources: [pods], verbs: [delete]}}]"));
    for helm in HELMS {
        let objects = objects(&template(helm, &chart, &[]).expect(0).stdout);
        let role = "shop-reindex-undo-0b6553f4-7e85078b";
        let expected =
            ["ServiceAccount shop-reindex", &format!("ClusterRole {role}"), &format!("ClusterRoleBinding {role}")];
        assert_eq!(names(&objects)[..3], expected);
        let subjects = objects[2]["subjects"].as_array().into_iter().flatten().map(|subject| &subject["name"]);
        assert_eq!(subjects.collect::<Vec<_>>(), ["shop-reindex", "shop-fairlead-rollback"]);
        assert_eq!(objects[1]["metadata"]["annotations"], objects[0]["metadata"]["annotations"]);
    }
}

/// Both Helms refuse the dict, and say why.
fn refuses(chart: &str, of: &str, dict: &str, said: &str) {
    write(chart, of, dict);
    for helm in HELMS {
        let refused = template(helm, chart, &[]);
        let is_told = refused.stderr.contains(&format!("fairlead-hooks.{of}")) && refused.stderr.contains(said);
        assert!(refused.status != Some(0) && is_told, "{helm} {dict}\n{}", refused.output());
    }
}

#[test]
fn a_dict_that_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let chart = foreign("helm4", folder.path());
    let more = |text: &str| format!("{DICT}{text}");
    let cases = [
        ("image: {repository: shop/reindex}".to_owned(), "key job is missing"),
        ("job: reindex".to_owned(), "key image.repository is missing"),
        ("job: reindex\nimage: {repository: null}".to_owned(), "key image.repository is missing"),
        (more("wait: 20"), "unknown key wait;"),
        (more("proxy: {htps: x}"), "unknown key proxy.htps;"),
        (more("job: : x"), "error converting YAML"),
        (more("mode: daemon"), "mode (daemon)"),
        (more("events: [upgrade]"), "events (upgrade)"),
        (more("weight: 0"), "weight (0)"),
        (more("rules: |\n  resources: [pods]"), "rules must be a list"),
        (more("rules: [pods]"), "rules must be a list"),
        (more("rules: [{resourceNames: [7]}]"), "rules: resourceNames (7) must be text"),
        (more("runTimeout: soon"), "runTimeout (soon)"),
        (more("activeDeadlineSeconds: 229"), "activeDeadlineSeconds (229)"),
        (DICT.replace("reindex\n", "Reindex\n"), "job must be"),
        (DICT.replace("reindex\n", "reindex-undo\n"), "job must not be"),
        (DICT.replace("reindex\n", "fairlead-rollback\n"), "job must not be"),
        (more("undoRules: [pods]"), "undoRules must be a list"),
        (more("account: other"), "unknown key account;"),
        (more("now: [--last]"), "unknown key now;"),
    ];
    for (dict, said) in cases {
        refuses(&chart, "job", &dict, said);
    }
    let rootless = format!("{{{{ include \"fairlead-hooks.job\" (fromYaml {DICT:?}) }}}}");
    fs::write(Path::new(&chart).join("templates/some.yaml"), rootless).expect("written");
    for helm in HELMS {
        let refused = template(helm, &chart, &[]);
        assert!(refused.stderr.contains("key root is missing"), "{}", refused.output());
    }
}

#[test]
fn a_dict_for_going_back_that_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let chart = foreign("helm4", folder.path());
    let cases = [
        ("", "key image.repository is missing"),
        ("job: reindex", "unknown key job;"),
        ("args: [--last]", "unknown key args;"),
        ("undoRules: []", "unknown key undoRules;"),
        ("proxy: {htps: x}", "unknown key proxy.htps;"),
        ("waitFor: [pods]", "waitFor (pods)"),
        ("waitTimeout: soon", "waitTimeout (soon)"),
        ("waitTimeout: 3m", "waitTimeout (3m)"),
        ("rules: [pods]", "rules must be a list"),
        ("activeDeadlineSeconds: 229", "activeDeadlineSeconds (229)"),
        ("mode: daemon", "mode (daemon)"),
        ("now: [--last]", "now (--last) is for mode job"),
    ];
    for (more, said) in cases {
        let dict = if more.is_empty() { "mode: hook".to_owned() } else { format!("{ROLLBACK}{more}") };
        refuses(&chart, "rollback", &dict, said);
    }
}
