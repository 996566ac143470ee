use super::*;

fn message(file: &str, text: &str) -> String {
    parse(file, text).expect_err(text).to_string()
}

fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect()
}

#[test]
fn documents_lists_and_comments_are_read() {
    let text = "# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\nitems:\n\
                - {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n";
    assert_eq!(names(&parse("f", text).expect("valid")), ["a", "b"]);
}

#[test]
fn items_of_a_typed_list_are_what_it_says_wherever_it_says_it() {
    for typed in [
        r#"{"apiVersion": "x.io/v1", "kind": "ThingList", "items": [{"metadata": {"name": "c"}}]}"#,
        r#"{"items": [{"metadata": {"name": "c"}}], "kind": "ThingList", "apiVersion": "x.io/v1"}"#,
        "apiVersion: x.io/v1\nitems:\n- metadata: {name: c}\nkind: ThingList\n",
    ] {
        let objects = parse("f", typed).expect("valid");
        assert_eq!((&objects[0]["kind"], &objects[0]["apiVersion"]), (&"Thing".into(), &"x.io/v1".into()), "{typed}");
    }
}

#[test]
fn a_null_kind_of_an_item_is_that_of_its_list() {
    let text = r#"{"apiVersion": "x.io/v1", "kind": "ThingList", "items": [{"kind": null, "apiVersion": null, "metadata": {"name": "c"}}]}"#;
    let objects = parse("f", text).expect("valid");
    assert_eq!((&objects[0]["kind"], &objects[0]["apiVersion"]), (&"Thing".into(), &"x.io/v1".into()));
}

#[test]
fn what_is_nested_deeper_than_anybody_means_is_an_error() {
    for depth in [1_000, 200_000] {
        for (file, open, close) in [("f.json", "{\"a\":[", "]}"), ("f.yaml", "[", "]")] {
            let text = format!("{{\"a\": {}{}}}", open.repeat(depth), close.repeat(depth));
            parse(file, &text).expect_err("it is too deep");
        }
    }
}

#[test]
fn an_empty_list_has_no_objects_however_it_says_so() {
    let typed = "kind: ThingList\napiVersion: x.io/v1\nmetadata: {resourceVersion: \"1\"}\n";
    let nested = "kind: List\napiVersion: v1\nitems:\n- {kind: ThingList, apiVersion: x.io/v1, metadata: {selfLink: x}}\n";
    for text in [typed, &format!("{typed}items: null\n"), &format!("{typed}items: []\n"), nested] {
        assert_eq!(parse("f", text).expect(text), Vec::<Value>::new(), "{text}");
    }
    // Something may be called so and be none.
    let allowed = parse("f", "kind: AllowList\napiVersion: x.io/v1\nmetadata: {name: a}\n").expect("an object");
    assert_eq!(names(&allowed), ["a"]);
}

#[test]
fn a_broken_document_is_named_by_number_and_line() {
    let error = message("f.yaml", "apiVersion: v1\nkind: Namespace\n---\na: b: c\n");
    assert!(error.starts_with("f.yaml: document 2 is not YAML, line 4: "), "{error}");
    let error = message("f.json", "{\n\"a\": \n");
    assert!(error.starts_with("f.json: document 1 is not JSON, line 3: "), "{error}");
    let error = message("f.yaml", "kind: A\napiVersion: v1\n---\n{\"a\": \n");
    assert!(error.starts_with("f.yaml: document 2 is not YAML, line "), "{error}");
}

#[test]
fn a_key_that_stands_twice_is_named_in_yaml_and_json() {
    for (file, text, expected) in [
        (
            "f.yaml",
            "kind: A\napiVersion: v1\n---\nkind: A\nspec: {b: 1, b: 2}\n",
            "f.yaml: document 2 is not YAML, line 5: key \"b\" stands twice",
        ),
        ("f.yaml", "kind: A\nkind: B\n", "f.yaml: document 1 is not YAML, line 2: key \"kind\" stands twice"),
        (
            "f.json",
            "{\"kind\": \"A\",\n\"kind\": \"B\"}",
            "f.json: document 1 is not JSON, line 2: key \"kind\" stands twice",
        ),
        ("f.json", "{\"spec\": {\"a\": 1,\n\"a\": 1}}", "f.json: document 1 is not JSON, line 2: key \"a\" stands twice"),
    ] {
        assert_eq!(message(file, text), expected);
    }
}

#[test]
fn a_document_that_is_no_object_is_named() {
    for (text, expected) in [
        ("replicas: 3\n", "f: document 1, line 1 is not a Kubernetes object: it has no kind"),
        ("kind: A\n", "f: document 1, line 1 is not a Kubernetes object: it has no apiVersion"),
        ("apiVersion: v1\nkind: A\nmetadata: {labels: {}}\n", "f: document 1, line 1: A: it has no metadata.name"),
        ("apiVersion: v1\nkind: A\n---\njust text\n", "f: document 2, line 4 is not a Kubernetes object: it is text"),
        ("[1, 2]", "f: document 1, line 1 is not a Kubernetes object: it is a list"),
        ("{\"kind\": 5, \"apiVersion\": \"v1\"}", "f: document 1: object: kind is not text but a number"),
        ("kind: A\napiVersion: 1\n", "f: document 1, line 1: A: apiVersion is not text but a number"),
        ("kind: A\napiVersion: ''\n", "f: document 1, line 1: A: apiVersion is empty"),
        ("kind: ''\napiVersion: v1\n", "f: document 1, line 1: object: kind is empty"),
        ("kind: null\napiVersion: v1\n", "f: document 1, line 1 is not a Kubernetes object: it has no kind"),
        (
            "kind: List\napiVersion: v1\nitems: [{kind: A, apiVersion: v1}, {}]\n",
            "f: document 1, line 1, item 2 is not a Kubernetes object: it has no kind",
        ),
        (
            "kind: Status\napiVersion: v1\nstatus: Failure\nmessage: forbidden\n",
            "f: document 1, line 1: Status: the server answered with an error, and not with objects: forbidden",
        ),
        (
            "kind: List\napiVersion: v1\nitems: [{kind: Status, apiVersion: v1, status: Failure}]\n",
            "f: document 1, line 1, item 1: Status: the server answered with an error, and not with objects: it says no reason",
        ),
        (
            "kind: Table\napiVersion: meta.k8s.io/v1\nrows: []\n",
            "f: document 1, line 1: Table: it is what the server shows of objects, and not the objects: write them with kubectl get -o json",
        ),
        (
            "kind: list\napiVersion: v1\nitems: []\n",
            "f: document 1, line 1: list: its kind is written list, and a list has kind List",
        ),
        (
            "kind: AList\napiVersion: v1\nmetadata: {continue: x, remainingItemCount: 500}\nitems: [{metadata: {name: a}}]\n",
            "f: document 1, line 1: AList: it is a part of a list, and 500 more are missing: write all of it, with kubectl get and without a limit",
        ),
        (
            "kind: List\napiVersion: v1\nmetadata: {continue: x}\nitems: [{kind: A, apiVersion: v1, metadata: {name: a}}]\n",
            "f: document 1, line 1: List: it is a part of a list, and more are missing: write all of it, with kubectl get and without a limit",
        ),
        ("kind: List\napiVersion: v1\nitems: {a: b}\n", "f: document 1, line 1: List: items is not a list but an object"),
        (
            "kind: List\napiVersion: v1\nitems: [{kind: A, apiVersion: v1}, 7]\n",
            "f: document 1, line 1, item 2 is not a Kubernetes object: it is a number",
        ),
    ] {
        assert_eq!(message("f", text), expected);
    }
}

#[test]
fn byte_order_marks_windows_lines_and_json_one_after_the_other_are_read() {
    let json = |name: &str| format!("{{\"apiVersion\": \"v1\", \"kind\": \"A\", \"metadata\": {{\"name\": \"{name}\"}}}}");
    let yaml = |name: &str| format!("apiVersion: v1\r\nkind: A\r\nmetadata:\r\n  name: {name}\r\n");
    for (file, text) in [
        ("f.json", format!("\u{feff}{}{}", json("a"), json("b"))),
        ("-", format!("\u{feff}{}\n{}\n", json("a"), json("b"))),
        ("-", format!("{}\n---\n{}\n", json("a"), json("b"))),
        ("-", format!("{}\n---\n\u{feff}{}\n", json("a"), yaml("b"))),
        ("f.yaml", format!("\u{feff}{}---\r\n\u{feff}{}", yaml("a"), yaml("b"))),
        ("f.yaml", format!("\u{feff}---\r\n{}\u{feff}---\r\n{}...\r\n", yaml("a"), yaml("b"))),
        (
            "f.yaml",
            "{\"apiVersion\": v1, kind: A, metadata: {name: a}}\n--- {apiVersion: v1, kind: A, metadata: {name: b}}"
                .to_owned(),
        ),
    ] {
        assert_eq!(names(&parse(file, &text).expect(&text)), ["a", "b"], "{text:?}");
    }
}

#[test]
fn a_document_is_read_in_pieces_whatever_its_size() {
    let item =
        |number: usize| format!("{{\"apiVersion\": \"v1\", \"kind\": \"A\", \"metadata\": {{\"name\": \"n{number}\"}}}}");
    let items: Vec<String> = (0..5_000).map(item).collect();
    let json = format!("{{\"apiVersion\": \"v1\", \"items\": [{}], \"kind\": \"List\"}}", items.join(","));
    let yaml = format!("apiVersion: v1\nitems:\n- {}\nkind: List\n", items.join("\n- "));
    for text in [&json, &yaml, &format!("---\n{json}\n---\n{yaml}")] {
        let objects = parse("f", text).expect("valid");
        assert_eq!((objects.len() % 5_000, &objects[4_999]["metadata"]["name"]), (0, &"n4999".into()));
    }
}

#[test]
fn what_nobody_asks_for_and_what_is_no_manifest_is_passed_over_in_a_folder() {
    let folder = Folder::new();
    folder.write("Chart.yaml", "apiVersion: v2\nname: shop\n");
    folder.write("values.yaml", "replicas: 3\n");
    folder.write("package.json", "{\"name\": \"shop\"}");
    folder.write("tsconfig.json", "// a comment\n{}");
    folder.write("list.yaml", "- 1\n- 2\n");
    folder.write("job.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: j-}\nspec: [odd]\n");
    folder.write("a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\n");
    let mut taken = Vec::new();
    stream(folder.path(), &|_, kind| kind == "A", &mut |place, object| {
        taken.push((place.to_string(), object["metadata"]["name"].clone()));
        Ok(())
    })
    .expect("there is one");
    let path = folder.path().join("a.yaml").display().to_string();
    assert_eq!(taken, [(format!("{path}: document 1, line 1"), "a".into())]);
    // One that is named has to be one.
    assert!(matches!(read(&folder.path().join("values.yaml")), Err(Error::NoObject { .. })));
    // A template of something else is passed over; what could be ours is broken.
    let template = "apiVersion: apps/v1\nkind: KIND\nmetadata:\n  name: {{ .Release.Name }}-x\n";
    folder.write("template.yaml", &template.replace("KIND", "Deployment"));
    let only_a = |folder: &Folder| stream(folder.path(), &|_, kind| kind == "A", &mut |_, _| Ok(()));
    only_a(&folder).expect("there is one");
    for kind in ["A", "{{ .Values.kind }}", "List"] {
        folder.write("template.yaml", &template.replace("KIND", kind));
        assert!(matches!(only_a(&folder), Err(Error::Yaml { .. })), "{kind}");
    }
    for head in [
        "kind: A # legacy\napiVersion: v1",
        "kind: &k A\napiVersion: v1",
        "kind: !!str A\napiVersion: &v v1",
        "k: &k A\nkind: *k\napiVersion: v1",
        "Kind: A\napiversion: v1",
        "{apiVersion: v1, kind: A}",
        "kind: >-\n  A\napiVersion: v1",
    ] {
        folder.write("template.yaml", &format!("{head}\nx: [\n"));
        assert!(matches!(only_a(&folder), Err(Error::Yaml { .. })), "{head}");
    }
    folder.write("template.yaml", "kind: B # A\napiVersion: v1\nx: [\n");
    only_a(&folder).expect("it is none of ours");
    // Fields in other letters are none, and nobody means that.
    folder.write("template.yaml", "Kind: A\napiversion: v1\nmetadata: {name: a}\n");
    assert!(matches!(only_a(&folder), Err(Error::NoObject { .. })));
    let wide: Vec<u8> = "kind: A\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(folder.path().join("template.yaml"), wide).expect("written");
    assert!(only_a(&folder).is_err_and(|error| format!("{error:?}").contains("UTF-16")));
    std::fs::remove_file(folder.path().join("template.yaml")).expect("it is there");
    folder.write("page.yaml", "metadata: {title: about}\n");
    folder.write("b.yaml", "apiVersion: v1\nkind: [\n");
    assert!(matches!(read(folder.path()), Err(Error::Yaml { .. })));
    folder.write("b.yaml", "metadata: {name: b}\nkind: B\n");
    assert!(matches!(read(folder.path()), Err(Error::NoObject { .. })));
}

#[test]
fn nothing_at_all_is_an_error() {
    let folder = Folder::new();
    let all = |path: &Path| stream(path, &|_, _| true, &mut |_, _| Ok(()));
    assert!(matches!(all(&folder.path().join("absent")), Err(Error::Absent { .. })));
    assert!(matches!(all(folder.path()), Err(Error::NoFiles { .. })));
    for text in ["", "# nothing\n", "---\n---\n", "kind: List\napiVersion: v1\nitems: []\n", "{}"] {
        folder.write("f.yaml", text);
        assert!(matches!(all(folder.path()), Err(Error::Empty { .. })), "{text:?}");
    }
}

#[test]
fn folders_are_read_in_the_order_of_names_and_files_whatever_their_name() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("deeper")).expect("created");
    folder.write("b.yaml", "{apiVersion: v1, kind: B}");
    folder.write("deeper/c.json", r#"{"apiVersion": "v1", "kind": "C"}"#);
    folder.write("a.yml", "apiVersion: v1\nkind: A\n");
    folder.write("values.txt", "not: read");
    let kinds: Vec<Value> = read(folder.path()).expect("valid").iter().map(|object| object["kind"].clone()).collect();
    assert_eq!(kinds, ["A", "B", "C"]);
    assert!(matches!(read(&folder.path().join("values.txt")), Err(Error::NoObject { .. })));
}

#[test]
fn each_file_is_read_once_whatever_leads_to_it() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    let link = |to: &str, name: &str| symlink(to, folder.path().join(name)).expect("a link");
    std::fs::create_dir(folder.path().join("..2026_11_26")).expect("created");
    folder.write("..2026_11_26/legacy.yaml", "apiVersion: v1\nkind: A\n");
    // An earlier version, of which a file is gone.
    std::fs::create_dir(folder.path().join("..2026_10_25")).expect("created");
    folder.write("..2026_10_25/gone.yaml", "apiVersion: v1\nkind: A\n");
    link("..2026_11_26", "..data");
    link("..data/legacy.yaml", "legacy.yaml");
    link(".", "loop");
    link("endless", "endless");
    let mut files = Vec::new();
    stream(folder.path(), &|_, _| true, &mut |place, _| {
        files.push(place.file.to_string());
        Ok(())
    })
    .expect("there is one");
    assert_eq!(files.first().map(String::as_str), folder.path().join("legacy.yaml").to_str());
    assert_eq!(files.len(), 1);
}

#[test]
fn a_link_that_leads_nowhere_is_passed_over_and_said() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.write("a.yaml", "apiVersion: v1\nkind: A\n");
    for name in [".#a.yaml", "gone.yaml", "overlays", "turns.json"] {
        symlink(if name == "turns.json" { name } else { "nowhere" }, folder.path().join(name)).expect("a link");
    }
    let mut take = |_: &Place, _| Ok(());
    let mut reading = Reading::new(&|_, _| true, &mut take);
    reading.read_path(folder.path()).expect("a.yaml can be read");
    let passed = reading.passed.to_string();
    assert_eq!((reading.found, passed.matches("(a link that leads nowhere)").count()), (1, 4), "{passed}");
    std::fs::remove_file(folder.path().join("a.yaml")).expect("it is there");
    assert!(matches!(read(folder.path()), Err(Error::NoFiles { .. })));
}

#[test]
fn what_is_written_is_read_back() {
    let object = serde_json::json!({"apiVersion": "v1", "kind": "A", "labels": {"on": "yes", "n": "1", "e": ""}});
    let mut text = Vec::new();
    write_yaml(&mut text, &object).expect("plain data");
    assert_eq!(parse("f", &String::from_utf8_lossy(&text)).expect("our own"), [object]);
}

/// A folder for one test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("written");
    }
}
