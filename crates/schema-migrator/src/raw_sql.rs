//! What is wrong with SQL that somebody wrote by hand. For PostgreSQL it is squawk that knows.

use fairlead_sql::engine::Engine;
use squawk_linter::{Linter, Rule};
use squawk_syntax::SourceFile;
use squawk_syntax::ast::{AstNode as _, Stmt};

/// What squawk is asked for: rules about locks, about pods of the old release and about what does not come back, and none about style.
/// Source: <https://squawkhq.com/docs/rules>.
const RULES: [Rule; 21] = [
    Rule::AddingFieldWithDefault,
    Rule::AddingForeignKeyConstraint,
    Rule::AddingNotNullableField,
    Rule::AddingRequiredField,
    Rule::AddingSerialPrimaryKeyField,
    Rule::BanAlterDomainWithAddConstraint,
    Rule::BanDropColumn,
    Rule::BanDropDatabase,
    Rule::BanDropSchema,
    Rule::BanDropTable,
    Rule::BanSetSchema,
    Rule::BanTruncateCascade,
    Rule::ChangingColumnType,
    Rule::ConstraintMissingNotValid,
    Rule::DisallowedUniqueConstraint,
    Rule::RenamingColumn,
    Rule::RenamingTable,
    Rule::RequireConcurrentIndexCreation,
    Rule::RequireConcurrentIndexDeletion,
    Rule::RequireConcurrentPartitionDetach,
    Rule::RequireConcurrentReindex,
];

/// The operation that does it without harm.
fn instead(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::AddingFieldWithDefault | Rule::AddingRequiredField => "use addColumn, setDefault and a backfill",
        Rule::AddingForeignKeyConstraint => "use addForeignKey",
        Rule::AddingNotNullableField => "use setNotNull",
        Rule::BanDropColumn => "use dropColumn, which keeps it until finalize",
        Rule::BanDropTable => "use dropTable, which keeps it until finalize",
        Rule::ChangingColumnType => "use changeType",
        Rule::ConstraintMissingNotValid => "add it `not valid`, and validate it in a second operation",
        Rule::RenamingColumn => "use renameColumn",
        Rule::RequireConcurrentIndexCreation => "use addIndex",
        Rule::RequireConcurrentIndexDeletion => "write `drop index concurrently`",
        _ => return None,
    })
}

/// What is wrong with a statement, one line each.
pub(crate) fn defects(sql: &str, engine: Engine) -> Vec<String> {
    match engine {
        Engine::PostgreSql => of_postgresql(sql),
        Engine::MariaDb => of_mariadb(sql).into_iter().map(str::to_owned).collect(),
    }
}

const SEVERAL: &str = "it is more than one statement; write one operation for each, so that a crash between them is seen";

const WRITES_ALL: &str = "it writes the whole table under a lock that stops everybody";

/// What squawk cannot read is left to the server.
fn of_postgresql(sql: &str) -> Vec<String> {
    let parsed = SourceFile::parse(sql);
    let statements: Vec<Stmt> = parsed.tree().stmts().collect();
    let mut wrong = Vec::new();
    if statements.len() > 1 {
        wrong.push(SEVERAL.to_owned());
    }
    for statement in &statements {
        let what = match statement {
            Stmt::Cluster(_) => WRITES_ALL,
            Stmt::Vacuum(vacuum) if vacuum.syntax().text().to_string().to_lowercase().contains("full") => WRITES_ALL,
            Stmt::Lock(_) => "it locks the table for everybody",
            Stmt::Truncate(_) => "what it drops does not come back; delete rows in a backfill of your own, or use dropTable",
            Stmt::Begin(_) | Stmt::Commit(_) | Stmt::Rollback(_) => "each operation is a transaction of its own",
            _ => continue,
        };
        wrong.push(what.to_owned());
    }
    let mut found = Linter::from(RULES).lint(&parsed, sql);
    found.dedup_by_key(|violation| violation.code);
    wrong.extend(found.into_iter().map(|violation| {
        let rule = violation.code;
        let advice = instead(rule).map(str::to_owned).or(violation.help).unwrap_or_else(|| "find another way".to_owned());
        let message = violation.message.trim_end_matches('.');
        let advice = advice.trim_end_matches('.');
        format!("{message}; {advice}, or write `-- squawk-ignore {rule}` in the line before")
    }));
    wrong
}

/// Usual mistakes, by their words: there is no library that knows them.
fn of_mariadb(sql: &str) -> Option<&'static str> {
    let words = sql.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let is = |text: &str| words.contains(text);
    let is_kept = "what it drops does not come back; use dropColumn or dropTable, which keep it until finalize";
    Some(match () {
        () if is("/*") || is("--") || is("#") => {
            "it has a comment, in which a server may find more than a reader; write it without"
        }
        () if words.trim_end_matches(';').contains(';') => SEVERAL,
        () if is("algorithm=copy") || is("algorithm = copy") || words.starts_with("lock tables") => {
            "it locks the table for as long as it takes"
        }
        () if is("rename column") || is("rename to") || is("rename table") || is(" change ") => {
            "pods of the old release do not know the new name; use renameColumn"
        }
        () if is(" drop ") && words.starts_with("alter table") && !is("drop index") && !is("drop constraint") => is_kept,
        () if words.starts_with("drop table") || words.starts_with("truncate") => is_kept,
        () if words.starts_with("alter table") && !is("algorithm") => {
            "say `algorithm` and `lock`, so that the server fails instead of locking the table"
        }
        () => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_harms_on_postgresql_is_found_however_it_is_written() {
        for (sql, said) in [
            ("create index i on t (c)", "use addIndex"),
            ("create/**/unique/**/index i on t (c)", "use addIndex"),
            ("alter/**/table t drop c", "use dropColumn"),
            ("ALTER TABLE t DROP COLUMN c", "use dropColumn"),
            ("drop table t", "use dropTable"),
            ("drop index i", "drop index concurrently"),
            ("alter table t alter c set not null", "use setNotNull"),
            ("alter table t alter c type bigint", "use changeType"),
            ("alter table t rename a to b", "use renameColumn"),
            ("alter table t add constraint c check (a > 0)", "not valid"),
            ("alter table t add foreign key (a) references o (id)", "use addForeignKey"),
            ("alter table t add unique (a)", "-- squawk-ignore disallowed-unique-constraint"),
            ("alter table t add column c uuid default gen_random_uuid()", "backfill"),
            ("vacuum full t", "stops everybody"),
            ("vacuum (analyze, full) t", "stops everybody"),
            ("cluster t using i", "stops everybody"),
            ("lock table t", "locks the table"),
            ("truncate t", "does not come back"),
            ("select 1; select 2", "more than one statement"),
            ("begin", "transaction of its own"),
        ] {
            let found = defects(sql, Engine::PostgreSql);
            assert!(found.iter().any(|what| what.contains(said)), "{sql}: {found:?}");
        }
    }

    #[test]
    fn what_does_no_harm_on_postgresql_passes() {
        for sql in [
            "create index concurrently i on t (c);",
            "alter table t add column c text",
            "select ';'",
            "vacuum analyze t",
            "update t set a = 'set not null' where b = 1",
            "create function f() returns trigger language plpgsql as $$ begin new.a := 1; return new; end $$",
            "alter table t add constraint c check (a > 0) not valid",
            "alter table t validate constraint c",
            "comment on table t is 'drop table t'",
            "-- squawk-ignore ban-drop-table\ndrop table t",
            "create publication p for table t",
            "what nobody can read",
        ] {
            assert_eq!(defects(sql, Engine::PostgreSql), Vec::<String>::new(), "{sql}");
        }
    }

    #[test]
    fn what_harms_on_mariadb_is_found() {
        for (sql, said) in [
            ("alter table t add column c int", "algorithm"),
            ("alter/**/table t drop column c", "comment"),
            ("/*! drop table t */", "comment"),
            ("alter table t drop c, algorithm=instant", "dropColumn"),
            ("alter table t change a b int, algorithm=inplace, lock=none", "renameColumn"),
            ("alter table t force, algorithm=copy", "locks the table"),
            ("lock tables t write", "locks the table"),
            ("truncate table t", "does not come back"),
            ("select 1; select 2", "more than one statement"),
        ] {
            let found = defects(sql, Engine::MariaDb);
            assert!(found.iter().any(|what| what.contains(said)), "{sql}: {found:?}");
        }
        let good = "alter table t drop index i, algorithm=inplace, lock=none";
        assert_eq!(defects(good, Engine::MariaDb), Vec::<String>::new());
    }
}
