//! A thread that does what PHP has no time for: it gives back deliveries that nobody asks for, settles again what could not be settled, and
//! notices jobs that the broker takes away.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::{Error, ErrorKind, Result};
use ferry_support::{sync, threads};

use crate::connections::AmqpConnections;
use crate::reserve::JobDeliveries;
use crate::settle;
use crate::unacked::{ConsumerChannel, UnackedRegistry};

/// The time between two checks.
const PERIOD: Duration = Duration::from_millis(500);
/// How long deliveries are kept that nobody asks for.
const IDLE: Duration = Duration::from_secs(2);
/// The longest pause before a settlement that was refused is tried again. It doubles from the period.
const MAX_SETTLE_PAUSE: Duration = Duration::from_secs(30);

/// The thread, and how to stop it.
pub struct ChannelMonitor {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works on.
struct Monitored {
    connections: Arc<AmqpConnections>,
    registry: Arc<UnackedRegistry>,
    deliveries: Arc<Mutex<JobDeliveries>>,
    settle_at: Instant,
    settle_pause: Duration,
}

impl ChannelMonitor {
    /// Starts the thread, with all signals blocked.
    pub fn start(
        connections: Arc<AmqpConnections>,
        registry: Arc<UnackedRegistry>,
        deliveries: Arc<Mutex<JobDeliveries>>,
    ) -> Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let mut monitored = Monitored { connections, registry, deliveries, settle_at: Instant::now(), settle_pause: PERIOD };
        let run = move || {
            while !sleep_unless_stopped(&stopped) {
                monitored.check();
            }
        };
        let spawn = || std::thread::Builder::new().name("ferry-amqp-mon".into()).spawn(run);
        let failed = |e| Error::new(ErrorKind::Refused, "start the thread that monitors AMQP channels").with_source(e);
        Ok(Self { stop, thread: Some(threads::with_signals_blocked(spawn).map_err(failed)?) })
    }
}

impl Drop for ChannelMonitor {
    fn drop(&mut self) {
        *sync::lock(&self.stop.0) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Waits for the next check. True when the thread is to stop.
fn sleep_unless_stopped(stop: &(Mutex<bool>, Condvar)) -> bool {
    let stopped = sync::lock(&stop.0);
    let stopped = sync::wait_timeout_while(&stop.1, stopped, PERIOD, |stopped| !*stopped);
    *stopped
}

impl Monitored {
    fn check(&mut self) {
        self.release_idle();
        self.settle_again();
        let limit =
            Some(Duration::from_secs(u64::from(self.connections.config.consumer_timeout))).filter(|limit| !limit.is_zero());
        for channel in self.registry.all() {
            if let Some(limit) = limit {
                self.note_long_jobs(&channel, limit);
            }
            if !channel.is_alive() {
                self.note_lost_jobs(&channel, limit);
                self.registry.remove(&channel);
            } else if channel.is_finished() {
                self.registry.remove(&channel);
            }
        }
    }

    fn release_idle(&self) {
        // While a call of `reserve` runs, its queues are not idle.
        if let Ok(mut deliveries) = self.deliveries.try_lock()
            && deliveries.holds_any()
        {
            deliveries.release_idle(&self.connections, IDLE);
        }
    }

    fn settle_again(&mut self) {
        if Instant::now() < self.settle_at {
            return;
        }
        // The worker reported the error of the first try, and the jobs are still ours.
        match settle::settle_again(&self.connections, &self.registry) {
            Ok(()) => self.settle_pause = PERIOD,
            Err(_) => {
                self.settle_at = Instant::now() + self.settle_pause;
                self.settle_pause = (self.settle_pause * 2).min(MAX_SETTLE_PAUSE);
            }
        }
    }

    fn note_long_jobs(&self, channel: &ConsumerChannel, limit: Duration) {
        let now = Instant::now();
        for job in channel.held().values_mut().filter(|job| !job.warned && is_long(now - job.since, limit)) {
            job.warned = true;
            self.connections.notices.add(format!(
                "a job of `{}` has been held for {} s; after {} s (`consumer_timeout`) RabbitMQ takes it away and it runs again",
                channel.queue,
                (now - job.since).as_secs(),
                limit.as_secs()
            ));
        }
    }

    /// Says why the unacked jobs of a closed channel are lost. The worker learns from `extend` that they are.
    fn note_lost_jobs(&self, channel: &ConsumerChannel, limit: Option<Duration>) {
        let now = Instant::now();
        let Some(longest) = channel.held().values().map(|job| now - job.since).max() else { return };
        let reason = match (limit, channel.link.end_reason()) {
            (_, Some(reason)) => reason,
            (Some(limit), None) if channel.link.is_alive() && is_long(longest, limit) => {
                "a job was held longer than RabbitMQ's `consumer_timeout`: raise it in rabbitmq.conf, or make jobs shorter".into()
            }
            _ if channel.link.is_alive() => "RabbitMQ closed the channel, see its log".into(),
            _ => "the connection broke".into(),
        };
        let count = channel.held().len();
        self.connections
            .notices
            .add(format!("{count} held jobs of `{}` are lost to this worker and will run again: {reason}", channel.queue));
    }
}

/// Whether a job is held for almost as long as the broker allows.
fn is_long(held: Duration, limit: Duration) -> bool {
    held >= limit * 9 / 10
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
