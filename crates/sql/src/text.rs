//! Names and literals, as each engine writes them.

use crate::engine::Engine;

/// A name of a column, a table, an index.
#[must_use]
pub fn name(engine: Engine, name: &str) -> String {
    match engine {
        Engine::PostgreSql => format!("\"{}\"", name.replace('"', "\"\"")),
        Engine::MariaDb => format!("`{}`", name.replace('`', "``")),
    }
}

/// Names, with commas.
pub fn names<'n>(engine: Engine, names: impl IntoIterator<Item = &'n String>) -> String {
    names.into_iter().map(|it| name(engine, it)).collect::<Vec<_>>().join(", ")
}

/// A text as a literal. [`crate::session`] sees to it that a backslash is a backslash in PostgreSQL; in MariaDB it is an escape.
#[must_use]
pub fn literal(engine: Engine, text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match engine {
        Engine::PostgreSql => format!("'{quoted}'"),
        Engine::MariaDb => format!("'{}'", quoted.replace('\\', "\\\\")),
    }
}

/// A text as a literal, or `NULL`.
#[must_use]
pub fn nullable(engine: Engine, text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), |text| literal(engine, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(name(Engine::PostgreSql, r#"a"b"#), r#""a""b""#);
        assert_eq!(name(Engine::MariaDb, "a`b"), "`a``b`");
        assert_eq!(literal(Engine::PostgreSql, r"it's \ "), r"'it''s \ '");
        assert_eq!(literal(Engine::MariaDb, r"it's \' "), r"'it''s \\'' '");
        assert_eq!(nullable(Engine::MariaDb, None), "NULL");
    }
}
