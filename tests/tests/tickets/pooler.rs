//! Behind a pooler that gives each transaction another connection.

use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::progress::Phase;
use fairlead_migration::store::Store;
use fairlead_tests::servers::database::Kind;
use fairlead_tests::servers::pgbouncer::PgBouncer;
use serde_json::json;

use crate::scene::{Scene, open, play, progress, terms};

#[test]
fn behind_a_pooler_in_transaction_mode_all_is_as_without() {
    let scene = Scene::new(Kind::PostgreSql);
    let pooler = PgBouncer::start(scene.database.port());
    let scene = scene.through(pooler.port());
    play(async {
        // It is one: no two transactions have the same connection.
        let mut session = scene.session().await;
        let (one, other) = (session.id().await.expect("it answers"), session.id().await.expect("it answers"));
        assert_ne!(one, other);

        let store = scene.store();
        assert_eq!(store.runs().await.expect("none"), []);
        let lock = store.lock(terms("one")).await.expect("nobody has it");
        let mut journal = store.journal(&*lock);
        open(&mut *journal, Phase::Applying).await;
        let evidence = json!({"rows": 7});
        let work = async {
            scene.renewal().await;
            let held = scene.store().lock(terms("two")).await.err().expect("it is held");
            assert!(matches!(held, Obstacle::Held { .. }), "{held}");
            let mut verifying = progress(Phase::Verifying);
            journal.attest(&evidence, &mut verifying).await.expect("it is stored");
            journal.record(&verifying).await.expect("it is recorded");
        };
        tokio::select! {
            () = work => {}
            () = lock.keep(&|| unreachable!("nobody asks it to stop")) => unreachable!("it is not lost"),
        }
        // Paused from here on: another one takes over.
        scene.run_out().await;
        let other = scene.store();
        let next = other.lock(terms("two")).await.expect("it has run out");
        let lost = journal.record(&progress(Phase::Committed)).await;
        assert!(matches!(lost, Err(Obstacle::Stopped(Stop::LeaseOver))), "{lost:?}");
        let mut journal = other.journal(&*next);
        let reopened = journal.reopen("shop.1").await.expect("it is whole");
        journal.record(&progress(Phase::Committed)).await.expect("it is recorded");
        drop(journal);
        next.release().await;
        let exported = scene.store().export().await.expect("it is whole").documents;
        let read = store.read_exported(&exported).expect("it is whole");
        assert_eq!((read.len(), read[0].1.plan.digest()), (1, reopened.plan.digest()));
    });
}
