//! A connection to RabbitMQ: opened, watched, closed. It is never repaired: when it breaks, the next call opens a new one.

mod blocking_stream;
mod confirm_channel;
mod confirms;
mod frame_filter;
mod frame_reader;
mod frame_writer;
mod io_waker;
mod publish_frames;
mod socket;
mod socket_watch;
mod transport;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferry_core::config::{Address, AmqpConfig};
use ferry_core::{Error, ErrorKind, Result};
use ferry_support::{sync, threads, tls};
use futures_core::Stream;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, Event};

use crate::refusal;
use crate::runtime::AmqpRuntime;
use frame_reader::FrameReader;
use frame_writer::FrameWriter;
use socket::{Connector, HangupProbe};
use transport::ConnectionIo;

pub use confirm_channel::ConfirmChannel;
pub use confirms::{ChannelEnd, Confirm, ReturnedMessage};
pub use frame_reader::ArrivedDeliveries;
pub use transport::Transport;

/// The largest frame that is agreed on, in bytes: RabbitMQ's default. lapin allocates two buffers of 32 frames before it knows the server,
/// and takes a server that says 0 for one without a limit.
const MAX_FRAME: u32 = 131_072;
/// The most channels that are agreed on: RabbitMQ's default.
const MAX_CHANNELS: u16 = 2047;
/// Type, channel and size of a frame.
const FRAME_HEAD: usize = 7;
/// The type of a frame with a method.
pub const METHOD: u8 = 1;
/// The types of the other frames.
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
/// The byte behind each frame.
pub const FRAME_END: u8 = 0xCE;
/// How long closing a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// For so long a look at the socket that found it open is believed where nothing depends on the moment.
const LOOK_HOLDS: Duration = Duration::from_micros(500);

/// One open connection.
pub struct AmqpLink {
    connection: Connection,
    io: ConnectionIo,
    hangup_probe: Option<HangupProbe>,
    frames: Option<(FrameReader, FrameWriter)>,
    state: Arc<Mutex<LinkState>>,
    address: Address,
    io_timeout: Duration,
    opened: Instant,
    /// When the socket was last found open, in microseconds since `opened`.
    found_open: AtomicU64,
}

/// What the broker sent unasked.
#[derive(Default)]
struct LinkState {
    /// Why it blocks publishers at present.
    blocked: Option<String>,
    /// Why the connection ended.
    end: Option<String>,
}

impl AmqpLink {
    /// Connects to the first address that answers. Operators see `purpose` in the connection name, beside the process id.
    pub fn open(config: &AmqpConfig, runtime: &AmqpRuntime, purpose: &str) -> Result<Self> {
        let mut last = None;
        for address in &config.addresses {
            match Self::open_at(config, runtime, address, purpose) {
                Ok(link) => return Ok(link),
                // Hosts may differ in their users, so a refused login is tried on the next one too.
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Config, "no host is configured")))
    }

    fn open_at(config: &AmqpConfig, runtime: &AmqpRuntime, address: &Address, purpose: &str) -> Result<Self> {
        let Address::Tcp { host, port } = address else {
            return Err(Error::new(ErrorKind::Config, format!("{address} is no address of a RabbitMQ server")));
        };
        let tls = config
            .tls
            .as_ref()
            .map(|tls| {
                let name = tls::server_name(tls, address)?.to_str().into_owned();
                Ok::<_, Error>((tls::client_config(tls)?, name))
            })
            .transpose()?;
        let io = ConnectionIo::new(runtime.transport())?;
        let connector = Connector::new(host.clone(), *port, config.connect_timeout, tls);
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("ferry {} {purpose}", std::process::id()).into())
            .with_client_property("product".into(), "Ferry".into());
        let deadline = Instant::now() + config.connect_timeout;
        let connected = threads::with_signals_blocked(|| {
            io.connect(connector.clone(), uri(config, host, *port), properties, runtime.handle().clone(), deadline)
        });
        let hangup_probe = connector.hangup_probe();
        let connection = match connected {
            Some(Ok(connection)) => connection,
            failed => {
                // The library's thread waits for this socket, whatever the server does.
                hangup_probe.iter().for_each(HangupProbe::cut);
                return Err(match failed {
                    Some(Err(error)) => refusal::of_login(&error, config, address),
                    Some(Ok(_)) | None => not_in_time(address, config.connect_timeout),
                });
            }
        };
        let state = Arc::new(Mutex::new(LinkState::default()));
        runtime.handle().spawn(listen(connection.events_listener(), Arc::clone(&state)));
        let frames = connector.frames();
        Ok(Self {
            connection,
            io,
            hangup_probe,
            frames,
            state,
            address: address.clone(),
            io_timeout: config.io_timeout,
            opened: Instant::now(),
            found_open: AtomicU64::new(0),
        })
    }

    /// Whether the connection is open, as far as is known without a round trip.
    pub fn is_alive(&self) -> bool {
        let looked = self.frames.as_ref().and_then(|(reader, _)| reader.look());
        let is_open = looked.unwrap_or_else(|| self.hangup_probe.as_ref().is_none_or(|probe| !probe.hung_up()));
        // A look may have shown lapin the end.
        let is_open = is_open && self.connection.status().connected();
        if is_open {
            self.found_open.store(self.age(), Ordering::Relaxed);
        }
        is_open
    }

    /// The same, perhaps as it was a moment ago: for what is asked several times a job, and learns of a broken connection by its error too.
    pub fn was_alive(&self) -> bool {
        let found_open = Duration::from_micros(self.found_open.load(Ordering::Relaxed));
        let holds = self.opened.elapsed() < found_open + LOOK_HOLDS;
        if holds { self.connection.status().connected() } else { self.is_alive() }
    }

    fn age(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Why the broker blocks publishers at present, if it does.
    pub fn blocked(&self) -> Option<String> {
        if !self.connection.status().blocked() {
            return None;
        }
        let reason = sync::lock(&self.state).blocked.clone();
        Some(reason.unwrap_or_else(|| "a resource is short".into()))
    }

    /// Why the connection ended, if the broker or the network gave a reason.
    pub fn end_reason(&self) -> Option<String> {
        sync::lock(&self.state).end.clone()
    }

    /// The negotiated heartbeat in seconds; 0 is none.
    pub fn heartbeat(&self) -> u16 {
        self.connection.configuration().heartbeat()
    }

    /// The address of the broker.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Opens a new channel.
    pub fn channel(&self) -> Result<Channel> {
        self.request(self.connection.create_channel())
    }

    /// Opens a new channel on which messages are published past lapin. `None` where its frames are not ours to write and read.
    pub fn confirm_channel(&self) -> Result<Option<ConfirmChannel>> {
        let Some((reader, writer)) = self.frames.clone() else { return Ok(None) };
        let frame_max = self.connection.configuration().frame_max() as usize;
        Ok(Some(ConfirmChannel::new(self.channel()?, reader, writer, frame_max)))
    }

    /// Waits for the answer to a request that may be repeated.
    pub fn request<T>(&self, request: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        self.request_within(self.io_timeout, request)
    }

    /// The same for at most `limit`, if that is shorter.
    pub fn request_within<T>(&self, limit: Duration, request: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        let answered = self.io.wait_for_answer(Instant::now() + limit.min(self.io_timeout), request);
        self.result_of(answered)
    }

    /// The same for something that may not exist: `None` for reply code 404.
    pub fn request_if_found<T>(&self, request: impl Future<Output = lapin::Result<T>>) -> Result<Option<T>> {
        match self.io.wait_for_answer(Instant::now() + self.io_timeout, request) {
            Some(Err(error)) if refusal::is_not_found(&error) => Ok(None),
            answered => self.result_of(answered).map(Some),
        }
    }

    /// Waits until something is written that has no answer.
    pub fn send<T>(&self, frame: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        let written = self.io.wait(Instant::now() + self.io_timeout, frame);
        self.result_of(written)
    }

    /// Sends something that has no answer and waits for nothing. Whether it was accepted: it goes out unless the connection breaks.
    pub fn start<T>(&self, frame: impl Future<Output = lapin::Result<T>>) -> bool {
        self.io.start(frame).is_none_or(|written| written.is_ok())
    }

    /// Waits until `deadline` for a future that sends nothing and ends with a delivery.
    pub fn wait_for_delivery<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        match &self.frames {
            Some((reader, _)) => reader.wait(deadline, future),
            None => self.io.wait_for_delivery(deadline, future),
        }
    }

    /// Takes the deliveries of a consumer past lapin, from before the broker knows its tag. `None` when they come by lapin's consumer.
    pub fn subscribe(&self, channel: u16, tag: &str) -> Option<ArrivedDeliveries> {
        self.frames.as_ref().map(|(reader, _)| reader.subscribe(channel, tag))
    }

    /// Waits until `deadline` for a future that ends with an answer of the broker.
    pub fn wait_for_answer<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        self.io.wait_for_answer(deadline, future)
    }

    /// Writes a finished frame that has no answer, past lapin, and waits for nothing. `false` when nothing of it was written.
    pub fn try_write_frame(&self, frame: &[u8], is_open: impl FnOnce() -> bool) -> bool {
        self.frames.as_ref().is_some_and(|(_, writer)| writer.try_write_frame(frame, is_open))
    }

    fn result_of<T>(&self, outcome: Option<lapin::Result<T>>) -> Result<T> {
        match outcome {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(refusal::of_answer(&error, &self.address)),
            None => Err(not_in_time(&self.address, self.io_timeout)),
        }
    }

    /// Closes the connection and waits for the answer. Dropping it closes it too, but does not wait.
    pub fn close(&self) {
        if self.is_alive() {
            let closed = self.io.wait(Instant::now() + CLOSE_TIMEOUT, self.connection.close(200, "OK".into()));
            if !matches!(closed, Some(Ok(()))) {
                // lapin would keep the socket until the other side answers, or has met an error and told the broker nothing.
                self.cut();
            }
        }
    }

    /// Ends the connection at once, so that the broker reads nothing more of ours.
    pub fn cut(&self) {
        self.hangup_probe.iter().for_each(HangupProbe::cut);
    }
}

fn not_in_time(address: &Address, limit: Duration) -> Error {
    Error::new(ErrorKind::Connection, format!("RabbitMQ at {address} did not answer within {} s", limit.as_secs_f32()))
        .with_advice("is it up, and is this its AMQP port?")
}

fn uri(config: &AmqpConfig, host: &str, port: u16) -> AMQPUri {
    AMQPUri {
        // The connector does TLS itself; lapin uses the scheme for nothing else.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username: config.username.clone(), password: config.password.expose().to_owned() },
            host: host.to_owned(),
            port,
        },
        vhost: config.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(config.heartbeat),
            frame_max: Some(MAX_FRAME),
            channel_max: Some(MAX_CHANNELS),
            ..AMQPQueryString::default()
        },
    }
}

/// Records the events of a connection until it ends.
async fn listen(events: impl Stream<Item = Event>, state: Arc<Mutex<LinkState>>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = std::future::poll_fn(|context| events.as_mut().poll_next(context)).await {
        let mut state = sync::lock(&state);
        match event {
            Event::ConnectionBlocked(reason) => state.blocked = Some(reason),
            Event::ConnectionUnblocked => state.blocked = None,
            Event::Error(error) => {
                state.end = Some(refusal::text_of(&error));
                return;
            }
            _ => {}
        }
    }
}
