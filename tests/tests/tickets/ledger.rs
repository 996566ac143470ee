//! Tickets in tables: what one process records another one reads.

use std::time::Duration;

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::Phase;
use fairlead_migration::run::{Ending, RecordedRun};
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::store::{Scope, Store, gone, prune};
use serde_json::json;

use crate::scene::{BOTH, Scene, in_both, open, plan, play, progress, runs, terms, ticket};

#[test]
fn who_only_reads_changes_nothing() {
    in_both(async |scene| {
        let store = scene.store();
        assert_eq!(store.runs().await.expect("none"), []);
        assert_eq!(store.missing().await.expect("none"), Vec::<u64>::new());
        assert!(store.damages(&[]).await.expect("none").is_empty());
        assert_eq!(store.endings().await.expect("none"), []);
        assert_eq!(store.holder(Scope::Release).await.expect("none"), None);
        assert!(store.others().await.expect("none").is_empty());
        assert!(store.export().await.expect("none").documents.is_empty());
        let absent = store.read("shop.1").await.expect_err("there is none").to_string();
        assert!(absent.starts_with("row shop.1 of table ") && absent.ends_with("/test is damaged"), "{absent}");
        assert_eq!(scene.tables(), "0");
    });
}

#[test]
fn what_one_process_records_another_reads() {
    in_both(async |scene| {
        let store = scene.store();
        let lock = store.lock(terms("one")).await.expect("nobody has it");
        let mut journal = store.journal(&*lock);
        let plan = plan(200);
        let snapshot = Snapshot::of(&plan).expect("plain data");
        assert!(snapshot.manifest.chunks.len() > 1);
        let written = ticket(&plan, &snapshot);
        let mark = journal.open(&written, &snapshot).await.expect("it is stored");
        journal.record(&progress(Phase::Applying)).await.expect("it is recorded");
        let evidence = json!({"rows": 1_000_000, "sums": ["ž", "it's"]});
        let mut last = progress(Phase::Committed);
        journal.attest(&evidence, &mut last).await.expect("it is stored");
        journal.record(&last).await.expect("it is recorded");
        drop(journal);
        lock.release().await;

        let store = scene.store();
        let runs = store.runs().await.expect("one");
        let run = &runs[0];
        assert_eq!((runs.len(), run.sequence, run.step.as_str(), run.helm_revision), (1, 1, "tables", Some(3)));
        assert_eq!((run.changes, &run.progress), (1, &last));
        assert!(run.created.starts_with("20") && run.created.ends_with('Z'), "{}", run.created);
        let read = store.read(&run.name).await.expect("it is whole");
        assert_eq!((read.ticket, read.plan.digest(), read.mark), (written.clone(), plan.digest(), mark));
        assert!(read.plan.changes().eq(plan.changes()));
        assert_eq!(store.evidence(run).await.expect("it is whole"), Some(evidence));
        assert_eq!(store.ticket(&run.name).await.expect("it is whole"), written);
        assert!(store.damages(&runs).await.expect("it is there").is_empty());

        let lock = store.lock(terms("another")).await.expect("nobody has it");
        let mut journal = store.journal(&*lock);
        journal.reopen(&run.name).await.expect("it is whole");
        journal.record(&progress(Phase::RollingBack)).await.expect("it is recorded");
        assert_eq!(store.runs().await.expect("one")[0].phase(), Phase::RollingBack);
        // Only a run that has changed nothing may be abandoned.
        assert!(matches!(journal.abandon(&run.name).await, Err(Obstacle::Refused { .. })));
        open(&mut *journal, Phase::Planned).await;
        store.journal(&*lock).abandon("shop.2").await.expect("it is planned");
        let phases: Vec<Phase> = store.runs().await.expect("two").iter().map(RecordedRun::phase).collect();
        assert_eq!(phases, [Phase::RollingBack, Phase::RolledBack]);
    });
}

#[test]
fn a_ticket_that_somebody_deletes_is_missed_and_its_number_never_given_again() {
    in_both(async |scene| {
        let store = scene.store();
        runs(&store, &[Phase::RolledBack, Phase::RolledBack, Phase::Committed, Phase::RolledBack]).await;
        runs(&scene.store_of("other"), &[Phase::Committed]).await;
        scene.run("ticket", "delete from TABLE where sequence in (2, 4)");
        assert_eq!(store.missing().await.expect("two"), [2, 4]);
        let gone = gone(&store).await.expect("two");
        assert_eq!(gone[0].to_string(), format!("{} is damaged", store.address(2)));

        let lock = store.lock(terms("one")).await.expect("nobody has it");
        let mut journal = store.journal(&*lock);
        journal.forget_missing(&[2, 4]).await.expect("it is forgotten");
        open(&mut *journal, Phase::RolledBack).await;
        prune(&store, &mut *store.journal(&*lock), "tables", 1, |_| false).await.expect("one is pruned");
        let sequences: Vec<u64> = store.runs().await.expect("two").iter().map(|run| run.sequence).collect();
        assert_eq!(sequences, [3, 5]);
        assert_eq!(store.missing().await.expect("none"), Vec::<u64>::new());
        assert_eq!(scene.run("chunk", "select count(*) from TABLE where release_name = 'shop'"), "2");
        let others: Vec<String> = store.others().await.expect("two").into_iter().map(|(_, release)| release).collect();
        assert_eq!(others, ["other", "shop"]);
    });
}

#[test]
fn the_last_endings_are_kept() {
    in_both(async |scene| {
        for number in 0..55 {
            let [step, command, outcome] = ["tables", "apply", "Unchanged"].map(str::to_owned);
            let (time, summary) = (number.to_string(), "it's \\ so".repeat(if number == 0 { 9000 } else { 1 }));
            let ending = Ending { time, step, command, outcome, exit: 0, code: None, summary, helm_revision: None };
            // By whoever ends: no lock is needed.
            scene.store().note(&ending).await.expect("it is noted");
        }
        let endings = scene.store().endings().await.expect("they are there");
        let times: Vec<String> = endings.into_iter().map(|ending| ending.time).collect();
        assert_eq!(times, (5..55).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(scene.run("ending", "select count(*) from TABLE"), "50");
    });
}

#[test]
fn a_server_that_is_killed_in_the_middle_is_asked_again() {
    for kind in BOTH {
        let database = fairlead_tests::servers::database::Database::start(kind, None);
        let scene = Scene::in_server(kind, database.into());
        play(async {
            let store = scene.store();
            let lock = store.lock(terms("one")).await.expect("nobody has it");
            let mut journal = store.journal(&*lock);
            open(&mut *journal, Phase::Applying).await;
            let mut killed = scene;
            let database = std::sync::Arc::get_mut(&mut killed.database).expect("nobody else has it");
            database.process().kill();
            let mut restarted = killed;
            let restart = tokio::task::spawn_blocking(move || {
                std::sync::Arc::get_mut(&mut restarted.database).expect("nobody else has it").restart();
                restarted
            });
            let committed = progress(Phase::Committed);
            let (recorded, scene) = tokio::join!(journal.record(&committed), restart);
            recorded.expect("it is sent again");
            assert!(lock.is_held().await.expect("it answers") && lock.lasts(Duration::ZERO));
            drop(journal);
            lock.release().await;
            let scene = scene.expect("it is restarted");
            assert_eq!(scene.run("ticket", "select sequence, version from TABLE").replace('|', "\t"), "1\t3");
            assert_eq!(scene.store().runs().await.expect("one")[0].phase(), Phase::Committed);
        });
    }
}
