//! A value that never shows.

use std::fmt;

/// A password. `Debug` and `Display` print stars; only a driver that logs in calls [`Secret::expose`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The value, for the login and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Text of a server without the secret that it might repeat. A short one is taken out where it stands as a word of its own: anywhere
    /// else, taking it out would garble the text and tell what it is.
    pub fn removed_from(&self, text: &str) -> String {
        const SHORT: usize = 6;
        let is_part_of_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        let mut shown = String::with_capacity(text.len());
        let mut from = 0;
        for (at, found) in text.match_indices(&self.0).filter(|_| !self.0.is_empty()) {
            let (before, behind) = (text[..at].chars().next_back(), text[at + found.len()..].chars().next());
            if found.len() >= SHORT || !(is_part_of_word(before) || is_part_of_word(behind)) {
                shown.push_str(&text[from..at]);
                shown.push_str("***");
                from = at + found.len();
            }
        }
        shown.push_str(&text[from..]);
        shown
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_of_text_and_a_short_one_does_not_garble_it() {
        for (secret, text, shown) in [
            ("hunter22", "user 'hunter22' of xhunter22x", "user '***' of x***x"),
            ("a", "a queue at vhost a, declared", "*** queue at vhost ***, declared"),
            ("guest", "guests refused for 'guest'", "guests refused for '***'"),
            ("é", "né à 'é'", "né à '***'"),
            ("", "nothing to hide", "nothing to hide"),
        ] {
            assert_eq!(Secret::new(secret).removed_from(text), shown, "{secret}");
        }
    }
}
