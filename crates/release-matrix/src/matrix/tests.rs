use fairlead_job::manifests;

use super::*;

const HEAD: &str = "apiVersion: fairlead.dev/v1\nkind: ReleaseMatrix\nmetadata: {name: shop}\nspec:\n";

fn failure(text: &str) -> Failure {
    let documents = manifests::parse("m.yaml", text).expect("it is YAML");
    Matrix::read("m.yaml", &documents).expect_err("it is wrong")
}

#[test]
fn a_mistake_is_named_with_its_place() {
    let schema = "  schemaVersions: [{version: a}, {version: b, kind: expand}]\n";
    for (spec, expected) in [
        (
            "  releases: [{version: 1.0.0, shcema: a}]\n".to_owned(),
            "m.yaml: spec.releases[0].shcema (1.0.0): unknown field `shcema`, expected one of `version`",
        ),
        (
            "  releases: [{version: 1.0.0, apis: [v1]}, {version: 1.5.0}, {version: 2.0.0, apis: [v2]}]\n".to_owned(),
            "1.5.0 have no apis, and others have",
        ),
        (
            "  releases: [{version: 1.0.0, apis: [v1]}, {version: 2.0.0, apis: {orders: [v2]}}]\n".to_owned(),
            "apis is one list in 1.0.0, and lists by name in 2.0.0",
        ),
        (
            "  chart: {reference: ./charts/shop}\n  releases: [{version: 1.0.0}]\n".to_owned(),
            "Helm takes it for every --version",
        ),
        ("  releases: [{version: 1.0.0, apis: [2.0]}]\n".to_owned(), "(1.0.0): a list of versions, as text"),
        (
            "  releases: [{version: 1.0.0}, {version: v1.0.0}]\n".to_owned(),
            "spec.releases[1] (v1.0.0): the release stands twice",
        ),
        ("  releases: [{version: 1.0}]\n".to_owned(), "spec.releases[0].version: invalid type: floating point `1.0`"),
        ("  releases: [{version: '1.0'}]\n".to_owned(), "\"1.0\" is no version like 1.2.3"),
        ("  releases: []\n".to_owned(), "m.yaml: spec.releases is empty"),
        (
            format!("{schema}  releases: [{{version: 1.0.0, schema: c}}]\n"),
            "spec.releases[0] (1.0.0): schema: there is no schema version \"c\"; known: a b",
        ),
        (format!("{schema}  releases: [{{version: 1.0.0}}]\n"), "spec.releases[0] (1.0.0): schema is missing"),
        (
            "  schemaVersions: [{version: b}, {version: a, kind: expand}, {version: b, kind: expand}]\n  releases: []\n"
                .to_owned(),
            "spec.schemaVersions[2] (b): the order goes in a circle: b -> a -> b",
        ),
        (
            "  schemaVersions: [{version: a}, {version: b}]\n  releases: []\n".to_owned(),
            "(b): kind is missing: expand or contract",
        ),
        (
            "  schemaVersions: [{version: a}, {version: b, kind: expand, drops: [t]}]\n  releases: []\n".to_owned(),
            "(b): only a migration of kind contract requires or drops something",
        ),
        (
            "  releases: [{version: 1.0.0}]\n  blocked: [{to: 1.0.0, from: '(', reason: x}, {to: 2.0.0, reason: why}]\n"
                .to_owned(),
            "spec.blocked[0].from is no regular expression",
        ),
        (
            "  releases: [{version: 1.0.0}]\n  stops: [{release: 2.0.0, reason: x}]\n".to_owned(),
            "spec.stops[0].release: there is no release \"2.0.0\"",
        ),
    ] {
        let failure = failure(&format!("{HEAD}{spec}"));
        assert!(failure.to_string().contains(expected), "{failure}\nis not\n{expected}");
        assert_eq!(failure.code.id, "RM101");
    }
    let two = failure(&format!("{HEAD}  releases: [{{version: a}}]\n  stops: [{{release: b, reason: x}}]\n")).to_string();
    assert!(two.contains("\"a\" is no version") && two.contains("; spec.stops[0]"), "all mistakes at once: {two}");
}

#[test]
fn another_document_is_refused_with_what_it_is() {
    let other = failure("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n").to_string();
    assert_eq!(other, "m.yaml: it must be fairlead.dev/v1 ReleaseMatrix, and is v1 ConfigMap");
    let matrix = format!("{HEAD}  releases: [{{version: 1.0.0}}]\n");
    assert!(
        failure(&format!("{matrix}---\n{matrix}")).to_string().contains("one document of kind ReleaseMatrix, and holds 2")
    );
}

#[test]
fn json_is_read_like_yaml_and_releases_are_sorted() {
    let text = r#"{"apiVersion": "fairlead.dev/v1", "kind": "ReleaseMatrix", "metadata": {"name": "shop", "labels": {"a": "b"}},
        "spec": {"releases": [{"version": "1.10.0", "apis": {"shop": ["v1"]}}, {"version": "1.9.0", "apis": {"shop": ["v1"]}}, {"version": "2.0.0-rc.1", "apis": {"shop": ["v1"]}}]}}"#;
    let documents = manifests::parse("m.json", text).expect("it is JSON");
    let matrix = Matrix::read("m.json", &documents).expect("it is a matrix");
    assert_eq!([0, 1, 2].map(|release| matrix.version(release)), ["1.9.0", "1.10.0", "2.0.0-rc.1"]);
    assert_eq!(matrix.find("v1.10.0").expect("with a v, too"), 1);
    let unknown = matrix.find("1.0.0").expect_err("it is not there");
    assert_eq!(unknown.to_string(), "there is no release \"1.0.0\" in matrix shop; known: 1.9.0 1.10.0 2.0.0-rc.1");
    assert_eq!(unknown.code.id, "RM102");
}
