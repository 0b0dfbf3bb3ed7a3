//! Publishing through lapin: over TLS and with tokio's socket.

use std::collections::VecDeque;
use std::time::Instant;

use ferry_core::Result;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPError;
use lapin::{Channel, Confirmation, PublisherConfirm};

use super::late_confirm::LateConfirm;
use super::{PublishOutcome, Publisher, WINDOW, assign_returned};
use crate::link::{AmqpLink, ReturnedMessage};
use crate::names::short;
use crate::route::Route;
use crate::{refusal, wait};

/// Opens a channel in confirm mode.
pub fn open(link: &AmqpLink) -> Result<Channel> {
    let channel = link.channel()?;
    link.request(channel.confirm_select(ConfirmSelectOptions::default()))?;
    Ok(channel)
}

/// See [`Publisher::publish`].
pub fn publish(publisher: &Publisher, channel: &Channel, routes: &[&Route<'_>]) -> Vec<PublishOutcome> {
    let mut batch = PublishBatch {
        publisher,
        channel,
        outcomes: routes.iter().map(|_| PublishOutcome::Unsent).collect(),
        unconfirmed: VecDeque::new(),
        late: Vec::new(),
        returned: Vec::new(),
        is_broken: false,
    };
    for (number, window) in routes.chunks(WINDOW).enumerate() {
        batch.send(number * WINDOW, window);
        batch.collect(WINDOW);
        if batch.is_broken {
            break;
        }
    }
    batch.collect(0);
    let PublishBatch { mut outcomes, late, returned, .. } = batch;
    let all_assigned = assign_returned(&mut outcomes, returned, routes);
    let (positions, confirms): (Vec<usize>, Vec<PublisherConfirm>) = late.into_iter().unzip();
    for (at, confirm) in positions.into_iter().zip(LateConfirm::through_lapin(confirms, !all_assigned, channel)) {
        outcomes[at] = PublishOutcome::Unknown { reason: publisher.no_answer(), late: Some(confirm) };
    }
    outcomes
}

/// The messages of one call.
struct PublishBatch<'a> {
    publisher: &'a Publisher,
    channel: &'a Channel,
    outcomes: Vec<PublishOutcome>,
    unconfirmed: VecDeque<(usize, PublisherConfirm)>,
    /// Messages whose confirm did not come in time.
    late: Vec<(usize, PublisherConfirm)>,
    returned: Vec<ReturnedMessage>,
    /// Nothing more is sent on this channel.
    is_broken: bool,
}

impl PublishBatch<'_> {
    fn send(&mut self, first: usize, window: &[&Route<'_>]) {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let publishes = window.iter().map(|route| {
            self.channel.basic_publish(short(&route.exchange), short(&route.key), options, &route.body, route.properties.clone())
        });
        let deadline = Instant::now() + self.publisher.io_timeout;
        match self.publisher.link.wait_for_answer(deadline, wait::all(publishes)) {
            Some(answers) => {
                for (at, answer) in (first..).zip(answers) {
                    match answer {
                        Ok(confirm) => self.unconfirmed.push_back((at, confirm)),
                        Err(error) => self.fail(at, &error),
                    }
                }
            }
            None => {
                for outcome in &mut self.outcomes[first..first + window.len()] {
                    *outcome = PublishOutcome::Unknown { reason: self.publisher.no_answer(), late: None };
                }
                self.is_broken = true;
            }
        }
    }

    /// Waits for confirms until at most `left` messages are unconfirmed.
    fn collect(&mut self, left: usize) {
        let deadline = Instant::now() + self.publisher.io_timeout;
        while self.unconfirmed.len() > left {
            let Some((at, mut confirm)) = self.unconfirmed.pop_front() else { return };
            match self.publisher.link.wait_for_answer(deadline, &mut confirm) {
                Some(Ok(Confirmation::Ack(returned))) => self.settle(at, PublishOutcome::Confirmed, returned),
                Some(Ok(Confirmation::Nack(returned))) => self.settle(at, PublishOutcome::Nacked, returned),
                Some(Ok(Confirmation::NotRequested)) => {
                    self.outcomes[at] =
                        PublishOutcome::Unknown { reason: "the channel is not in confirm mode".into(), late: None };
                }
                Some(Err(error)) => self.fail(at, &error),
                None => {
                    self.late.push((at, confirm));
                    self.is_broken = true;
                }
            }
        }
    }

    fn settle(&mut self, at: usize, outcome: PublishOutcome, returned: Option<BasicReturnMessage>) {
        self.outcomes[at] = outcome;
        self.returned.extend(returned.map(|message| ReturnedMessage {
            routing_key: message.delivery.routing_key.to_string(),
            text: message.reply_text.to_string(),
            body: message.delivery.data,
        }));
    }

    fn fail(&mut self, at: usize, error: &lapin::Error) {
        self.is_broken = true;
        let reason = refusal::text_of(error);
        self.outcomes[at] = match refusal::refusal_of(error).map(AMQPError::get_id) {
            // The broker closed the connection: it may have stored what it had read.
            None | Some(refusal::CONNECTION_FORCED | refusal::INTERNAL_ERROR) => PublishOutcome::Unknown { reason, late: None },
            Some(code) => PublishOutcome::Rejected(code, reason),
        };
    }
}
