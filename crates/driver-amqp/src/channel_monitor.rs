//! A thread that looks after what PHP has no time for: deliveries nobody asked for, jobs the broker is about to take away.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::{Error, ErrorKind, Result, signals};

use crate::connections::AmqpConnections;
use crate::job_deliveries::JobDeliveries;
use crate::unacked::{ConsumerChannel, UnackedRegistry};

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(500);
/// How long deliveries may lie here.
const IDLE: Duration = Duration::from_secs(2);

/// The thread, and the way to stop it.
pub struct ChannelMonitor {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl ChannelMonitor {
    /// Starts it.
    pub fn start(hub: Arc<AmqpConnections>, shelf: Arc<UnackedRegistry>, taker: Arc<Mutex<JobDeliveries>>) -> Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let run = move || {
            while !rest(&stopped) {
                check(&hub, &shelf, &taker);
            }
        };
        let spawn = || std::thread::Builder::new().name("ferry-amqp-mind".into()).spawn(run);
        let failed = |e| Error::new(ErrorKind::Refused, "start the thread that minds AMQP deliveries").with_source(e);
        Ok(Self { stop, thread: Some(signals::blocked(spawn).map_err(failed)?) })
    }
}

impl Drop for ChannelMonitor {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to tell.
            let _ = thread.join();
        }
    }
}

/// Waits for the next look. Whether to stop instead.
fn rest(stop: &(Mutex<bool>, Condvar)) -> bool {
    let stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (stopped, _) = stop.1.wait_timeout_while(stopped, PERIOD, |stopped| !*stopped).unwrap_or_else(PoisonError::into_inner);
    *stopped
}

fn check(hub: &AmqpConnections, shelf: &UnackedRegistry, taker: &Mutex<JobDeliveries>) {
    // Somebody who takes right now needs no minding.
    if let Ok(mut taker) = taker.try_lock()
        && taker.is_open()
    {
        taker.give_back_idle(hub, IDLE);
    }
    for ledger in shelf.all() {
        if let Some(limit) = limit(hub) {
            warn_of_long_jobs(&ledger, limit);
        }
        if !ledger.is_alive() {
            tell_of_the_lost(&ledger, limit(hub));
            shelf.remove(&ledger);
        } else if ledger.is_over() {
            shelf.remove(&ledger);
        }
    }
}

/// How long the broker lets a job be held.
fn limit(hub: &AmqpConnections) -> Option<Duration> {
    Some(Duration::from_secs(u64::from(hub.config.consumer_timeout))).filter(|limit| !limit.is_zero())
}

/// Whether somebody should be told that a job is held for so long.
fn is_long(held: Duration, limit: Duration) -> bool {
    held >= limit * 9 / 10
}

fn warn_of_long_jobs(ledger: &ConsumerChannel, limit: Duration) {
    let now = Instant::now();
    for held in ledger.held().values_mut().filter(|held| !held.warned && is_long(now - held.since, limit)) {
        held.warned = true;
        say(&format!(
            "a job of `{}` is held for {} s; after {} s (`consumer_timeout`) RabbitMQ takes it away and it runs again",
            ledger.queue,
            (now - held.since).as_secs(),
            limit.as_secs()
        ));
    }
}

/// A channel that was closed while jobs ran: their worker learns that they are lost, and here is why.
fn tell_of_the_lost(ledger: &ConsumerChannel, limit: Option<Duration>) {
    let now = Instant::now();
    let Some(longest) = ledger.held().values().map(|held| now - held.since).max() else { return };
    let why = match (limit, ledger.link.end()) {
        (_, Some(end)) => end,
        (Some(limit), None) if ledger.link.is_alive() && is_long(longest, limit) => {
            "a job was held longer than RabbitMQ's `consumer_timeout`: raise it in rabbitmq.conf, or let jobs end sooner".into()
        }
        _ if ledger.link.is_alive() => "RabbitMQ closed the channel, see its log".into(),
        _ => "the connection broke".into(),
    };
    say(&format!("{} held jobs of `{}` are lost to this worker and will run again: {why}", ledger.held().len(), ledger.queue));
}

/// One line for the operator. The driver has no other way to speak up while PHP is busy.
fn say(line: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "ferry: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_long_from_nine_tenths_of_the_limit_on() {
        let limit = Duration::from_secs(1800);
        assert!(!is_long(Duration::from_secs(1619), limit) && is_long(Duration::from_secs(1620), limit));
    }
}
