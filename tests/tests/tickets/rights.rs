//! Users with few rights, and servers that are not there: what is wrong, and what to do.

use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::progress::Phase;
use fairlead_migration::store::Store;
use fairlead_sql::address::Values;
use fairlead_sql_ledger::store::SqlLedger;
use fairlead_tests::servers::database::Kind;
use fairlead_tests::servers::process::closed_port;

use crate::scene::{BOTH, Scene, play, runs, terms};

#[test]
fn a_user_who_may_not_create_the_tables_is_told_what_to_ask_for() {
    for kind in BOTH {
        let scene = Scene::new(kind);
        let (create, grant) = match kind {
            Kind::PostgreSql => ("create role reader login", "grant create on database \"test\" to \"reader\";"),
            Kind::MariaDb => (
                // The one without a host would be another user.
                "create user reader@'127.0.0.%'; grant select on test.* to reader@'127.0.0.%'",
                "grant create, references, select, insert, update, delete on `test`.* to 'reader'@'127.0.0.%';",
            ),
        };
        scene.database.run(create);
        play(async {
            let mut address = scene.address();
            "reader".clone_into(&mut address.username);
            let reader = SqlLedger::new(address, Values::default(), scene.place(), "shop");
            assert_eq!(reader.runs().await.expect("there are none"), []);
            let refused = reader.lock(terms("one")).await.err().expect("it may not write");
            assert!(matches!(refused, Obstacle::Forbidden { .. }), "{refused:?}");
            let why = chain(&refused);
            assert!(why.contains(grant) && why.contains("/test: the server does not allow `"), "{why}");
            assert_eq!(scene.tables(), "0");
            // What is printed is what helps.
            scene.database.run(grant);
            reader.lock(terms("one")).await.expect("now it may").release().await;
            runs(&reader, &[Phase::Committed]).await;
            assert_eq!(reader.runs().await.expect("one").len(), 1);
        });
        let end =
            if kind == Kind::PostgreSql { "drop owned by reader; drop role reader" } else { "drop user reader@'127.0.0.%'" };
        scene.database.run(end);
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    for kind in BOTH {
        let scene = Scene::new(kind).through(closed_port());
        let failed = play(async { scene.store().runs().await.expect_err("nobody listens") });
        assert!(matches!(failed, Obstacle::Unreachable { .. }), "{failed:?}");
        assert!(chain(&failed).contains(&format!("{} does not answer", scene.address())), "{failed}");
    }
}
