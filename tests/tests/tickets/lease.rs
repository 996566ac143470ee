//! One run at a time, by a row: who waits, who takes over, and who cannot write any more.

use std::cell::Cell;
use std::time::Duration;

use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::progress::Phase;
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::store::{GOES_BACK, Scope, Store, Terms};
use fairlead_tests::servers::database::Kind;

use crate::scene::{BOTH, Scene, in_both, open, plan, play, progress, runs, terms, ticket};

/// With all the time of a test.
fn patient(holder: &str) -> Terms<'_> {
    Terms { patience: Duration::from_mins(1), ..terms(holder) }
}

fn is_over<T>(answer: &Result<T, Obstacle>) -> bool {
    matches!(answer, Err(Obstacle::Stopped(Stop::LeaseOver)))
}

#[test]
fn the_second_run_waits_and_the_first_one_cannot_write_when_it_wakes_up() {
    in_both(async |scene| {
        let (one, two) = (scene.store(), scene.store());
        let paused = one.lock(terms("one")).await.expect("nobody has it");
        let mut journal = one.journal(&*paused);
        open(&mut *journal, Phase::Applying).await;
        let held = two.lock(terms("two")).await.err().expect("it is held").to_string();
        let (holder, lease) = held.split_once(" holds the lease of release shop in ").expect("it says so");
        assert!(holder.starts_with("one, which has renewed it at 20") && lease.ends_with("/test"), "{held}");

        let runs_out = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            scene.run_out().await;
        };
        let (lock, ()) = tokio::join!(two.lock(patient("two")), runs_out);
        let lock = lock.expect("it has run out");
        assert!(lock.is_held().await.expect("it answers"));
        // By its own clock it still has it, when it wakes up; the server knows better.
        assert!(paused.lasts(Duration::ZERO) && !paused.is_held().await.expect("it answers"));
        assert!(is_over(&journal.record(&progress(Phase::Committed)).await));
        assert!(is_over(&journal.attest(&"seen".into(), &mut progress(Phase::Committed)).await));
        assert!(is_over(&journal.forget(&one.runs().await.expect("one")[0]).await));
        assert!(is_over(&journal.forget_missing(&[1]).await));
        let plan = plan(1);
        let snapshot = Snapshot::of(&plan).expect("plain data");
        assert!(is_over(&journal.open(&ticket(&plan, &snapshot), &snapshot).await));
        assert!(is_over(&paused.renew().await) && !paused.lasts(Duration::ZERO));
        assert!(is_over(&journal.record(&progress(Phase::Committed)).await));
        paused.keep(&|| unreachable!("nobody has asked it to stop")).await;
        let row = scene.run("ticket", "select sequence, version from TABLE").replace('|', "\t");
        assert_eq!(row, "1\t2");
        assert_eq!(scene.run("chunk", "select count(*) from TABLE"), "1");
        assert_eq!(scene.run("register", "select sum(is_pruned) from TABLE"), "0");
        drop(journal);
        paused.release().await;
        assert!(lock.is_held().await.expect("it answers"));

        lock.renew().await.expect("it is held");
        let mut journal = two.journal(&*lock);
        journal.reopen("shop.1").await.expect("it is whole");
        journal.record(&progress(Phase::Committed)).await.expect("it is recorded");
        drop(journal);
        lock.release().await;
        let next = one.lock(terms("three")).await.expect("nobody has it");
        assert_eq!(scene.run("lease", "select token from TABLE"), "3");
        assert_eq!(one.holder(Scope::Release).await.expect("it answers").expect("one").name, "three");
        next.release().await;
        assert_eq!(one.holder(Scope::Release).await.expect("it answers"), None);
    });
}

#[test]
fn a_lease_is_renewed_while_a_statement_waits() {
    for kind in BOTH {
        let scene = Scene::new(kind);
        play(async {
            let store = scene.store();
            let lock = store.lock(terms("one")).await.expect("nobody has it");
            let mut journal = store.journal(&*lock);
            open(&mut *journal, Phase::Applying).await;
            // Somebody sits on the ticket.
            let mut somebody = scene.session().await;
            let begin = if kind == Kind::PostgreSql { "begin" } else { "start transaction" };
            somebody.execute(begin).await.expect("it begins");
            let ticket = scene.table("ticket");
            somebody.execute(&format!("update {ticket} set step = step where sequence = 1")).await.expect("it is locked");
            lock.tell("half way");
            let sits = async {
                scene.renewal().await;
                let holder = scene.store().holder(Scope::Release).await.expect("it answers").expect("one");
                assert_eq!((holder.name.as_str(), holder.how_far.as_deref()), ("one", Some("half way")));
                assert_eq!(scene.store().holder(Scope::Background).await.expect("it answers"), None);
                somebody.execute("rollback").await.expect("it goes");
            };
            let committed = progress(Phase::Committed);
            let work = async { tokio::join!(journal.record(&committed), sits) };
            tokio::select! {
                (recorded, ()) = work => recorded.expect("it is recorded"),
                () = lock.keep(&|| unreachable!("nobody asks it to stop")) => unreachable!("it is not lost"),
            }
            drop(journal);
            lock.release().await;
        });
    }
}

/// Who goes back, and has some patience.
fn going_back(patience: Duration) -> Terms<'static> {
    Terms { patience, insists: true, ..terms(BACK) }
}

const BACK: &str = "two/rollback";

#[test]
fn who_goes_back_asks_the_holder_to_stop() {
    in_both(async |scene| {
        let (one, two) = (scene.store(), scene.store());
        let lock = one.lock(terms("one")).await.expect("nobody has it");
        let is_asked = Cell::new(false);
        let stops = async {
            let ask = || is_asked.set(true);
            let keep = lock.keep(&ask);
            let asked = async {
                while !is_asked.get() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::select! {
                () = keep => unreachable!("it is not lost"),
                () = asked => {}
            }
            lock.release().await;
        };
        let (back, ()) = tokio::join!(two.lock(going_back(Duration::from_mins(1))), stops);
        let back = back.expect("it is given back");
        // One that goes back itself is not asked, and not robbed.
        let third = Terms { holder: "three/rollback", ..going_back(Duration::ZERO) };
        let kept = one.lock(third).await.err().expect("it is held");
        assert!(matches!(kept, Obstacle::Held { .. }) && BACK.ends_with(GOES_BACK), "{kept}");
        assert!(back.is_held().await.expect("it answers"));
    });
}

#[test]
fn a_holder_that_does_not_stop_loses_the_lease() {
    in_both(async |scene| {
        let (one, two) = (scene.store(), scene.store());
        let lock = one.lock(terms("one")).await.expect("nobody has it");
        let mut journal = one.journal(&*lock);
        open(&mut *journal, Phase::Applying).await;
        // Nobody waits a minute here.
        scene.run("lease", "update TABLE set duration_ms = 2000");
        let times = Cell::new(0);
        let goes_on = async {
            lock.keep(&|| times.set(times.get() + 1)).await;
            assert!(!lock.lasts(Duration::ZERO) && is_over(&journal.record(&progress(Phase::Committed)).await));
        };
        let (back, ()) = tokio::join!(two.lock(going_back(Duration::from_millis(1))), goes_on);
        let back = back.expect("it is taken");
        // It must not be run again.
        assert!(times.get() >= 1);
        assert_eq!(scene.run("lease", "select cancelled from TABLE"), "one");
        let mut journal = two.journal(&*back);
        journal.reopen("shop.1").await.expect("it is whole");
        journal.record(&progress(Phase::RolledBack)).await.expect("it is recorded");
        drop(journal);
        back.release().await;
    });
}

#[test]
fn a_lease_that_somebody_deletes_is_lost_and_its_holder_waited_for() {
    in_both(async |scene| {
        let (one, two) = (scene.store(), scene.store());
        let lock = one.lock(terms("one")).await.expect("nobody has it");
        let mut journal = one.journal(&*lock);
        open(&mut *journal, Phase::Applying).await;
        scene.run("lease", "delete from TABLE");
        // Who watches what goes on in the background spoils nothing.
        let background = Terms { scope: Scope::Background, ..terms("two") };
        two.lock(background).await.expect("nobody has it").release().await;
        let held = two.lock(terms("two")).await.err().expect("it waits").to_string();
        assert!(held.starts_with("a process whose lease somebody has deleted, which"), "{held}");
        assert!(is_over(&journal.record(&progress(Phase::Committed)).await));
        assert!(is_over(&lock.renew().await) && !lock.lasts(Duration::ZERO));
        scene.run_out().await;
        let lock = two.lock(terms("two")).await.expect("it must have noticed");
        let mut journal = two.journal(&*lock);
        journal.reopen("shop.1").await.expect("it is whole");
        journal.record(&progress(Phase::Committed)).await.expect("it is recorded");
        drop(journal);
        lock.release().await;
        // Nobody is at work.
        scene.run("lease", "delete from TABLE");
        one.lock(terms("one")).await.expect("nobody has it").release().await;
    });
}

#[test]
fn many_begin_at_once_and_one_is_at_work() {
    in_both(async |scene| {
        // Each creates the tables.
        let names: Vec<String> = (0..4).map(|number| format!("it's {number}")).collect();
        let stores: Vec<_> = names.iter().map(|_| scene.store()).collect();
        let at_work = Cell::new(0);
        let run = async |index: usize| {
            let lock = stores[index].lock(patient(&names[index])).await.expect("its turn comes");
            at_work.set(at_work.get() + 1);
            assert_eq!(at_work.get(), 1);
            open(&mut *stores[index].journal(&*lock), Phase::Committed).await;
            at_work.set(at_work.get() - 1);
            lock.release().await;
        };
        tokio::join!(run(0), run(1), run(2), run(3));
        let sequences: Vec<u64> = scene.store().runs().await.expect("four").iter().map(|run| run.sequence).collect();
        assert_eq!(sequences, [1, 2, 3, 4]);
        runs(&scene.store(), &[Phase::Committed]).await;
    });
}
