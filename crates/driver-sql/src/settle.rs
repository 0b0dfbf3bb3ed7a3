//! Ending and prolonging reservations, each batch behind one check of the fence.

use std::collections::{BTreeMap, HashSet};

use ferry_core::broker::{ExtendResult, Settle, SettleResult, Settlement};
use ferry_core::failed::Failure;
use ferry_core::{Claim, Result};
use ferry_support::sync;

use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::error::SqlError;
use crate::receipt::{Fence, ReservedRow};
use crate::session::{JobWork, Row, Session};
use crate::statements::{CHUNK, Tables, padded};
use crate::trailer;
use crate::values::SqlValues;

/// Settles the batch in one transaction; burials get one of their own behind it, so that a failed store that refuses holds up
/// nothing else.
pub(crate) fn settle(broker: &SqlBroker<impl Database>, batch: &[Settle]) -> Result<Vec<SettleResult>> {
    let mut results = vec![SettleResult::Lost; batch.len()];
    let (burials, others): (Vec<_>, Vec<_>) =
        batch.iter().enumerate().partition(|(_, item)| matches!(item.settlement, Settlement::Bury(_)));
    broker.run(Role::Settle, |session| {
        session.tune(JobWork::Settle)?;
        let failed_at = broker.zone.get().to_local(broker.settings.failed_at());
        for part in [others, burials] {
            for index in settle_part(session, broker, &part, failed_at)? {
                results[index] = SettleResult::Applied;
                if let Some(held) = ReservedRow::of(&batch[index].claim.receipt) {
                    sync::lock(&broker.at_limit).remove(&held.id);
                }
            }
        }
        Ok(results)
    })
}

/// The reservations that are still ours run from now again.
pub(crate) fn extend(broker: &SqlBroker<impl Database>, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let tables = &broker.tables;
    broker.run(Role::Settle, |session| {
        session.tune(JobWork::Settle)?;
        session.transaction(|session| {
            let mut fence = fence(session, broker, claims.iter())?;
            let kept: Vec<Option<ReservedRow>> = claims.iter().map(|claim| fence.pass(&claim.receipt)).collect();
            let ids: Vec<i64> = kept.iter().flatten().map(|held| held.id).collect();
            for ids in padded(&ids) {
                session.execute(tables.extend(ids.len()), SqlValues::new().second(broker.settings.now()).ints(&ids))?;
            }
            note_renewed(session, broker, kept.iter().flatten())?;
            Ok(kept.iter().map(|kept| if kept.is_some() { ExtendResult::Kept } else { ExtendResult::Lost }).collect())
        })
    })
}

/// An item and its index in the batch.
type Indexed<'a> = (usize, &'a Settle);

/// Settles some items and returns the indexes of those that were ours. `failed_at` is the second in the zone of the table of failed
/// jobs.
fn settle_part<D: Database>(
    session: &mut D::Session,
    broker: &SqlBroker<D>,
    items: &[Indexed<'_>],
    failed_at: i64,
) -> Result<HashSet<usize>, SqlError> {
    let mut done = delete_at_once(session, broker, items)?;
    let rest: Vec<Indexed<'_>> = items.iter().filter(|(index, _)| !done.contains(index)).copied().collect();
    let changes = rest.iter().any(|(_, item)| !matches!(item.settlement, Settlement::Leave));
    let work = |session: &mut D::Session| {
        let mut fence = fence(session, broker, rest.iter().map(|(_, item)| &item.claim))?;
        let ours: Vec<(ReservedRow, Indexed<'_>)> =
            rest.iter().filter_map(|(index, item)| Some((fence.pass(&item.claim.receipt)?, (*index, *item)))).collect();
        apply(session, broker, &ours, failed_at)?;
        Ok(ours.iter().map(|(_, (index, _))| *index).collect())
    };
    let settled = match (rest.is_empty(), changes) {
        (true, _) => Ok(Vec::new()),
        (false, true) => session.transaction(work),
        (false, false) => work(session),
    };
    if rest.iter().any(|(_, item)| matches!(item.settlement, Settlement::GiveBack)) {
        // They are the next ones, for this broker at once.
        broker.scan_positions.forget();
    }
    let settled: Vec<usize> = settled.map_err(|error| if done.is_empty() { error } else { error.behind_a_change() })?;
    done.extend(settled);
    Ok(done)
}

/// Removes jobs in one statement that is its own fence, where the database can and all were reserved with the same attempts, as almost
/// all are. Returns the indexes of those that were there; the others have to be looked at.
fn delete_at_once<D: Database>(
    session: &mut D::Session,
    broker: &SqlBroker<D>,
    items: &[Indexed<'_>],
) -> Result<HashSet<usize>, SqlError> {
    if !broker.tables.dialect().answers_deletes() {
        return Ok(HashSet::new());
    }
    let deletion = |item: &Settle| match item.settlement {
        Settlement::Delete => ReservedRow::of(&item.claim.receipt),
        _ => None,
    };
    let held: Option<Vec<ReservedRow>> = items.iter().map(|(_, item)| deletion(item)).collect();
    let held = held.unwrap_or_default();
    let Some(attempts) = held.first().map(|row| row.attempts) else { return Ok(HashSet::new()) };
    if broker.tables.is_at_limit(attempts) || held.iter().any(|row| row.attempts != attempts) || held.len() > CHUNK {
        return Ok(HashSet::new());
    }
    let ids: Vec<i64> = held.iter().map(|row| row.id).collect();
    let mut removed = HashSet::with_capacity(ids.len());
    for ids in padded(&ids) {
        let rows = session.query(broker.tables.delete_reserved(ids.len()), SqlValues::new().int(attempts).ints(&ids))?;
        removed.extend(rows.iter().filter_map(|row| row.int(0)));
    }
    Ok(items.iter().zip(&held).filter(|(_, row)| removed.remove(&row.id)).map(|((index, _), _)| *index).collect())
}

/// Rows whose attempts cannot rise any more are told apart by the second of their reservation, which has just changed.
fn note_renewed<'a, D: Database>(
    session: &mut D::Session,
    broker: &SqlBroker<D>,
    kept: impl Iterator<Item = &'a ReservedRow>,
) -> Result<(), SqlError> {
    let ids: Vec<i64> = kept.filter(|held| broker.tables.is_at_limit(held.attempts)).map(|held| held.id).collect();
    for ids in padded(&ids) {
        let rows = session.query(broker.tables.reserved(ids.len()), SqlValues::new().ints(&ids))?;
        sync::lock(&broker.at_limit).extend(rows.iter().filter_map(|row| Some((row.int(0)?, row.int(2)?))));
    }
    Ok(())
}

fn fence<'a, D: Database>(
    session: &mut D::Session,
    broker: &SqlBroker<D>,
    claims: impl Iterator<Item = &'a Claim>,
) -> Result<Fence, SqlError> {
    let ids: Vec<i64> = claims.filter_map(|claim| ReservedRow::of(&claim.receipt)).map(|held| held.id).collect();
    let mut reserved = Vec::with_capacity(ids.len());
    for ids in padded(&ids) {
        let rows = session.query(broker.tables.reserved(ids.len()), SqlValues::new().ints(&ids))?;
        reserved.extend(rows.iter().filter_map(|row| Some((ReservedRow { id: row.int(0)?, attempts: row.int(1)? }, row.int(2)))));
    }
    let at_limit = sync::lock(&broker.at_limit);
    let is_ours = |(held, second): &(ReservedRow, Option<i64>)| {
        !broker.tables.is_at_limit(held.attempts) || at_limit.get(&held.id).copied() == *second
    };
    Ok(Fence::of(reserved.into_iter().filter(is_ours).map(|(held, _)| held)))
}

fn apply<D: Database>(
    session: &mut D::Session,
    broker: &SqlBroker<D>,
    ours: &[(ReservedRow, Indexed<'_>)],
    failed_at: i64,
) -> Result<(), SqlError> {
    let (tables, settings) = (&broker.tables, &broker.settings);
    let mut removed = Vec::new();
    let mut given_back = Vec::new();
    // By the seconds after which they are due again.
    let mut released: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (held, (_, item)) in ours {
        match &item.settlement {
            Settlement::Delete => removed.push(held.id),
            Settlement::Release { delay } => released.entry(*delay).or_default().push(held.id),
            Settlement::Bury(failure) => {
                bury(session, tables, held.id, &item.claim, failure, failed_at)?;
                removed.push(held.id);
            }
            // It keeps its id and with it its position at the head.
            Settlement::GiveBack => given_back.push(held.id),
            Settlement::Leave => {}
        }
    }
    for (delay, ids) in released {
        for ids in padded(&ids) {
            session.execute(tables.release(ids.len()), SqlValues::new().second(settings.later(delay)).ints(&ids))?;
        }
    }
    for ids in padded(&given_back) {
        session.execute(tables.give_back(ids.len()), SqlValues::new().second(settings.now()).ints(&ids))?;
    }
    for ids in padded(&removed) {
        session.execute(tables.delete(ids.len()), SqlValues::new().ints(&ids))?;
    }
    Ok(())
}

fn bury(
    session: &mut impl Session,
    tables: &Tables,
    id: i64,
    claim: &Claim,
    failure: &Failure,
    failed_at: i64,
) -> Result<(), SqlError> {
    let Some(sql) = tables.bury() else { return Ok(()) };
    let exception = trailer::with_trailer(failure, id);
    let values = SqlValues::new()
        .text(&failure.connection)
        .text(claim.queue.as_str())
        .bytes(&failure.payload)
        .text(&exception)
        .int(failed_at);
    session.execute(sql, values).map(|_| ())
}
