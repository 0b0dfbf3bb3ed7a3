//! A connection to RabbitMQ: made, watched, let go of. It is never repaired: when it breaks, the next word makes another.

mod blocking_stream;
mod io_waker;
mod socket;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_rs::Runtime;
use ferry_core::config::{Address, AmqpConfig};
use ferry_core::{Error, ErrorKind, Result, signals};
use futures_core::Stream;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, Event};

use crate::refusal;
use crate::runtime::AmqpRuntime;
use blocking_stream::WakingRuntime;
use io_waker::IoWaker;
use socket::{Connector, HangupProbe};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// One open connection.
pub struct AmqpLink {
    connection: Connection,
    bell: Arc<IoWaker>,
    sentinel: Option<HangupProbe>,
    trouble: Arc<Mutex<LinkFailure>>,
    address: Address,
    io_timeout: Duration,
}

/// What the broker told us on its own.
#[derive(Default)]
struct LinkFailure {
    /// Why it takes no publishes at present.
    blocked: Option<String>,
    /// Why the link ended.
    end: Option<String>,
}

impl AmqpLink {
    /// Connects to the first address that answers. `purpose` is what operators see beside the process number.
    pub fn open(config: &AmqpConfig, engine: &AmqpRuntime, purpose: &str) -> Result<Self> {
        let mut last = None;
        for address in &config.addresses {
            match Self::open_at(config, engine, address, purpose) {
                Ok(link) => return Ok(link),
                // A login that is refused here is refused everywhere, but hosts may differ in their users: so try them all.
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Config, "no host is configured")))
    }

    fn open_at(config: &AmqpConfig, engine: &AmqpRuntime, address: &Address, purpose: &str) -> Result<Self> {
        let Address::Tcp { host, port } = address else {
            return Err(Error::new(ErrorKind::Config, format!("{address} is no address of a RabbitMQ server")));
        };
        let tls = config.tls.as_ref().map(|tls| Ok::<_, Error>((tls::client(tls)?, tls::server_name(tls, host)?))).transpose()?;
        let bell =
            IoWaker::new().map_err(|e| Error::new(ErrorKind::Refused, "wake the thread of an AMQP connection").with_source(e))?;
        let bell = Arc::new(bell);
        let door = Connector::new(host.clone(), *port, config.connect_timeout, tls, Arc::clone(&bell));
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("ferry {} {purpose}", std::process::id()).into())
            .with_client_property("product".into(), "Ferry".into());
        let runtime = Runtime::new(WakingRuntime::new(engine.handle().clone(), Arc::clone(&bell)));
        let opening = door.clone();
        let connect =
            Connection::connector(uri(config, host, *port), runtime, async move |_, _| opening.open().await, properties);
        // The library's own thread starts inside.
        let deadline = Instant::now() + config.connect_timeout;
        let connected = signals::blocked(|| bell.wait(deadline, connect));
        let connection = match connected {
            Some(Ok(connection)) => connection,
            Some(Err(error)) => return Err(refusal::of_login(&error, config, address)),
            None => return Err(not_in_time(address, config.connect_timeout)),
        };
        let trouble = Arc::new(Mutex::new(LinkFailure::default()));
        engine.handle().spawn(listen(connection.events_listener(), Arc::clone(&trouble)));
        Ok(Self { connection, bell, sentinel: door.sentinel(), trouble, address: address.clone(), io_timeout: config.io_timeout })
    }

    /// Whether the other side is still there, as far as one can know without asking it.
    pub fn is_alive(&self) -> bool {
        self.connection.status().connected() && self.sentinel.as_ref().is_none_or(|sentinel| !sentinel.hung_up())
    }

    /// Why the broker takes no publishes at present.
    pub fn blocked(&self) -> Option<String> {
        if !self.connection.status().blocked() {
            return None;
        }
        let told = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).blocked.clone();
        Some(told.unwrap_or_else(|| "a resource is short".into()))
    }

    /// Why it ended, where the broker or the network said so.
    pub fn end(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).end.clone()
    }

    /// Seconds between signs of life, as both sides agreed; 0 is none.
    pub fn heartbeat(&self) -> u16 {
        self.connection.configuration().heartbeat()
    }

    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A new channel.
    pub fn channel(&self) -> Result<Channel> {
        self.ask(self.connection.create_channel())
    }

    /// Waits for the answer to a question that changes nothing, or may be repeated.
    pub fn ask<T>(&self, question: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        let answered = self.bell.wait_for_answer(Instant::now() + self.io_timeout, question);
        self.judge(answered)
    }

    /// Waits until something is written that has no answer.
    pub fn tell<T>(&self, word: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        let written = self.bell.wait(Instant::now() + self.io_timeout, word);
        self.judge(written)
    }

    /// Waits until `deadline` for a future that ends with an answer of the broker.
    pub fn wait_for_answer<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        self.bell.wait_for_answer(deadline, future)
    }

    fn judge<T>(&self, outcome: Option<lapin::Result<T>>) -> Result<T> {
        match outcome {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(refusal::of_answer(&error, &self.address)),
            None => Err(not_in_time(&self.address, self.io_timeout)),
        }
    }

    /// Says goodbye. A link that is dropped without it says so too, but nobody waits for that.
    pub fn close(&self) {
        if self.is_alive() {
            // Nothing is left to do about a goodbye that nobody heard.
            let _ = self.bell.wait(Instant::now() + GOODBYE, self.connection.close(200, "OK".into()));
        }
    }

    /// Breaks it off at once, so that nothing more of ours is read on the other side.
    pub fn cut(&self) {
        match &self.sentinel {
            Some(sentinel) => sentinel.cut(),
            None => self.close(),
        }
    }
}

fn not_in_time(address: &Address, limit: Duration) -> Error {
    Error::new(ErrorKind::Connection, format!("RabbitMQ at {address} did not answer within {} s", limit.as_secs_f32()))
        .with_advice("is it up, and is this its AMQP port?")
}

fn uri(config: &AmqpConfig, host: &str, port: u16) -> AMQPUri {
    AMQPUri {
        // The door speaks TLS where it is wanted; the library asks the scheme for nothing else.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username: config.username.clone(), password: config.password.expose().to_owned() },
            host: host.to_owned(),
            port,
        },
        vhost: config.vhost.clone(),
        query: AMQPQueryString { heartbeat: Some(config.heartbeat), ..AMQPQueryString::default() },
    }
}

/// Writes down what the broker tells on its own, until the connection is gone.
async fn listen(events: impl Stream<Item = Event>, trouble: Arc<Mutex<LinkFailure>>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = std::future::poll_fn(|context| events.as_mut().poll_next(context)).await {
        let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::ConnectionBlocked(reason) => trouble.blocked = Some(reason),
            Event::ConnectionUnblocked => trouble.blocked = None,
            Event::Error(error) => {
                trouble.end = Some(refusal::words_of(&error));
                return;
            }
            _ => {}
        }
    }
}
