//! Times as RFC 3339 has them, and as Kyma's services took them.

/// Whether it is one: `2020-09-28T14:47:16.491Z`, or with an offset.
pub(crate) fn is_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else { return false };
    let is_date = match fields(date, '-', &[4, 2, 2]).as_deref() {
        Some([year, month, day]) => (1..=days(*year, *month)).contains(day),
        _ => false,
    };
    let Some(end) = time.find(['Z', '+', '-']) else { return false };
    let (time, offset) = time.split_at(end);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let is_clock = |text: &str, widths: &[usize]| {
        fields(text, ':', widths).is_some_and(|fields| fields[0] < 24 && fields[1..].iter().all(|field| *field < 60))
    };
    is_date
        && is_clock(time, &[2, 2, 2])
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && (offset == "Z" || is_clock(&offset[1..], &[2, 2]))
}

/// Numbers of exactly so many digits.
fn fields(text: &str, separator: char, widths: &[usize]) -> Option<Vec<u32>> {
    let parts: Vec<&str> = text.split(separator).collect();
    let is_right = |(part, width): (&&str, &usize)| part.len() == *width && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() != widths.len() || !parts.iter().zip(widths).all(is_right) {
        return None;
    }
    parts.iter().map(|part| part.parse().ok()).collect()
}

/// How many days a month has; none where there is no such month.
fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        for time in [
            "2020-09-28T14:47:16.491Z",
            "2020-02-29T00:00:00Z",
            "2000-02-29T23:59:59+02:00",
            "2020-12-31T01:02:03.123456789-11:30",
        ] {
            assert!(is_time(time), "{time}");
        }
        for time in [
            "",
            "yesterday",
            "2020-09-28",
            "2020-09-28T14:47:16",
            "2020-09-28 14:47:16Z",
            "2020-13-01T00:00:00Z",
            "2021-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2020-09-28T24:00:00Z",
            "2020-09-28T14:47Z",
            "2020-9-28T14:47:16Z",
            "2020-09-28T14:47:16.Z",
            "2020-09-28T14:47:16+2:00",
            "2020-09-28T14:47:16Zx",
            "2020-09-28T14:47:60Z",
            "2020-09-28T14:47:16+aa:00",
        ] {
            assert!(!is_time(time), "{time}");
        }
    }
}
