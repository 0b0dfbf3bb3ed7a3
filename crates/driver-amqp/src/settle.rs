//! Ending reservations: what must be published is, then what is confirmed is acked.

use std::collections::HashMap;
use std::sync::Arc;

use ferry_core::broker::{Extended, How, Settle, Settled};
use ferry_core::config::FailedStore;
use ferry_core::failed::Failure;
use ferry_core::id;
use ferry_core::job::{Claim, Due};
use ferry_core::{Error, ErrorKind, Result};
use lapin::BasicProperties;

use crate::hub::{Hub, Lane};
use crate::message;
use crate::names::{Names, Side};
use crate::outbox::{Fate, Outgoing, trouble};
use crate::shelf::{Held, Ledger, Shelf};
use crate::topology::Need;

/// One job that is really ours, taken from its ledger for the time being.
struct Step {
    at: usize,
    ledger: Arc<Ledger>,
    tag: u64,
    held: Held,
    /// Where it goes before it is acked.
    way: Option<Way>,
}

struct Way {
    exchange: String,
    key: String,
    properties: BasicProperties,
    need: Need,
}

/// Ends reservations; one answer per item.
pub fn settle(hub: &Hub, shelf: &Shelf, batch: &[Settle]) -> Result<Vec<Settled>> {
    let mut answers = vec![Settled::Lost; batch.len()];
    let mut steps = Vec::with_capacity(batch.len());
    for (at, item) in batch.iter().enumerate() {
        let Some((ledger, tag)) = shelf.find(&item.claim) else { continue };
        let Some(held) = ledger.held().remove(&tag) else { continue };
        let keeps = matches!(item.how, How::Leave) && hub.settings.retry_after.is_none();
        if keeps {
            // It stays reserved for ever, or until we end.
            ledger.held().insert(tag, held);
            answers[at] = Settled::Done;
            continue;
        }
        match way(hub, &ledger.names, &held, &item.how) {
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
fn way(hub: &Hub, names: &Names, held: &Held, how: &How) -> Result<Option<Way>> {
    let used = held.attempts.saturating_add(1);
    let again = |delay: i64| {
        let due = if delay > 0 { Due::After(delay) } else { Due::Now };
        let route = hub.route(names, Side::Again, due, message::with_attempts(&held.properties, used))?;
        Ok(Some(Way { exchange: route.exchange, key: route.key, properties: route.properties, need: route.need }))
    };
    match how {
        How::Delete => Ok(None),
        How::Release { delay } => again(*delay),
        How::Leave => again(hub.settings.retry_after.map_or(0, i64::from)),
        How::GiveBack => Ok(Some(Way {
            exchange: String::new(),
            key: names.on(held.side).to_owned(),
            properties: message::with_attempts(&held.properties, held.attempts),
            need: Need::Queue(held.side),
        })),
        How::Bury(failure) => match hub.settings.failed {
            FailedStore::Discard => Ok(None),
            FailedStore::Keep => burial(hub, names, held, failure).map(Some),
        },
    }
}

fn burial(hub: &Hub, names: &Names, held: &Held, failure: &Failure) -> Result<Way> {
    let random = |bytes: &mut [u8]| getrandom::fill(bytes);
    let id = id::mint(random).map_err(|e| Error::new(ErrorKind::Refused, "no random numbers for an id").with_source(e.to_string()))?;
    let id = String::from_utf8_lossy(&id).into_owned();
    let properties = message::buried(&held.properties, failure, &id, &names.fresh, hub.now());
    Ok(Way { exchange: String::new(), key: names.failed.clone(), properties, need: Need::Failed })
}

fn carry_out(hub: &Hub, steps: Vec<Step>, answers: &mut [Settled]) -> Result<()> {
    let mut items = Vec::new();
    let mut needs: Vec<(Names, Need)> = Vec::new();
    for step in &steps {
        let Some(way) = &step.way else { continue };
        let need = (step.ledger.names.clone(), way.need);
        if !needs.contains(&need) {
            needs.push(need);
        }
        let (exchange, key, properties) = (way.exchange.clone(), way.key.clone(), way.properties.clone());
        items.push(Outgoing { exchange, key, body: &step.held.body, properties });
    }
    let (fates, error) = match hub.send(Lane::Settle, &items, &needs) {
        Ok(fates) => {
            let error = trouble(&fates);
            (fates, error)
        }
        Err(error) => (vec![Fate::Unsent; items.len()], Some(error)),
    };
    drop(items);
    let mut fates = fates.into_iter();
    let mut confirmed = |step: &Step| step.way.is_none() || fates.next() == Some(Fate::Confirmed);
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

fn ack(hub: &Hub, done: Vec<Step>, answers: &mut [Settled]) -> Result<()> {
    let mut channels: HashMap<*const Ledger, (Arc<Ledger>, Vec<u64>)> = HashMap::new();
    for step in done {
        answers[step.at] = Settled::Done;
        if step.way.as_ref().is_some_and(|way| way.need == Need::Queue(Side::Again)) {
            hub.hint(&step.ledger.queue);
        }
        channels.entry(Arc::as_ptr(&step.ledger)).or_insert_with(|| (step.ledger, Vec::new())).1.push(step.tag);
    }
    for (ledger, tags) in channels.values() {
        ledger.ack(tags.iter().copied()).and_then(|()| ledger.sync()).map_err(in_doubt)?;
    }
    Ok(())
}

fn in_doubt(error: Error) -> Error {
    error.into_kind(ErrorKind::Uncertain).within("the broker may or may not know that the jobs are settled; if not, they run again")
}

/// Whether claims are still ours.
pub fn extend(shelf: &Shelf, claims: &[Claim]) -> Vec<Extended> {
    let is_held = |claim: &Claim| shelf.find(claim).is_some_and(|(ledger, tag)| ledger.held().contains_key(&tag));
    claims.iter().map(|claim| if is_held(claim) { Extended::Kept } else { Extended::Lost }).collect()
}
