//! What a query is, as far as it must be known.

/// Whether a query is a name, labels, or both: of anything else Prometheus does not tell how old it is.
pub(super) fn is_selector(query: &str) -> bool {
    let query = query.trim();
    let end = query.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(query.len());
    let (name, rest) = query.split_at(end);
    let rest = rest.trim_start();
    if rest.is_empty() {
        return !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
    }
    let Some(inner) = rest.strip_prefix('{') else { return false };
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in inner.char_indices() {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (Some('"' | '\''), '\\') => is_escaped = true,
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '}') => return inner[at + 1..].trim().is_empty(),
            _ => {}
        }
    }
    false
}

/// What in a query answers something else than what is true now: a value that is invented, or one of another time.
pub(super) fn invented(query: &str) -> Option<&'static str> {
    let code = without_text(query);
    let mut words = code.split_inclusive(|c: char| !is_of_word(c)).peekable();
    while let Some(part) = words.next() {
        let word = part.trim_end_matches(|c: char| !is_of_word(c)).to_lowercase();
        let rest = part[word.len()..].trim_start();
        // Between a word and what belongs to it there may be spaces.
        let next = if rest.is_empty() {
            words.clone().find(|next| !next.trim().is_empty()).map_or("", str::trim_start)
        } else {
            rest
        };
        match (word.as_str(), next.chars().next()) {
            ("vector", Some('(')) => return Some("vector(…), which answers where nothing is known"),
            ("offset", Some(first)) if first == '-' || first == '+' || first.is_ascii_digit() => {
                return Some("offset, which answers what was true at another time");
            }
            _ if rest.starts_with('@') => return Some("@, which answers what was true at another time"),
            _ => {}
        }
    }
    None
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// A query without comments, and without labels and the text in quotes.
fn without_text(query: &str) -> String {
    let (mut code, mut quote, mut is_escaped, mut is_comment, mut is_label) = (String::new(), None, false, false, false);
    for c in query.chars() {
        match (quote, c) {
            _ if is_comment => is_comment = c != '\n',
            _ if is_escaped => is_escaped = false,
            (Some('"' | '\''), '\\') => is_escaped = true,
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '#') => is_comment = true,
            (None, '{') => is_label = true,
            (None, '}') => is_label = false,
            (None, _) if !is_label => code.push(c),
            _ => {}
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_told_from_a_query() {
        for (query, expected) in [
            ("lag", true),
            ("job:lag:sum", true),
            ("lag{group=\"a}b\"}", true),
            ("lag {group='\\'}'}", true),
            ("{__name__=`lag`}", true),
            ("lag[5m]", false),
            ("lag or vector(0)", false),
            ("lag{a=\"b\"} or vector(0)", false),
            ("sum(lag)", false),
            ("0", false),
            ("", false),
            ("lag{", false),
        ] {
            assert_eq!(is_selector(query), expected, "{query}");
        }
    }

    #[test]
    fn an_invented_value_is_told_from_a_true_one() {
        for (query, expected) in [
            ("sum(lag) or vector(0)", "vector"),
            ("sum(lag) or on() VECTOR (0)", "vector"),
            ("sum(lag offset 10s)", "offset"),
            ("sum(lag OFFSET -10s)", "offset"),
            ("lag{a=\"b\"} offset 5m", "offset"),
            ("sum(lag @ 1609746000)", "@"),
            ("sum(lag@end())", "@"),
        ] {
            assert!(invented(query).is_some_and(|what| what.starts_with(expected)), "{query}");
        }
        for query in [
            "sum(lag)",
            "sum by (offset) (lag{offset=\"1\", a=\"x offset 5m @ vector(0)\"})",
            "offset",
            "lag_vector",
            "sum(max_over_time(busy[2m])) # or vector(0)",
            "vector_lag - consumed",
        ] {
            assert_eq!(invented(query), None, "{query}");
        }
    }
}
