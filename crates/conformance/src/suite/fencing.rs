//! Promise 3: a claim that is no longer ours changes nothing.

use std::sync::Arc;

use ferry_core::broker::{SettleResult, Settlement};
use ferry_core::{Broker, QueueName, Reservation};

use super::tools::*;
use super::{Fixture, START};

/// A slow worker lost its job to a quick one; both believe that it is theirs.
struct Takeover {
    queue: QueueName,
    slow: Arc<dyn Broker>,
    stale: Reservation,
    quick: Arc<dyn Broker>,
    held: Reservation,
}

fn takeover(fixture: &Fixture) -> Takeover {
    let (slow, queue) = (fixture.worker(), queue("mail"));
    push(&*slow, &queue, 1);
    let stale = take_one(&*slow, &queue);
    let quick = fixture.at(START + 60);
    let held = take_one(&*quick, &queue);
    assert_eq!((stale.attempts, held.attempts), (Some(1), Some(2)));
    Takeover { queue, slow, stale, quick, held }
}

fn stale_settle_changes_nothing(fixture: &Fixture, settlement: impl FnOnce(&Reservation) -> Settlement) {
    let Takeover { queue, slow, stale, quick, held } = takeover(fixture);
    assert_eq!(settle(&*slow, &stale, settlement(&stale)), SettleResult::Lost);
    assert_sizes!(&*quick, &queue, sizes(0, 0, 1, 0), "the other's copy is untouched");
    assert_nothing_ready(&*quick, &queue);
    delete(&*quick, &held);
    assert_sizes!(&*quick, &queue, sizes(0, 0, 0, 0));
}

pub fn a_stale_delete_is_lost_and_changes_nothing(fixture: &Fixture) {
    stale_settle_changes_nothing(fixture, |_| Settlement::Delete);
}

pub fn a_stale_release_is_lost_and_changes_nothing(fixture: &Fixture) {
    stale_settle_changes_nothing(fixture, |_| Settlement::Release { delay: 0 });
}

pub fn a_stale_burial_is_lost_and_changes_nothing(fixture: &Fixture) {
    stale_settle_changes_nothing(fixture, bury);
}

pub fn a_stale_leave_is_lost_and_changes_nothing(fixture: &Fixture) {
    stale_settle_changes_nothing(fixture, |_| Settlement::Leave);
}

pub fn a_stale_settle_stays_lost_after_the_job_is_gone(fixture: &Fixture) {
    let Takeover { queue, slow, stale, quick, held } = takeover(fixture);
    delete(&*quick, &held);
    for settlement in [Settlement::Delete, Settlement::Release { delay: 0 }, Settlement::GiveBack, bury(&stale)] {
        assert_eq!(settle(&*slow, &stale, settlement), SettleResult::Lost);
    }
    assert_sizes!(&*quick, &queue, sizes(0, 0, 0, 0), "a finished job is not revived");
}

pub fn a_stale_settle_does_not_spoil_the_rest_of_its_batch(fixture: &Fixture) {
    let Takeover { queue, slow: _, stale, quick, held } = takeover(fixture);
    push(&*quick, &queue, 2);
    let other = take_one(&*quick, &queue);
    let settled = settle_all(&*quick, [(&stale, Settlement::Delete), (&other, Settlement::Delete)]);
    assert_eq!(settled, [SettleResult::Lost, SettleResult::Applied]);
    delete(&*quick, &held);
}

pub fn a_late_delete_counts_while_nobody_took_the_job_over(fixture: &Fixture) {
    let (slow, mail) = (fixture.worker(), queue("mail"));
    push(&*slow, &mail, 1);
    let held = take_one(&*slow, &mail);
    delete(&*fixture.at(START + 1_000), &held);
    assert_nothing_ready(&*fixture.at(START + 1_001), &mail);
    assert_total!(&*slow, &mail, 0);
}

pub fn of_two_workers_one_gets_the_expired_job(fixture: &Fixture) {
    let mail = queue("mail");
    push(&*fixture.worker(), &mail, 1);
    let _dead = take_one(&*fixture.worker(), &mail);
    let workers = [fixture.at(START + 60), fixture.at(START + 60)];
    let taken: usize = std::thread::scope(|scope| {
        let threads = workers.each_ref().map(|worker| scope.spawn(|| take(&**worker, &mail, 10).len()));
        threads.into_iter().map(|thread| thread.join().expect("the thread ran through")).sum()
    });
    assert_eq!(taken, 1);
}
