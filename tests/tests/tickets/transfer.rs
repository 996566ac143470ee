//! Tickets as documents: from one database to another, and back into the same.

use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::progress::Phase;
use fairlead_migration::run::Ending;
use fairlead_migration::store::Store;
use fairlead_migration::transfer::Imported;

use crate::scene::{BOTH, Scene, in_both, play, progress, runs, terms};

fn ending() -> Ending {
    let [time, step, command, outcome, summary] =
        ["2026-11-28T02:31:56Z", "tables", "apply", "Committed", "done"].map(str::to_owned);
    Ending { time, step, command, outcome, exit: 0, code: None, summary, helm_revision: Some(3) }
}

#[test]
fn tickets_go_from_one_database_to_another() {
    for (kind, other) in [(BOTH[0], BOTH[1]), (BOTH[1], BOTH[0])] {
        let (scene, copy) = (Scene::new(kind), Scene::new(other));
        play(async {
            let store = scene.store();
            runs(&store, &[Phase::Committed, Phase::RolledBack, Phase::Planned, Phase::Applying]).await;
            store.note(&ending()).await.expect("it is noted");
            let lock = store.lock(terms("one")).await.expect("nobody has it");
            let all = store.runs().await.expect("four");
            store.journal(&*lock).forget(&all[1]).await.expect("it is forgotten");
            lock.release().await;
            // Whoever died before its chunks has changed nothing.
            scene.run("chunk", "delete from TABLE where sequence = 3");
            let exported = store.export().await.expect("they are there");
            assert!(exported.damages.is_empty());
            let kinds: Vec<&str> = exported.documents.iter().filter_map(|it| it["kind"].as_str()).collect();
            assert_eq!(kinds, ["Ticket", "Ticket", "Register"]);

            let store = copy.store();
            let read = store.read_exported(&exported.documents).expect("they are whole");
            assert_eq!(read.iter().map(|(run, _)| run.sequence).collect::<Vec<_>>(), [1, 4]);
            assert_eq!(copy.tables(), "0");
            let created = ["shop.1", "shop.4"].map(|name| Imported::Created(name.to_owned()));
            assert_eq!(store.import(&exported.documents).await.expect("it is empty"), created);
            let same = ["shop.1", "shop.4"].map(|name| Imported::Same(name.to_owned()));
            assert_eq!(store.import(&exported.documents).await.expect("it is the same"), same);
            let expected = [&all[0], &all[3]].map(Clone::clone);
            assert_eq!(store.runs().await.expect("two"), expected);
            assert_eq!(store.endings().await.expect("one"), [ending()]);
            let whole = store.read("shop.4").await.expect("it is whole");
            assert_eq!(whole.plan.digest(), read[1].1.plan.digest());
            // An unfinished run has nobody at it here; a new one has the next number.
            copy.run("lease", "delete from TABLE");
            let now = store.export().await.expect("they are there").documents;
            assert_eq!(now, exported.documents);
        });
    }
}

#[test]
fn what_is_there_is_never_written_over_by_an_import() {
    in_both(async |scene| {
        let store = scene.store();
        runs(&store, &[Phase::Applying, Phase::Committed]).await;
        let exported = store.export().await.expect("they are there").documents;
        let lock = store.lock(terms("one")).await.expect("nobody has it");
        let mut journal = store.journal(&*lock);
        journal.reopen("shop.1").await.expect("it is whole");
        journal.record(&progress(Phase::Committed)).await.expect("it is recorded");
        drop(journal);
        lock.release().await;
        let imported = store.import(&exported).await.expect("nothing speaks against it");
        let Imported::Differs { what, remove, .. } = &imported[0] else { unreachable!("{imported:?}") };
        assert_eq!(what, "its phase is Committed, in the file Applying");
        let (_, delete) = remove.split_once("/test: ").expect("it names the database");
        scene.database.run(delete);
        let imported = store.import(&exported).await.expect("it is gone");
        assert_eq!(imported, [Imported::Created("shop.1".into()), Imported::Same("shop.2".into())]);
        assert_eq!(store.runs().await.expect("two")[0].phase(), Phase::Applying);

        let mut changed = exported.clone();
        changed[0]["chunks"]["0"] = "AAAA".into();
        scene.run("ticket", "delete from TABLE");
        let refused = store.import(&changed).await.expect_err("it is not whole");
        assert!(matches!(refused, Obstacle::Damaged { .. }), "{refused}");
        assert_eq!(scene.run("ticket", "select count(*) from TABLE"), "0");
        // Of the same number, and another run.
        let mut another = exported.clone();
        another[0]["created"] = "2020-01-01T00:00:00Z".into();
        store.import(&exported).await.expect("nothing is there");
        let refused = store.import(&another).await.expect_err("it is another run");
        assert!(matches!(&refused, Obstacle::Verdict { code, .. } if code == "FL045"), "{}", chain(&refused));
        let other = scene.store_of("other");
        let refused = other.import(&exported).await.expect_err("it is of another release");
        assert!(matches!(&refused, Obstacle::Verdict { code, .. } if code == "FL005"), "{}", chain(&refused));
        assert!(other.read_exported(&exported).is_err());
    });
}
