//! The queues of a queue, and the words under which delays find them.

use ferry_core::{Error, ErrorKind, QueueName, Result};
use lapin::types::ShortString;

use crate::delay;

/// The longest name of anything in AMQP, in bytes.
const LONGEST: usize = 255;
const AGAIN: &str = ".ferry.again";
const FAILED: &str = ".failed";

/// Which of the two queues of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueRole {
    /// Where jobs lie that were never started.
    Fresh,
    /// Where jobs lie that are taken one at a time.
    Again,
}

/// The names that belong to one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Jobs that were never started.
    pub fresh: String,
    /// Jobs that are taken one at a time.
    pub again: String,
    /// Failed jobs.
    pub failed: String,
}

impl Names {
    /// The names, if AMQP can carry them.
    pub fn of(queue: &QueueName) -> Result<Self> {
        let name = queue.as_str();
        let most = LONGEST - AGAIN.len();
        if name.len() > most {
            let context = format!("the queue name is {} bytes long", name.len());
            return Err(Error::new(ErrorKind::InvalidArgument, context)
                .with_advice(format!("AMQP carries {most}: {LONGEST} less what `{AGAIN}` needs")));
        }
        if name.starts_with("amq.") {
            return Err(Error::new(ErrorKind::InvalidArgument, "queue names that begin with `amq.` belong to the broker")
                .with_advice("choose another name"));
        }
        Ok(Self { fresh: name.to_owned(), again: format!("{name}{AGAIN}"), failed: format!("{name}{FAILED}") })
    }

    /// The queue on this side.
    pub fn on(&self, side: QueueRole) -> &str {
        match side {
            QueueRole::Fresh => &self.fresh,
            QueueRole::Again => &self.again,
        }
    }

    /// The last words of a routing key that leads to this side: the name in one word, then which side.
    ///
    /// Dots would make several words, so that `x.a.b` could be taken for `a.b`; `*` and `#` mean others in a binding.
    pub fn address(&self, side: QueueRole) -> Result<String> {
        let mut word = String::with_capacity(self.fresh.len() + 2);
        for letter in self.fresh.chars() {
            match letter {
                '.' => word.push_str("%2E"),
                '*' => word.push_str("%2A"),
                '#' => word.push_str("%23"),
                '%' => word.push_str("%25"),
                other => word.push(other),
            }
        }
        word.push_str(match side {
            QueueRole::Fresh => ".q",
            QueueRole::Again => ".a",
        });
        let most = LONGEST - delay::KEY_BYTES;
        if word.len() > most {
            return Err(Error::new(ErrorKind::InvalidArgument, "the queue name is too long for delayed jobs")
                .with_advice(format!("delays leave {} bytes for it; each `.`, `*`, `#` and `%` counts three", most - 2)));
        }
        Ok(word)
    }
}

/// A name that was checked to be short enough.
pub fn short(name: &str) -> ShortString {
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Result<Names> {
        Names::of(&QueueName::new(name.as_bytes()).unwrap())
    }

    #[test]
    fn no_two_names_share_an_address_and_none_holds_a_pattern() {
        let all = ["a.b", "x.a.b", "a%2Eb", "*", "#", "a", "a.q", "队列", "a b"];
        let mut addresses: Vec<String> = all.iter().map(|name| names(name).unwrap().address(QueueRole::Fresh).unwrap()).collect();
        assert!(addresses.iter().all(|address| address.matches('.').count() == 1 && !address.contains(['*', '#'])));
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), all.len());
    }

    #[test]
    fn a_name_that_cannot_be_carried_says_how_long_it_may_be() {
        assert!(names(&"x".repeat(243)).is_ok());
        let error = names(&"x".repeat(244)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("243"), "{error}");
        assert!(names(&"x".repeat(207)).unwrap().address(QueueRole::Again).is_ok());
        let error = names(&"x".repeat(208)).unwrap().address(QueueRole::Again).unwrap_err();
        assert!(error.to_string().contains("207"), "{error}");
        assert!(names("amq.x").is_err());
    }
}
