//! What the fleet is asked for, as this worker sees it; and what this worker says of itself.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferry_core::fleet::{Flags, Occupation, Report};
use ferry_core::{Broker, Error, ErrorKind, QueueName};

/// How often the flags are read.
const LOOK: Duration = Duration::from_secs(1);
/// How often a worker says how far it is.
const CHANGED: Duration = Duration::from_secs(2);
/// How often it says that it is still there.
const ALIVE: Duration = Duration::from_secs(15);
/// How long it does not look after the place of the flags did not answer, at most.
const LONGEST: Duration = Duration::from_secs(60);

/// The fleet, seen from one worker. Without a broker that keeps flags it is silent.
pub struct Membership {
    broker: Option<Arc<dyn Broker>>,
    /// Whether that is not the broker of the jobs, so that nobody else tells when it is out of reach.
    elsewhere: bool,
    flags: Flags,
    /// What was asked for when it began: only what came later is meant for it.
    before: Option<Flags>,
    next_look: Option<Instant>,
    /// How long it waits after a failure; grows while failures follow each other.
    pause: Duration,
    told: Option<(Report, Instant)>,
}

impl Membership {
    /// A member of the fleet whose flags `broker` keeps, if it keeps any. `elsewhere`: it is not the broker of the jobs.
    pub fn new(broker: Option<Arc<dyn Broker>>, elsewhere: bool) -> Self {
        let broker = broker.filter(|broker| broker.fleet().is_some());
        Self { broker, elsewhere, flags: Flags::default(), before: None, next_look: None, pause: LOOK, told: None }
    }

    /// Looks when it is time. An error is answered once; it is silent until the flags are seen again. That the broker of the jobs is
    /// out of reach is told by who asks it for jobs.
    pub fn look(&mut self, now: Instant, report: impl FnOnce() -> Report) -> Option<Error> {
        let fleet = self.broker.as_ref()?.fleet()?;
        if self.next_look.is_some_and(|next| now < next) {
            return None;
        }
        match fleet.flags().and_then(|flags| say(fleet, &mut self.told, report(), now).map(|()| flags)) {
            Ok(flags) => {
                self.before.get_or_insert_with(|| flags.clone());
                (self.flags, self.pause, self.next_look) = (flags, LOOK, Some(now + LOOK));
                None
            }
            Err(error) => {
                let news = self.elsewhere || !matches!(error.kind(), ErrorKind::Connection | ErrorKind::Uncertain);
                let first = self.pause == LOOK && news;
                self.pause = (self.pause * 2).min(LONGEST);
                self.next_look = Some(now + self.pause);
                first.then_some(error)
            }
        }
    }

    /// Whether it was told to leave since it began.
    pub fn asks_to_leave(&self) -> bool {
        self.before.as_ref().is_some_and(|before| self.flags.asks_to_leave(before))
    }

    /// Whether a queue is paused.
    pub fn is_paused(&self, queue: &QueueName) -> bool {
        !self.flags.paused.is_empty() && self.flags.is_paused(queue)
    }

    /// Leaves the list of workers.
    pub fn sign_off(&mut self) {
        if let Some((report, _)) = self.told.take()
            && let Some(fleet) = self.broker.as_ref().and_then(|broker| broker.fleet())
        {
            // Who does not sign off is forgotten a little later.
            let _ = fleet.sign_off(&report.id);
        }
    }
}

/// Says what is new, or from time to time that nothing is.
fn say(
    fleet: &dyn ferry_core::Fleet,
    told: &mut Option<(Report, Instant)>,
    report: Report,
    now: Instant,
) -> ferry_core::Result<()> {
    let due = told.as_ref().is_none_or(|(last, at)| {
        let time = if last.processed == report.processed && last.state == report.state { ALIVE } else { CHANGED };
        now >= *at + time
    });
    if due {
        fleet.report(&report)?;
        *told = Some((report, now));
    }
    Ok(())
}

/// Who this worker is.
pub struct Identity {
    id: String,
    host: String,
    queues: Vec<String>,
    started: i64,
}

impl Identity {
    /// This process, working `queues`. `word` tells it from an earlier process with the same number.
    pub fn here(queues: &[QueueName], word: u64) -> Self {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            id: format!("{host}:{}:{:04x}", std::process::id(), word & 0xffff),
            host,
            queues: queues.iter().map(|queue| queue.as_str().to_owned()).collect(),
            started: i64::try_from(started).unwrap_or_default(),
        }
    }

    /// What it says of itself.
    pub fn report(&self, processed: u64, failed: u64, memory: usize, state: Occupation) -> Report {
        Report {
            id: self.id.clone(),
            host: self.host.clone(),
            pid: std::process::id(),
            queues: self.queues.clone(),
            started: self.started,
            seen: 0,
            processed,
            failed,
            memory: memory as u64,
            state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::clock::HandClock;
    use ferry_core::fleet::Order;
    use ferry_core::memory::MemoryBroker;

    fn broker() -> Arc<dyn Broker> {
        Arc::new(MemoryBroker::new(HandClock::at(1_700_000_000), None))
    }

    fn report(processed: u64) -> Report {
        Identity::here(&[QueueName::default()], 7).report(processed, 0, 1, Occupation::Working)
    }

    #[test]
    fn an_order_given_before_a_worker_began_is_not_meant_for_it() {
        let broker = broker();
        broker.fleet().unwrap().order(Order::Restart).unwrap();
        let (mut member, start) = (Membership::new(Some(broker.clone()), false), Instant::now());
        assert!(member.look(start, || report(0)).is_none());
        assert!(!member.asks_to_leave());
        broker.fleet().unwrap().order(Order::Restart).unwrap();
        member.look(start + LOOK / 2, || report(0));
        assert!(!member.asks_to_leave(), "it looks once a second");
        member.look(start + LOOK, || report(0));
        assert!(member.asks_to_leave());
    }

    #[test]
    fn a_worker_reports_when_something_changed_and_signs_off() {
        let (broker, start) = (broker(), Instant::now());
        let fleet = broker.fleet().unwrap();
        let mut member = Membership::new(Some(broker.clone()), false);
        member.look(start, || report(0));
        member.look(start + LOOK, || report(5));
        assert_eq!(fleet.workers().unwrap()[0].processed, 0);
        member.look(start + CHANGED, || report(6));
        assert_eq!(fleet.workers().unwrap()[0].processed, 6);
        member.sign_off();
        assert!(fleet.workers().unwrap().is_empty());
    }

    #[test]
    fn without_a_place_for_flags_nothing_is_asked_or_said() {
        let mut member = Membership::new(None, false);
        assert!(member.look(Instant::now(), || panic!("nobody would hear it")).is_none());
        assert!(!member.asks_to_leave());
    }
}
