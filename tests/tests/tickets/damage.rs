//! What somebody does to the tables is noticed before anything is taken back.

use fairlead_migration::evidence::digest;
use fairlead_migration::obstacle::{Damage, Obstacle, chain};
use fairlead_migration::progress::Phase;
use fairlead_migration::store::Store;
use fairlead_sql::text::literal;
use fairlead_tests::servers::database::Kind;
use serde_json::Value;

use crate::scene::{BOTH, Scene, in_both, open, play, progress, runs, terms};

/// What a run that was committed is after this, and why it cannot be read.
fn after(kind: Kind, table: &str, statement: &str) -> (Phase, Damage, String, bool) {
    let scene = Scene::new(kind);
    play(async {
        let store = scene.store();
        runs(&store, &[Phase::Committed]).await;
        scene.run(table, statement);
        let runs = store.runs().await.expect("it is listed");
        let read = store.read("shop.1").await.expect_err("it is damaged");
        let Obstacle::Damaged { damage, .. } = read else { unreachable!("{read}") };
        // Without its chunks nobody knows what is in them.
        let is_seen = !store.damages(&runs).await.expect("it answers").is_empty();
        (runs[0].phase(), damage, chain(&read), is_seen)
    })
}

#[test]
fn a_chunk_that_somebody_changes_is_damage() {
    for kind in BOTH {
        let change = "update TABLE set content = concat('AAAA', substr(content, 5))";
        let (phase, damage, why, _) = after(kind, "chunk", change);
        assert_eq!((phase, damage), (Phase::Committed, Damage::Lost));
        assert!(why.starts_with("row shop.1-0 of table ") && why.contains("chunk 0 of the snapshot is damaged"), "{why}");
        let (_, _, why, _) = after(kind, "chunk", "update TABLE set content = '?'");
        assert!(why.starts_with("row shop.1-0 of table ") && why.contains("Invalid"), "{why}");
        let (_, _, why, is_seen) = after(kind, "chunk", "delete from TABLE");
        assert!(is_seen && why.starts_with("row shop.1-0 of table ") && why.ends_with("it is not there"), "{why}");
    }
}

#[test]
fn a_ticket_that_somebody_changes_is_damage() {
    for kind in BOTH {
        let (phase, damage, why, is_seen) =
            after(kind, "ticket", r#"update TABLE set ticket = replace(ticket, '"changes":1', '"changes":2')"#);
        assert_eq!((phase, damage, is_seen), (Phase::Committed, Damage::Lost, true));
        assert!(why.ends_with("somebody has changed its ticket"), "{why}");
        // Nobody knows that it is over.
        let (phase, damage, why, is_seen) =
            after(kind, "ticket", "update TABLE set progress = replace(progress, 'Committed', 'Paused')");
        assert_eq!((phase, damage, is_seen), (Phase::Applying, Damage::Marks, true));
        assert!(why.contains("its column progress cannot be read: unknown variant `Paused`"), "{why}");
        let (phase, damage, _, is_seen) = after(kind, "ticket", "update TABLE set ticket = '{', progress = ''");
        assert_eq!((phase, damage, is_seen), (Phase::Applying, Damage::Lost, true));
    }
}

#[test]
fn a_ticket_of_a_later_version_is_left_to_that_version() {
    in_both(async |scene| {
        let store = scene.store();
        runs(&store, &[Phase::RolledBack]).await;
        let (mut somebody, table) = (scene.session().await, scene.table("ticket"));
        let ticket = somebody.text(&format!("select ticket from {table}")).await.expect("it answers");
        let mut ticket: Value = serde_json::from_str(&ticket.expect("it is there")).expect("it is JSON");
        (ticket["minReader"], ticket["snapshot"]) = (9.into(), "of another shape".into());
        (ticket["tool"]["image"], ticket["told"]) = ("fairlead/schema-migrator:9".into(), Value::Null);
        let digest = digest(&ticket);
        let ticket = literal(somebody.engine, &ticket.to_string());
        let change = format!("update {table} set ticket = {ticket}, digest = '{digest}'");
        somebody.execute(&change).await.expect("it is changed");
        let read = store.read("shop.1").await.expect_err("it is of a later version");
        assert!(matches!(read, Obstacle::Damaged { damage: Damage::OtherVersion, .. }), "{read}");
        assert!(chain(&read).contains("fairlead/schema-migrator:9 wrote it, and this version reads"), "{read}");
        // Nobody here knows that it is not needed.
        let lock = store.lock(terms("one")).await.expect("nobody has it");
        let run = &store.runs().await.expect("one")[0];
        assert!(matches!(store.journal(&*lock).forget(run).await, Err(Obstacle::Damaged { .. })));
    });
}

#[test]
fn a_ticket_that_somebody_writes_meanwhile_is_never_written_over() {
    in_both(async |scene| {
        let store = scene.store();
        let lock = store.lock(terms("one")).await.expect("nobody has it");
        let mut journal = store.journal(&*lock);
        open(&mut *journal, Phase::Applying).await;
        scene.run("ticket", "update TABLE set version = version + 1");
        let lost = journal.record(&progress(Phase::Committed)).await.expect_err("somebody wrote it");
        assert!(chain(&lost).contains("somebody else has written it while its run was at work"), "{lost}");
        assert_eq!(store.runs().await.expect("one")[0].phase(), Phase::Applying);
        scene.run("ticket", "delete from TABLE");
        let lost = journal.record(&progress(Phase::Committed)).await.expect_err("it is gone");
        assert!(chain(&lost).contains("somebody has deleted it"), "{lost}");
        // All is as before: nobody need miss it.
        journal.record(&progress(Phase::RolledBack)).await.expect("it is forgotten");
        assert_eq!(store.missing().await.expect("none"), Vec::<u64>::new());
    });
}
