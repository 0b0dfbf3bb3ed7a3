//! Reason, attempts and id of a failed job, as the last line of its exception text.
//!
//! think-queue's table has six columns and other programs insert into it, so ours are not added as columns. Its own commands show
//! the exception as it is.

use ferry_core::failed::Failure;

const MARK: &str = "\n[ferry] reason=";
const COUNT: &str = " attempts=";
const ID: &str = " id=";

/// The text of the `exception` column. `id` is that of the row in the table of jobs, which push returned.
pub(crate) fn with_trailer(failure: &Failure, id: i64) -> String {
    format!("{}{MARK}{}{COUNT}{}{ID}{id}", failure.exception, failure.reason.as_str(), failure.attempts)
}

/// What the column holds. All but the exception is empty when another program wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recorded<'a> {
    pub exception: &'a str,
    pub reason: &'a str,
    pub attempts: Option<u32>,
    /// The id that the job had in the table of jobs.
    pub id: Option<i64>,
}

pub(crate) fn split(column: &str) -> Recorded<'_> {
    read(column).unwrap_or(Recorded { exception: column, reason: "", attempts: None, id: None })
}

fn read(column: &str) -> Option<Recorded<'_>> {
    let (exception, line) = column.rsplit_once(MARK)?;
    let (reason, counted) = line.split_once(COUNT)?;
    let (attempts, id) = counted.split_once(ID)?;
    Some(Recorded { exception, reason, attempts: Some(attempts.parse().ok()?), id: Some(id.parse().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::failed::Reason;

    #[test]
    fn an_exception_comes_back_as_it_was_whatever_it_holds() {
        for exception in ["", "RuntimeException: boom\n#0 {main}", "\n[ferry] reason=poison attempts=1 id=2", "\n[ferry] reason="]
        {
            let failure = Failure {
                connection: String::new(),
                payload: Vec::new(),
                reason: Reason::MaxAttempts,
                exception: exception.into(),
                attempts: 4,
            };
            let recorded = Recorded { exception, reason: "max_attempts", attempts: Some(4), id: Some(17) };
            assert_eq!(split(&with_trailer(&failure, 17)), recorded);
        }
    }

    #[test]
    fn what_another_program_wrote_is_all_exception() {
        for column in
            ["RuntimeException: boom", "boom\n[ferry] reason=poison attempts=many id=1", "boom\n[ferry] reason=x attempts=1"]
        {
            assert_eq!(split(column), Recorded { exception: column, reason: "", attempts: None, id: None });
        }
    }
}
