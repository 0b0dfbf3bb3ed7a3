//! How configuration errors speak: names are shown, values are not.

use crate::error::{Error, ErrorKind};

/// A configuration error.
pub(super) fn error(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, context)
}

/// Where an error happened.
pub(super) fn connection_place(name: &str) -> String {
    format!("connection `{}`", shown(name))
}

/// A name for an error message. What could be part of a DSN is not shown: somebody may have written one in the wrong place.
pub(super) fn shown(name: &str) -> String {
    if may_hold_password(name) {
        return "(not shown: it may hold a password)".to_owned();
    }
    let short: String = name.chars().take(40).collect();
    let dots = if short.len() < name.len() { "..." } else { "" };
    format!("{}{dots}", short.escape_debug())
}

/// Whether a text looks like a DSN, or like a piece of one.
pub(super) fn may_hold_password(text: &str) -> bool {
    text.contains('@') || text.contains("://")
}

/// The known name that `wrong` was probably meant to be.
pub fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let rated = known.map(|name| (strsim::jaro_winkler(&wrong, &name.to_lowercase()), name));
    rated.filter(|(likeness, _)| *likeness >= 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// The known name that `wrong` is a slip of: the same letters in another case or with other separators, or one to three letters
/// away, by length. Narrower than [`nearest`], which suggests: a key of somebody else (`prefix`, `auth`) is no slip.
pub(super) fn misspelt<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let wrong = plain(wrong);
    let near = known.filter_map(|name| {
        let plain = plain(name);
        let most = match wrong.len().max(plain.len()) {
            0..=3 => 0,
            4..=5 => 1,
            6..=14 => 2,
            _ => 3,
        };
        let alike = wrong.len().abs_diff(plain.len()) <= most;
        let apart = if alike { strsim::osa_distance(&wrong, &plain) } else { usize::MAX };
        (apart <= most).then_some((apart, name))
    });
    near.min_by_key(|(apart, _)| *apart).map(|(_, name)| name)
}

/// Names for an error message.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ")
}

/// The nearest of the known names, or all of them.
pub(super) fn suggestion<'a>(wrong: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(wrong, known.clone()) {
        Some(name) => format!("did you mean `{}`?", shown(name)),
        None => format!("known are {}", listed(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key_and_nonsense_finds_none() {
        let known = ["host", "port", "password", "retry_after"];
        for (wrong, right) in [("hots", "host"), ("Host", "host"), ("pasword", "password"), ("retryAfter", "retry_after")] {
            assert_eq!(nearest(wrong, known.into_iter()), Some(right));
        }
        assert_eq!(nearest("zzz", known.into_iter()), None);
    }

    #[test]
    fn a_slip_is_a_letter_or_two_away_and_a_word_of_somebody_else_is_none() {
        let known = ["host", "port", "password", "prefetch", "retry_after", "read_timeout", "connection_timeout", "tls", "track"];
        for (wrong, right) in [
            ("hots", "host"),
            ("HOST", "host"),
            ("pasword", "password"),
            ("passwd", "password"),
            ("retryAfter", "retry_after"),
            ("retry-after", "retry_after"),
            ("readtimeout", "read_timeout"),
            ("connect_timeout", "connection_timeout"),
        ] {
            assert_eq!(misspelt(wrong, known.into_iter()), Some(right), "{wrong}");
        }
        for other in ["prefix", "expire", "auth", "options", "cluster", "dsn", "ssl", "name", "path", "after_commit", "table", ""]
        {
            assert_eq!(misspelt(other, known.into_iter()), None, "{other}");
        }
    }

    #[test]
    fn a_name_that_may_hold_a_password_is_not_shown() {
        assert!(!shown("redis://:pw@host").contains("pw"));
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(&"x".repeat(50)), format!("{}...", "x".repeat(40)));
    }
}
