//! The chart, and the library for charts of others, rendered by Helm 3 and 4, without a cluster.

use std::fs;
use std::path::Path;

use fairlead_tests::program::{Ended, root, run, tool};

const HELMS: [&str; 2] = ["helm3", "helm4"];

fn template(helm: &str, chart: &str, more: &[&str]) -> Ended {
    run(tool(helm).args(["template", "shop", chart, "-n", "shop"]).args(more).current_dir(root()), "")
}

/// The two Helms put different blank lines between documents.
fn normal(rendered: &str) -> String {
    rendered.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn both_helms_render_the_same() {
    let purge = "legacyPurger.enabled=true,legacyPurger.allowUnreplicated={a/b,c/d.e},legacyPurger.allowHelmOwned={crm},\
                 configuration.purge.kinds[0].group=a.b,configuration.purge.kinds[0].kind=C";
    let cases: [&[&str]; 7] = [
        &[],
        &["--set", "mode=job"],
        &["--set", "triggerReplicator.enabled=false"],
        &["--set", "triggerReplicator.runOnInstall=true,triggerReplicator.excludeNamespaces={a,b}"],
        &["--set", "legacyPurger.enabled=true,mode=job"],
        &["--set", purge],
        &["--set", "proxy.https=http://proxy:3128,imagePullSecrets[0].name=x,extraLabels.team=mesh,logFormat=json"],
    ];
    for case in cases {
        let [three, four] = HELMS.map(|helm| normal(&template(helm, "charts/fairlead", case).expect(0).stdout));
        assert_eq!(three, four, "{case:?}");
    }
    insta::assert_snapshot!(normal(&template("helm4", "charts/fairlead", &[]).expect(0).stdout));
    let rendered = template("helm4", "charts/fairlead", &["--set", "triggerReplicator.enabled=false", "--set", purge]);
    insta::assert_snapshot!("a_purge", normal(&rendered.expect(0).stdout));
}

#[test]
fn names_of_long_releases_are_cut_and_stay_different() {
    for helm in HELMS {
        let names = ["a", "b"].map(|end| {
            let release = format!("{}{end}", "r".repeat(52));
            let rendered =
                run(tool(helm).args(["template", &release, "charts/fairlead"]).current_dir(root()), "").expect(0).stdout;
            let names: Vec<String> =
                rendered.lines().filter_map(|line| line.strip_prefix("  name: ").map(str::to_owned)).collect();
            assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
            names
        });
        assert!(names[0].iter().zip(&names[1]).all(|(one, other)| one != other), "{names:?}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let cases = [
        ("triggerReplicater.enabled=true", "triggerReplicater"),
        ("triggerReplicator.enabled=perhaps", "enabled"),
        ("mode=daemon", "mode"),
        ("logFormat=xml", "logFormat"),
        ("triggerReplicator.runTimeout=soon", "runTimeout"),
        ("triggerReplicator.image.digest=latest", "digest"),
        ("triggerReplicator.runTimeout=3m31s", "activeDeadlineSeconds"),
        ("triggerReplicator.runTimeout=0s", "runTimeout"),
        ("legacyPurger.enabled=true,legacyPurger.allowUnreplicated={created}", "allowUnreplicated"),
        ("legacyPurger.fence=perhaps", "fence"),
        ("configuration=text", "configuration"),
    ];
    for helm in HELMS {
        for (value, named) in cases {
            let refused = template(helm, "charts/fairlead", &["--set", value]);
            assert!(refused.status != Some(0) && refused.stderr.contains(named), "{helm} {value}\n{}", refused.output());
        }
    }
}

#[test]
fn the_charts_pass_lint() {
    for helm in HELMS {
        run(tool(helm).args(["lint", "--strict", "charts/fairlead", "hooks"]).current_dir(root()), "").expect(0);
    }
}

/// What a file of the chart is called in the example of `hooks/README.md`, and what it holds.
fn example() -> Vec<(String, String)> {
    let readme = fs::read_to_string(root().join("hooks/README.md")).expect("the library has a README");
    let blocks = readme.split("```yaml\n# ").skip(1).filter_map(|block| block.split("```").next()?.split_once('\n'));
    blocks.map(|(file, text)| (file.to_owned(), text.to_owned())).collect()
}

/// A chart of somebody else in `folder`, made as `hooks/README.md` says.
fn foreign(helm: &str, folder: &Path) -> String {
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
const DICT: &str = "job: reindex\nimage: {repository: shop/reindex}\n";

/// The chart's template: `dict` as text, with the chart's scope.
fn write(chart: &str, dict: &str) {
    let job = "(include \"dict\" . | fromYaml | merge (dict \"root\" .))";
    let text = format!("{{{{ define \"dict\" }}}}\n{dict}\n{{{{ end }}}}\n{{{{ include \"fairlead-hooks.job\" {job} }}}}\n");
    fs::write(Path::new(chart).join("templates/reindex.yaml"), text).expect("written");
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
        ("rules: |\n  # none".to_owned(), ""),
    ];
    for (more, roles) in cases {
        write(&chart, &format!("{DICT}{more}"));
        for helm in HELMS {
            let rendered = template(helm, &chart, &[]).expect(0).stdout;
            let kinds: Vec<&str> = rendered.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
            assert_eq!(kinds.join(" "), format!("ServiceAccount {roles}Job"), "{helm} {more}");
        }
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
        (more("runTimeout: soon"), "runTimeout (soon)"),
        (more("activeDeadlineSeconds: 229"), "activeDeadlineSeconds (229)"),
        (DICT.replace("reindex\n", "Reindex\n"), "job must be"),
    ];
    for (dict, said) in cases {
        write(&chart, &dict);
        for helm in HELMS {
            let refused = template(helm, &chart, &[]);
            assert!(refused.status != Some(0) && refused.stderr.contains(said), "{helm} {dict}\n{}", refused.output());
        }
    }
    let rootless = format!("{{{{ include \"fairlead-hooks.job\" (fromYaml {DICT:?}) }}}}");
    fs::write(Path::new(&chart).join("templates/reindex.yaml"), rootless).expect("written");
    for helm in HELMS {
        let refused = template(helm, &chart, &[]);
        assert!(refused.stderr.contains("key root is missing"), "{}", refused.output());
    }
}
