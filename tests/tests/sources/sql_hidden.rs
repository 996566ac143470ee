//! PostgreSQL and MariaDB: rows that a count does not see, and that are there all the same.

use fairlead_backlog::reading::Left;
use fairlead_tests::servers::database::{Database, Kind};
use serde_json::json;

use crate::scene::{Secret, open, refused};
use crate::sql::{LEFT, query, with, with_jobs};

const DONE: &str = "update jobs set done = true";

#[test]
fn rows_that_a_policy_hides_are_not_done() {
    let database = with_jobs(Kind::PostgreSql);
    database.run("create role drain login; grant select on jobs to drain");
    let configuration = with(query(Kind::PostgreSql, database.port(), LEFT), "username", &json!("drain"));
    let mut source = open(&configuration);
    source.becomes_left(2);
    database.run("alter table jobs enable row level security");
    source.becomes_unknown("row-level security policy for table \"jobs\"; it hides rows from drain: give it bypassrls");
    let refusal = refused(&configuration, &Secret::default());
    assert!(refusal.contains("it hides rows from drain"), "{refusal}");
    database.run("alter role drain bypassrls");
    source.becomes_left(2);
}

#[test]
fn what_a_transaction_has_written_and_not_committed_is_not_counted_as_done() {
    let database = with_jobs(Kind::PostgreSql);
    database.run(DONE);
    database.run("create table other (id bigint)");
    let mut source = open(&query(Kind::PostgreSql, database.port(), LEFT));
    source.becomes_empty();
    // Its client is gone, and the rows come with its commit.
    database.run("begin; insert into jobs values (9, false); prepare transaction 'order-4711'");
    source.becomes_unknown_after("a transaction that is open, or prepared, has written to jobs");
    database.run("commit prepared 'order-4711'");
    source.becomes_left(1);
    database.run(DONE);
    source.becomes_empty();

    // Whoever reads there, or writes elsewhere, changes nothing.
    database.run("begin; select count(*) from jobs; insert into other values (1); prepare transaction 'elsewhere'");
    assert_eq!(source.read().left, Left::Empty);

    let mut session = database.session();
    session.say("begin; insert into jobs values (10, false);");
    source.becomes_unknown_after("a transaction that is open, or prepared, has written to jobs");
    session.say("commit;");
    source.becomes_left(1);
}

#[test]
fn what_is_prepared_in_mariadb_is_not_done() {
    let database = with_jobs(Kind::MariaDb);
    database.run(DONE);
    let mut source = open(&query(Kind::MariaDb, database.port(), LEFT));
    source.becomes_empty();
    database.run("xa start 'x'; insert into jobs values (9, false); xa end 'x'; xa prepare 'x'");
    source.becomes_unknown_after("1 prepared transaction (xa recover) is not done");
    database.run("xa commit 'x'");
    source.becomes_left(1);
}

#[test]
fn tables_that_a_subscription_fills_lie_behind() {
    let (primary, replica) = (with_jobs(Kind::PostgreSql), Database::start(Kind::PostgreSql, None));
    primary.run("create publication p for table jobs");
    for statement in [
        "create table jobs (id bigint primary key, done bool not null)",
        "create table other (id bigint primary key, done bool not null)",
        &format!(
            "create subscription s connection 'host=127.0.0.1 port={} user=root dbname=test' publication p",
            primary.port()
        ),
    ] {
        replica.run(statement);
    }
    let refusal = refused(&query(Kind::PostgreSql, replica.port(), LEFT), &Secret::default());
    assert!(refusal.contains("it is a replica: subscription s fills what the query reads; name the primary"), "{refusal}");
    open(&query(Kind::PostgreSql, replica.port(), "select count(*) from other")).becomes_empty();
}

#[test]
fn a_replica_that_may_be_written_to_lies_behind() {
    let database = with_jobs(Kind::MariaDb);
    database.run("create user drain@'127.0.0.1'; grant select on test.* to drain@'127.0.0.1'");
    let mine = query(Kind::MariaDb, database.port(), LEFT);
    let (mut root, mut drain) = (open(&mine), open(&with(mine, "username", &json!("drain"))));
    drain.becomes_left(2);
    database.run("change master to master_host = '127.0.0.1', master_port = 1, master_user = 'nobody'; start slave");
    root.becomes_unknown("it is a replica");
    drain.becomes_unknown("it is a replica");
    // It stands still, and has got what it has from another server.
    database.run("stop slave; set global gtid_slave_pos = '0-2-10'");
    root.becomes_unknown("it is a replica");
    drain.becomes_unknown("it is a replica");
}

#[test]
fn a_row_of_another_type_is_not_fetched() {
    for kind in crate::sql::BOTH {
        let database = with_jobs(kind);
        // Fetched, it would be no answer in time, or too much memory.
        let huge = if kind == Kind::PostgreSql { "select repeat('x', 300000000)" } else { "select repeat('x', 15000000)" };
        let refusal = refused(&query(kind, database.port(), huge), &Secret::default());
        assert!(refusal.contains("which is no whole number"), "{kind:?}: {refusal}");
    }
}
