//! What PostgreSQL can do while a table is in use. Times and locks of each are in the table of `docs/tables.md`.

use fairlead_sql::engine::Engine;
use fairlead_sql::text::{literal, name, names};

use crate::image::Statement;
use crate::label;
use crate::operation::Column;
use crate::primitive::Primitive;
use crate::table::Table;

const ENGINE: Engine = Engine::PostgreSql;

fn id(text: &str) -> String {
    name(ENGINE, text)
}

fn text(text: &str) -> String {
    literal(ENGINE, text)
}

/// The schema of a table; `schema` where it names none.
fn schema_of<'t>(table: &'t Table, schema: &'t str) -> &'t str {
    table.schema.as_deref().unwrap_or(schema)
}

/// `"public"."transfer"`.
pub(crate) fn qualified(table: &Table, schema: &str) -> String {
    format!("{}.{}", id(schema_of(table, schema)), id(&table.name))
}

/// The table's number in the catalog; NULL when it is not there.
pub(crate) fn regclass(qualified: &str) -> String {
    format!("to_regclass({})", text(qualified))
}

fn exists(query: &str) -> String {
    format!("select exists({query})::int")
}

fn exists_not(query: &str) -> String {
    format!("select (not exists({query}))::int")
}

/// The type of a column, as `format_type` writes it.
pub(crate) fn canonical_type(written: &str) -> String {
    let lower = written.trim().to_lowercase();
    let (base, rest) = match lower.find(['(', ' ', '[']) {
        Some(at) => (&lower[..at], lower[at..].to_owned()),
        None => (lower.as_str(), String::new()),
    };
    let rest = rest.replace(", ", ",");
    match base {
        "varchar" => format!("character varying{rest}"),
        "char" if rest.is_empty() => "character(1)".to_owned(),
        "char" => format!("character{rest}"),
        "int" | "int4" => format!("integer{rest}"),
        "int8" => format!("bigint{rest}"),
        "int2" => format!("smallint{rest}"),
        "bool" => format!("boolean{rest}"),
        "float8" | "float" => format!("double precision{rest}"),
        "float4" => format!("real{rest}"),
        "decimal" => format!("numeric{rest}"),
        "timestamptz" => format!("timestamp{rest} with time zone"),
        "timetz" => format!("time{rest} with time zone"),
        "timestamp" | "time" if !rest.contains("time zone") => format!("{base}{rest} without time zone"),
        _ => format!("{base}{rest}"),
    }
}

pub(crate) fn attribute(table: &str, column: &str) -> String {
    format!("from pg_attribute where attrelid = {} and attname = {} and not attisdropped", regclass(table), text(column))
}

/// What a definition says behind the name of a column.
fn definition(column: &Column) -> String {
    let default = column.default.as_ref().map(|default| format!(" default {default}")).unwrap_or_default();
    format!("{}{default}{}", column.r#type, if column.nullable { "" } else { " not null" })
}

/// What a table answers that has these columns, whatever else it has.
pub(crate) fn table(table: &Table, schema: &str, columns: &[Column], key: &[String]) -> Primitive {
    let qualified = qualified(table, schema);
    let there = format!("select where {} is not null", regclass(&qualified));
    let list = columns.iter().map(|column| format!("{} {}", id(&column.name), definition(column)));
    let list = list.collect::<Vec<_>>().join(", ");
    let wanted = columns.iter().map(|column| text(&column.name)).collect::<Vec<_>>().join(", ");
    let read = format!(
        "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attname) from pg_attribute \
         where attrelid = {} and attnum > 0 and not attisdropped and attname in ({wanted})",
        regclass(&qualified)
    );
    Primitive {
        read,
        is: sorted(columns, canonical_type),
        up: vec![Statement::new(
            format!("create table {qualified} ({list}, primary key ({}))", names(ENGINE, key)),
            exists(&there),
        )],
        down: vec![Statement::new(format!("drop table {qualified}"), exists_not(&there))],
    }
}

/// Columns with their types, in the order of their names.
pub(crate) fn sorted(columns: &[Column], canonical: impl Fn(&str) -> String) -> String {
    let mut all: Vec<String> =
        columns.iter().map(|column| format!("{} {}", column.name, canonical(&column.r#type))).collect();
    all.sort_unstable();
    all.join(", ")
}

/// A column.
pub(crate) fn column(table: &Table, schema: &str, column: &Column) -> Primitive {
    let qualified = qualified(table, schema);
    let there = format!("select {}", attribute(&qualified, &column.name));
    Primitive {
        read: type_of(&qualified, &column.name),
        is: canonical_type(&column.r#type),
        up: vec![Statement::new(
            format!("alter table {qualified} add column {} {}", id(&column.name), definition(column)),
            exists(&there),
        )],
        down: vec![Statement::new(format!("alter table {qualified} drop column {}", id(&column.name)), exists_not(&there))],
    }
}

fn type_of(qualified: &str, column: &str) -> String {
    format!("select format_type(atttypid, atttypmod) {}", attribute(qualified, column))
}

/// A column under the name of one that was dropped.
pub(crate) fn tombstone(table: &Table, schema: &str, column: &str, dropped: &str) -> Primitive {
    let qualified = qualified(table, schema);
    let there = format!("select {}", attribute(&qualified, column));
    let rename = |from: &str, to: &str| format!("alter table {qualified} rename column {} to {}", id(from), id(to));
    Primitive {
        read: type_of(&qualified, column),
        is: String::new(),
        up: vec![Statement::new(rename(column, dropped), exists_not(&there))],
        down: vec![Statement::new(rename(dropped, column), exists(&there))],
    }
}

/// A table under the name of one that was dropped.
pub(crate) fn table_tombstone(table: &Table, schema: &str, dropped: &str) -> Primitive {
    let old = qualified(table, schema);
    let new = format!("{}.{}", id(schema_of(table, schema)), id(dropped));
    let there = format!("select where {} is not null", regclass(&old));
    Primitive {
        read: format!("select case when {} is not null then 'table' end", regclass(&old)),
        is: "table".to_owned(),
        up: vec![Statement::new(format!("alter table {old} rename to {}", id(dropped)), exists_not(&there))],
        down: vec![Statement::new(format!("alter table {new} rename to {}", id(&table.name)), exists(&there))],
    }
}

/// The default of a column, which the catalog has as `is`. A cast that the server adds is no difference.
pub(crate) fn default(table: &Table, schema: &str, column: &str, default: Option<&str>, is: &str) -> Primitive {
    let qualified = qualified(table, schema);
    let read = format!(
        "select {WITHOUT_CAST} \
         from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
         where a.attrelid = {} and a.attname = {} and not a.attisdropped",
        regclass(&qualified),
        text(column)
    );
    let done = format!("select coalesce(({read}) = {}, false)::int", text(is));
    let set = default.map_or_else(|| "drop default".to_owned(), |default| format!("set default {default}"));
    let up = vec![Statement::new(format!("alter table {qualified} alter column {} {set}", id(column)), done)];
    Primitive { read, is: is.to_owned(), up, down: Vec::new() }
}

/// An index. One that was not finished counts as absent, and is dropped before it is built anew.
pub(crate) fn index(table: &Table, schema: &str, index: &str, columns: &[String], is_unique: bool) -> Primitive {
    let qualified = qualified(table, schema);
    let full = format!("{}.{}", id(schema_of(table, schema)), id(index));
    // Another table may have an index of this name.
    let of = format!("from pg_index i where i.indexrelid = {} and i.indrelid = {}", regclass(&full), regclass(&qualified));
    let valid = format!("select {of} and i.indisvalid and i.indisready");
    let there = format!("select {of}");
    let unique = if is_unique { "unique " } else { "" };
    let read = format!(
        "select case when i.indisunique then 'unique ' else '' end || '(' || (select string_agg(a.attname, ', ' order by k.at) \
         from unnest(i.indkey) with ordinality k(number, at) join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number) || ')' \
         {of} and i.indisvalid"
    );
    let drop = format!("drop index concurrently if exists {full}");
    Primitive {
        read,
        is: format!("{unique}({})", columns.join(", ")),
        up: vec![
            Statement::new(drop.clone(), exists_not(&format!("select {of} and not (i.indisvalid and i.indisready)")))
                .patient(),
            Statement::new(
                format!("create {unique}index concurrently {} on {qualified} ({})", id(index), names(ENGINE, columns)),
                exists(&valid),
            )
            .patient(),
        ],
        down: vec![Statement::new(drop, exists_not(&there)).patient()],
    }
}

/// A foreign key: first for new rows, then checked for the old ones under a lock that lets everybody work.
pub(crate) fn foreign_key(
    table: &Table,
    schema: &str,
    constraint: &str,
    columns: &[String],
    references: &Table,
    parent_columns: &[String],
) -> Primitive {
    let (qualified, parent) = (qualified(table, schema), qualified(references, schema));
    let of =
        format!("from pg_constraint c where c.conrelid = {} and c.conname = {}", regclass(&qualified), text(constraint));
    let list = |keys: &str, relation: &str| {
        format!(
            "(select string_agg(a.attname, ', ' order by k.at) from unnest(c.{keys}) with ordinality k(number, at) \
             join pg_attribute a on a.attrelid = c.{relation} and a.attnum = k.number)"
        )
    };
    let read = format!(
        "select '(' || {} || ') -> ' || r.relname || ' (' || {} || ')' {} and c.convalidated",
        list("conkey", "conrelid"),
        list("confkey", "confrelid"),
        of.replace("from pg_constraint c", "from pg_constraint c join pg_class r on r.oid = c.confrelid")
    );
    Primitive {
        read,
        is: format!("({}) -> {} ({})", columns.join(", "), references.name, parent_columns.join(", ")),
        up: vec![
            Statement::new(
                format!(
                    "alter table {qualified} add constraint {} foreign key ({}) references {parent} ({}) not valid",
                    id(constraint),
                    names(ENGINE, columns),
                    names(ENGINE, parent_columns)
                ),
                exists(&format!("select {of}")),
            ),
            Statement::new(
                format!("alter table {qualified} validate constraint {}", id(constraint)),
                exists(&format!("select {of} and c.convalidated")),
            ),
        ],
        down: vec![Statement::new(
            format!("alter table {qualified} drop constraint {}", id(constraint)),
            exists_not(&format!("select {of}")),
        )],
    }
}

/// What answers whether a column may hold NULL.
fn nullable(qualified: &str, column: &str) -> String {
    format!("select case when attnotnull then 'not null' else 'null' end {}", attribute(qualified, column))
}

/// NULL is refused: by a constraint for new rows, which is then checked for the old ones, and then proves what the column says. None of it
/// reads the table under a lock that anybody waits for.
pub(crate) fn not_null(table: &Table, schema: &str, column: &str) -> Primitive {
    let qualified = qualified(table, schema);
    let constraint = label::shortened("fairlead_not_null", column);
    let of =
        format!("from pg_constraint c where c.conrelid = {} and c.conname = {}", regclass(&qualified), text(&constraint));
    let is = format!("select {} and attnotnull", attribute(&qualified, column));
    let alter = |what: &str| format!("alter table {qualified} {what}");
    let quoted = id(&constraint);
    let gone = exists_not(&format!("select {of}"));
    Primitive {
        read: nullable(&qualified, column),
        is: "not null".to_owned(),
        up: vec![
            Statement::new(
                alter(&format!("add constraint {quoted} check ({} is not null) not valid", id(column))),
                format!("select (exists({is}) or exists(select {of}))::int"),
            ),
            Statement::new(
                alter(&format!("validate constraint {quoted}")),
                format!("select (exists({is}) or exists(select {of} and c.convalidated))::int"),
            ),
            Statement::new(alter(&format!("alter column {} set not null", id(column))), exists(&is)),
            Statement::new(alter(&format!("drop constraint {quoted}")), gone.clone()),
        ],
        down: vec![
            Statement::new(alter(&format!("alter column {} drop not null", id(column))), exists_not(&is)),
            Statement::new(alter(&format!("drop constraint {quoted}")), gone),
        ],
    }
}

/// What a function of a trigger says.
pub(crate) fn source(body: &str) -> String {
    format!("begin {body} return new; end")
}

/// A trigger before each row that is inserted or updated, with its function, which has the same name.
pub(crate) fn trigger(table: &Table, schema: &str, trigger: &str, source: &str) -> Primitive {
    let qualified = qualified(table, schema);
    let function = format!("{}.{}", id(schema_of(table, schema)), id(trigger));
    let there = format!(
        "select from pg_trigger where tgrelid = {} and tgname = {} and not tgisinternal and tgenabled <> 'D'",
        regclass(&qualified),
        text(trigger)
    );
    let has_function = format!("select where to_regproc({}) is not null", text(&function));
    Primitive {
        read: format!(
            "select p.prosrc from pg_trigger t join pg_proc p on p.oid = t.tgfoid where t.tgrelid = {} and t.tgname = {} \
             and not t.tgisinternal and t.tgenabled <> 'D'",
            regclass(&qualified),
            text(trigger)
        ),
        is: source.to_owned(),
        up: vec![
            Statement::new(
                format!("create or replace function {function}() returns trigger language plpgsql as {}", text(source)),
                format!(
                    "select exists(select from pg_proc where oid = to_regproc({}) and prosrc = {})::int",
                    text(&function),
                    text(source)
                ),
            ),
            Statement::new(
                format!(
                    "create trigger {} before insert or update on {qualified} for each row execute function {function}()",
                    id(trigger)
                ),
                exists(&there),
            ),
        ],
        down: vec![
            Statement::new(
                format!("drop trigger if exists {} on {qualified}", id(trigger)),
                exists_not(&there.replace(" and tgenabled <> 'D'", "")),
            ),
            Statement::new(format!("drop function if exists {function}()"), exists_not(&has_function)),
        ],
    }
}

/// Body of a trigger that fills NULL.
pub(crate) fn fill(column: &str, value: &str) -> String {
    let column = id(column);
    format!("if new.{column} is null then new.{column} := {value}; end if;")
}

/// Body of a trigger that refuses NULL.
pub(crate) fn forbid(table: &Table, column: &str) -> String {
    let message = text(&format!("null value in column {column} of {table} is refused by fairlead"));
    format!("if new.{} is null then raise exception using errcode = '23502', message = {message}; end if;", id(column))
}

/// Body of a trigger that keeps two columns equal. The new one has no default, so who gives it a value means it. Of an update the column
/// counts that was changed; a backfill changes the new one to what the old one says already.
pub(crate) fn sync(from: &str, to: &str, up: &str, down: &str) -> String {
    let (from, to) = (id(from), id(to));
    format!(
        "if tg_op = 'INSERT' then \
         if new.{to} is null then new.{to} := {up}; else new.{from} := {down}; end if; \
         elsif new.{from} is distinct from old.{from} then new.{to} := {up}; \
         elsif new.{to} is distinct from old.{to} and new.{to} is distinct from ({up}) then new.{from} := {down}; end if;"
    )
}

/// A view in the schema of a version.
///
/// It shows what its reader may see of the table, where the server knows that: from PostgreSQL 15 on.
pub(crate) fn view(
    version: &str,
    table: &Table,
    schema: &str,
    columns: &[(String, String)],
    knows_readers: bool,
) -> Primitive {
    let view = format!("{}.{}", id(version), id(&table.name));
    let there = format!("select where {} is not null", regclass(&view));
    let list = columns.iter().map(|(alias, expression)| format!("{expression} as {}", id(alias)));
    let list = list.collect::<Vec<_>>().join(", ");
    let reader = if knows_readers { " with (security_invoker = true)" } else { "" };
    Primitive {
        read: format!(
            "select string_agg(attname, ', ' order by attnum) from pg_attribute where attrelid = {} and attnum > 0 and not attisdropped",
            regclass(&view)
        ),
        is: columns.iter().map(|(alias, _)| alias.as_str()).collect::<Vec<_>>().join(", "),
        up: vec![
            Statement::new(
                format!("create schema if not exists {}", id(version)),
                exists(&format!("select from pg_namespace where nspname = {}", text(version))),
            ),
            Statement::new(
                format!("create view {view}{reader} as select {list} from {}", qualified(table, schema)),
                exists(&there),
            ),
        ],
        down: vec![Statement::new(format!("drop view if exists {view}"), exists_not(&there))],
    }
}

/// The columns of a table, as [`crate::catalog`] reads them: name, type, whether it may hold NULL, whether it has a default, its
/// type as it is written, nothing, whether it is computed, and twice no.
pub(crate) fn columns(table: &Table, schema: &str) -> String {
    format!(
        "select a.attname, format_type(a.atttypid, a.atttypmod), (not a.attnotnull)::int, (a.atthasdef or a.attidentity <> '')::int, \
         format_type(a.atttypid, a.atttypmod), null, '', (a.attgenerated <> '')::int, 0, 0 \
         from pg_attribute a where a.attrelid = {} and a.attnum > 0 and not a.attisdropped order by a.attnum",
        regclass(&qualified(table, schema))
    )
}

/// The columns of the primary key of a table, in their order.
pub(crate) fn key(table: &Table, schema: &str) -> String {
    format!(
        "select a.attname from pg_index i cross join lateral unnest(i.indkey) with ordinality k(number, at) \
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number where i.indrelid = {} and i.indisprimary order by k.at",
        regclass(&qualified(table, schema))
    )
}

/// The triggers of a table for each row that is updated: name and source, and nothing.
pub(crate) fn triggers(table: &Table, schema: &str) -> String {
    format!(
        "select t.tgname, p.prosrc, '' from pg_trigger t join pg_proc p on p.oid = t.tgfoid \
         where t.tgrelid = {} and not t.tgisinternal and t.tgenabled <> 'D' order by 1",
        regclass(&qualified(table, schema))
    )
}

/// Whether a table has partitions.
pub(crate) fn is_partitioned(table: &Table, schema: &str) -> String {
    format!("select count(*) from pg_class where oid = {} and relkind = 'p'", regclass(&qualified(table, schema)))
}

/// Columns as the catalog would write them: type and default of each, asked of a table that goes with the transaction.
pub(crate) fn probe(columns: &[Column]) -> [String; 2] {
    let list = columns.iter().map(|column| {
        let default = column.default.as_ref().map(|default| format!(" default {default}")).unwrap_or_default();
        format!("{} {}{default}", id(&column.name), column.r#type)
    });
    let make = format!("create temporary table fairlead_probe ({}) on commit drop", list.collect::<Vec<_>>().join(", "));
    let read = format!(
        "select a.attname, format_type(a.atttypid, a.atttypmod), {WITHOUT_CAST} \
         from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
         where a.attrelid = to_regclass('pg_temp.fairlead_probe') and a.attnum > 0 order by a.attnum"
    );
    [make, read]
}

/// The same for one column: a table without it, the file that holds its rows, and the statement that adds the column.
pub(crate) fn addition(column: &Column) -> [String; 3] {
    [
        "create temporary table fairlead_probe (fairlead_key int) on commit drop".to_owned(),
        "select pg_relation_filenode('pg_temp.fairlead_probe')".to_owned(),
        format!("alter table pg_temp.fairlead_probe add column {} {}", id(&column.name), definition(column)),
    ]
}

/// A default, without the cast that the server adds.
const WITHOUT_CAST: &str =
    "coalesce(regexp_replace(pg_get_expr(d.adbin, d.adrelid), '::[a-z \"]+(\\([0-9,]+\\))?$', ''), 'none')";

/// Tables of a list that we may not alter.
pub(crate) fn forbidden(tables: &[Table], schema: &str) -> String {
    let list = tables.iter().map(|table| text(&qualified(table, schema))).collect::<Vec<_>>().join(", ");
    format!(
        "select string_agg(t, ', ') from unnest(array[{list}]::text[]) t join pg_class c on c.oid = to_regclass(t) \
         where not pg_has_role(c.relowner, 'USAGE')"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_the_catalog_does() {
        for (written, canonical) in [
            ("varchar(36)", "character varying(36)"),
            ("VARCHAR", "character varying"),
            ("numeric(18, 4)", "numeric(18,4)"),
            ("int", "integer"),
            ("bigint", "bigint"),
            ("timestamptz(3)", "timestamp(3) with time zone"),
            ("timestamp", "timestamp without time zone"),
            ("timestamp with time zone", "timestamp with time zone"),
            ("text[]", "text[]"),
            ("int[]", "integer[]"),
            ("char", "character(1)"),
        ] {
            assert_eq!(canonical_type(written), canonical, "{written}");
        }
    }
}
