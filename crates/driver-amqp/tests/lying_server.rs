//! Numbers that a server sends are bounded before anything is allocated for them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::config::{DriverConfig, connection_from_dsn};
use ferry_core::{Broker, ErrorKind, NewJob, QueueName};
use ferry_driver_amqp::{AmqpBroker, Settings, Transport};

const METHOD: u8 = 1;
const FRAME_END: u8 = 0xCE;

/// What a client answered to `connection.tune`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TuneOk {
    channel_max: u16,
    frame_max: u32,
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[METHOD, 0, 0], &size[..], payload, &[FRAME_END]].concat()
}

/// Class 10, method 10: version, no properties, one mechanism, one locale.
fn start() -> Vec<u8> {
    let text = |text: &[u8]| [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat();
    frame(&[&[0, 10, 0, 10, 0, 9, 0, 0, 0, 0][..], &text(b"PLAIN"), &text(b"en_US")].concat())
}

fn tune(channel_max: u16, frame_max: u32) -> Vec<u8> {
    frame(&[&[0, 10, 0, 30][..], &channel_max.to_be_bytes(), &frame_max.to_be_bytes(), &[0, 60]].concat())
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).unwrap();
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let mut rest = vec![0; size + 1];
    stream.read_exact(&mut rest).unwrap();
    rest
}

/// Serves one client up to `connection.open-ok`, sends `lie` and hangs up when the client does.
fn serve(listener: &TcpListener, tuned: &Sender<TuneOk>, tune: &[u8], lie: &[u8]) {
    let (mut stream, _) = listener.accept().unwrap();
    // lapin reads no further once its buffer is full of half a frame, and keeps the socket.
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.read_exact(&mut [0; 8]).unwrap();
    stream.write_all(&start()).unwrap();
    read_frame(&mut stream);
    stream.write_all(tune).unwrap();
    let answer = read_frame(&mut stream);
    tuned
        .send(TuneOk {
            channel_max: u16::from_be_bytes([answer[4], answer[5]]),
            frame_max: u32::from_be_bytes([answer[6], answer[7], answer[8], answer[9]]),
        })
        .unwrap();
    read_frame(&mut stream);
    stream.write_all(&frame(&[0, 10, 0, 41, 0])).unwrap();
    // The client may have hung up already.
    let _ = stream.write_all(lie);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// The error of a push may take so long.
const IN_TIME: Duration = Duration::from_secs(20);

fn push_to(tune: Vec<u8>, lie: Vec<u8>, transport: Transport) -> (ErrorKind, Receiver<TuneOk>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, tuned) = channel();
    let server = thread::spawn(move || serve(&listener, &sender, &tune, &lie));
    let dsn = format!("amqp://127.0.0.1:{port}");
    let DriverConfig::Amqp(mut config) = connection_from_dsn("lied", &dsn).unwrap().driver else { panic!("not amqp") };
    (config.connect_timeout, config.io_timeout) = (Duration::from_secs(20), Duration::from_millis(500));
    let broker = AmqpBroker::new(config, Settings { transport, ..Settings::default() });
    let begun = Instant::now();
    let error = broker.push(&QueueName::new(b"mail").unwrap(), NewJob::ready(&b"{}"[..])).unwrap_err();
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    drop(broker);
    server.join().unwrap();
    (error.kind(), tuned)
}

#[test]
fn frames_and_channels_without_a_limit_or_with_a_huge_one_are_bounded() {
    for transport in [Transport::Blocking, Transport::Tokio] {
        for (channel_max, frame_max) in [(0, 0), (u16::MAX, u32::MAX), (u16::MAX, 1 << 30)] {
            let (kind, tuned) = push_to(tune(channel_max, frame_max), Vec::new(), transport);
            assert_eq!(kind, ErrorKind::Connection);
            assert_eq!(tuned.recv().unwrap(), TuneOk { channel_max: 2047, frame_max: 131_072 });
        }
    }
}

#[test]
fn limits_below_ours_are_kept() {
    let (kind, tuned) = push_to(tune(16, 8192), Vec::new(), Transport::Blocking);
    assert_eq!(kind, ErrorKind::Connection);
    assert_eq!(tuned.recv().unwrap(), TuneOk { channel_max: 16, frame_max: 8192 });
}

#[test]
fn limits_too_low_to_work_with_are_an_error_in_time() {
    let (kind, _) = push_to(tune(1, 1), Vec::new(), Transport::Blocking);
    assert_eq!(kind, ErrorKind::Connection);
}

#[test]
fn a_frame_larger_than_agreed_is_an_error_in_time_and_not_buffered() {
    for transport in [Transport::Blocking, Transport::Tokio] {
        let lie = [&[METHOD, 0, 0, 0x7f, 0xff, 0xff, 0xff][..], &vec![b'x'; 16 << 20]].concat();
        let (kind, _) = push_to(tune(0, 0), lie, transport);
        assert_eq!(kind, ErrorKind::Connection);
    }
}
