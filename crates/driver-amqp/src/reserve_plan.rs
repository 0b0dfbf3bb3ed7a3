//! What to do next for a worker that waits for jobs of one queue. Pure; `queue_deliveries` carries it out.

/// The deepest prefetch. A deeper consumer loses deliveries when it is cancelled, see `subscription`.
pub const MAX_PREFETCH: u16 = 256;

/// The prefetch for a worker that asks for `max`, in coarse steps: each change costs two round trips.
pub fn prefetch_for(max: usize) -> u16 {
    [1, 4, 16, 64].into_iter().find(|step| usize::from(*step) >= max).unwrap_or(MAX_PREFETCH)
}

/// Whether a subscription with prefetch `now` is replaced by one with `wanted`. Small changes downwards are not worth it; a prefetch of
/// one is a promise.
fn is_unfit(now: u16, wanted: u16) -> bool {
    wanted > now || (wanted == 1 && now > 1) || u32::from(wanted) * 16 <= u32::from(now)
}

/// What is known of one queue.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The prefetch of the subscription, if there is one.
    pub prefetch: Option<u16>,
    /// The prefetch that suits the call.
    pub wanted: u16,
    /// How many jobs the call asks for.
    pub max: usize,
    /// How many delivered jobs may be handed out.
    pub ready: usize,
    /// The queue was removed, or seems to be: a new channel is needed.
    pub is_stale: bool,
    /// No job came for so long that the broker may have forgotten the subscription.
    pub is_silent: bool,
    /// A burst has filled up `ready` in this call.
    pub is_filled_up: bool,
    /// The retry queue is to be polled although the main queue has jobs.
    pub retry_due: bool,
    /// The retry queue is to be polled when the main queue is empty.
    pub retry_due_when_idle: bool,
    /// Jobs of the retry queue have their turn.
    pub retry_turn: bool,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStep {
    /// Cancel the subscription: its prefetch does not suit.
    Resize,
    /// Cancel the subscription; the next call begins on a new channel.
    Replace,
    /// Count the retry queue, and cancel the subscription when it has jobs: they are taken alone.
    PollRetryQueue,
    /// Take so many more by a burst.
    FillUp(usize),
    /// Hand out what is ready.
    HandOut,
    /// Take one job of the retry queue.
    TakeFromRetryQueue,
    /// Subscribe to the main queue.
    Subscribe,
    /// Nothing: a delivery or the next poll is waited for.
    Wait,
}

/// Decides the next step.
pub fn next_step(view: &View) -> PlanStep {
    if view.prefetch.is_some_and(|now| is_unfit(now, view.wanted)) {
        return PlanStep::Resize;
    }
    // Only with a subscription is it known that the main queue is empty. Its jobs come first: otherwise every new process would begin
    // with a job that kills it, again and again.
    let is_idle = view.prefetch.is_some() && view.ready == 0 && view.retry_due_when_idle;
    if is_idle && view.is_silent {
        return PlanStep::Replace;
    }
    if view.is_stale && view.prefetch.is_none() && view.ready == 0 {
        return PlanStep::Wait;
    }
    if view.retry_due || is_idle {
        return PlanStep::PollRetryQueue;
    }
    if view.ready > 0 {
        let missing = view.max.saturating_sub(view.ready);
        let fills_up = view.prefetch == Some(1) && missing > 0 && !view.is_filled_up;
        return if fills_up { PlanStep::FillUp(missing) } else { PlanStep::HandOut };
    }
    match view.prefetch {
        Some(_) => PlanStep::Wait,
        None if view.retry_turn => PlanStep::TakeFromRetryQueue,
        None => PlanStep::Subscribe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: View = View {
        prefetch: Some(16),
        wanted: 16,
        max: 16,
        ready: 0,
        is_stale: false,
        is_silent: false,
        is_filled_up: false,
        retry_due: false,
        retry_due_when_idle: false,
        retry_turn: false,
    };
    const UNSUBSCRIBED: View = View { prefetch: None, ..IDLE };

    #[test]
    fn the_prefetch_follows_in_coarse_steps_and_one_means_one() {
        assert_eq!([1, 2, 4, 5, 64, 65, 1000, 10_000].map(prefetch_for), [1, 4, 4, 16, 64, 256, 256, 256]);
        assert!(is_unfit(4, 16) && is_unfit(64, 1) && is_unfit(4, 1) && is_unfit(64, 4));
        assert!(!is_unfit(64, 64) && !is_unfit(64, 16) && !is_unfit(16, 4) && !is_unfit(1, 1));
    }

    #[test]
    fn each_situation_has_its_step() {
        for (view, step, why) in [
            (UNSUBSCRIBED, PlanStep::Subscribe, "the first call"),
            (IDLE, PlanStep::Wait, "nothing arrived"),
            (View { ready: 3, ..IDLE }, PlanStep::HandOut, "jobs arrived"),
            (View { wanted: 64, ..IDLE }, PlanStep::Resize, "the worker became faster"),
            (View { wanted: 1, ready: 3, ..IDLE }, PlanStep::Resize, "the worker takes one at a time from now on"),
            (View { retry_due_when_idle: true, ..IDLE }, PlanStep::PollRetryQueue, "the main queue is empty"),
            (View { retry_due_when_idle: true, ready: 1, ..IDLE }, PlanStep::HandOut, "the main queue comes first"),
            (
                View { retry_due_when_idle: true, ..UNSUBSCRIBED },
                PlanStep::Subscribe,
                "nobody knows whether the main queue is empty",
            ),
            (
                View { retry_due: true, ready: 1, ..IDLE },
                PlanStep::PollRetryQueue,
                "the retry queue must have its turn under load",
            ),
            (View { retry_turn: true, ..UNSUBSCRIBED }, PlanStep::TakeFromRetryQueue, "the retry queue has jobs"),
            (View { retry_turn: true, ready: 1, ..UNSUBSCRIBED }, PlanStep::HandOut, "what is held is handed out before"),
            (View { retry_turn: true, ..IDLE }, PlanStep::Wait, "a job of the retry queue is never held beside a subscription"),
            (View { is_silent: true, ..IDLE }, PlanStep::Wait, "a silent subscription is replaced when a poll is due"),
            (View { is_silent: true, retry_due_when_idle: true, ..IDLE }, PlanStep::Replace, "the broker may have forgotten it"),
            (View { is_stale: true, ..UNSUBSCRIBED }, PlanStep::Wait, "the next call has a new channel"),
            (View { is_stale: true, ready: 1, ..UNSUBSCRIBED }, PlanStep::HandOut, "what came from the old queue is still ours"),
            (
                View { prefetch: Some(1), wanted: 1, ready: 1, ..IDLE },
                PlanStep::FillUp(15),
                "a lower queue: the rest comes by a burst",
            ),
            (View { prefetch: Some(1), wanted: 1, ready: 1, max: 1, ..IDLE }, PlanStep::HandOut, "one was asked for"),
            (
                View { prefetch: Some(1), wanted: 1, ready: 2, is_filled_up: true, ..IDLE },
                PlanStep::HandOut,
                "the burst brought all there was",
            ),
        ] {
            assert_eq!(next_step(&view), step, "{why}");
        }
    }
}
