//! What became of a job. `docs/decisions/0009-status-and-guard.md` says why it is shaped like this.
//!
//! | file | topic |
//! |---|---|
//! | `state.rs` | states, and a status as a caller sees it |
//! | `update.rs` | one update of a status, and whether it is later than what is known |
//! | `log.rs` | updates as lines that are only appended, for a store that decides when it reads |

pub mod log;
mod state;
mod update;

pub use state::{State, Status};
pub use update::{Ending, FieldPatch, JobRef, Precondition, StatusChange, StatusFields, StatusUpdate, from_json, to_json};

use crate::error::{Error, ErrorKind, Result};

/// The longest error text that is kept, in bytes.
pub const MOST_ERROR: usize = 4096;
/// The longest message of a progress, in bytes.
pub const MOST_MESSAGE: usize = 1024;
/// The longest result that is kept, in bytes of JSON.
pub const MOST_RESULT: usize = 64 * 1024;
/// The longest id or key, in bytes.
pub const MOST_KEY: usize = 255;

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
