//! Buffered push: jobs that were pushed and are not at the broker yet. `docs/decisions/0016-buffered-push.md` is the contract.

use std::cell::Cell;

use ferry_core::broker::QueuedJob;
use ferry_core::clock::{Clock, SystemClock};
use ferry_core::job::{Due, NewJob};
use ferry_core::{QueueName, Result, id};
use ferry_support::sync;

use crate::connection::{Connection, JobSpec};

/// How much memory an empty buffer keeps for the next jobs.
const KEPT_BYTES: usize = 1 << 20;

/// The most bytes of payloads that wait, whatever their number. One larger payload is taken alone.
const MAX_BYTES: usize = 8 << 20;

thread_local! {
    /// How many reasons there are to store each push of this thread at once.
    static UNBUFFERED: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, pushes of this thread are stored at once: a worker runs.
pub struct UnbufferedGuard(());

impl UnbufferedGuard {
    pub(crate) fn begin() -> Self {
        UNBUFFERED.set(UNBUFFERED.get() + 1);
        Self(())
    }
}

impl Drop for UnbufferedGuard {
    fn drop(&mut self) {
        UNBUFFERED.set(UNBUFFERED.get().saturating_sub(1));
    }
}

/// Whether pushes of this thread may be buffered from now on: a request begins, or has ended.
pub(crate) fn set_in_request(is_in_request: bool) {
    UNBUFFERED.set(u32::from(!is_in_request));
}

/// Jobs in the order in which they were pushed. Their payloads lie behind one another: an allocation for each would cost as much as writing it.
#[derive(Default)]
pub(crate) struct PushBuffer {
    payloads: Vec<u8>,
    jobs: Vec<BufferedJob>,
}

struct BufferedJob {
    queue: QueueName,
    due: Due,
    /// Where its payload ends; it begins where that of the job before ends.
    end: usize,
}

impl PushBuffer {
    fn has_room(&self, payload: usize, most: usize) -> bool {
        self.jobs.is_empty() || (self.jobs.len() < most && self.payloads.len() + payload <= MAX_BYTES)
    }

    /// Takes the payload that was written behind the others.
    fn add(&mut self, queue: QueueName, due: Due) {
        self.jobs.push(BufferedJob { queue, due, end: self.payloads.len() });
    }

    /// Where the payload that is written next begins.
    fn end(&self) -> usize {
        self.jobs.last().map_or(0, |job| job.end)
    }

    /// The jobs, in order.
    pub(crate) fn jobs(&self) -> Vec<QueuedJob<'_>> {
        let starts = std::iter::once(0).chain(self.jobs.iter().map(|job| job.end));
        let queued = |(job, start): (&BufferedJob, usize)| QueuedJob {
            queue: job.queue.clone(),
            job: NewJob::due(&self.payloads[start..job.end], job.due),
        };
        self.jobs.iter().zip(starts).map(queued).collect()
    }

    /// Keeps the jobs at these positions only, in order.
    fn retain(&mut self, mut positions: Vec<usize>) {
        positions.sort_unstable();
        let mut kept = Self::default();
        let all = self.jobs();
        for QueuedJob { queue, job } in positions.into_iter().map(|at| &all[at]) {
            kept.payloads.extend_from_slice(&job.payload);
            kept.add(queue.clone(), job.due);
        }
        drop(all);
        if kept.jobs.is_empty() {
            // The memory is used again by the next jobs.
            self.jobs.clear();
            self.payloads.clear();
            self.payloads.shrink_to(KEPT_BYTES);
        } else {
            *self = kept;
        }
    }
}

impl Connection {
    /// Whether a push waits in this process. Then the driver is not asked.
    pub(crate) fn is_buffering(&self) -> bool {
        self.config().push_buffer > 0 && UNBUFFERED.get() == 0
    }

    /// Takes a job into the buffer; a full one is flushed first. After an error the job is not taken.
    pub(crate) fn push_to_buffer(&self, queue: &QueueName, spec: &JobSpec<'_>, due: Due) -> Result<Option<[u8; id::LENGTH]>> {
        let id = self.id_for_payload()?;
        let envelope = self.envelope(spec, id.as_ref());
        let mut buffer = sync::lock(&self.buffer);
        if !buffer.has_room(envelope.most_bytes(), self.config().push_buffer) {
            self.store(&mut buffer)?;
        }
        let start = buffer.end();
        envelope.append_to(&mut buffer.payloads, self.config().family);
        if let Err(error) = self.check_length(&buffer.payloads[start..]) {
            buffer.payloads.truncate(start);
            return Err(error);
        }
        // A delay counts from the push, not from the flush.
        let due = if due == Due::Now { due } else { Due::At(due.at(SystemClock.now())) };
        buffer.add(queue.clone(), due);
        Ok(id)
    }

    /// Stores every buffered job and returns how many. After an error those that are not known to be stored stay.
    pub fn flush(&self) -> Result<u64> {
        if self.config().push_buffer == 0 {
            return Ok(0);
        }
        self.store(&mut sync::lock(&self.buffer))
    }

    fn store(&self, buffer: &mut PushBuffer) -> Result<u64> {
        let all = buffer.jobs.len();
        if all == 0 {
            return Ok(0);
        }
        let pushed = self.broker().push_batch(&buffer.jobs());
        buffer.retain(pushed.missing);
        match pushed.error {
            None => Ok(all as u64),
            Some(error) => {
                let left = buffer.jobs.len();
                Err(error.within(format!("{left} of {all} buffered jobs of `{}` were not stored", self.config().name)))
            }
        }
    }

    /// Whether jobs wait.
    pub(crate) fn has_buffered(&self) -> bool {
        self.config().push_buffer > 0 && !sync::lock(&self.buffer).jobs.is_empty()
    }

    /// Takes the jobs that wait out of the connection.
    pub(crate) fn take_buffered(&self) -> PushBuffer {
        std::mem::take(&mut *sync::lock(&self.buffer))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ferry_core::ErrorKind;
    use ferry_core::broker::State;
    use ferry_core::payload::JobId;

    use super::*;
    use crate::testing::{TableBroker, config, connection, queue};

    fn push(connection: &Connection, number: usize) -> Result<Option<JobId>> {
        let job = format!("\"Job{number}\"");
        connection.push(&queue(), &JobSpec { job: job.as_bytes(), limits: None, data: b"1" }, Due::Now)
    }

    /// What the broker has, without a flush.
    fn stored(connection: &Connection) -> u64 {
        connection.broker().size(&queue()).unwrap().total()
    }

    fn waiting(connection: &Connection) -> usize {
        sync::lock(&connection.buffer).jobs.len()
    }

    #[test]
    fn a_buffered_push_returns_its_id_and_stores_nothing_before_the_flush() {
        let memory = connection("memory:?push_buffer=10");
        let ids: Vec<JobId> = (0..3).map(|number| push(&memory, number).unwrap().unwrap()).collect();
        assert_eq!((stored(&memory), waiting(&memory)), (0, 3));
        assert_eq!((memory.flush().unwrap(), memory.flush().unwrap()), (3, 0));
        let bodies = memory.peek(&queue(), State::Ready, 0, 9).unwrap();
        assert_eq!(bodies.iter().map(|body| ferry_core::payload::id_in(body).unwrap()).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn a_push_that_finds_the_buffer_full_flushes_it() {
        let memory = connection("memory:?push_buffer=2");
        let waiting: Vec<usize> = (0..5).map(|number| push(&memory, number).map(|_| waiting(&memory)).unwrap()).collect();
        assert_eq!((waiting, stored(&memory)), (vec![1, 2, 1, 2, 1], 4));
    }

    #[test]
    fn payloads_of_eight_mebibytes_fill_a_buffer_and_a_larger_one_waits_alone() {
        let memory = connection("memory:?push_buffer=100");
        let data = vec![b'1'; MAX_BYTES / 2];
        let push = |data: &[u8]| memory.push(&queue(), &JobSpec { job: b"\"J\"", limits: None, data }, Due::Now).unwrap();
        push(b"1");
        push(&data);
        assert_eq!((waiting(&memory), stored(&memory)), (2, 0));
        push(&data);
        assert_eq!((waiting(&memory), stored(&memory)), (1, 2));
        push(&[data.as_slice(), &data].concat());
        assert_eq!((waiting(&memory), stored(&memory)), (1, 3));
        push(b"1");
        assert_eq!((waiting(&memory), stored(&memory)), (1, 4));
    }

    #[test]
    fn a_full_buffer_that_cannot_be_flushed_refuses_the_push_and_keeps_what_it_has() {
        let table = Connection::new(config("memory:?push_buffer=2"), Arc::new(TableBroker::refusing()));
        assert_eq!(push(&table, 0).unwrap(), None, "its row has no number yet");
        push(&table, 1).unwrap();
        for _ in 0..2 {
            let error = push(&table, 2).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
            assert_eq!(
                error.to_string(),
                "push to `mail` on `c`: 2 of 2 buffered jobs of `c` were not stored: push to `mail`: the table is full"
            );
        }
        assert_eq!((waiting(&table), table.take_buffered().jobs.len(), table.has_buffered()), (2, 2, false));
    }

    #[test]
    fn a_flush_keeps_the_jobs_of_a_queue_that_refuses_in_order() {
        let mut buffer = PushBuffer::default();
        for payload in ["0", "1", "2", "3"] {
            buffer.payloads.extend_from_slice(payload.as_bytes());
            buffer.add(queue(), Due::Now);
        }
        let payloads = |buffer: &PushBuffer| buffer.jobs().iter().map(|job| job.job.payload.to_vec()).collect::<Vec<_>>();
        assert_eq!(payloads(&buffer), [b"0", b"1", b"2", b"3"]);
        buffer.retain(vec![3, 1]);
        assert_eq!((payloads(&buffer), buffer.end()), (vec![b"1".to_vec(), b"3".to_vec()], 2));
        buffer.retain(Vec::new());
        assert_eq!((payloads(&buffer), buffer.end()), (Vec::new(), 0));
    }

    #[test]
    fn a_payload_that_is_too_long_is_refused_and_leaves_no_trace() {
        let memory = connection("memory:?push_buffer=9&max_payload=200");
        push(&memory, 0).unwrap();
        let long = JobSpec { job: b"\"J\"", limits: None, data: &[b'1'; 200] };
        assert_eq!(memory.push(&queue(), &long, Due::Now).unwrap_err().kind(), ErrorKind::InvalidArgument);
        push(&memory, 1).unwrap();
        assert_eq!(memory.flush().unwrap(), 2);
        let bodies = memory.peek(&queue(), State::Ready, 0, 9).unwrap();
        assert!(bodies.iter().all(|body| ferry_core::payload::id_in(body).is_some()), "{bodies:?}");
    }

    #[test]
    fn a_delay_counts_from_the_push() {
        let memory = connection("memory:?push_buffer=9");
        let push = |due| memory.push(&queue(), &JobSpec { job: b"\"J\"", limits: None, data: b"1" }, due).map(drop).unwrap();
        let before = SystemClock.now();
        [Due::After(60), Due::At(7), Due::After(-5), Due::Now].into_iter().for_each(push);
        let after = SystemClock.now();
        let dues: Vec<Due> = memory.take_buffered().jobs.iter().map(|job| job.due).collect();
        assert!((before..=after).any(|now| dues == [Due::At(now + 60), Due::At(7), Due::At(now - 5), Due::Now]), "{dues:?}");
    }

    #[test]
    fn what_looks_at_a_queue_or_stores_at_once_comes_after_what_was_buffered() {
        let spec = JobSpec { job: b"\"Last\"", limits: None, data: b"1" };
        let last = |name: &str, operation: &dyn Fn(&Connection)| {
            let memory = connection("memory:?push_buffer=9");
            push(&memory, 0).unwrap();
            operation(&memory);
            assert_eq!(waiting(&memory), 0, "{name}");
            stored(&memory)
        };
        assert_eq!(last("size", &|memory| assert_eq!(memory.size(&queue()).unwrap().ready, 1)), 1);
        assert_eq!(last("reserve", &|memory| assert!(memory.reserve_one(&queue()).unwrap().is_some())), 1);
        assert_eq!(last("clear", &|memory| assert_eq!(memory.clear(&queue()).unwrap(), 1)), 0);
        assert_eq!(last("close", &|memory| memory.close().unwrap()), 1);
        let behind = |memory: &Connection| {
            assert!(memory.peek(&queue(), State::Ready, 0, 1).unwrap()[0].starts_with(b"{\"job\":\"Job0\""))
        };
        let stored = last("bulk", &|memory| {
            memory.push_many(&queue(), &[spec, spec]).unwrap();
            behind(memory);
        });
        assert_eq!(stored, 3);
        let stored = last("raw", &|memory| {
            memory.push_raw(&queue(), b"{}", Due::Now).unwrap();
            behind(memory);
        });
        assert_eq!(stored, 2);
    }

    #[test]
    fn a_connection_without_a_buffer_stores_at_once() {
        let memory = connection("memory:");
        push(&memory, 0).unwrap();
        assert_eq!((stored(&memory), memory.flush().unwrap(), memory.has_buffered()), (1, 0, false));
    }

    #[test]
    fn in_a_worker_and_after_the_request_a_push_stores_at_once() {
        let memory = connection("memory:?push_buffer=9");
        let outer = UnbufferedGuard::begin();
        drop(UnbufferedGuard::begin());
        push(&memory, 0).unwrap();
        assert_eq!(stored(&memory), 1);
        drop(outer);
        push(&memory, 1).unwrap();
        assert_eq!(waiting(&memory), 1);
        memory.flush().unwrap();

        set_in_request(false);
        push(&memory, 2).unwrap();
        assert_eq!(stored(&memory), 3);
        set_in_request(true);
        push(&memory, 3).unwrap();
        assert_eq!(waiting(&memory), 1);
    }
}
