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

const LOST: &str = "what it drops does not come back; use dropColumn or dropTable, which keep it until finalize";

/// What squawk cannot read is left to the server.
fn of_postgresql(sql: &str) -> Vec<String> {
    let parsed = SourceFile::parse(sql);
    let statements: Vec<Stmt> = parsed.tree().stmts().collect();
    let mut wrong = Vec::new();
    if statements.len() > 1 {
        wrong.push(SEVERAL.to_owned());
    }
    for statement in &statements {
        let all = statement.syntax().descendants_with_tokens();
        let tokens: Vec<String> =
            all.filter_map(|element| element.as_token().map(|token| token.text().to_lowercase())).collect();
        // Neither literals nor comments.
        let is_word = |text: &&str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let words: Vec<&str> = tokens.iter().map(String::as_str).filter(is_word).collect();
        wrong.extend(beyond_squawk(statement, &words).map(str::to_owned));
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

/// What squawk has no rule for, by the kind of a statement and its words.
fn beyond_squawk(statement: &Stmt, words: &[&str]) -> Option<&'static str> {
    let has = |word: &str| words.contains(&word);
    let has_both = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
    Some(match statement {
        Stmt::Lock(_) => "it locks the table for everybody",
        Stmt::Truncate(_) => LOST,
        Stmt::Begin(_) | Stmt::Commit(_) | Stmt::Rollback(_) => "each operation is a transaction of its own",
        Stmt::Cluster(_) => WRITES_ALL,
        Stmt::Vacuum(_) if has("full") => WRITES_ALL,
        Stmt::Refresh(_) if !has("concurrently") => {
            "who reads the view waits; write `refresh materialized view concurrently`"
        }
        Stmt::AlterTable(_) if ["serial", "bigserial", "smallserial"].into_iter().any(has) => WRITES_ALL,
        Stmt::AlterTable(_)
            if [("set", "unlogged"), ("set", "logged"), ("set", "tablespace"), ("access", "method")]
                .into_iter()
                .any(|(first, second)| has_both(first, second)) =>
        {
            WRITES_ALL
        }
        _ if words.first() == Some(&"savepoint") => "each operation is a transaction of its own",
        _ if words.first() == Some(&"drop") && (has("cascade") || has("owned")) => {
            "it drops what nobody has named; drop each by its name"
        }
        _ => return None,
    })
}

/// Usual mistakes, by their words: there is no library that knows them.
fn of_mariadb(sql: &str) -> Vec<&'static str> {
    let text = without_literals(&sql.to_lowercase());
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let all = words(&text);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let begins = |start: &[&str]| all.starts_with(start);
    let has_in_row = |row: &[&str]| all.windows(row.len()).any(|some| some == row);
    let mut wrong = Vec::new();
    let mut say = |is_so: bool, what: &'static str| {
        if is_so && !wrong.contains(&what) {
            wrong.push(what);
        }
    };
    let is_commented = ["/*", "-- ", "--\n", "#"].iter().any(|start| text.contains(start));
    say(is_commented, "it has a comment, in which a server may find more than a reader; write it without");
    say(text.trim().trim_end_matches(';').contains(';'), SEVERAL);
    say(begins(&["lock", "tables"]) || has_in_row(&["algorithm", "copy"]), "it locks the table for as long as it takes");
    say(
        begins(&["drop", "table"])
            || begins(&["drop", "database"])
            || begins(&["drop", "schema"])
            || begins(&["truncate"])
            || begins(&["create", "or", "replace", "table"]),
        LOST,
    );
    say(begins(&["rename", "table"]), RENAMED);
    say(begins(&["optimize"]), WRITES_ALL);
    let is_alter = all.first() == Some(&"alter") && all.iter().take(4).any(|word| *word == "table");
    if is_alter {
        say(
            !all.contains(&"algorithm"),
            "say `algorithm` and `lock`, so that the server fails instead of locking the table",
        );
        for part in text.split(',') {
            let part = words(part);
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            let next = |word: &str| part.iter().position(|it| *it == word).map(|at| part.get(at + 1).copied().unwrap_or(""));
            let may_go = ["index", "key", "constraint", "foreign", "check", "default"];
            say(next("drop").is_some_and(|what| !may_go.contains(&what)) || next("truncate").is_some(), LOST);
            say(next("rename").is_some_and(|what| !["index", "key"].contains(&what)) || next("change").is_some(), RENAMED);
        }
    }
    wrong
}

const RENAMED: &str = "pods of the old release do not know the new name; use renameColumn";

/// The text without what stands in quotes; names in backticks keep their letters.
fn without_literals(sql: &str) -> String {
    let (mut text, mut quote, mut is_escaped) = (String::new(), None, false);
    for next in sql.chars() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if next == '\\' => is_escaped = true,
            Some(open) if next == open => {
                quote = None;
                text.push('?');
            }
            Some(_) => {}
            None if next == '\'' || next == '"' => quote = Some(next),
            None if next == '`' => text.push(' '),
            None => text.push(next),
        }
    }
    text
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
            ("savepoint a", "transaction of its own"),
            ("drop type mood cascade", "nobody has named"),
            ("drop owned by app", "nobody has named"),
            ("alter table t add column c bigserial", "stops everybody"),
            ("alter table t set unlogged", "stops everybody"),
            ("alter table t set tablespace slow", "stops everybody"),
            ("refresh materialized view v", "concurrently"),
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
            "vacuum analyze fully_paid",
            "drop type mood",
            "refresh materialized view concurrently v",
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
            ("alter table t add index j (c), drop column x, drop index i, algorithm=instant", "dropColumn"),
            ("alter online table t drop column x, algorithm=instant", "dropColumn"),
            ("alter table `t`drop`x`, algorithm=instant", "dropColumn"),
            ("alter table t truncate partition p, algorithm=inplace", "does not come back"),
            ("alter table t rename as b, algorithm=instant", "renameColumn"),
            ("create or replace table t (a int primary key)", "does not come back"),
            ("drop database shop", "does not come back"),
            ("alter table t change a b int, algorithm=inplace, lock=none", "renameColumn"),
            ("alter table t force, algorithm=copy", "locks the table"),
            ("lock tables t write", "locks the table"),
            ("truncate table t", "does not come back"),
            ("select 1; select 2", "more than one statement"),
        ] {
            let found = defects(sql, Engine::MariaDb);
            assert!(found.iter().any(|what| what.contains(said)), "{sql}: {found:?}");
        }
        for good in [
            "alter table t drop index i, algorithm=inplace, lock=none",
            "alter table t alter column c drop default, algorithm=instant",
            "update t set note = 'it''s no. #1; a -- b' where note = \"no change \\\" here\"",
            "insert into t values (5 - -2)",
        ] {
            assert_eq!(defects(good, Engine::MariaDb), Vec::<String>::new(), "{good}");
        }
    }
}
