//! A store that is not the cluster's ledger: whatever is asked of a release is asked of the one that has its runs, and a release lives in one
//! of the two.

use std::fs;

use fairlead_tests::program::Ended;
use fairlead_tests::proxy::{Asked, Fault, Moment};
use fairlead_tests::state::differences;

use crate::gates::Newer;
use crate::scenario::{Method, Order, clusters};

/// Makes the folder that is the other store.
fn folder(newer: &Newer) -> String {
    fs::create_dir(newer.file("tickets")).expect("created");
    newer.file("tickets").display().to_string()
}

/// Runs every-kind on the other store.
fn ask(newer: &Newer, store: &str, words: &[&str]) -> Ended {
    newer.stage.ask(&[words, &["--store", store]].concat())
}

fn apply<'a>(changes: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["apply", "--changes", changes], more].concat()
}

/// Tickets in a folder, objects in the cluster.
#[test]
fn a_run_is_finished_and_taken_back_from_a_second_store() {
    let newer = Newer::new(1, "second-store");
    let store = folder(&newer);
    let files = newer.file("files").display().to_string();
    let old = newer.state();
    let run = |order: Order, write: Option<usize>| {
        let more: &[&str] =
            if order == Order::Apply { &["--store", &store, "--files", &files] } else { &["--store", &store] };
        newer.stage.run(order, more, move |asked| {
            (write.is_some() && asked.write == write).then_some(Fault::Kill(Moment::AfterCommit))
        })
    };
    let (ended, proxy) = run(Order::Apply, None);
    ended.expect(0);
    let writes = proxy.asked().iter().filter(|asked| asked.write.is_some()).count();
    let new = newer.state();
    for write in 0..writes {
        run(Order::Rollback, None).0.expect(0);
        assert_eq!(differences(&old, &newer.state()), Vec::<String>::new());
        run(Order::Apply, Some(write));
        run(Order::Apply, None).0.expect(0);
        assert_eq!(differences(&new, &newer.state()), Vec::<String>::new());
    }
    assert_eq!(newer.stage.phases().into_values().collect::<Vec<_>>(), ["Elsewhere"], "no ticket is in the cluster");
}

#[test]
fn what_is_asked_of_a_release_is_asked_of_the_store_that_has_its_runs() {
    let newer = Newer::new(0, "stored");
    let (store, changes) = (folder(&newer), newer.file("changes.json").display().to_string());
    let ask = |words: &[&str]| ask(&newer, &store, words);
    let old = newer.state();
    ask(&apply(&changes, &[])).expect(0);
    let new = newer.state();
    let name = &newer.stage.name;

    let status = ask(&["status"]).expect(0).stdout;
    let back = format!("every-kind rollback --release {name} --ledger-namespace {name} --last --store {store}");
    assert!(status.contains("Committed") && status.contains(&back), "{status}");
    let answers = ask(&["check", "--without-helm"]).expect(0).stdout;
    assert!(answers.contains("ok  runs: 1 recorded") && answers.contains("ok  tickets: all are there"), "{answers}");
    let held = ask(&["unhold"]).expect(0).stdout;
    assert_eq!(held, "No run in force holds a workload.\n");

    // A ticket that is gone is missed here, too, and comes back from a file.
    let (file, ticket) = (newer.file("exported").display().to_string(), newer.file("tickets/1.json"));
    ask(&["export", &file]).expect(0);
    fs::remove_file(&ticket).expect("removed");
    let refused = ask(&["rollback", "--to", "0"]).expect(4).stderr;
    let gone = format!("error FL016: file {} is not there: somebody has deleted the ticket of run 1", ticket.display());
    assert!(refused.contains(&gone), "{refused}");
    assert!(
        ask(&["check", "--without-helm"]).expect(4).stdout.contains("NO  tickets: somebody has deleted what run 1 recorded")
    );
    let imported = ask(&["import", &file]).expect(0).stdout;
    assert_eq!(imported, "created 1\n");
    assert_eq!(ask(&["import", &file]).expect(0).stdout, "is there already: 1\n");
    assert_eq!(differences(&new, &newer.state()), Vec::<String>::new());
    ask(&["rollback", "--last"]).expect(0);
    assert_eq!(differences(&old, &newer.state()), Vec::<String>::new());
    let nothing = ask(&["rollback", "--last"]).expect(4).stderr;
    assert!(
        nothing.contains(&format!("error FL018: release {name} has no run in namespace {name} to take back")),
        "{nothing}"
    );

    // Nobody asks for a ticket again that somebody has gone on without.
    ask(&apply(&changes, &[])).expect(0);
    fs::remove_file(newer.file("tickets/2.json")).expect("removed");
    ask(&["rollback", "--to", "0", "--without-missing"]).expect(0);
    assert!(!ask(&["status"]).expect(0).stdout.contains("MISSING"));
}

#[test]
fn a_release_lives_in_one_store() {
    let newer = Newer::new(1, "lives-once");
    let (store, changes) = (folder(&newer), newer.file("changes.json").display().to_string());
    let (name, file) = (&newer.stage.name, newer.file("exported").display().to_string());
    let refused = |ended: Ended, words: &[&str]| {
        let told = ended.expect(4).output();
        for word in words {
            assert!(told.contains(word), "{word}\n{told}");
        }
    };
    let ask = |words: &[&str]| ask(&newer, &store, words);
    // In the cluster.
    newer.stage.ask(&apply(&changes, &[])).expect(0);
    newer.stage.ask(&["export", &file]).expect(0);
    let in_ledger = format!(
        "error FL044: release {name} keeps its runs in the cluster's ledger in namespace {name}, where run 1 is in force"
    );
    let status = format!("kubectl fairlead status {name} -n {name}");
    for words in
        [&apply(&changes, &[])[..], &["status"], &["rollback", "--last"], &["unhold"], &["check"], &["import", &file]]
    {
        refused(ask(words), &[&in_ledger, &status]);
    }
    newer.stage.ask(&["rollback", "--last"]).expect(0);
    // And from then on in the folder.
    ask(&apply(&changes, &[])).expect(0);
    let in_folder = format!("error FL044: release {name} keeps its runs in folder {store}; every-kind 0.1.0 can read them");
    let mark = format!("kubectl -n {name} delete secret fairlead.v1.{name}.store");
    let other = newer.file("other").display().to_string();
    for words in [
        &apply(&changes, &[])[..],
        &["status"],
        &["rollback", "--to", "0"],
        &["unhold"],
        &["check"],
        &["export", &other],
        &["import", &file],
        // In a third one.
        &["status", "--store", &newer.file("folder").display().to_string()],
    ] {
        refused(newer.stage.ask(words), &[&in_folder, &mark]);
    }
    ask(&["rollback", "--last"]).expect(0);
}

/// A file that holds no ticket binds nobody; one that does binds the release before the first ticket is there.
#[test]
fn an_import_into_another_store_leaves_the_mark() {
    let newer = Newer::new(0, "imported-once");
    let (store, changes) = (folder(&newer), newer.file("changes.json").display().to_string());
    let file = newer.file("exported").display().to_string();
    ask(&newer, &store, &apply(&changes, &[])).expect(0);
    ask(&newer, &store, &["export", &file]).expect(0);
    let name = &newer.stage.name;
    let mark = format!("{}/fairlead.v1.{name}.store", newer.stage.path("/api/v1", "secrets"));
    newer.stage.api.expect(&Method::DELETE, &mark, &serde_json::Value::Null);
    let elsewhere = newer.file("elsewhere").display().to_string();
    fs::create_dir(&elsewhere).expect("created");
    fs::write(newer.file("empty"), r#"{"apiVersion": "v1", "kind": "List", "items": []}"#).expect("written");
    let nothing = ask(&newer, &elsewhere, &["import", &newer.file("empty").display().to_string()]);
    assert_ne!(nothing.status, Some(0), "{}", nothing.output());
    assert!(newer.stage.phases().is_empty());
    ask(&newer, &elsewhere, &["import", &file]).expect(0);
    let refused = newer.stage.ask(&["status"]).expect(4).output();
    assert!(refused.contains(&format!("keeps its runs in folder {elsewhere}; every-kind 0.1.0 can read")), "{refused}");
    ask(&newer, &elsewhere, &["rollback", "--last"]).expect(0);
}

/// Somebody deletes Secrets of the release: the documented command leaves the mark, and another one does not.
#[test]
fn a_mark_that_is_gone_is_made_again_and_one_without_runs_is_told() {
    let newer = Newer::new(1, "marked-again");
    let (store, changes) = (folder(&newer), newer.file("changes.json").display().to_string());
    ask(&newer, &store, &apply(&changes, &[])).expect(0);
    let mark = "fairlead.v1.marked-again.store";
    let marks = || newer.stage.phases().into_keys().collect::<Vec<_>>();
    let delete =
        |selector: &str| clusters()[1].kubectl(&["delete", "secrets", "-n", "marked-again", "-l", selector]).expect(0);
    delete("fairlead.dev/release=marked-again,fairlead.dev/phase!=Elsewhere");
    assert_eq!(marks(), [mark]);
    delete("fairlead.dev/release=marked-again");
    assert_eq!(marks(), Vec::<String>::new());
    ask(&newer, &store, &["rollback", "--last"]).expect(0);
    assert_eq!(marks(), [mark]);
    newer.stage.ask(&["status"]).expect(4);
    fs::remove_dir_all(&store).expect("removed");
    fs::create_dir(&store).expect("created");
    let lost = ask(&newer, &store, &["status"]).output();
    for word in [
        &format!(
            "the mark {mark} names this store, folder {store}, and it has no run of release marked-again: they are lost"
        ),
        &format!("kubectl -n marked-again delete secret {mark}"),
    ] {
        assert!(lost.contains(word), "{word}\n{lost}");
    }
}

/// Killed when the mark is there and no ticket: the same store goes on, and so does the cluster's ledger when the mark is taken away.
#[test]
fn a_mark_without_a_ticket_keeps_nobody_off_for_ever() {
    for goes_on in [true, false] {
        let newer = Newer::new(usize::from(goes_on), if goes_on { "marked" } else { "marked-twice" });
        let (store, changes) = (folder(&newer), newer.file("changes.json").display().to_string());
        let name = &newer.stage.name;
        let is_mark = |asked: &Asked| asked.method == "POST" && asked.path.contains("/secrets");
        let kill = move |asked: &Asked| is_mark(asked).then_some(Fault::Kill(Moment::AfterCommit));
        let (killed, _) = newer.stage.run(Order::Apply, &["--store", &store], kill);
        assert_eq!(killed.status, None, "{}", killed.output());
        let mark = format!("fairlead.v1.{name}.store");
        assert_eq!(newer.stage.phases().into_iter().collect::<Vec<_>>(), [(mark.clone(), "Elsewhere".to_owned())]);
        assert_eq!(
            fs::read_dir(&store)
                .expect("a folder")
                .filter_map(Result::ok)
                .filter(|it| it.path().ends_with("1.json"))
                .count(),
            0
        );
        newer.stage.ask(&["status"]).expect(4);
        if goes_on {
            ask(&newer, &store, &apply(&changes, &[])).expect(0);
        } else {
            let path = format!("{}/{mark}", newer.stage.path("/api/v1", "secrets"));
            newer.stage.api.expect(&Method::DELETE, &path, &serde_json::Value::Null);
            newer.stage.ask(&apply(&changes, &[])).expect(0);
        }
    }
}
