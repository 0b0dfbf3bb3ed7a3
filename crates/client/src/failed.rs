//! Walking through the failed jobs of a queue, page by page. What is done to a job, and that it is atomic, is the driver's.

use ferry_core::failed::{FailedJob, FailedPosition, Filter};
use ferry_core::{Admin, Broker, Error, QueueName, Result};

/// Jobs that are read, and handed to the driver, at a time.
const PAGE: u64 = 200;

/// The failed job with this id.
pub(crate) fn find(broker: &dyn Broker, admin: &dyn Admin, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
    let mut place = Place::at_the_oldest(broker.size(queue)?.failed);
    while place.is_inside() {
        let Some(mut page) = place.page(admin, queue)? else { continue };
        if page.is_empty() {
            break;
        }
        if let Some(at) = page.iter().position(|job| job.id == id) {
            return Ok(Some(page.swap_remove(at)));
        }
        place.go_on(0, page);
    }
    Ok(None)
}

/// Hands the failed jobs that are meant to `remove`, oldest first, and returns how many it removed.
///
/// It ends where the store ended when it began: a retried job may fail again at once, and must not be retried for ever.
pub(crate) fn sweep(
    broker: &dyn Broker,
    admin: &dyn Admin,
    queue: &QueueName,
    which: &Filter,
    remove: impl Fn(&[FailedJob]) -> Result<u64>,
) -> Result<u64> {
    let mut place = Place::at_the_oldest(broker.size(queue)?.failed);
    let mut removed = 0;
    while which.most().is_none_or(|most| removed < most as u64) && place.is_inside() {
        let Some(page) = place.page(admin, queue)? else { continue };
        if page.is_empty() {
            break;
        }
        let (meant, others): (Vec<_>, Vec<_>) = page.into_iter().partition(|job| which.matches(job));
        let gone = remove(&meant).map_err(|e| counted(e, removed))?;
        removed += gone;
        if gone == meant.len() as u64 {
            place.go_on(gone, others);
        } else {
            // Somebody else is at work here, too: what was meant may lie elsewhere now.
            place.begin_anew(gone);
        }
    }
    Ok(removed)
}

fn counted(error: Error, removed: u64) -> Error {
    if removed == 0 { error } else { error.within(format!("{removed} jobs were done before this")) }
}

/// A walk from the oldest job to what was the newest when it began.
struct Place {
    passed: Option<FailedPosition>,
    /// Jobs there were when it began, without those that were removed.
    end: u64,
}

impl Place {
    fn at_the_oldest(end: u64) -> Self {
        Self { passed: None, end }
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.passed.as_ref().map_or(0, |passed| passed.count))
    }

    fn is_inside(&self) -> bool {
        self.left() > 0
    }

    /// The next page. `None`: the walk begins anew.
    fn page(&mut self, admin: &dyn Admin, queue: &QueueName) -> Result<Option<Vec<FailedJob>>> {
        let page = admin.oldest_failed(queue, self.passed.as_ref(), self.left().min(PAGE))?;
        if page.is_none() {
            self.begin_anew(0);
        }
        Ok(page)
    }

    fn begin_anew(&mut self, removed: u64) {
        *self = Self::at_the_oldest(self.end.saturating_sub(removed));
    }

    /// `removed` jobs of the page are gone, the others stay.
    fn go_on(&mut self, removed: u64, others: Vec<FailedJob>) {
        self.end = self.end.saturating_sub(removed);
        let count = self.passed.as_ref().map_or(0, |passed| passed.count) + others.len() as u64;
        if let Some(last) = others.into_iter().next_back() {
            self.passed = Some(FailedPosition { count, last: last.id });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::time::Duration;

    use ferry_core::broker::{Settle, Settlement};
    use ferry_core::clock::SystemClock;
    use ferry_core::failed::{Failure, Reason};
    use ferry_core::memory::MemoryBroker;
    use ferry_core::{ErrorKind, NewJob};

    use super::*;
    use crate::connection::Connection;
    use crate::testing::{config, queue};

    type Memory = MemoryBroker<SystemClock>;

    /// Fails jobs: `K` for every third, `J` for the others.
    fn fail(broker: &Memory, count: usize) {
        for number in 0..count {
            let class = if number % 3 == 0 { "K" } else { "J" };
            let payload = format!(r#"{{"job":"{class}","data":{number},"id":"x","attempts":2}}"#);
            broker.push(&queue(), NewJob::ready(payload.into_bytes())).unwrap();
            bury_one(broker);
        }
    }

    fn bury_one(broker: &Memory) {
        let job = broker.reserve(&[queue()], 1, Duration::ZERO).unwrap().remove(0);
        let failure = Failure {
            connection: "c".into(),
            payload: job.body,
            reason: Reason::Exception,
            exception: "boom".into(),
            attempts: 3,
        };
        broker.settle(&[Settle { claim: job.claim, settlement: Settlement::Bury(Box::new(failure)) }]).unwrap();
    }

    fn with_failed(count: usize) -> (Arc<Memory>, Connection) {
        let broker = Arc::new(Memory::new(SystemClock, Some(60)));
        fail(&broker, count);
        let connection = Connection::new(config("memory:"), Some(broker.clone()));
        (broker, connection)
    }

    fn of_class(class: &str) -> Filter {
        Filter { class: Some(class.into()), ..Filter::default() }
    }

    fn sizes(broker: &Memory) -> (u64, u64) {
        let sizes = broker.size(&queue()).unwrap();
        (sizes.ready, sizes.failed)
    }

    #[test]
    fn all_failed_jobs_are_retried_oldest_first_with_fresh_attempts() {
        let (broker, connection) = with_failed(450);
        assert_eq!(connection.retry_failed(&queue(), &Filter::all()).unwrap(), 450);
        assert_eq!(sizes(&broker), (450, 0));
        let ready = connection.peek(&queue(), ferry_core::broker::State::Ready, 0, 1000).unwrap();
        assert_eq!(ready[0], br#"{"job":"K","data":0,"id":"x","attempts":0}"#);
        assert_eq!(ready[449], br#"{"job":"J","data":449,"id":"x","attempts":0}"#);
        assert_eq!(connection.retry_failed(&queue(), &Filter::all()).unwrap(), 0);
    }

    #[test]
    fn those_of_a_class_are_found_among_many_others() {
        let (broker, connection) = with_failed(900);
        assert_eq!(connection.forget_failed(&queue(), &of_class("k")).unwrap(), 300);
        assert_eq!(sizes(&broker), (0, 600));
        assert_eq!(connection.retry_failed(&queue(), &of_class("K")).unwrap(), 0);
        assert_eq!(connection.retry_failed(&queue(), &of_class("J")).unwrap(), 600);
        assert_eq!(sizes(&broker), (600, 0));
    }

    #[test]
    fn one_job_is_shown_retried_and_forgotten_by_its_id() {
        let (broker, connection) = with_failed(450);
        let newest = connection.failed(&queue(), 0, 1).unwrap().remove(0);
        let oldest = connection.failed(&queue(), 449, 1).unwrap().remove(0);
        assert_eq!(connection.failed_job(&queue(), &oldest.id).unwrap().unwrap(), oldest);
        assert_eq!(connection.failed_job(&queue(), "none").unwrap(), None);
        assert_eq!(connection.retry_failed(&queue(), &Filter::ids([oldest.id.clone()])).unwrap(), 1);
        assert_eq!(connection.retry_failed(&queue(), &Filter::ids([oldest.id])).unwrap(), 0);
        assert_eq!(connection.forget_failed(&queue(), &Filter::ids([newest.id, "none".into()])).unwrap(), 1);
        assert_eq!(sizes(&broker), (1, 448));
        assert_eq!(connection.forget_failed(&queue(), &Filter::ids([])).unwrap(), 0);
    }

    #[test]
    fn jobs_that_fail_again_meanwhile_are_not_retried_for_ever() {
        let (broker, _) = with_failed(300);
        let retried = sweep(&*broker, &*broker, &queue(), &Filter::all(), |jobs| {
            let retried = broker.retry(&queue(), jobs)?;
            (0..retried).for_each(|_| bury_one(&broker));
            Ok(retried)
        });
        assert_eq!(retried.unwrap(), 300);
        assert_eq!(sizes(&broker), (0, 300));
    }

    #[test]
    fn a_removal_behind_the_walk_makes_it_step_over_nobody() {
        let (broker, connection) = with_failed(900);
        let passed = connection.failed(&queue(), 850, 50).unwrap();
        let meddled = Cell::new(false);
        let removed = sweep(&*broker, &*broker, &queue(), &of_class("K"), |jobs| {
            if !meddled.replace(true) {
                broker.forget(&queue(), &passed)?;
            }
            broker.forget(&queue(), jobs)
        });
        let gone_by_others = passed.iter().filter(|job| of_class("K").matches(job)).count() as u64;
        assert_eq!(removed.unwrap(), 300 - gone_by_others);
        assert_eq!(connection.retry_failed(&queue(), &of_class("K")).unwrap(), 0, "none was left");
    }

    #[test]
    fn an_error_says_how_many_were_done() {
        let (broker, _) = with_failed(450);
        let calls = Cell::new(0);
        let error = sweep(&*broker, &*broker, &queue(), &Filter::all(), |jobs| {
            calls.set(calls.get() + 1);
            if calls.get() < 3 { broker.retry(&queue(), jobs) } else { Err(Error::new(ErrorKind::Refused, "no more")) }
        });
        assert_eq!(error.unwrap_err().to_string(), "400 jobs were done before this: no more");
        assert_eq!(sizes(&broker), (400, 50));
    }
}
