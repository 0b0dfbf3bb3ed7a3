//! Pushing jobs whose status is kept: `queued` is written before the job is pushed, so that no worker is faster.
//!
//! A status store that does not answer prevents no push, see `status_outage`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ferry_core::failed::{FailedJob, Filter};
use ferry_core::job::{Due, NewJob};
use ferry_core::status::{JobRef, StatusChange, StatusUpdate};
use ferry_core::{Broker, Error, ErrorKind, QueueName, Result};

use crate::connection::{BuiltPayload, Connection, JobSpec, check_due};

/// An answer, and why the statuses may not be kept; that is reported once an outage.
#[derive(Debug)]
pub struct Tracked<T> {
    /// The answer.
    pub answer: T,
    /// The error of the status store; the answer stands all the same.
    pub trouble: Option<Error>,
}

impl Connection {
    /// The payload of a job with an id, also where this broker's payloads carry none: then it stands at the end, and think-queue does
    /// not read it.
    pub fn build_tracked(&self, spec: &JobSpec<'_>) -> Result<(Vec<u8>, String)> {
        let BuiltPayload { mut payload, id } = self.build(spec)?;
        if let Some(id) = id {
            return Ok((payload, id));
        }
        let id = self.new_id()?;
        payload.pop();
        payload.extend_from_slice(format!(",\"id\":\"{id}\"}}").as_bytes());
        self.check_length(&payload)?;
        Ok((payload, id))
    }

    /// Stores one job whose status `statuses` keeps, and returns its id.
    pub fn push_tracked(
        &self,
        queue: &QueueName,
        spec: &JobSpec<'_>,
        due: Due,
        statuses: &dyn Broker,
    ) -> Result<Tracked<String>> {
        self.in_place("push to", queue, || {
            check_due(due, &ferry_core::clock::SystemClock)?;
            let (payload, id) = self.build_tracked(spec)?;
            let updates = [self.queued(&id, spec, queue, due)];
            let trouble = self.push_with_status(queue, &[NewJob::due(payload, due)], &updates, statuses)?;
            Ok(Tracked { answer: id, trouble })
        })
    }

    /// Stores jobs in order and answers their ids. They are all checked first; an error says how many were stored.
    pub fn push_many_tracked(
        &self,
        queue: &QueueName,
        specs: &[JobSpec<'_>],
        statuses: &dyn Broker,
    ) -> Result<Tracked<Vec<String>>> {
        self.in_place("push to", queue, || {
            let built = specs.iter().map(|spec| self.build_tracked(spec)).collect::<Result<Vec<_>>>()?;
            let updates: Vec<StatusUpdate> =
                specs.iter().zip(&built).map(|(spec, (_, id))| self.queued(id, spec, queue, Due::Now)).collect();
            let (jobs, ids): (Vec<_>, Vec<_>) = built.into_iter().map(|(payload, id)| (NewJob::ready(payload), id)).unzip();
            if jobs.is_empty() {
                return Ok(Tracked { answer: ids, trouble: None });
            }
            let trouble = self.push_with_status(queue, &jobs, &updates, statuses)?;
            Ok(Tracked { answer: ids, trouble })
        })
    }

    /// Stores jobs behind their statuses, in one write where one server keeps both. Returns why the statuses are not kept.
    fn push_with_status(
        &self,
        queue: &QueueName,
        jobs: &[NewJob<'_>],
        updates: &[StatusUpdate],
        statuses: &dyn Broker,
    ) -> Result<Option<Error>> {
        let own =
            statuses.status().filter(|_| is_same(statuses, &**self.broker()) && !self.status_outage.goes_on(Instant::now()));
        let (trouble, pushed) = match own.and_then(|own| own.update_and_push(updates, queue, jobs)) {
            Some(both) => (self.status_trouble(both.updated), both.pushed),
            None => {
                let trouble = self.update_statuses(statuses, updates);
                let pushed = match jobs {
                    [job] => self.broker().push(queue, job.clone()).map(|_| 1),
                    _ => self.broker().push_many(queue, jobs),
                };
                (trouble, pushed)
            }
        };
        pushed.inspect_err(|error| self.take_back(error, statuses, updates))?;
        Ok(trouble)
    }

    /// As [`Connection::retry_failed`]; the jobs count as queued again.
    pub fn retry_failed_tracked(&self, queue: &QueueName, which: &Filter, statuses: &dyn Broker) -> Result<Tracked<u64>> {
        let mut trouble = None;
        let mut before = |jobs: &[FailedJob]| {
            let updates: Vec<StatusUpdate> = jobs.iter().filter_map(|job| self.queued_again(job, queue)).collect();
            if !updates.is_empty()
                && let Some(error) = self.update_statuses(statuses, &updates)
            {
                trouble = Some(error);
            }
        };
        let answer = self.in_place("retry failed jobs of", queue, || self.admin()?.retry(queue, which, &mut before))?;
        Ok(Tracked { answer, trouble })
    }

    /// Updates statuses. Never fails; an error that begins an outage is returned, to be reported.
    pub fn update_statuses(&self, statuses: &dyn Broker, updates: &[StatusUpdate]) -> Option<Error> {
        self.status_outage.write(statuses, updates, Instant::now()).map(|error| self.without_statuses(error))
    }

    fn status_trouble(&self, written: Result<()>) -> Option<Error> {
        self.status_outage.note(written, Instant::now()).map(|error| self.without_statuses(error))
    }

    fn without_statuses(&self, error: Error) -> Error {
        error.within(format!("the status of jobs of `{}` cannot be kept", self.config().name))
    }

    /// These jobs were not stored, unless the error leaves that open.
    pub(crate) fn take_back(&self, error: &Error, statuses: &dyn Broker, updates: &[StatusUpdate]) {
        if error.kind() != ErrorKind::Uncertain {
            let back: Vec<StatusUpdate> =
                updates.iter().map(|update| StatusUpdate { change: StatusChange::TakenBack, ..update.clone() }).collect();
            // What stays behind expires.
            let _ = self.status_outage.write(statuses, &back, Instant::now());
        }
    }

    fn queued(&self, id: &str, spec: &JobSpec<'_>, queue: &QueueName, due: Due) -> StatusUpdate {
        // A delayed job has its status until it is due, and then as long as any other.
        let ttl = self.config().status_ttl.saturating_add(u32::try_from(wait(due)).unwrap_or(u32::MAX));
        let job = self.job_ref(serde_json::from_slice(spec.job).unwrap_or_default(), queue);
        StatusUpdate { id: id.to_owned(), job, change: StatusChange::Queued, ttl }
    }

    fn queued_again(&self, job: &FailedJob, queue: &QueueName) -> Option<StatusUpdate> {
        let payload = self.config().family.decode(&job.payload).ok()?;
        let id = payload.id.filter(|id| StatusUpdate::can_be_about(id))?;
        Some(StatusUpdate {
            id,
            job: self.job_ref(payload.job, queue),
            change: StatusChange::QueuedAgain,
            ttl: self.config().status_ttl,
        })
    }

    fn job_ref(&self, job: String, queue: &QueueName) -> JobRef {
        JobRef { job, queue: queue.as_str().to_owned(), connection: self.config().name.clone() }
    }
}

fn is_same(one: &dyn Broker, other: &dyn Broker) -> bool {
    std::ptr::addr_eq(one, other)
}

/// Seconds until a job is due, about.
fn wait(due: Due) -> i64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
    match due {
        Due::Now => 0,
        Due::After(seconds) => seconds.max(0),
        Due::At(second) => second.saturating_sub(now()).max(0),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use ferry_core::StatusStore;
    use ferry_core::broker::{Capabilities, ExtendResult, Settle, SettleResult, Sizes, State as JobState};
    use ferry_core::clock::SystemClock;
    use ferry_core::memory::MemoryBroker;
    use ferry_core::status::{Ending, State, Status};
    use ferry_core::{Claim, Reservation};

    use super::*;
    use crate::status_outage::StatusOutage;
    use crate::testing::{TableBroker, config, connection, queue};

    const SPEC: JobSpec<'_> = JobSpec { job: br#""App\\Job1""#, limits: None, data: br#"{"a":1}"# };

    fn statuses() -> MemoryBroker<SystemClock> {
        MemoryBroker::new(SystemClock, None)
    }

    fn state(statuses: &MemoryBroker<SystemClock>, id: &str) -> Option<State> {
        statuses.status().unwrap().find(id).unwrap().map(|status| status.state)
    }

    #[test]
    fn a_tracked_push_is_queued_under_the_id_in_its_payload() {
        let (memory, statuses) = (connection("memory:"), statuses());
        let Tracked { answer: id, trouble } = memory.push_tracked(&queue(), &SPEC, Due::Now, &statuses).unwrap();
        assert!(trouble.is_none());
        let expected =
            format!(r#"{{"job":"App\\Job1","maxTries":null,"timeout":null,"data":{{"a":1}},"id":"{id}","attempts":0}}"#);
        assert_eq!(memory.peek(&queue(), JobState::Ready, 0, 9).unwrap(), [expected.as_bytes()]);
        let status = statuses.status().unwrap().find(&id).unwrap().unwrap();
        assert_eq!((status.state, status.job.as_str(), status.queue.as_str()), (State::Queued, "App\\Job1", "mail"));
        assert_eq!(status.connection, "c");
    }

    #[test]
    fn a_table_gets_the_id_at_the_end_of_its_payload() {
        let (broker, statuses) = (Arc::new(TableBroker::default()), statuses());
        let table = Connection::new(config("memory:"), broker.clone());
        let ids = table.push_many_tracked(&queue(), &[SPEC, SPEC], &statuses).unwrap().answer;
        for (id, row) in ids.iter().zip(broker.rows()) {
            let expected = format!(r#"{{"job":"App\\Job1","maxTries":null,"timeout":null,"data":{{"a":1}},"id":"{id}"}}"#);
            assert_eq!(row, expected.as_bytes());
            assert_eq!(state(&statuses, id), Some(State::Queued));
        }
        assert!(table.push_many_tracked(&queue(), &[], &statuses).unwrap().answer.is_empty());
    }

    #[test]
    fn the_payload_with_its_id_must_not_be_too_long() {
        let table = Connection::new(config("memory:?max_payload=70"), Arc::new(TableBroker::default()));
        table.push(&queue(), &SPEC, Due::Now).unwrap();
        let error = table.push_tracked(&queue(), &SPEC, Due::Now, &statuses()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn what_was_surely_not_pushed_is_taken_back() {
        let statuses = statuses();
        let full = Connection::new(config("memory:"), Arc::new(TableBroker::refusing()));
        let (_, id) = full.build_tracked(&SPEC).unwrap();
        let updates = [full.queued(&id, &SPEC, &queue(), Due::Now)];
        for (kind, left) in [(ErrorKind::Refused, None), (ErrorKind::Uncertain, Some(State::Queued))] {
            full.update_statuses(&statuses, &updates);
            full.take_back(&Error::new(kind, "x"), &statuses, &updates);
            assert_eq!(state(&statuses, &id), left);
        }
        assert!(full.push_tracked(&queue(), &SPEC, Due::Now, &statuses).is_err());
    }

    #[test]
    fn a_delayed_job_keeps_its_status_until_it_is_due_and_longer() {
        let memory = connection("memory:?status_ttl=10");
        let ttl = |due| memory.queued("x", &SPEC, &queue(), due).ttl;
        assert_eq!((ttl(Due::Now), ttl(Due::After(5)), ttl(Due::After(-5)), ttl(Due::At(0))), (10, 15, 10, 10));
        assert_eq!(ttl(Due::At(Due::LATEST)), u32::MAX);
    }

    #[test]
    fn an_outage_is_reported_once_and_prevents_no_push() {
        let away = Away::default();
        let (outage, start) = (StatusOutage::default(), Instant::now());
        let write = |seconds: u64| outage.write(&away, &[], start + Duration::from_secs(seconds)).is_some();
        // Written at 0, 1 and 3 s: reported once.
        assert_eq!([0, 0, 1, 2, 3, 6].map(write), [true, false, false, false, false, false]);
        assert_eq!(away.asked.load(Ordering::SeqCst), 3);
        away.back.store(true, Ordering::SeqCst);
        assert!(!write(100));
        away.back.store(false, Ordering::SeqCst);
        assert!(write(101), "that is another outage");

        let memory = connection("memory:");
        assert!(memory.push_tracked(&queue(), &SPEC, Due::Now, &away).unwrap().trouble.is_some());
        assert!(memory.push_tracked(&queue(), &SPEC, Due::Now, &away).unwrap().trouble.is_none());
        assert_eq!(memory.size(&queue()).unwrap().ready, 2);
    }

    #[test]
    fn a_failed_job_that_is_retried_is_queued_again() {
        use ferry_core::broker::Settlement;
        use ferry_core::failed::{Failure, Reason};
        let (memory, statuses) = (connection("memory:"), statuses());
        let id = memory.push_tracked(&queue(), &SPEC, Due::Now, &statuses).unwrap().answer;
        let job = memory.reserve_one(&queue()).unwrap().unwrap();
        let ending = Ending { state: State::Failed, error: None, result: None };
        let change = StatusChange::ended(1, ending);
        StatusStore::update(&statuses, &[StatusUpdate { change, ..memory.queued(&id, &SPEC, &queue(), Due::Now) }]).unwrap();
        let failure = Failure {
            connection: "c".into(),
            payload: job.body,
            reason: Reason::Exception,
            exception: "boom".into(),
            attempts: 1,
        };
        memory.broker().settle(&[Settle { claim: job.claim, settlement: Settlement::Bury(Box::new(failure)) }]).unwrap();
        assert_eq!(state(&statuses, &id), Some(State::Failed));
        assert_eq!(memory.retry_failed_tracked(&queue(), &Filter::all(), &statuses).unwrap().answer, 1);
        assert_eq!(state(&statuses, &id), Some(State::Queued));
    }

    /// A broker whose status store does not answer until it is back.
    #[derive(Default)]
    struct Away {
        asked: AtomicUsize,
        back: AtomicBool,
        table: TableBroker,
    }

    impl StatusStore for Away {
        fn update(&self, _updates: &[StatusUpdate]) -> Result<()> {
            if self.back.load(Ordering::SeqCst) {
                return Ok(());
            }
            self.asked.fetch_add(1, Ordering::SeqCst);
            Err(Error::new(ErrorKind::Connection, "away"))
        }

        fn find(&self, _id: &str) -> Result<Option<Status>> {
            Ok(None)
        }
    }

    impl Broker for Away {
        fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
            self.table.push(queue, job)
        }

        fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
            self.table.push_many(queue, jobs)
        }

        fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
            self.table.reserve(queues, max, wait)
        }

        fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
            self.table.settle(batch)
        }

        fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
            self.table.extend(claims)
        }

        fn size(&self, queue: &QueueName) -> Result<Sizes> {
            self.table.size(queue)
        }

        fn close(&self) {}

        fn capabilities(&self) -> Capabilities {
            self.table.capabilities()
        }

        fn status(&self) -> Option<&dyn StatusStore> {
            Some(self)
        }
    }
}
