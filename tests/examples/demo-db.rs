//! `make demo-db`: the migration of Mojaloop's transfers, on PostgreSQL and on MariaDB, while old and new pods write: a backfill that is killed,
//! a contract, and all the way back. It needs no cluster: the tickets are in the database.

#![allow(clippy::print_stdout, reason = "it is what a person reads")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fairlead_tests::clients::{Seen, Work, with_clients};
use fairlead_tests::program::{job, root};
use fairlead_tests::servers::database::{Database, Kind};
use fairlead_tests::transfers::mojaloop;

const TRANSFERS: u32 = 100_000;

fn main() {
    let began = Instant::now();
    for kind in [Kind::PostgreSql, Kind::MariaDb] {
        story(kind);
    }
    println!("\nDone in {} s.", began.elapsed().as_secs());
}

fn say(what: &str) {
    println!("\n\x1b[1m### {what}\x1b[0m");
}

fn story(kind: Kind) {
    let name = if kind == Kind::PostgreSql { "postgresql" } else { "mariadb" };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(format!("{name}.yaml"));
    say(&format!("{kind:?}: {TRANSFERS} transfers, each with its packet. Old pods write all the time."));
    let database = Database::start(kind, None);
    mojaloop(&database, kind, TRANSFERS);
    let example = root().join(format!("examples/mojaloop/{name}.yaml"));
    let text = std::fs::read_to_string(&example).expect("the example is there");
    let port = if kind == Kind::PostgreSql { "port: 5432" } else { "port: 3306" };
    std::fs::write(&file, text.replace(port, &format!("port: {}", database.port()))).expect("written");

    let seen = Seen::default();
    let old = [Work::OldInsert, Work::Update, Work::Read];
    let new = [Work::NewInsert, Work::Update, Work::Read];
    let columns = match kind {
        Kind::PostgreSql => {
            "select string_agg(column_name || ' ' || is_nullable, ', ' order by ordinal_position) from information_schema.columns where table_name = 'transfer'"
        }
        Kind::MariaDb => {
            "select group_concat(column_name, ' ', is_nullable order by ordinal_position separator ', ') from information_schema.columns where table_name = 'transfer'"
        }
    };
    let before = database.run(columns);
    let with_old = |what: &dyn Fn()| with_clients(&database, kind, &old, &seen, what);
    let with_new = |what: &dyn Fn()| with_clients(&database, kind, &new, &seen, what);

    say("What would happen?");
    run(&file, &["plan"]);
    say("The new release comes: the column that may be there. The job is killed in the middle of the backfill.");
    with_old(&|| kill_while_filling(&file));
    shown(&database, "rows that are filled", "select count(*) from transfer where quoteId is not null");
    say("Its pod is started again, and goes on where it was.");
    with_old(&|| run(&file, &["apply"]));
    shown(
        &database,
        "old transfers without a quote",
        "select count(*) from transfer where quoteId is null and transferId not like 'live-%'",
    );
    say("The old pods are gone. The column becomes one that must be there.");
    with_new(&|| run(&file, &["apply", "--phase", "contract"]));
    shown(&database, "columns", columns);
    run(&file, &["status"]);
    say("And back, by a binary that is told nothing of the migration: first the contract, then all of it.");
    with_new(&|| run(&file, &["rollback", "--last"]));
    with_old(&|| run(&file, &["rollback", "--last"]));
    let after = database.run(columns);
    shown(&database, "columns", columns);

    let written = seen.written.lock().expect("nobody panics with it").len() as u64;
    let there: u64 = database.run("select count(*) from transfer").trim().parse().expect("a number");
    let (errors, lost) = (seen.errors(), u64::from(TRANSFERS) + written - there);
    say(&format!(
        "{kind:?}: {} operations of clients meanwhile: {} errors, {lost} writes lost, longest wait {} ms. The table is {}.",
        seen.done(),
        errors.len(),
        seen.longest().as_millis(),
        if before == after { "as before" } else { "NOT as before" }
    ));
    assert!(errors.is_empty() && lost == 0 && before == after, "{errors:?}");
}

fn command(file: &Path, args: &[&str]) -> std::process::Command {
    let mut command = job("schema-migrator");
    // A killed process keeps its lease until nobody has seen it renewed for this long.
    command.args(args).args([
        "--store",
        "database",
        "--release",
        "demo",
        "--lease-duration",
        "4s",
        "--request-timeout",
        "2s",
        "--config",
    ]);
    command.arg(file);
    command
}

fn run(file: &Path, args: &[&str]) {
    println!(
        "$ schema-migrator {} --store database --config {}",
        args.join(" "),
        file.file_name().unwrap_or_default().display()
    );
    let status = command(file, args).status().expect("it starts");
    assert!(status.success(), "{status}");
}

fn kill_while_filling(file: &Path) {
    println!("$ schema-migrator apply --store database --config {}", file.file_name().unwrap_or_default().display());
    let mut killed = command(file, &["apply"]).stdout(Stdio::null()).spawn().expect("it starts");
    wait(Duration::from_millis(1500));
    killed.kill().expect("it runs");
    println!("KILLED: {}", killed.wait().expect("it is ours"));
}

fn shown(database: &Database, what: &str, query: &str) {
    println!("{what}: {}", database.run(query).trim());
}

#[expect(clippy::disallowed_methods, reason = "so long the job works before it is killed")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
