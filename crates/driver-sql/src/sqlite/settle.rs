//! Ending and prolonging reservations, each batch behind one look at the fence.

use ferry_core::Claim;
use ferry_core::broker::{ExtendResult, Settle, SettleResult, Settlement};
use ferry_core::failed::Failure;

use super::args::Args;
use super::session::{Fault, Session};
use super::statements::{Tables, padded};
use crate::receipt::{Fence, ReservedRow};
use crate::trailer;

/// Settles the batch in one transaction; burials get one of their own behind it, so that a failed store that refuses holds up
/// nothing else.
pub(super) fn settle(session: &mut Session, tables: &Tables, batch: &[Settle], now: i64) -> Result<Vec<SettleResult>, Fault> {
    let mut settled = vec![SettleResult::Lost; batch.len()];
    let (burials, others): (Vec<_>, Vec<_>) =
        batch.iter().enumerate().partition(|(_, item)| matches!(item.settlement, Settlement::Bury(_)));
    for part in [others, burials] {
        for at in settle_part(session, tables, &part, now)? {
            settled[at] = SettleResult::Applied;
        }
    }
    Ok(settled)
}

/// The reservations that are still ours run from `now` again.
pub(super) fn extend(session: &mut Session, tables: &Tables, claims: &[Claim], now: i64) -> Result<Vec<ExtendResult>, Fault> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    session.transaction(|session| {
        let mut fence = fence(session, tables, claims.iter())?;
        let kept: Vec<Option<ReservedRow>> = claims.iter().map(|claim| fence.pass(&claim.receipt)).collect();
        let ids: Vec<i64> = kept.iter().flatten().map(|held| held.id).collect();
        for ids in padded(&ids) {
            session.run(tables.extend(ids.len()), Args::default().int(now)?.ints(&ids)?)?;
        }
        Ok(kept.iter().map(|kept| if kept.is_some() { ExtendResult::Kept } else { ExtendResult::Lost }).collect())
    })
}

type Numbered<'a> = (usize, &'a Settle);

/// Settles some items and returns the places of those that were ours.
fn settle_part(session: &mut Session, tables: &Tables, items: &[Numbered<'_>], now: i64) -> Result<Vec<usize>, Fault> {
    let changes = items.iter().any(|(_, item)| !matches!(item.settlement, Settlement::Leave));
    let work = |session: &mut Session| {
        let mut fence = fence(session, tables, items.iter().map(|(_, item)| &item.claim))?;
        let ours: Vec<(ReservedRow, Numbered<'_>)> =
            items.iter().filter_map(|(at, item)| Some((fence.pass(&item.claim.receipt)?, (*at, *item)))).collect();
        carry_out(session, tables, &ours, now)?;
        Ok(ours.iter().map(|(_, (at, _))| *at).collect())
    };
    match (items.is_empty(), changes) {
        (true, _) => Ok(Vec::new()),
        (false, true) => session.transaction(work),
        (false, false) => work(session),
    }
}

fn fence<'a>(session: &mut Session, tables: &Tables, claims: impl Iterator<Item = &'a Claim>) -> Result<Fence, Fault> {
    let ids: Vec<i64> = claims.filter_map(|claim| ReservedRow::of(&claim.receipt)).map(|held| held.id).collect();
    let mut reserved = Vec::with_capacity(ids.len());
    for ids in padded(&ids) {
        let rows = session.rows(tables.reserved(ids.len()), Args::default().ints(&ids)?)?;
        reserved.extend(rows.iter().filter_map(|row| Some(ReservedRow { id: row.int(0)?, attempts: row.int(1)? })));
    }
    Ok(Fence::of(reserved))
}

fn carry_out(session: &mut Session, tables: &Tables, ours: &[(ReservedRow, Numbered<'_>)], now: i64) -> Result<(), Fault> {
    let mut gone = Vec::new();
    let mut given_back = Vec::new();
    for (held, (_, item)) in ours {
        match &item.settlement {
            Settlement::Delete => gone.push(held.id),
            Settlement::Release { delay } => {
                let due = now.saturating_add(*delay);
                session.run(tables.copy_for_release(), Args::default().int(due)?.int(now)?.int(held.id)?)?;
                gone.push(held.id);
            }
            Settlement::Bury(failure) => {
                bury(session, tables, &item.claim, failure, now)?;
                gone.push(held.id);
            }
            // It keeps its id and with it its place at the head.
            Settlement::GiveBack => given_back.push(held.id),
            Settlement::Leave => {}
        }
    }
    for ids in padded(&given_back) {
        session.run(tables.give_back(ids.len()), Args::default().int(now)?.ints(&ids)?)?;
    }
    for ids in padded(&gone) {
        session.run(tables.delete(ids.len()), Args::default().ints(&ids)?)?;
    }
    Ok(())
}

fn bury(session: &mut Session, tables: &Tables, claim: &Claim, failure: &Failure, now: i64) -> Result<(), Fault> {
    let Some(sql) = tables.bury() else { return Ok(()) };
    let args = Args::default()
        .text(&failure.connection)?
        .text(claim.queue.as_str())?
        .bytes(&failure.payload)?
        .text(&trailer::with_trailer(failure))?
        .int(now)?;
    session.run(sql, args).map(|_| ())
}
