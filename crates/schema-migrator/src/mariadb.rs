//! What MariaDB can do while a table is in use. How it does that is asserted in each statement (`algorithm`, `lock`), never left to it: what
//! it cannot do so fails at once. Times and locks of each are in the table of `docs/tables.md`.

use fairlead_sql::engine::Engine;
use fairlead_sql::text::{literal, name, names};

use crate::image::Statement;
use crate::operation::Column;
use crate::postgresql::sorted;
use crate::primitive::{ColumnFacts, Primitive};
use crate::table::Table;

const ENGINE: Engine = Engine::MariaDb;

fn id(text: &str) -> String {
    name(ENGINE, text)
}

fn text(text: &str) -> String {
    literal(ENGINE, text)
}

/// The table's name; the database is that of the connection.
pub(crate) fn qualified(table: &Table) -> String {
    id(&table.name)
}

fn exists(query: &str) -> String {
    format!("select exists({query})")
}

fn exists_not(query: &str) -> String {
    format!("select not exists({query})")
}

/// Integers have a width for display in MariaDB, which means nothing.
const TYPE: &str = "regexp_replace(column_type, '^(tinyint|smallint|mediumint|int|bigint)[(][0-9]+[)]', '\\\\1')";

/// The type of a column, as [`TYPE`] writes it.
pub(crate) fn canonical_type(written: &str) -> String {
    let lower = written.trim().to_lowercase().replace(", ", ",");
    let (base, rest) = match lower.find(['(', ' ']) {
        Some(at) => (&lower[..at], lower[at..].to_owned()),
        None => (lower.as_str(), String::new()),
    };
    let without_width = |rest: &str| match (rest.starts_with('('), rest.find(')')) {
        (true, Some(end)) => rest[end + 1..].to_owned(),
        _ => rest.to_owned(),
    };
    match base {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => format!("{base}{}", without_width(&rest)),
        "integer" => format!("int{}", without_width(&rest)),
        "bool" | "boolean" => "tinyint".to_owned(),
        "numeric" | "decimal" | "dec" if rest.is_empty() => "decimal(10,0)".to_owned(),
        "numeric" | "dec" => format!("decimal{rest}"),
        "char" if rest.is_empty() => "char(1)".to_owned(),
        _ => format!("{base}{rest}"),
    }
}

fn of_column(table: &Table, column: &str) -> String {
    format!(
        "from information_schema.columns where table_schema = database() and table_name = {} and column_name = {}",
        text(&table.name),
        text(column)
    )
}

fn of_table(table: &str) -> String {
    format!("select 1 from information_schema.tables where table_schema = database() and table_name = {}", text(table))
}

fn definition(column: &Column, is_hidden: bool) -> String {
    let default = column.default.as_ref().map(|default| format!(" default {default}")).unwrap_or_default();
    let null = if column.nullable { " null" } else { " not null" };
    format!("{}{null}{}{default}", column.r#type, if is_hidden { " invisible" } else { "" })
}

/// A table of these columns.
pub(crate) fn table(table: &Table, columns: &[Column], key: &[String]) -> Primitive {
    let list = columns.iter().map(|column| format!("{} {}", id(&column.name), definition(column, false)));
    let list = list.collect::<Vec<_>>().join(", ");
    let wanted = columns.iter().map(|column| text(&column.name)).collect::<Vec<_>>().join(", ");
    Primitive {
        read: format!(
            "select group_concat(concat(column_name, ' ', {TYPE}) order by column_name separator ', ') from information_schema.columns \
             where table_schema = database() and table_name = {} and column_name in ({wanted})",
            text(&table.name)
        ),
        is: sorted(columns, canonical_type),
        up: vec![Statement::new(
            format!("create table {} ({list}, primary key ({})) engine = InnoDB", qualified(table), names(ENGINE, key)),
            exists(&of_table(&table.name)),
        )],
        down: vec![Statement::new(format!("drop table {}", qualified(table)), exists_not(&of_table(&table.name)))],
    }
}

fn type_of(table: &Table, column: &str) -> String {
    format!("select {TYPE} {}", of_column(table, column))
}

/// A column.
pub(crate) fn column(table: &Table, column: &Column, is_hidden: bool) -> Primitive {
    let there = format!("select 1 {}", of_column(table, &column.name));
    let (table_name, column_name) = (qualified(table), id(&column.name));
    Primitive {
        read: type_of(table, &column.name),
        is: canonical_type(&column.r#type),
        up: vec![Statement::new(
            format!(
                "alter table {table_name} add column {column_name} {}, algorithm = instant, lock = default",
                definition(column, is_hidden)
            ),
            exists(&there),
        )],
        down: vec![Statement::new(
            format!("alter table {table_name} drop column {column_name}, algorithm = instant, lock = default"),
            exists_not(&there),
        )],
    }
}

/// A column that goes for good: with its indexes, so the table may be built anew, while it is read and written.
pub(crate) fn dropped_for_good(table: &Table, it: &Column) -> Primitive {
    let there = format!("select 1 {}", of_column(table, &it.name));
    let drop = format!("alter table {} drop column {}, algorithm = inplace, lock = none", qualified(table), id(&it.name));
    Primitive { down: vec![Statement::new(drop, exists_not(&there))], ..column(table, it, false) }
}

/// A column under the name of one that was dropped.
pub(crate) fn tombstone(table: &Table, column: &str, dropped: &str) -> Primitive {
    let there = format!("select 1 {}", of_column(table, column));
    let rename = |from: &str, to: &str| {
        format!(
            "alter table {} rename column {} to {}, algorithm = instant, lock = default",
            qualified(table),
            id(from),
            id(to)
        )
    };
    Primitive {
        read: type_of(table, column),
        is: String::new(),
        up: vec![Statement::new(rename(column, dropped), exists_not(&there))],
        down: vec![Statement::new(rename(dropped, column), exists(&there))],
    }
}

/// A table under the name of one that was dropped.
pub(crate) fn table_tombstone(table: &Table, dropped: &str) -> Primitive {
    let there = of_table(&table.name);
    let rename = |from: &str, to: &str| format!("rename table {} to {}", id(from), id(to));
    Primitive {
        read: format!("select 'table' from ({there}) as it"),
        is: "table".to_owned(),
        up: vec![Statement::new(rename(&table.name, dropped), exists_not(&there))],
        down: vec![Statement::new(rename(dropped, &table.name), exists(&there))],
    }
}

/// The default of a column.
pub(crate) fn default(table: &Table, column: &str, default: Option<&str>) -> Primitive {
    let read = format!("select coalesce(nullif(column_default, 'NULL'), 'none') {}", of_column(table, column));
    let is = match default.unwrap_or("none") {
        now if ["current_timestamp", "now()"].contains(&now.to_lowercase().as_str()) => "current_timestamp()".to_owned(),
        other => other.to_owned(),
    };
    let set = default.map_or_else(|| "drop default".to_owned(), |default| format!("set default {default}"));
    let done = format!("select coalesce(({read}) = {}, 0)", text(&is));
    let up = vec![Statement::new(
        format!("alter table {} alter column {} {set}, algorithm = instant, lock = default", qualified(table), id(column)),
        done,
    )];
    Primitive { read, is, up, down: Vec::new() }
}

/// An index.
pub(crate) fn index(table: &Table, index: &str, columns: &[String], is_unique: bool) -> Primitive {
    let of = format!(
        "from information_schema.statistics where table_schema = database() and table_name = {} and index_name = {}",
        text(&table.name),
        text(index)
    );
    let there = format!("select 1 {of}");
    let unique = if is_unique { "unique " } else { "" };
    let table_name = qualified(table);
    Primitive {
        read: format!(
            "select concat(if(min(non_unique) = 0, 'unique ', ''), '(', group_concat(column_name order by seq_in_index separator ', '), ')') {of} having count(*) > 0"
        ),
        is: format!("{unique}({})", columns.join(", ")),
        up: vec![Statement::new(
            format!(
                "alter table {table_name} add {unique}index {} ({}), algorithm = nocopy, lock = none",
                id(index),
                names(ENGINE, columns)
            ),
            exists(&there),
        )],
        down: vec![Statement::new(
            format!("alter table {table_name} drop index {}, algorithm = nocopy, lock = none", id(index)),
            exists_not(&there),
        )],
    }
}

/// A foreign key. The server checks old rows only in a way that locks the table, so they are looked at before; new ones it checks itself.
pub(crate) fn foreign_key(
    table: &Table,
    constraint: &str,
    columns: &[String],
    references: &Table,
    parent_columns: &[String],
) -> Primitive {
    let of = format!(
        "from information_schema.key_column_usage where table_schema = database() and table_name = {} and constraint_name = {} \
         and referenced_table_name is not null",
        text(&table.name),
        text(constraint)
    );
    let there = format!("select 1 {of}");
    let pairs = columns.iter().zip(parent_columns);
    let joined =
        pairs.map(|(child, parent)| format!("p.{} = c.{}", id(parent), id(child))).collect::<Vec<_>>().join(" and ");
    let set = columns.iter().map(|column| format!("c.{} is not null", id(column))).collect::<Vec<_>>().join(" and ");
    let orphans = format!(
        "select concat('a row of {} has no row of {}: ', c.{}) from {} c left join {} p on {joined} where {set} and p.{} is null limit 1",
        table.name,
        references.name,
        id(&columns[0]),
        qualified(table),
        qualified(references),
        id(&parent_columns[0])
    );
    let table_name = qualified(table);
    Primitive {
        read: format!(
            "select concat('(', group_concat(column_name order by ordinal_position separator ', '), ') -> ', max(referenced_table_name), ' (', \
             group_concat(referenced_column_name order by ordinal_position separator ', '), ')') {of} having count(*) > 0"
        ),
        is: format!("({}) -> {} ({})", columns.join(", "), references.name, parent_columns.join(", ")),
        up: vec![
            Statement::new(
                format!(
                    "set session foreign_key_checks = 0; alter table {table_name} add constraint {} foreign key ({}) references {} ({}), algorithm = inplace, lock = none; set session foreign_key_checks = 1",
                    id(constraint),
                    names(ENGINE, columns),
                    qualified(references),
                    names(ENGINE, parent_columns)
                ),
                exists(&there),
            )
            .unless(orphans.clone()),
            // What came between that look and the constraint.
            Statement::new("set session foreign_key_checks = 1", "select 0").unless(orphans),
        ],
        down: vec![Statement::new(
            format!("alter table {table_name} drop foreign key {}, algorithm = inplace, lock = none", id(constraint)),
            exists_not(&there),
        )],
    }
}

/// NULL is refused, or allowed. Both build the table anew, while it is read and written.
pub(crate) fn not_null(table: &Table, column: &str, facts: &ColumnFacts) -> Primitive {
    let (table_name, column_name) = (qualified(table), id(column));
    let default = facts.default.as_ref().map(|default| format!(" default {default}")).unwrap_or_default();
    let modify = |null: &str| {
        format!(
            "alter table {table_name} modify {column_name} {} {null}{default}{}, algorithm = inplace, lock = none",
            facts.written, facts.rest
        )
    };
    let is = |answer: &str| exists(&format!("select 1 {} and is_nullable = '{answer}'", of_column(table, column)));
    let holds_null = format!(
        "select 'rows of {} hold NULL in {column}' from {table_name} where {column_name} is null limit 1",
        table.name
    );
    Primitive {
        read: format!("select if(is_nullable = 'NO', 'not null', 'null') {}", of_column(table, column)),
        is: "not null".to_owned(),
        up: vec![Statement::new(modify("not null"), is("NO")).unless(holds_null)],
        down: vec![Statement::new(modify("null"), is("YES"))],
    }
}

/// Which writes a trigger is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Insert,
    Update,
}

impl Event {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
        }
    }
}

/// What a trigger does.
pub(crate) fn source(body: &str) -> String {
    format!("begin {body} end")
}

/// A trigger before each row that is inserted, or updated.
pub(crate) fn trigger(table: &Table, trigger: &str, event: Event, source: &str) -> Primitive {
    let of = format!(
        "from information_schema.triggers where trigger_schema = database() and trigger_name = {} and event_object_table = {}",
        text(trigger),
        text(&table.name)
    );
    let there = format!("select 1 {of}");
    let create = format!("create trigger {} before {} on {}", id(trigger), event.as_str(), qualified(table));
    Primitive {
        read: format!("select action_statement {of}"),
        is: source.to_owned(),
        up: vec![Statement::new(format!("{create} for each row {source}"), exists(&there))],
        down: vec![Statement::new(format!("drop trigger if exists {}", id(trigger)), exists_not(&there))],
    }
}

/// The triggers of a table: name, source, and for which writes.
pub(crate) fn triggers(table: &Table) -> String {
    format!(
        "select trigger_name, action_statement, lower(event_manipulation) from information_schema.triggers \
         where trigger_schema = database() and event_object_table = {} order by 1",
        text(&table.name)
    )
}

/// Columns as the catalog would write them: type and default of each, asked of a table of our session alone.
pub(crate) fn probe(columns: &[Column]) -> [String; 3] {
    let list = columns.iter().map(|column| {
        let default = column.default.as_ref().map(|default| format!(" default {default}")).unwrap_or_default();
        format!("{} {}{default}", id(&column.name), column.r#type)
    });
    // Some servers make no table without a key.
    let make = format!(
        "create temporary table _fairlead_probe ({}, _fairlead_key int primary key)",
        list.collect::<Vec<_>>().join(", ")
    );
    let read = "show columns from _fairlead_probe where field <> '_fairlead_key'".to_owned();
    [make, read, "drop temporary table if exists _fairlead_probe".to_owned()]
}

/// A type of `show columns`, as [`TYPE`] writes it.
pub(crate) fn shown_type(shown: &str) -> String {
    let base: String = shown.chars().take_while(char::is_ascii_alphabetic).collect();
    let is_integer = ["tinyint", "smallint", "mediumint", "int", "bigint"].contains(&base.as_str());
    match (is_integer, shown.find(')')) {
        (true, Some(end)) => format!("{base}{}", &shown[end + 1..]),
        _ => shown.to_owned(),
    }
}

/// Body of a trigger that fills NULL.
pub(crate) fn fill(column: &str, value: &str) -> String {
    let column = id(column);
    format!("if new.{column} is null then set new.{column} = {value}; end if;")
}

/// Body of a trigger that refuses NULL.
pub(crate) fn forbid(table: &Table, column: &str) -> String {
    let message = text(&format!("null value in column {column} of {table} is refused by fairlead"));
    format!("if new.{} is null then signal sqlstate '45000' set message_text = {message}; end if;", id(column))
}

/// Body of a trigger that keeps two columns equal.
pub(crate) fn sync(from: &str, to: &str, up: &str, down: &str, event: Event) -> String {
    let (from, to) = (id(from), id(to));
    match event {
        Event::Insert => format!("if new.{to} is null then set new.{to} = {up}; else set new.{from} = {down}; end if;"),
        Event::Update => format!(
            "if not (new.{from} <=> old.{from}) then set new.{to} = {up}; elseif not (new.{to} <=> old.{to}) and not (new.{to} <=> ({up})) then set new.{from} = {down}; end if;"
        ),
    }
}

/// A view in the database of a version.
pub(crate) fn view(version: &str, table: &Table, database: &str, columns: &[(String, String)]) -> Primitive {
    let view = format!("{}.{}", id(version), id(&table.name));
    let of = format!(
        "from information_schema.columns where table_schema = {} and table_name = {}",
        text(version),
        text(&table.name)
    );
    let there = format!("select 1 {of}");
    let list = columns.iter().map(|(alias, expression)| format!("{expression} as {}", id(alias)));
    let list = list.collect::<Vec<_>>().join(", ");
    Primitive {
        read: format!("select group_concat(column_name order by ordinal_position separator ', ') {of} having count(*) > 0"),
        is: columns.iter().map(|(alias, _)| alias.as_str()).collect::<Vec<_>>().join(", "),
        up: vec![
            Statement::new(
                format!("create database if not exists {}", id(version)),
                exists(&format!("select 1 from information_schema.schemata where schema_name = {}", text(version))),
            ),
            Statement::new(
                format!(
                    "create sql security invoker view {view} as select {list} from {}.{}",
                    id(database),
                    qualified(table)
                ),
                exists(&there),
            ),
        ],
        down: vec![Statement::new(format!("drop view if exists {view}"), exists_not(&there))],
    }
}

/// The columns of a table, as [`crate::catalog`] reads them: name, type, whether it may hold NULL, whether it has a default, its type with
/// its characters, what comes behind `null`, whether it is computed, has a CHECK, and moves with each update.
pub(crate) fn columns(table: &Table) -> String {
    format!(
        "select column_name, {TYPE}, is_nullable = 'YES', column_default is not null and column_default <> 'NULL' or extra like '%auto_increment%', \
         concat(column_type, if(collation_name is null, '', concat(' character set ', character_set_name, ' collate ', collation_name))), \
         nullif(column_default, 'NULL'), \
         concat(if(extra like '%INVISIBLE%', ' invisible', ''), \
         if(extra like '%on update%', concat(' ', regexp_substr(extra, 'on update [^,]*')), ''), \
         if(extra like '%auto_increment%', ' auto_increment', ''), \
         if(column_comment = '', '', concat(' comment ', quote(column_comment)))), \
         coalesce(generation_expression, '') <> '', \
         exists(select 1 from information_schema.check_constraints cc where cc.constraint_schema = database() \
         and cc.table_name = c.table_name and cc.constraint_name = c.column_name and cc.level = 'Column'), \
         extra like '%on update%' \
         from information_schema.columns c where table_schema = database() and table_name = {} order by ordinal_position",
        text(&table.name)
    )
}

/// The columns of the primary key of a table, in their order.
pub(crate) fn key(table: &Table) -> String {
    format!(
        "select column_name from information_schema.statistics where table_schema = database() and table_name = {} and index_name = 'PRIMARY' order by seq_in_index",
        text(&table.name)
    )
}

/// Tables of a list that we may not alter. Grants to roles are not seen here: the server has the last word.
pub(crate) fn forbidden(tables: &[Table]) -> String {
    let list =
        tables.iter().map(|table| format!("select {} as t", text(&table.name))).collect::<Vec<_>>().join(" union all ");
    let user =
        "concat('''', substring_index(current_user(), '@', 1), '''@''', substring_index(current_user(), '@', -1), '''')";
    let may = |from: &str, more: &str| {
        format!("exists(select 1 from information_schema.{from} where grantee = {user} and privilege_type = 'ALTER'{more})")
    };
    format!(
        "select group_concat(t separator ', ') from ({list}) as it where current_role() is null and not {} and not {} and not {}",
        may("user_privileges", ""),
        may("schema_privileges", " and database() like table_schema"),
        may("table_privileges", " and table_schema = database() and table_name = it.t")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_the_catalog_does() {
        for (written, canonical) in [
            ("varchar(36)", "varchar(36)"),
            ("INT", "int"),
            ("int(11) unsigned", "int unsigned"),
            ("bigint(20)", "bigint"),
            ("boolean", "tinyint"),
            ("decimal(18, 4)", "decimal(18,4)"),
            ("numeric", "decimal(10,0)"),
            ("datetime(3)", "datetime(3)"),
            ("enum('a','b')", "enum('a','b')"),
        ] {
            assert_eq!(canonical_type(written), canonical, "{written}");
        }
    }
}
