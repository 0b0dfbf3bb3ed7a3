//! `Broker::settle` and `extend`: only what is still ours changes; one write for all queues of a batch.

use std::borrow::Cow;

use ferry_core::broker::{ExtendResult, SentDeletion, Settle, SettleResult, Settlement};
use ferry_core::config::FailedStore;
use ferry_core::dialect::{Counting, Family, RedisKeys};
use ferry_core::failed::{FailedJob, Failure};
use ferry_core::job::Claim;
use ferry_core::redis_task::with_delay;
use ferry_core::{Error, ErrorKind, QueueName, Result, id};
use ferry_support::sync;
use redis::Value;

use crate::link::Effect;
use crate::packing;
use crate::receipt::ReservedMember;
use crate::reply::integer;
use crate::script::{self, Call, Operation};
use crate::transport::{UnreadReply, UnreadState};
use crate::{RedisBroker, failed};

const SETTLE_IN_DOUBT: &str = "the jobs may or may not be settled; those that are not come back after `retry_after`";
const EXTEND_IN_DOUBT: &str = "the leases may or may not have been extended";

/// A deletion of so many bytes is sent without waiting.
const SHORT: usize = 8 << 10;

/// What a part of a batch needs: a `ZREM` for each job, or one call of a script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Delete,
    Settle,
    Extend,
}

/// The part of a batch that is one [`Operation`]: which items, and their arguments.
struct Part<'a> {
    queue: &'a QueueName,
    kind: Kind,
    items: Vec<usize>,
    args: Vec<Cow<'a, [u8]>>,
}

/// Ends reservations.
///
/// Not repeated when the answer is lost: the second answer would report as lost what the first one settled. The caller knows which.
pub fn settle(broker: &RedisBroker, batch: &[Settle]) -> Result<Vec<SettleResult>> {
    let mut parts = Vec::new();
    for (index, item) in batch.iter().enumerate() {
        let member = ReservedMember::read(&item.claim.receipt)?;
        let (kind, arguments) = arguments(broker, item, &member)?;
        let part = part_for(broker, &mut parts, &item.claim.queue, kind);
        part.items.push(index);
        part.args.extend(arguments);
    }
    let marks = run_parts(broker, &parts, batch.len(), Effect::Once, SETTLE_IN_DOUBT);
    if parts.iter().any(|part| part.kind != Kind::Delete) {
        broker.wait.note_change();
    }
    Ok(marks?.into_iter().map(|ours| if ours { SettleResult::Applied } else { SettleResult::Lost }).collect())
}

/// Sends the deletion of one job over the connection that reserves, so that it leaves with the next reserve call and its answer comes with
/// that one's. Where the next call begins with waiting it leaves at once.
pub fn send_deletion(broker: &RedisBroker, claim: &Claim) -> bool {
    let mut sent = sync::lock(&broker.sent_deletion);
    if sent.as_ref().is_some_and(|sent| sent.state() == UnreadState::Unread) {
        return false;
    }
    let Ok(member) = ReservedMember::read(&claim.receipt) else { return false };
    let mut command = Vec::with_capacity(member.bytes.len() + 96);
    packing::command(&mut command, &[b"ZREM", broker.keys(&claim.queue).reserved.as_bytes(), member.bytes]);
    // What one segment cannot take is not short.
    if command.len() > SHORT {
        return false;
    }
    let reply = broker.reserve.send_unread(&command, !broker.wait.begins_with_waiting());
    let is_sent = reply.is_some();
    *sent = reply;
    is_sent
}

/// What became of the deletion that was sent last.
pub fn sent_deletion(broker: &RedisBroker) -> SentDeletion {
    match sync::lock(&broker.sent_deletion).as_ref().map(UnreadReply::state) {
        Some(UnreadState::Unread) => SentDeletion::Unread,
        None | Some(UnreadState::Number(true)) => SentDeletion::Settled(SettleResult::Applied),
        Some(UnreadState::Number(false)) => SentDeletion::Settled(SettleResult::Lost),
        Some(UnreadState::Lost) => SentDeletion::InDoubt,
    }
}

/// Renews leases.
pub fn extend(broker: &RedisBroker, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
    let mut parts = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        let member = ReservedMember::read(&claim.receipt)?;
        let part = part_for(broker, &mut parts, &claim.queue, Kind::Extend);
        part.items.push(index);
        part.args.push(Cow::Borrowed(member.bytes));
    }
    let marks = run_parts(broker, &parts, claims.len(), Effect::Repeatable, EXTEND_IN_DOUBT)?;
    Ok(marks.into_iter().map(|ours| if ours { ExtendResult::Kept } else { ExtendResult::Lost }).collect())
}

/// What one item needs, and its arguments.
fn arguments<'a>(broker: &RedisBroker, item: &Settle, member: &ReservedMember<'a>) -> Result<(Kind, Vec<Cow<'a, [u8]>>)> {
    let (how, first, second) = match &item.settlement {
        Settlement::Delete => return Ok((Kind::Delete, vec![Cow::Borrowed(member.bytes)])),
        Settlement::Bury(_) if broker.settings.failed == FailedStore::Discard => {
            return Ok((Kind::Delete, vec![Cow::Borrowed(member.bytes)]));
        }
        Settlement::Bury(failure) if broker.settings.family == Family::RedisTask => {
            ("park", failed::task_record(broker, failure, member.bytes)?, Vec::new())
        }
        Settlement::Bury(failure) => {
            let (before, behind) = record_around_time(failure, &item.claim.queue)?;
            ("bury", before, behind)
        }
        Settlement::Release { delay } => {
            ("release", delay.to_string().into_bytes(), released_body(broker.settings.family, member, *delay))
        }
        Settlement::GiveBack => ("back", member.original(), Vec::new()),
        Settlement::Leave => ("leave", Vec::new(), Vec::new()),
    };
    let all = vec![Cow::Borrowed(how.as_bytes()), Cow::Borrowed(member.bytes), Cow::Owned(first), Cow::Owned(second)];
    Ok((Kind::Settle, all))
}

/// The body of a released job, empty when it is the member itself.
fn released_body(family: Family, member: &ReservedMember<'_>, delay: i64) -> Vec<u8> {
    match family.counting() {
        Counting::AtReserve if family.writes_delay() => with_delay(member.bytes, delay).into_owned(),
        Counting::AtReserve => Vec::new(),
        Counting::AtReturn => member.raised().unwrap_or_default(),
    }
}

/// The part of `queue` and `kind`, opened with its leading arguments when this is its first item. A batch touches few queues, so
/// a linear search is faster than a map.
fn part_for<'p, 'a>(broker: &RedisBroker, parts: &'p mut Vec<Part<'a>>, queue: &'a QueueName, kind: Kind) -> &'p mut Part<'a> {
    let known = parts.iter().position(|part| part.kind == kind && part.queue == queue);
    let index = known.unwrap_or_else(|| {
        let args = match kind {
            Kind::Delete => Vec::new(),
            Kind::Settle => vec![broker.now_argument(), broker.retry_after_argument(), broker.next_job_argument()],
            Kind::Extend => vec![broker.now_argument(), broker.retry_after_argument()],
        };
        parts.push(Part { queue, kind, items: Vec::new(), args });
        parts.len() - 1
    });
    &mut parts[index]
}

/// Runs all parts in one write and returns the mark of each item.
fn run_parts(broker: &RedisBroker, parts: &[Part<'_>], items: usize, effect: Effect, doubt: &str) -> Result<Vec<bool>> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = parts.iter().map(|part| broker.keys(part.queue)).collect();
    let operations: Vec<_> = parts.iter().zip(&keys).map(|(part, keys)| operation(part, keys)).collect();
    let mut answers = script::run_operations(&broker.settle, &operations, effect, doubt)?.into_iter();

    let mut marks = vec![false; items];
    for (part, operation) in parts.iter().zip(&operations) {
        let answer: Vec<Value> = answers.by_ref().take(operation.replies()).collect();
        let ours = read_marks(answer).filter(|ours| ours.len() == part.items.len()).ok_or_else(|| broker.unexpected_answer())?;
        part.items.iter().zip(ours).for_each(|(&index, ours)| marks[index] = ours);
    }
    Ok(marks)
}

/// Whether each item was still ours: from a number for each, or from a text with a character for each.
fn read_marks(answer: Vec<Value>) -> Option<Vec<bool>> {
    match answer.as_slice() {
        [Value::BulkString(text)] => Some(text.iter().map(|&mark| mark == b'1').collect()),
        _ => answer.into_iter().map(|value| integer(value).map(|removed| removed == 1)).collect(),
    }
}

fn operation<'a>(part: &'a Part<'_>, keys: &'a RedisKeys) -> Operation<'a> {
    let args = part.args.iter().map(|arg| Cow::Borrowed(&**arg)).collect();
    let (script, keys) = match part.kind {
        Kind::Delete => return Operation::Each { command: "ZREM", key: &keys.reserved, args },
        Kind::Settle => (&script::SETTLE, vec![keys.ready.as_str(), &keys.delayed, &keys.reserved, &keys.failed]),
        Kind::Extend => (&script::EXTEND, vec![keys.reserved.as_str()]),
    };
    Operation::Call(Call { script, keys, args })
}

/// The failed record up to its time and behind it: the script writes the server's time in between.
fn record_around_time(failure: &Failure, queue: &QueueName) -> Result<(Vec<u8>, Vec<u8>)> {
    // Inside a JSON string the quotes would be escaped, so these bytes can only be the field itself.
    const FIELD: &[u8] = b"\"failed_at\":";
    let id = id::mint(getrandom::fill)
        .map_err(|e| Error::new(ErrorKind::Refused, "the system has no random bytes for an id").with_source(e.to_string()))?;
    let record = FailedJob::of(failure, String::from_utf8_lossy(&id).into_owned(), queue.as_str(), 0).to_json();
    let value = record.windows(FIELD.len()).position(|window| window == FIELD).map_or(record.len(), |at| at + FIELD.len());
    let behind = record.get(value + 1..).unwrap_or_default().to_vec();
    Ok((record[..value].to_vec(), behind))
}
