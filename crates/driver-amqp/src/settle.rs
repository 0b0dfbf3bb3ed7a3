//! `Broker::settle`, `Broker::isolate`, `Broker::extend` and `Broker::may_hold`.
//!
//! What a settlement publishes is confirmed first, then the job is acked.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::broker::{ExtendResult, Isolation, Settle, SettleResult, Settlement};
use ferry_core::config::FailedStore;
use ferry_core::failed::Failure;
use ferry_core::id;
use ferry_core::job::{Claim, Due};
use ferry_core::{Error, ErrorKind, Result};

use crate::connections::{AmqpConnections, PublishRole};
use crate::message;
use crate::names::{Names, QueueRole};
use crate::publisher::{LateConfirm, LateState, PublishOutcome, first_error};
use crate::route::Route;
use crate::topology::TopologyItem;
use crate::unacked::{ConsumerChannel, Unacked, UnackedRegistry, Unsettled};

/// One settlement of a job that is ours. The job is taken out of its channel meanwhile.
struct SettleStep {
    /// Its position in the batch.
    at: usize,
    channel: Arc<ConsumerChannel>,
    tag: u64,
    job: Unacked,
    /// Where the job is published before it is acked. It holds the body meanwhile.
    route: Option<Route<'static>>,
    /// The confirm of an earlier try.
    late: Option<LateConfirm>,
}

impl SettleStep {
    fn body(&mut self) -> Cow<'static, [u8]> {
        Cow::Owned(std::mem::take(&mut self.job.body))
    }

    /// The job stays ours, and the monitor settles it later.
    fn put_back(mut self) {
        self.job.unsettled = self.route.map(|route| Unsettled { route, late: self.late });
        self.channel.put_back(self.tag, self.job);
    }
}

/// Settles jobs; one answer per item.
pub fn settle(connections: &AmqpConnections, registry: &UnackedRegistry, batch: &[Settle]) -> Result<Vec<SettleResult>> {
    let mut answers = vec![SettleResult::Lost; batch.len()];
    let mut steps = Vec::with_capacity(batch.len());
    for (at, item) in batch.iter().enumerate() {
        let Some((channel, tag)) = registry.find(&item.claim) else { continue };
        if matches!(item.settlement, Settlement::Leave) && connections.settings.retry_after.is_none() {
            // It stays unacked until this process ends.
            if channel.held().contains_key(&tag) {
                answers[at] = SettleResult::Applied;
            }
            continue;
        }
        let Some(job) = channel.take_for_settlement(tag) else { continue };
        let mut step = SettleStep { at, channel, tag, job, route: None, late: None };
        match route(connections, &mut step, &item.settlement) {
            Ok(()) => steps.push(step),
            Err(error) => {
                step.channel.put_back(step.tag, step.job);
                // Their settlement was not begun.
                steps.into_iter().for_each(SettleStep::put_back);
                return Err(error);
            }
        }
    }
    carry_out(connections, PublishRole::Settle, steps, &mut answers)?;
    Ok(answers)
}

/// Acks one job and waits for nothing. `false` when that is no matter of one ack, or another thread is sending acks.
pub fn send_deletion(registry: &UnackedRegistry, claim: &Claim) -> bool {
    let Some((channel, tag)) = registry.find_recent(claim) else { return false };
    let Some(job) = channel.take_for_settlement(tag) else { return false };
    if job.unsettled.is_none() && channel.try_ack(tag) {
        channel.end_settlement();
        return true;
    }
    channel.put_back(tag, job);
    false
}

/// Waits until the broker has read all acks. Those of a channel that has ended are lost with it, or were read.
pub fn flush_deletions(registry: &UnackedRegistry, limit: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut alive = registry.all().into_iter().filter(|channel| channel.is_alive());
    alive.try_for_each(|channel| channel.sync_within(limit.saturating_sub(begun.elapsed())).map_err(in_doubt))
}

/// Settles again what could not be settled. A blocked broker is not waited for.
pub fn settle_again(connections: &AmqpConnections, registry: &UnackedRegistry) -> Result<()> {
    let mut steps = Vec::new();
    for channel in registry.all().into_iter().filter(|channel| channel.is_alive()) {
        let tags: Vec<u64> = channel.held().iter().filter(|(_, job)| job.unsettled.is_some()).map(|(tag, _)| *tag).collect();
        for tag in tags {
            let Some(mut job) = channel.take_for_settlement(tag) else { continue };
            let (route, late) = job.unsettled.take().map(|unsettled| (unsettled.route, unsettled.late)).unzip();
            steps.push(SettleStep { at: steps.len(), channel: Arc::clone(&channel), tag, job, route, late: late.flatten() });
        }
    }
    let mut answers = vec![SettleResult::Lost; steps.len()];
    carry_out(connections, PublishRole::SettleAgain, steps, &mut answers)
}

/// Finds out where the job is published. A settlement that was asked for before and could not be carried out is the one that counts, unless
/// the job is deleted now.
fn route(connections: &AmqpConnections, step: &mut SettleStep, how: &Settlement) -> Result<()> {
    if let Some(unsettled) = step.job.unsettled.take()
        && !matches!(how, Settlement::Delete)
    {
        (step.route, step.late) = (Some(unsettled.route), unsettled.late);
        return Ok(());
    }
    let names = Arc::clone(&step.channel.names);
    let (role, before) = (step.job.role, step.job.attempts);
    let used = before.saturating_add(1);
    let delay = match how {
        Settlement::Delete => return Ok(()),
        Settlement::GiveBack => {
            let properties = message::with_presumed(message::with_attempts(&step.job.properties, before), step.job.presumed);
            step.route = Some(Route::to_queue(&names, role, properties, step.body()));
            return Ok(());
        }
        Settlement::Bury(failure) => {
            if connections.settings.failed == FailedStore::Keep {
                step.route = Some(burial(connections, &names, step, failure)?);
            }
            return Ok(());
        }
        Settlement::Release { delay } => *delay,
        Settlement::Leave => connections.settings.retry_after.map_or(0, i64::from),
    };
    let due = if delay > 0 { Due::After(delay) } else { Due::Now };
    let properties = message::with_attempts(&step.job.properties, used);
    // The name may be too long for delays: so the body is moved only when the route is known.
    let route = connections.job_route(&names, QueueRole::Retry, due, properties, Cow::Borrowed(&[]))?;
    step.route = Some(Route { body: step.body(), ..route });
    Ok(())
}

fn burial(connections: &AmqpConnections, names: &Arc<Names>, step: &mut SettleStep, failure: &Failure) -> Result<Route<'static>> {
    let random = |bytes: &mut [u8]| getrandom::fill(bytes);
    let id =
        id::mint(random).map_err(|e| Error::new(ErrorKind::Refused, "no random numbers for an id").with_source(e.to_string()))?;
    let id = String::from_utf8_lossy(&id).into_owned();
    let properties = message::buried(&step.job.properties, failure, &id, &names.main, connections.now());
    Ok(Route::to_failed(names, properties, step.body()))
}

/// Publishes what is to be published, then acks what is confirmed. The rest stays ours.
fn carry_out(
    connections: &AmqpConnections,
    role: PublishRole,
    steps: Vec<SettleStep>,
    answers: &mut [SettleResult],
) -> Result<()> {
    let (mut done, waiting, to_publish) = by_late_confirm(steps);
    let still_unknown = (!waiting.is_empty()).then(still_unknown);
    waiting.into_iter().for_each(SettleStep::put_back);
    let (confirmed, error) = publish(connections, role, to_publish);
    done.extend(confirmed);
    let acked = ack(connections, done, answers);
    error.or(still_unknown).map_or(acked, Err)
}

/// Those whose confirm came late, those whose confirm may still come, and those to be published.
fn by_late_confirm(steps: Vec<SettleStep>) -> (Vec<SettleStep>, Vec<SettleStep>, Vec<SettleStep>) {
    let (mut done, mut waiting, mut to_publish) = (Vec::new(), Vec::new(), Vec::with_capacity(steps.len()));
    for mut step in steps {
        match step.late.as_ref().map(LateConfirm::poll) {
            Some(LateState::Confirmed) => done.push(step),
            Some(LateState::Waiting) => waiting.push(step),
            Some(LateState::Gone) | None => {
                step.late = None;
                to_publish.push(step);
            }
        }
    }
    (done, waiting, to_publish)
}

/// Publishes the jobs that have a route. Those that may be acked are returned, with the first error; the others are put back.
fn publish(connections: &AmqpConnections, role: PublishRole, steps: Vec<SettleStep>) -> (Vec<SettleStep>, Option<Error>) {
    let routes: Vec<&Route<'_>> = steps.iter().filter_map(|step| step.route.as_ref()).collect();
    let (outcomes, error) = match connections.publish(role, &routes) {
        Ok(outcomes) => {
            let error = first_error(&outcomes);
            (outcomes, error)
        }
        Err(error) => (Vec::new(), Some(error)),
    };
    let (mut outcomes, mut done) = (outcomes.into_iter(), Vec::with_capacity(steps.len()));
    for mut step in steps {
        match step.route.is_some().then(|| outcomes.next()) {
            None | Some(Some(PublishOutcome::Confirmed)) => done.push(step),
            Some(Some(PublishOutcome::Unknown { late, .. })) => {
                step.late = late;
                step.put_back();
            }
            Some(_) => step.put_back(),
        }
    }
    (done, error)
}

fn still_unknown() -> Error {
    Error::new(ErrorKind::Refused, "RabbitMQ has not confirmed an earlier settlement of the job")
        .with_advice("it is settled once RabbitMQ accepts publishes again")
}

fn ack(connections: &AmqpConnections, done: Vec<SettleStep>, answers: &mut [SettleResult]) -> Result<()> {
    let mut channels: HashMap<*const ConsumerChannel, (Arc<ConsumerChannel>, Vec<u64>)> = HashMap::new();
    for step in done {
        answers[step.at] = SettleResult::Applied;
        if step.route.is_some_and(|route| route.need.item == TopologyItem::Queue(QueueRole::Retry)) {
            connections.hint_retry_queue(&step.channel.queue);
        }
        step.channel.end_settlement();
        channels.entry(Arc::as_ptr(&step.channel)).or_insert_with(|| (step.channel, Vec::new())).1.push(step.tag);
    }
    for (channel, tags) in channels.values() {
        channel.ack_and_wait(tags.iter().copied()).map_err(in_doubt)?;
    }
    Ok(())
}

fn in_doubt(error: Error) -> Error {
    error
        .into_kind(ErrorKind::Uncertain)
        .within("the jobs may not be settled: the broker did not answer the ack; if they are not, they run again")
}

/// Moves jobs of the main queue to the retry queue, with no attempt counted. Those of the retry queue are held alone; an attempt that was
/// only presumed is taken back, because jobs with one try are never started from the main queue.
pub fn isolate(connections: &AmqpConnections, registry: &UnackedRegistry, claims: &[Claim]) -> Result<Vec<Isolation>> {
    let mut answers = vec![Isolation::Lost; claims.len()];
    let mut steps = Vec::new();
    for (at, claim) in claims.iter().enumerate() {
        let Some((channel, tag)) = registry.find(claim) else { continue };
        let Some(mut job) = channel.take_for_settlement(tag) else { continue };
        match job.role {
            QueueRole::Retry => {
                let uncounted = std::mem::take(&mut job.presumed);
                job.attempts = job.attempts.saturating_sub(uncounted);
                channel.put_back(tag, job);
                answers[at] = Isolation::Alone { uncounted };
            }
            QueueRole::Main => {
                let properties = message::with_attempts(&job.properties, job.attempts);
                let body = Cow::Owned(std::mem::take(&mut job.body));
                let route = Some(Route::to_queue(&channel.names, QueueRole::Retry, properties, body));
                steps.push(SettleStep { at, channel, tag, job, route, late: None });
            }
        }
    }
    let mut settled = vec![SettleResult::Lost; claims.len()];
    carry_out(connections, PublishRole::Settle, steps, &mut settled)?;
    for (answer, settled) in answers.iter_mut().zip(settled) {
        if settled == SettleResult::Applied {
            *answer = Isolation::Moved;
        }
    }
    Ok(answers)
}

/// Whether a claim is still ours, as far as is known without a round trip.
pub fn may_hold(registry: &UnackedRegistry, claim: &Claim) -> bool {
    registry.find(claim).is_some_and(|(channel, tag)| channel.held().contains_key(&tag))
}

/// Whether claims are still ours. There are no leases to extend.
pub fn extend(registry: &UnackedRegistry, claims: &[Claim]) -> Vec<ExtendResult> {
    claims.iter().map(|claim| if may_hold(registry, claim) { ExtendResult::Kept } else { ExtendResult::Lost }).collect()
}
