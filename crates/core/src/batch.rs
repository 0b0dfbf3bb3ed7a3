//! Which jobs may share a batch.
//!
//! Reserving raises attempts. When a worker dies, every job of its batch has lost one; so a job whose next attempt could be
//! its last is never reserved beside another (promise 5).

/// Whether a ready job must be reserved alone: it was tried before, or its payload allows one try only.
///
/// Plain Redis tasks say so under another key ([`crate::dialect::Family::tries_key`]), which only the script reads. The second check is textual and may err on the safe side, when job data holds the same words.
/// `crates/driver-redis/src/lua/reserve.lua` follows the same rule.
pub fn stands_alone(attempts_before: u32, body: &[u8]) -> bool {
    attempts_before > 0 || says_one_try(body)
}

fn says_one_try(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"maxTries\"";
    memchr::memmem::find_iter(body, KEY).any(|at| {
        let rest = body[at + KEY.len()..].iter().copied().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'"');
        let mut rest = rest.skip_while(|byte| *byte == b':');
        rest.next() == Some(b'1') && matches!(rest.next(), None | Some(b',' | b'}'))
    })
}

/// How many of the candidates at the head of a queue one call may take: all of `max`, or up to the first that stands alone.
///
/// `alone` tells of each candidate in order whether it [`stands_alone`].
pub fn take(max: usize, alone: impl IntoIterator<Item = bool>) -> usize {
    let mut taken = 0;
    for alone in alone.into_iter().take(max) {
        if alone {
            return taken.max(1);
        }
        taken += 1;
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_tried_before_or_with_one_try_stand_alone() {
        assert!(!stands_alone(0, br#"{"job":"J","maxTries":null,"data":1}"#));
        assert!(!stands_alone(0, br#"{"job":"J","maxTries":10,"data":1}"#));
        assert!(!stands_alone(0, br#"{"job":"J","data":1}"#));
        assert!(stands_alone(1, br#"{"job":"J","maxTries":null}"#));
        for one in [r#""maxTries":1,"#, r#""maxTries": 1 }"#, r#""maxTries":"1","#] {
            assert!(stands_alone(0, one.as_bytes()), "{one}");
        }
    }

    #[test]
    fn a_batch_ends_before_a_job_that_stands_alone() {
        assert_eq!(take(8, [false, false, true, false]), 2);
        assert_eq!(take(8, [true, false]), 1);
        assert_eq!(take(2, [false, false, false]), 2);
        assert_eq!(take(8, []), 0);
    }
}
