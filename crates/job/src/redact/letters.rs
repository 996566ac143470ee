//! The letters of an address, percent-encoded or not: an address within another one is encoded once more for each around it.

/// A letter, and where it stands in the text.
pub(super) struct Letter {
    pub(super) begin: usize,
    pub(super) end: usize,
    /// Without encoding; a wide sign is the narrow one.
    pub(super) is: char,
    pub(super) is_encoded: bool,
}

/// The letters of a text, in order.
pub(super) fn letters(text: &str) -> impl Iterator<Item = Letter> {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let rest = &text[begin..];
        let plain = rest.chars().next()?;
        let encoded = encoded(rest);
        let (length, is) = encoded.unwrap_or((plain.len_utf8(), narrow(plain)));
        let letter = Letter { begin, end: begin + length, is, is_encoded: encoded.is_some() };
        begin = letter.end;
        Some(letter)
    })
}

/// A text without percent-encoding.
pub(super) fn decode(text: &str) -> String {
    letters(text).map(|letter| letter.is).collect()
}

/// How long the encoded letter is that a text begins with, and which.
fn encoded(text: &str) -> Option<(usize, char)> {
    let mut rest = text.strip_prefix('%')?;
    // `%2540` is an `@` that was encoded twice.
    while let Some(inner) = rest.strip_prefix("25").filter(|inner| digits(inner).is_some()) {
        rest = inner;
    }
    let byte = u8::from_str_radix(digits(rest)?, 16).ok()?;
    Some((text.len() - rest.len() + 2, char::from(byte)))
}

fn digits(text: &str) -> Option<&str> {
    text.get(..2).filter(|both| both.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn narrow(letter: char) -> char {
    match letter {
        '\u{ff20}' => '@',
        '\u{ff1a}' => ':',
        '\u{ff0f}' => '/',
        '\u{ff1d}' => '=',
        other => other,
    }
}
