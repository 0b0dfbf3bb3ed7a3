//! Ending reservations: what must be published is, then what is confirmed is acked.

use std::collections::HashMap;
use std::sync::Arc;

use ferry_core::broker::{ExtendResult, Settle, SettleResult, Settlement};
use ferry_core::config::FailedStore;
use ferry_core::failed::Failure;
use ferry_core::id;
use ferry_core::job::{Claim, Due};
use ferry_core::{Error, ErrorKind, Result};
use lapin::BasicProperties;

use crate::connections::{AmqpConnections, PublishRole};
use crate::message;
use crate::names::{Names, QueueRole};
use crate::publisher::{Publish, PublishOutcome, trouble};
use crate::topology::TopologyItem;
use crate::unacked::{ConsumerChannel, Unacked, UnackedRegistry};

/// One job that is really ours, taken from its ledger for the time being.
struct Step {
    at: usize,
    ledger: Arc<ConsumerChannel>,
    tag: u64,
    held: Unacked,
    /// Where it goes before it is acked.
    way: Option<Way>,
}

struct Way {
    exchange: String,
    key: String,
    properties: BasicProperties,
    need: TopologyItem,
}

/// Ends reservations; one answer per item.
pub fn settle(hub: &AmqpConnections, shelf: &UnackedRegistry, batch: &[Settle]) -> Result<Vec<SettleResult>> {
    let mut answers = vec![SettleResult::Lost; batch.len()];
    let mut steps = Vec::with_capacity(batch.len());
    for (at, item) in batch.iter().enumerate() {
        let Some((ledger, tag)) = shelf.find(&item.claim) else { continue };
        let Some(held) = ledger.held().remove(&tag) else { continue };
        let keeps = matches!(item.settlement, Settlement::Leave) && hub.settings.retry_after.is_none();
        if keeps {
            // It stays reserved for ever, or until we end.
            ledger.held().insert(tag, held);
            answers[at] = SettleResult::Applied;
            continue;
        }
        match way(hub, &ledger.names, &held, &item.settlement) {
            Ok(way) => steps.push(Step { at, ledger, tag, held, way }),
            Err(error) => {
                ledger.held().insert(tag, held);
                put_back(steps);
                return Err(error);
            }
        }
    }
    carry_out(hub, steps, &mut answers)?;
    Ok(answers)
}

/// Where a job goes: `None` when it is done.
fn way(hub: &AmqpConnections, names: &Names, held: &Unacked, how: &Settlement) -> Result<Option<Way>> {
    let used = held.attempts.saturating_add(1);
    let again = |delay: i64| {
        let due = if delay > 0 { Due::After(delay) } else { Due::Now };
        let route = hub.route(names, QueueRole::Again, due, message::with_attempts(&held.properties, used))?;
        Ok(Some(Way { exchange: route.exchange, key: route.key, properties: route.properties, need: route.need }))
    };
    match how {
        Settlement::Delete => Ok(None),
        Settlement::Release { delay } => again(*delay),
        Settlement::Leave => again(hub.settings.retry_after.map_or(0, i64::from)),
        Settlement::GiveBack => Ok(Some(Way {
            exchange: String::new(),
            key: names.on(held.side).to_owned(),
            properties: message::with_attempts(&held.properties, held.attempts),
            need: TopologyItem::Queue(held.side),
        })),
        Settlement::Bury(failure) => match hub.settings.failed {
            FailedStore::Discard => Ok(None),
            FailedStore::Keep => burial(hub, names, held, failure).map(Some),
        },
    }
}

fn burial(hub: &AmqpConnections, names: &Names, held: &Unacked, failure: &Failure) -> Result<Way> {
    let random = |bytes: &mut [u8]| getrandom::fill(bytes);
    let id =
        id::mint(random).map_err(|e| Error::new(ErrorKind::Refused, "no random numbers for an id").with_source(e.to_string()))?;
    let id = String::from_utf8_lossy(&id).into_owned();
    let properties = message::buried(&held.properties, failure, &id, &names.fresh, hub.now());
    Ok(Way { exchange: String::new(), key: names.failed.clone(), properties, need: TopologyItem::Failed })
}

fn carry_out(hub: &AmqpConnections, steps: Vec<Step>, answers: &mut [SettleResult]) -> Result<()> {
    let mut items = Vec::new();
    let mut needs: Vec<(Names, TopologyItem)> = Vec::new();
    for step in &steps {
        let Some(way) = &step.way else { continue };
        let need = (step.ledger.names.clone(), way.need);
        if !needs.contains(&need) {
            needs.push(need);
        }
        let (exchange, key, properties) = (way.exchange.clone(), way.key.clone(), way.properties.clone());
        items.push(Publish { exchange, key, body: &step.held.body, properties });
    }
    let (fates, error) = match hub.send(PublishRole::Settle, &items, &needs) {
        Ok(fates) => {
            let error = trouble(&fates);
            (fates, error)
        }
        Err(error) => (vec![PublishOutcome::Unsent; items.len()], Some(error)),
    };
    drop(items);
    let mut fates = fates.into_iter();
    let mut confirmed = |step: &Step| step.way.is_none() || fates.next() == Some(PublishOutcome::Confirmed);
    let (done, open): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(&mut confirmed);
    put_back(open);
    let acked = ack(hub, done, answers);
    error.map_or(acked, Err)
}

/// What could not be settled stays ours.
fn put_back(steps: Vec<Step>) {
    for step in steps {
        step.ledger.held().insert(step.tag, step.held);
    }
}

fn ack(hub: &AmqpConnections, done: Vec<Step>, answers: &mut [SettleResult]) -> Result<()> {
    let mut channels: HashMap<*const ConsumerChannel, (Arc<ConsumerChannel>, Vec<u64>)> = HashMap::new();
    for step in done {
        answers[step.at] = SettleResult::Applied;
        if step.way.as_ref().is_some_and(|way| way.need == TopologyItem::Queue(QueueRole::Again)) {
            hub.hint(&step.ledger.queue);
        }
        channels.entry(Arc::as_ptr(&step.ledger)).or_insert_with(|| (step.ledger, Vec::new())).1.push(step.tag);
    }
    for (ledger, tags) in channels.values() {
        ledger.ack_for_sure(tags.iter().copied()).map_err(in_doubt)?;
    }
    Ok(())
}

fn in_doubt(error: Error) -> Error {
    error
        .into_kind(ErrorKind::Uncertain)
        .within("the broker may or may not know that the jobs are settled; if not, they run again")
}

/// Whether claims are still ours.
pub fn extend(shelf: &UnackedRegistry, claims: &[Claim]) -> Vec<ExtendResult> {
    let is_held = |claim: &Claim| shelf.find(claim).is_some_and(|(ledger, tag)| ledger.held().contains_key(&tag));
    claims.iter().map(|claim| if is_held(claim) { ExtendResult::Kept } else { ExtendResult::Lost }).collect()
}
