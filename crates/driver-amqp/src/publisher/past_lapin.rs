//! Publishing past lapin: this thread writes the messages and reads the confirms.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::late_confirm::LateConfirm;
use super::{PublishOutcome, Publisher, WINDOW, assign_returned};
use crate::link::{ChannelEnd, Confirm, ConfirmChannel};
use crate::route::Route;

/// See [`Publisher::publish`].
pub fn publish(publisher: &Publisher, channel: &Arc<ConfirmChannel>, routes: &[&Route<'_>]) -> Vec<PublishOutcome> {
    let numbers = send_all(publisher, channel, routes);
    let mut outcomes: Vec<PublishOutcome> = routes.iter().map(|_| PublishOutcome::Unsent).collect();
    let end = channel.end();
    let mut late = Vec::new();
    for (at, number) in numbers.enumerate() {
        match (channel.outcome(number), &end) {
            (Some(Confirm::Ack), _) => outcomes[at] = PublishOutcome::Confirmed,
            (Some(Confirm::Nack), _) => outcomes[at] = PublishOutcome::Nacked,
            (None, Some(ChannelEnd::Closed(code, text))) => outcomes[at] = PublishOutcome::Rejected(*code, text.clone()),
            (None, Some(ChannelEnd::Lost(text))) => {
                let reason = text.clone().unwrap_or_else(|| lost(publisher));
                outcomes[at] = PublishOutcome::Unknown { reason, late: None };
            }
            (None, None) => late.push((at, number)),
        }
    }
    let all_assigned = assign_returned(&mut outcomes, channel.take_returned(), routes);
    let (positions, unconfirmed): (Vec<usize>, Vec<u64>) = late.into_iter().unzip();
    for (at, confirm) in positions.into_iter().zip(LateConfirm::past_lapin(unconfirmed, !all_assigned, channel)) {
        outcomes[at] = PublishOutcome::Unknown { reason: publisher.no_answer(), late: Some(confirm) };
    }
    outcomes
}

/// Sends the messages and waits for their confirms. Answers the numbers of those that were sent, the first ones.
fn send_all(publisher: &Publisher, channel: &ConfirmChannel, routes: &[&Route<'_>]) -> Range<u64> {
    let mut numbers = 0..0;
    let mut unsent = routes;
    while !unsent.is_empty() {
        let mut frames = channel.frames();
        for route in unsent.iter().take(WINDOW) {
            if !channel.add(&mut frames, &route.exchange, &route.key, &route.properties, &route.body) {
                break;
            }
        }
        unsent = &unsent[frames.count()..];
        let deadline = Instant::now() + publisher.io_timeout;
        let Some(first) = channel.send(&frames, deadline) else {
            channel.wait(0, Instant::now() + publisher.io_timeout);
            break;
        };
        if numbers.is_empty() {
            numbers.start = first;
        }
        numbers.end = first + frames.count() as u64;
        let left = if unsent.is_empty() { 0 } else { WINDOW };
        if !channel.wait(left, deadline) {
            break;
        }
    }
    numbers
}

/// Why nothing more comes.
fn lost(publisher: &Publisher) -> String {
    publisher.link.end_reason().unwrap_or_else(|| format!("the connection to RabbitMQ at {} broke", publisher.link.address()))
}
