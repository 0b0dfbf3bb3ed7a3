//! Going through the failed list page by page, from the oldest record on, while others add and remove records.
//!
//! New records go in at the head, so a place counted from the oldest end moves only when others remove older records. Each page
//! begins with the last record that was passed; when that one is not there any more, the sweep starts over.

use ferry_core::failed::{FailedJob, Filter};
use ferry_core::{Error, Result};

/// Records that are read, and handed on, at a time.
const PAGE: u64 = 200;

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRecord {
    /// What it says.
    pub job: FailedJob,
    /// Its bytes in the list. No two records of jobs have the same: each holds a random id. Those of plain tasks may.
    pub bytes: Vec<u8>,
    /// How many older records there were.
    pub older: u64,
}

/// How far a sweep has come. It ends where the list ended when it began: a retried job may fail again at once, and must not be
/// retried for ever.
struct FailedCursor {
    passed: Option<Passed>,
    /// Records there were at the beginning, without those that were removed.
    end: u64,
}

/// Records that stay behind the cursor.
struct Passed {
    count: u64,
    last: Vec<u8>,
}

impl FailedCursor {
    fn at_oldest(end: u64) -> Self {
        Self { passed: None, end }
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.passed.as_ref().map_or(0, |passed| passed.count))
    }

    /// The next page, read by `read` from how many older records and how many records it gets. `None`: the cursor starts over.
    fn next_page(&mut self, read: impl FnOnce(u64, u64) -> Result<Vec<ListedRecord>>) -> Result<Option<Vec<ListedRecord>>> {
        let limit = self.left().min(PAGE);
        let Some(passed) = &self.passed else { return read(0, limit).map(Some) };
        let mut page = read(passed.count - 1, limit + 1)?;
        if page.first().is_none_or(|record| record.bytes != passed.last) {
            self.start_over(0);
            return Ok(None);
        }
        page.remove(0);
        Ok(Some(page))
    }

    fn start_over(&mut self, removed: u64) {
        *self = Self::at_oldest(self.end.saturating_sub(removed));
    }

    /// `removed` records of the page are gone, the others stay.
    fn advance(&mut self, removed: u64, others: Vec<ListedRecord>) {
        self.end = self.end.saturating_sub(removed);
        let count = self.passed.as_ref().map_or(0, |passed| passed.count) + others.len() as u64;
        if let Some(last) = others.into_iter().next_back() {
            self.passed = Some(Passed { count, last: last.bytes });
        }
    }
}

/// The oldest record of a list of `length` with this id.
pub fn find(length: u64, id: &str, mut read: impl FnMut(u64, u64) -> Result<Vec<ListedRecord>>) -> Result<Option<FailedJob>> {
    let mut cursor = FailedCursor::at_oldest(length);
    while cursor.left() > 0 {
        let Some(mut page) = cursor.next_page(&mut read)? else { continue };
        if page.is_empty() {
            break;
        }
        if let Some(at) = page.iter().position(|record| record.job.id == id) {
            return Ok(Some(page.swap_remove(at).job));
        }
        cursor.advance(0, page);
    }
    Ok(None)
}

/// Hands the records of a list of `length` that match to `remove`, oldest first, and returns how many it removed.
pub fn sweep(
    length: u64,
    which: &Filter,
    mut read: impl FnMut(u64, u64) -> Result<Vec<ListedRecord>>,
    mut remove: impl FnMut(&[ListedRecord]) -> Result<u64>,
) -> Result<u64> {
    let mut cursor = FailedCursor::at_oldest(length);
    let mut removed = 0;
    while which.most().is_none_or(|most| removed < most as u64) && cursor.left() > 0 {
        let Some(page) = cursor.next_page(&mut read)? else { continue };
        if page.is_empty() {
            break;
        }
        let (matching, others): (Vec<_>, Vec<_>) = page.into_iter().partition(|record| which.matches(&record.job));
        let gone = if matching.is_empty() { 0 } else { remove(&matching).map_err(|error| counted(error, removed))? };
        removed += gone;
        if gone == matching.len() as u64 {
            cursor.advance(gone, others);
        } else {
            // Others remove records too: those that stay may have moved.
            cursor.start_over(gone);
        }
    }
    Ok(removed)
}

fn counted(error: Error, removed: u64) -> Error {
    if removed == 0 { error } else { error.within(format!("{removed} jobs were done before this")) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use ferry_core::ErrorKind;
    use ferry_core::failed::{Failure, Reason};

    use super::*;

    /// A failed list, the oldest record first.
    struct List(RefCell<Vec<ListedRecord>>);

    fn record(number: usize) -> ListedRecord {
        let class = if number.is_multiple_of(3) { "K" } else { "J" };
        let failure = Failure {
            connection: "c".into(),
            payload: format!(r#"{{"job":"{class}","data":{number}}}"#).into_bytes(),
            reason: Reason::Exception,
            exception: String::new(),
            attempts: 1,
        };
        let job = FailedJob::of(&failure, number.to_string(), "q", 0);
        ListedRecord { bytes: job.to_json(), job, older: 0 }
    }

    impl List {
        fn of(count: usize) -> Self {
            Self(RefCell::new((0..count).map(record).collect()))
        }

        fn length(&self) -> u64 {
            self.0.borrow().len() as u64
        }

        fn read(&self, older: u64, limit: u64) -> Result<Vec<ListedRecord>> {
            let list = self.0.borrow();
            Ok(list.iter().skip(usize::try_from(older).unwrap()).take(usize::try_from(limit).unwrap()).cloned().collect())
        }

        fn remove(&self, records: &[ListedRecord]) -> u64 {
            let before = self.length();
            self.0.borrow_mut().retain(|record| !records.contains(record));
            before - self.length()
        }

        fn sweep(&self, which: &Filter, mut remove: impl FnMut(&[ListedRecord]) -> Result<u64>) -> Result<u64> {
            sweep(self.length(), which, |older, limit| self.read(older, limit), |records| remove(records))
        }
    }

    fn of_class(class: &str) -> Filter {
        Filter { class: Some(class.into()), ..Filter::default() }
    }

    #[test]
    fn a_class_is_found_among_many_others() {
        let list = List::of(900);
        assert_eq!(list.sweep(&of_class("K"), |records| Ok(list.remove(records))).unwrap(), 300);
        assert_eq!(list.length(), 600);
        assert_eq!(list.sweep(&of_class("K"), |records| Ok(list.remove(records))).unwrap(), 0);
    }

    #[test]
    fn one_record_is_found_by_its_id_wherever_it_lies() {
        let list = List::of(450);
        for id in ["0", "200", "449"] {
            let found = find(450, id, |older, limit| list.read(older, limit)).unwrap();
            assert_eq!(found.map(|job| job.id).as_deref(), Some(id));
        }
        assert_eq!(find(450, "none", |older, limit| list.read(older, limit)).unwrap(), None);
    }

    #[test]
    fn jobs_that_fail_again_meanwhile_are_not_retried_for_ever() {
        let list = List::of(300);
        let retried = list.sweep(&Filter::all(), |records| {
            let retried = list.remove(records);
            (0..retried).for_each(|number| list.0.borrow_mut().push(record(1000 + usize::try_from(number).unwrap())));
            Ok(retried)
        });
        assert_eq!((retried.unwrap(), list.length()), (300, 300));
    }

    #[test]
    fn a_removal_behind_the_cursor_makes_it_step_over_no_record() {
        let list = List::of(900);
        let passed = list.read(0, 50).unwrap();
        let mut first = true;
        let removed = list.sweep(&of_class("K"), |records| {
            if std::mem::take(&mut first) {
                list.remove(&passed);
            }
            Ok(list.remove(records))
        });
        let by_others = passed.iter().filter(|record| of_class("K").matches(&record.job)).count() as u64;
        assert_eq!(removed.unwrap(), 300 - by_others);
        assert!(list.0.borrow().iter().all(|record| !of_class("K").matches(&record.job)), "none was left");
    }

    #[test]
    fn an_error_says_how_many_were_done() {
        let list = List::of(450);
        let mut calls = 0;
        let error = list.sweep(&Filter::all(), |records| {
            calls += 1;
            if calls < 3 { Ok(list.remove(records)) } else { Err(Error::new(ErrorKind::Refused, "no more")) }
        });
        assert_eq!(error.unwrap_err().to_string(), "400 jobs were done before this: no more");
        assert_eq!(list.length(), 50);
    }
}
