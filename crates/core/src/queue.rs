//! The name of a queue.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// A queue name that is known to be carryable: valid UTF-8, 1 to 255 bytes, no control characters.
///
/// It is not trimmed or escaped: `a:b`, spaces, braces and Chinese go to the wire verbatim
/// (`fixtures/think-queue-v3.json`, `redis/push-queue-*`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// The longest name in bytes. The table of think-queue has `varchar(255)`.
    pub const MAX_BYTES: usize = 255;

    /// Checks a name as a caller gave it. An empty name is an error here; see [`QueueName::or_default`].
    pub fn new(name: &[u8]) -> Result<Self> {
        let refuse = |why: &str, advice: &str| {
            let shown = String::from_utf8_lossy(&name[..name.len().min(40)]).escape_debug().to_string();
            Err(Error::new(ErrorKind::InvalidArgument, format!("queue name \"{shown}\" {why}")).with_advice(advice.to_owned()))
        };
        let Ok(text) = std::str::from_utf8(name) else {
            return refuse("is not valid UTF-8", "convert it to UTF-8");
        };
        if text.is_empty() {
            return refuse("is empty", "name a queue");
        }
        if name.len() > Self::MAX_BYTES {
            return refuse(&format!("is {} bytes long", name.len()), "a queue name holds at most 255 bytes");
        }
        if text.chars().any(char::is_control) {
            return refuse("holds a control character", "use printable characters");
        }
        Ok(Self(text.into()))
    }

    /// The name a caller means: `""` and `"0"` mean the default, as PHP's falsy strings do in think-queue
    /// (`redis/push-queue-"0"`, `redis/push-queue-""`).
    pub fn or_default(name: Option<&[u8]>, default: &QueueName) -> Result<Self> {
        match name {
            None | Some(b"" | b"0") => Ok(default.clone()),
            // Checked before, and shared: every push comes by here.
            Some(name) if name == default.as_str().as_bytes() => Ok(default.clone()),
            Some(name) => Self::new(name),
        }
    }

    /// The queues of a worker option: separated by commas, highest priority first, not trimmed
    /// (`worker/worker-queue-list-with-space` reads ` low`). Empty parts mean the default.
    pub fn list(names: &[u8], default: &QueueName) -> Result<Vec<Self>> {
        let mut queues = Vec::new();
        for name in names.split(|byte| *byte == b',') {
            let queue = Self::or_default(Some(name), default)?;
            if !queues.contains(&queue) {
                queues.push(queue);
            }
        }
        Ok(queues)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for QueueName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awkward_but_printable_names_pass_verbatim() {
        for name in ["a:b", "with space", "{x}", "队列", "a,b", " low"] {
            assert_eq!(QueueName::new(name.as_bytes()).unwrap().as_str(), name);
        }
    }

    #[test]
    fn falsy_names_mean_the_default() {
        let default = QueueName::new(b"mydefault").unwrap();
        for name in [None, Some(&b""[..]), Some(&b"0"[..])] {
            assert_eq!(QueueName::or_default(name, &default).unwrap(), default);
        }
    }

    #[test]
    fn names_that_cannot_be_carried_say_why() {
        let long = vec![b'x'; 256];
        for (name, why) in [(&b"\xff\xfe"[..], "UTF-8"), (b"a\nb", "control"), (b"a\0b", "control"), (&long, "256 bytes")] {
            let error = QueueName::new(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_queue_list_keeps_order_and_spaces_and_drops_repeats() {
        let queues = QueueName::list(b"high, low,high", &QueueName::default()).unwrap();
        assert_eq!(queues.iter().map(QueueName::as_str).collect::<Vec<_>>(), ["high", " low"]);
    }
}
