//! Which dead letters an operator means. Walking the queue is the driver's task.

use std::collections::HashSet;

/// Selects dead letters: those that meet every condition. Without conditions all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LetterSelection {
    /// Those with one of these ids.
    pub ids: Option<HashSet<String>>,
    /// Those whose id or type this is.
    pub name: Option<String>,
    /// Those of tasks of this type.
    pub kind: Option<String>,
    /// `failed`, `expired`, `rejected`, `maxlen` or `poison`.
    pub reason: Option<String>,
    /// Those that failed before this local time, `Y-m-d H:i:s` as [`LetterFacts::failed_at`]: in that form texts sort like times.
    pub before: Option<String>,
    /// Those that failed at this local time or later.
    pub after: Option<String>,
}

/// What a selection looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterFacts<'a> {
    /// The id of the letter.
    pub id: &'a str,
    /// The type of its task, when it is one.
    pub kind: Option<&'a str>,
    /// Why it is there.
    pub reason: &'a str,
    /// Local time; empty when nobody knows.
    pub failed_at: &'a str,
}

impl LetterSelection {
    /// All dead letters.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those with one of these ids; none without ids.
    pub fn ids(ids: impl IntoIterator<Item = String>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), ..Self::default() }
    }

    /// Those whose id or type this is.
    pub fn named(name: String) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    /// Whether this letter is selected. One whose time nobody knows has no age.
    pub fn matches(&self, letter: LetterFacts<'_>) -> bool {
        let has_age = |meets: &dyn Fn(&str) -> bool| !letter.failed_at.is_empty() && meets(letter.failed_at);
        self.ids.as_ref().is_none_or(|ids| ids.contains(letter.id))
            && self.name.as_deref().is_none_or(|name| letter.id == name || letter.kind == Some(name))
            && self.kind.as_deref().is_none_or(|kind| letter.kind == Some(kind))
            && self.reason.as_deref().is_none_or(|reason| letter.reason == reason)
            && self.before.as_deref().is_none_or(|end| has_age(&|failed_at| failed_at < end))
            && self.after.as_deref().is_none_or(|start| has_age(&|failed_at| failed_at >= start))
    }

    /// Whether a letter of these bytes may match: false spares parsing it. Bytes that may escape the id are parsed, and ids that may be
    /// the hash of a body.
    pub fn may_match(&self, body: &[u8]) -> bool {
        let is_hash = |id: &str| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let has = |id: &str| is_hash(id) || body.windows(id.len().max(1)).any(|part| part == id.as_bytes());
        self.ids.as_ref().is_none_or(|ids| ids.len() != 1 || ids.iter().all(|id| has(id)))
            || body.windows(2).any(|two| two == b"\\u")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: LetterFacts<'_> =
        LetterFacts { id: "i", kind: Some("mail"), reason: "rejected", failed_at: "2026-01-02 03:04:05" };

    fn selection(change: impl FnOnce(&mut LetterSelection)) -> LetterSelection {
        let mut selection = LetterSelection::all();
        change(&mut selection);
        selection
    }

    #[test]
    fn a_letter_must_meet_every_condition() {
        assert!(LetterSelection::all().matches(LETTER));
        for name in ["i", "mail"] {
            assert!(LetterSelection::named(name.into()).matches(LETTER), "{name}");
        }
        assert!(LetterSelection::ids(["x".into(), "i".into()]).matches(LETTER));
        let both = |kind: &str, reason: &str| {
            selection(|selection| (selection.kind, selection.reason) = (Some(kind.into()), Some(reason.into())))
        };
        assert!(both("mail", "rejected").matches(LETTER));
        for no in [
            both("image", "rejected"),
            both("mail", "failed"),
            LetterSelection::ids([]),
            LetterSelection::named("rejected".into()),
        ] {
            assert!(!no.matches(LETTER), "{no:?}");
        }
    }

    #[test]
    fn before_and_after_of_one_second_split_the_letters_in_two() {
        let before = |time: &str| selection(|selection| selection.before = Some(time.into()));
        let after = |time: &str| selection(|selection| selection.after = Some(time.into()));
        for (time, is_before) in [("2026-01-02 03:04:05", false), ("2026-01-02 03:04:06", true), ("2025-12-31 23:59:59", false)] {
            assert_eq!((before(time).matches(LETTER), after(time).matches(LETTER)), (is_before, !is_before), "{time}");
        }
        let unknown = LetterFacts { failed_at: "", ..LETTER };
        assert!(!before("9").matches(unknown) && !after("0").matches(unknown));
    }

    #[test]
    fn only_bytes_that_cannot_hold_the_id_are_not_parsed() {
        let one = LetterSelection::ids(["task_1".into()]);
        assert!(one.may_match(br#"{"task_id":"task_1"}"#) && one.may_match(br#"{"task_id":"task\u005f1"}"#));
        assert!(!one.may_match(br#"{"task_id":"task_2"}"#) && !one.may_match(b""));
        assert!(LetterSelection::ids(["00f1e2d3c4b5a697".into()]).may_match(b"no task"));
        assert!(LetterSelection::all().may_match(b"") && LetterSelection::named("t".into()).may_match(b"x"));
    }
}
