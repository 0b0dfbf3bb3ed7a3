//! Names on the broker that belong to one queue, and the routing key by which delayed messages reach it.

use ferry_core::{Error, ErrorKind, QueueName, Result};
use lapin::types::ShortString;

use crate::delay;

/// The longest name in AMQP, in bytes.
const LONGEST: usize = 255;
const RETRY: &str = ".ferry.again";
const FAILED: &str = ".failed";

/// Which of the two RabbitMQ queues of one job queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueRole {
    /// Jobs that were never started. A consumer with a prefetch takes them.
    Main,
    /// Jobs that were tried before or have one try. They are taken one at a time.
    Retry,
}

/// The names that belong to one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// [`QueueRole::Main`].
    pub main: String,
    /// [`QueueRole::Retry`].
    pub retry: String,
    /// Failed jobs.
    pub failed: String,
}

impl Names {
    /// The names of this queue, if AMQP allows them.
    pub fn of(queue: &QueueName) -> Result<Self> {
        let name = queue.as_str();
        let most = LONGEST - RETRY.len();
        if name.len() > most {
            let context = format!("the queue name is {} bytes long", name.len());
            return Err(Error::new(ErrorKind::InvalidArgument, context)
                .with_advice(format!("shorten it to {most} bytes: AMQP allows {LONGEST}, and `{RETRY}` is appended")));
        }
        if name.starts_with("amq.") {
            return Err(Error::new(ErrorKind::InvalidArgument, "queue names that begin with `amq.` are reserved by RabbitMQ")
                .with_advice("choose another name"));
        }
        Ok(Self { main: name.to_owned(), retry: format!("{name}{RETRY}"), failed: format!("{name}{FAILED}") })
    }

    /// The RabbitMQ queue with this role.
    pub fn queue(&self, role: QueueRole) -> &str {
        match role {
            QueueRole::Main => &self.main,
            QueueRole::Retry => &self.retry,
        }
    }

    /// The last two words of a routing key that leads to the queue with this role: the escaped name, then the role.
    ///
    /// An unescaped dot would split the name into several words, so that `x.a.b` matched `a.b`; `*` and `#` are wildcards in a binding.
    pub fn address(&self, role: QueueRole) -> Result<String> {
        let mut word = String::with_capacity(self.main.len() + 2);
        for letter in self.main.chars() {
            match letter {
                '.' => word.push_str("%2E"),
                '*' => word.push_str("%2A"),
                '#' => word.push_str("%23"),
                '%' => word.push_str("%25"),
                other => word.push(other),
            }
        }
        word.push_str(match role {
            QueueRole::Main => ".q",
            QueueRole::Retry => ".a",
        });
        let most = LONGEST - delay::KEY_BYTES;
        if word.len() > most {
            return Err(Error::new(ErrorKind::InvalidArgument, "the queue name is too long for delayed jobs")
                .with_advice(format!("with delays it may have {} bytes; each `.`, `*`, `#` and `%` counts three", most - 2)));
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
        let mut addresses: Vec<String> = all.iter().map(|name| names(name).unwrap().address(QueueRole::Main).unwrap()).collect();
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
        assert!(names(&"x".repeat(207)).unwrap().address(QueueRole::Retry).is_ok());
        let error = names(&"x".repeat(208)).unwrap().address(QueueRole::Retry).unwrap_err();
        assert!(error.to_string().contains("207"), "{error}");
        assert!(names("amq.x").is_err());
    }
}
