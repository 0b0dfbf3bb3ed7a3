//! Reason and attempts of a failed job, as the last line of its exception text.
//!
//! think-queue's table has six columns and other programs insert into it, so ours are not added as columns. Its own commands show
//! the exception as it is.

use ferry_core::failed::Failure;

const MARK: &str = "\n[ferry] reason=";
const COUNT: &str = " attempts=";

/// The text of the `exception` column.
pub(crate) fn with_trailer(failure: &Failure) -> String {
    format!("{}{MARK}{}{COUNT}{}", failure.exception, failure.reason.as_str(), failure.attempts)
}

/// Exception, reason and attempts out of the column; the latter two are empty when another program wrote it.
pub(crate) fn split(column: &str) -> (&str, &str, Option<u32>) {
    read(column).map_or((column, "", None), |(exception, reason, attempts)| (exception, reason, Some(attempts)))
}

fn read(column: &str) -> Option<(&str, &str, u32)> {
    let (exception, line) = column.rsplit_once(MARK)?;
    let (reason, attempts) = line.split_once(COUNT)?;
    Some((exception, reason, attempts.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::failed::Reason;

    #[test]
    fn an_exception_comes_back_as_it_was_whatever_it_holds() {
        for exception in ["", "RuntimeException: boom\n#0 {main}", "\n[ferry] reason=poison attempts=1", "\n[ferry] reason="] {
            let failure = Failure {
                connection: String::new(),
                payload: Vec::new(),
                reason: Reason::MaxAttempts,
                exception: exception.into(),
                attempts: 4,
            };
            assert_eq!(split(&with_trailer(&failure)), (exception, "max_attempts", Some(4)));
        }
    }

    #[test]
    fn what_another_program_wrote_is_all_exception() {
        assert_eq!(split("RuntimeException: boom"), ("RuntimeException: boom", "", None));
    }
}
