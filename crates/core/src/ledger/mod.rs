//! What became of a job, and whether a piece of work was done before. `docs/decisions/0009-status-and-guard.md` says why it is
//! shaped like this.
//!
//! | file | topic |
//! |---|---|
//! | `status.rs` | states, and a status as a caller sees it |
//! | `said.rs` | what somebody says of a job, and whether that is later than what is known |
//! | `once.rs` | claims of work: who may complete what |

mod once;
mod said;
mod status;

pub use once::{ClaimOutcome, ClaimRecord, ClaimTtl};
pub use said::{Ending, FieldPatch, JobRef, Precondition, StatusChange, StatusFields, StatusUpdate, from_json, to_json};
pub use status::{State, Status};

use crate::error::{Error, ErrorKind, Result};

/// The longest error text that is kept, in bytes.
pub const MOST_ERROR: usize = 4096;
/// The longest message of a progress, in bytes.
pub const MOST_MESSAGE: usize = 1024;
/// The longest result that is kept, in bytes of JSON.
pub const MOST_RESULT: usize = 64 * 1024;
/// The longest id or key, in bytes.
pub const MOST_KEY: usize = 255;

/// Statuses and claims. Any thread may call any word; each is one round trip and one atomic step, `note` one for each note.
///
/// Every word may be repeated after an error: twice is as good as once.
pub trait Ledger: Send + Sync {
    /// Writes down what was said, in order, each if it is later than what is known.
    fn note(&self, notes: &[StatusUpdate]) -> Result<()>;

    /// What is known of a job. `None` when nothing is, or not any more.
    fn status(&self, id: &str) -> Result<Option<Status>>;

    /// Takes the work `key` for a while, unless it is done or somebody else has it. `token` is the caller's own, random and new.
    fn claim(&self, key: &str, token: &str, terms: ClaimTtl) -> Result<ClaimOutcome>;

    /// Marks the work as done for `ttl` seconds, with a result as JSON text. False when nobody holds `key` by this token.
    fn complete(&self, key: &str, token: &str, result: Option<&str>, ttl: u32) -> Result<bool>;

    /// Gives a claim up. False when nobody holds `key` by this token, or the work is done.
    fn release(&self, key: &str, token: &str) -> Result<bool>;

    /// Whether the work is done.
    fn is_done(&self, key: &str) -> Result<bool>;

    /// Forgets that the work is claimed or done. False when nothing was known of it.
    fn forget(&self, key: &str) -> Result<bool>;
}

/// A key or an id as a caller gives it.
pub fn key(bytes: &[u8]) -> Result<&str> {
    let wrong = |what: &str| {
        Error::new(ErrorKind::InvalidArgument, format!("the key {what}"))
            .with_advice(format!("a key is 1 to {MOST_KEY} bytes of UTF-8 without control characters"))
    };
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
    match text {
        "" => Err(wrong("is empty")),
        text if text.len() > MOST_KEY => Err(wrong(&format!("is {} bytes long", text.len()))),
        text if text.chars().any(char::is_control) => Err(wrong("has control characters")),
        text => Ok(text),
    }
}

/// The beginning of a text, cut where a character ends.
pub fn beginning(text: &str, most: usize) -> &str {
    match text.len() <= most {
        true => text,
        false => text.char_indices().map(|(at, _)| at).take_while(|at| *at <= most).last().map_or("", |end| &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_a_character_ends() {
        assert_eq!(beginning("grün", 9), "grün");
        assert_eq!(beginning("grün", 4), "grü");
        assert_eq!(beginning("grün", 3), "gr");
        assert_eq!(beginning("ü", 1), "");
        assert_eq!(beginning("", 0), "");
    }

    #[test]
    fn a_key_that_cannot_be_kept_says_what_is_wrong_with_it() {
        assert_eq!(key(b"invoice:17").unwrap(), "invoice:17");
        assert_eq!(key("ü".repeat(127).as_bytes()).unwrap().len(), 254);
        for (bad, what) in [(&b""[..], "empty"), (b"a\nb", "control"), (b"\xff", "UTF-8"), (&[b'x'; 256][..], "256 bytes")] {
            let error = key(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
