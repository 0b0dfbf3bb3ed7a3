//! Pushing jobs of several queues together: what a flush of buffered jobs is made of (`docs/decisions/0016-buffered-push.md`).

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::job::{Due, NewJob};
use crate::queue::QueueName;

/// A job and the queue it goes to.
#[derive(Debug, Clone)]
pub struct QueuedJob<'a> {
    /// The queue.
    pub queue: QueueName,
    /// The job.
    pub job: NewJob<'a>,
}

/// What became of jobs that were pushed together.
#[derive(Debug, Default)]
pub struct BatchPush {
    /// Positions of the jobs that are not known to be stored.
    pub missing: Vec<usize>,
    /// Why the first of them is not.
    pub error: Option<Error>,
}

impl BatchPush {
    /// Notes that the jobs at these positions may not be stored. The first error is kept.
    pub fn fail(&mut self, positions: impl IntoIterator<Item = usize>, error: Error) {
        self.missing.extend(positions);
        self.error.get_or_insert(error);
    }
}

/// Jobs of one queue that are all ready or all delayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobGroup {
    /// Their queue.
    pub queue: QueueName,
    /// Where they stand in the batch, ascending.
    pub positions: Vec<usize>,
}

impl JobGroup {
    /// Its jobs, borrowed from the batch that it is a group of.
    pub fn jobs<'a>(&self, batch: &'a [QueuedJob<'_>]) -> Vec<NewJob<'a>> {
        self.positions.iter().map(|at| &batch[*at].job).map(|job| NewJob::due(&*job.payload, job.due)).collect()
    }
}

/// The groups of a batch, in the order of the first job of each. Nothing orders a delayed job and a ready one, so those of a queue need not
/// alternate.
pub fn groups(batch: &[QueuedJob<'_>]) -> Vec<JobGroup> {
    let mut groups: Vec<JobGroup> = Vec::new();
    let mut known: HashMap<(&QueueName, bool), usize> = HashMap::new();
    for (at, QueuedJob { queue, job }) in batch.iter().enumerate() {
        let group = *known.entry((queue, job.due == Due::Now)).or_insert_with(|| {
            groups.push(JobGroup { queue: queue.clone(), positions: Vec::new() });
            groups.len() - 1
        });
        groups[group].positions.push(at);
    }
    groups
}

/// Pushes one group after the other with `push`, which stores all jobs or none. Once the broker is out of reach, no further group is tried.
pub(super) fn one_by_one(batch: &[QueuedJob<'_>], mut push: impl FnMut(&QueueName, &[NewJob<'_>]) -> Result<u64>) -> BatchPush {
    let mut report = BatchPush::default();
    let mut is_unreachable = false;
    for group in groups(batch) {
        if is_unreachable {
            report.missing.extend(group.positions);
        } else if let Err(error) = push(&group.queue, &group.jobs(batch)) {
            is_unreachable = matches!(error.kind(), ErrorKind::Connection | ErrorKind::Uncertain);
            report.fail(group.positions, error.within(format!("push to `{}`", group.queue)));
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(queue: &str, due: Due) -> QueuedJob<'_> {
        QueuedJob { queue: QueueName::new(queue.as_bytes()).unwrap(), job: NewJob::due(queue.as_bytes(), due) }
    }

    fn positions(batch: &[QueuedJob<'_>]) -> Vec<Vec<usize>> {
        groups(batch).into_iter().map(|group| group.positions).collect()
    }

    #[test]
    fn jobs_are_grouped_by_queue_and_by_whether_they_are_delayed() {
        let (now, later) = (Due::Now, Due::At(9));
        let batch = [queued("a", now), queued("b", now), queued("a", later), queued("a", now), queued("a", Due::At(5))];
        assert_eq!(positions(&batch), [vec![0, 3], vec![1], vec![2, 4]]);
        assert_eq!(groups(&batch)[2].jobs(&batch)[1].due, Due::At(5));
        assert!(positions(&[]).is_empty());
    }

    /// Pushes a, b and c, where the push to `b` fails in this way; answers what was tried, and the report.
    fn push_with_failing_b(kind: ErrorKind) -> (Vec<String>, BatchPush) {
        let batch = ["a", "b", "c", "b"].map(|queue| queued(queue, Due::Now));
        let mut tried = Vec::new();
        let report = one_by_one(&batch, |queue, jobs| {
            tried.push(queue.as_str().to_owned());
            if queue.as_str() == "b" { Err(Error::new(kind, "no")) } else { Ok(jobs.len() as u64) }
        });
        (tried, report)
    }

    #[test]
    fn a_queue_that_refuses_does_not_keep_the_others_from_being_stored() {
        let (tried, report) = push_with_failing_b(ErrorKind::Refused);
        assert_eq!((tried.join(""), report.missing), ("abc".to_owned(), vec![1, 3]));
        assert_eq!(report.error.unwrap().to_string(), "push to `b`: no");
    }

    #[test]
    fn a_broker_out_of_reach_is_tried_once() {
        for kind in [ErrorKind::Connection, ErrorKind::Uncertain] {
            let (tried, report) = push_with_failing_b(kind);
            assert_eq!((tried.join(""), report.missing), ("ab".to_owned(), vec![1, 3, 2]));
            assert_eq!(report.error.unwrap().kind(), kind);
        }
    }
}
