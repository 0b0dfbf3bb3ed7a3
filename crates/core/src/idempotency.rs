//! Claims of work: who may do it, and who may say that it is done.

/// How long a claim and its outcome are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimTtl {
    /// Seconds that the work may take.
    pub lease: u32,
    /// Seconds that its outcome is kept.
    pub ttl: u32,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The work is the caller's.
    Yours,
    /// Somebody else is at it.
    Held {
        /// Milliseconds until that claim lapses.
        left: i64,
    },
    /// It is done; the result as JSON text, where one was kept.
    Done(Option<String>),
}

/// What is stored of one piece of work. Times are milliseconds since 1970. `lua/once.lua` repeats the decisions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimRecord {
    /// Whose claim it was.
    pub token: String,
    /// When that claim lapses.
    pub until: i64,
    /// Whether the work is done.
    pub done: bool,
    /// Its result as JSON text.
    pub result: Option<String>,
    /// When all this is forgotten. Later than `until`: a late completion is still one.
    pub expires: i64,
}

impl ClaimRecord {
    /// A claim by `token` at `now`.
    pub fn claimed(token: &str, terms: ClaimTtl, now: i64) -> Self {
        let until = now.saturating_add(milliseconds(terms.lease));
        let expires = until.saturating_add(milliseconds(terms.ttl));
        Self { token: token.to_owned(), until, done: false, result: None, expires }
    }

    /// The same work, done.
    pub fn completed(token: &str, result: Option<&str>, ttl: u32, now: i64) -> Self {
        let expires = now.saturating_add(milliseconds(ttl));
        Self { token: token.to_owned(), until: now, done: true, result: result.map(str::to_owned), expires }
    }

    /// What somebody who claims the work with `token` is told. Their own claim is theirs: an answer may have been lost.
    pub fn answer(known: Option<&ClaimRecord>, token: &str, now: i64) -> ClaimOutcome {
        match known.filter(|once| once.expires > now) {
            None => ClaimOutcome::Yours,
            Some(once) if once.done => ClaimOutcome::Done(once.result.clone()),
            Some(once) if once.token == token || once.until <= now => ClaimOutcome::Yours,
            Some(once) => ClaimOutcome::Held { left: once.until - now },
        }
    }

    /// Whether `token` may complete it: nobody else claimed it since, whatever became of the lease. Saying it twice is fine.
    pub fn may_complete(known: Option<&ClaimRecord>, token: &str, now: i64) -> bool {
        known.is_some_and(|once| once.expires > now && once.token == token)
    }

    /// Whether `token` may give it up.
    pub fn may_release(known: Option<&ClaimRecord>, token: &str, now: i64) -> bool {
        Self::may_complete(known, token, now) && known.is_some_and(|once| !once.done)
    }

    /// Whether it is known that the work is done.
    pub fn is_done(known: Option<&ClaimRecord>, now: i64) -> bool {
        known.is_some_and(|once| once.expires > now && once.done)
    }
}

fn milliseconds(seconds: u32) -> i64 {
    i64::from(seconds) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: ClaimTtl = ClaimTtl { lease: 10, ttl: 100 };

    #[test]
    fn work_is_one_callers_until_its_lease_ends() {
        assert_eq!(ClaimRecord::answer(None, "a", 0), ClaimOutcome::Yours);
        let once = ClaimRecord::claimed("a", TERMS, 0);
        assert_eq!(ClaimRecord::answer(Some(&once), "b", 9_999), ClaimOutcome::Held { left: 1 });
        assert_eq!(
            ClaimRecord::answer(Some(&once), "a", 9_999),
            ClaimOutcome::Yours,
            "the answer was lost, and it is asked again"
        );
        assert_eq!(ClaimRecord::answer(Some(&once), "b", 10_000), ClaimOutcome::Yours);
    }

    #[test]
    fn done_is_done_for_its_time() {
        let once = ClaimRecord::completed("a", Some("1"), 100, 0);
        assert_eq!(ClaimRecord::answer(Some(&once), "b", 99_999), ClaimOutcome::Done(Some("1".into())));
        assert_eq!(ClaimRecord::answer(Some(&once), "b", 100_000), ClaimOutcome::Yours);
        assert!(
            ClaimRecord::is_done(Some(&once), 99_999)
                && !ClaimRecord::is_done(Some(&once), 100_000)
                && !ClaimRecord::is_done(None, 0)
        );
        assert!(!ClaimRecord::is_done(Some(&ClaimRecord::claimed("a", TERMS, 0)), 1));
    }

    #[test]
    fn only_the_last_claimant_completes_even_late_and_twice() {
        let once = ClaimRecord::claimed("a", TERMS, 0);
        assert!(ClaimRecord::may_complete(Some(&once), "a", 50_000), "the work was done, and nobody else began it");
        assert!(!ClaimRecord::may_complete(Some(&once), "b", 5));
        assert!(!ClaimRecord::may_complete(None, "a", 5));
        assert!(ClaimRecord::may_complete(Some(&ClaimRecord::completed("a", None, 100, 0)), "a", 5));
    }

    #[test]
    fn what_is_done_is_not_given_up() {
        assert!(ClaimRecord::may_release(Some(&ClaimRecord::claimed("a", TERMS, 0)), "a", 5));
        assert!(!ClaimRecord::may_release(Some(&ClaimRecord::claimed("a", TERMS, 0)), "b", 5));
        assert!(!ClaimRecord::may_release(Some(&ClaimRecord::completed("a", None, 100, 0)), "a", 5));
    }
}
