//! Tests of the frame reader on a socket whose lapin is a thread of ours.

use std::future::poll_fn;
use std::io::Write;
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use super::super::socket_watch::OFF_SOCKET;
use super::*;

const LONG: Duration = Duration::from_secs(60);
const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0xCE];

/// A connection whose lapin is a thread that collects its bytes until there are no more.
struct Connection {
    broker: TcpStream,
    reader: FrameReader,
    lapin: JoinHandle<Vec<u8>>,
}

fn connect() -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let (broker, _) = listener.accept().unwrap();
    broker.set_nodelay(true).unwrap();
    let reader = FrameReader::new(socket, Arc::new(IoWaker::new().unwrap())).unwrap();
    let lapin = thread::spawn({
        let reader = reader.clone();
        move || read_as_lapin(&reader)
    });
    Connection { broker, reader, lapin }
}

fn read_as_lapin(reader: &FrameReader) -> Vec<u8> {
    let (mut watch, mut all, mut buffer, mut ends) = (SocketWatch::default(), Vec::new(), [0; 100], 0);
    // lapin may believe only the second one.
    while ends < 2 {
        let read = reader.take_for_lapin(&mut buffer).unwrap_or_else(|| {
            reader.sleep(&mut watch, false)?;
            reader.read(&mut buffer)
        });
        match read {
            Ok(0) => ends += 1,
            Ok(count) => {
                all.extend_from_slice(&buffer[..count]);
                reader.0.io_waker.announce();
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    reader.announce_end();
    all
}

/// A delivery of the consumer `t` on channel 1 with this number and an empty body.
fn delivery(number: u8) -> Vec<u8> {
    let method = [1, 0, 1, 0, 0, 0, 18, 0, 60, 0, 60, 1, b't', 0, 0, 0, 0, 0, 0, 0, number, 0, 0, 1, b'q', 0xCE];
    let header = [2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xCE];
    [&method[..], &header].concat()
}

fn next(reader: &FrameReader, arrived: &ArrivedDeliveries) -> u64 {
    let next = poll_fn(|_| arrived.next().map_or(Poll::Pending, Poll::Ready));
    reader.wait(Instant::now() + LONG, next).expect("a delivery").delivery_tag
}

#[test]
fn each_delivery_arrives_and_lapin_gets_everything_else_whoever_reads() {
    let Connection { mut broker, reader, lapin } = connect();
    let arrived = reader.subscribe(1, "t");
    for number in 1..=200 {
        // The broker is sometimes quicker than this thread, and often lapin's then reads.
        broker.write_all(&delivery(number)).unwrap();
        if number % 2 == 0 {
            broker.write_all(&HEARTBEAT).unwrap();
        }
        if number % 50 == 0 {
            thread::sleep(2 * OFF_SOCKET);
        }
        assert_eq!(next(&reader, &arrived), u64::from(number));
    }
    drop(broker);
    let theirs = lapin.join().unwrap();
    assert!(theirs.len() >= 100 * HEARTBEAT.len());
    assert!(theirs.chunks(HEARTBEAT.len()).all(|frame| frame == HEARTBEAT));
}

#[test]
fn lapins_bytes_reach_it_while_a_thread_of_ours_waits() {
    let Connection { mut broker, reader, lapin } = connect();
    let arrived = reader.subscribe(1, "t");
    let waiting = thread::spawn({
        let reader = reader.clone();
        move || next(&reader, &arrived)
    });
    while !reader.0.is_ours() {
        thread::yield_now();
    }
    broker.write_all(&HEARTBEAT).unwrap();
    broker.write_all(&delivery(7)).unwrap();
    assert_eq!(waiting.join().unwrap(), 7);
    drop(broker);
    assert_eq!(lapin.join().unwrap(), HEARTBEAT);
}

#[test]
fn the_end_of_the_connection_reaches_lapin_and_ends_no_wait_by_itself() {
    let Connection { mut broker, reader, lapin } = connect();
    let (is_told, waker) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None::<Waker>)));
    let waiting = thread::spawn({
        let (reader, is_told, waker) = (reader.clone(), Arc::clone(&is_told), Arc::clone(&waker));
        move || {
            let mut polls = 0;
            let end = poll_fn(|context| {
                polls += 1;
                *sync::lock(&waker) = Some(context.waker().clone());
                if is_told.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            });
            reader.wait(Instant::now() + LONG, end).expect("it was told");
            polls
        }
    });
    while sync::lock(&waker).is_none() {
        thread::yield_now();
    }
    broker.write_all(&HEARTBEAT[..3]).unwrap();
    drop(broker);
    assert_eq!(lapin.join().unwrap(), HEARTBEAT[..3]);
    // As lapin does when it has ended the consumer.
    is_told.store(true, Ordering::SeqCst);
    sync::lock(&waker).take().unwrap().wake();
    assert!(waiting.join().unwrap() < 10, "an ended socket must not keep the thread busy");
}

#[test]
fn what_is_no_amqp_is_left_to_lapin_and_keeps_no_thread_busy() {
    let Connection { mut broker, reader, lapin } = connect();
    let waiting = thread::spawn({
        let reader = reader.clone();
        move || {
            let mut polls = 0;
            let never = poll_fn(|_| {
                polls += 1;
                Poll::<()>::Pending
            });
            assert!(reader.wait(Instant::now() + 10 * BESIDE_ANOTHER, never).is_none());
            polls
        }
    });
    while !reader.0.is_ours() {
        thread::yield_now();
    }
    broker.write_all(b"HTTP/1.1 400 Bad Request").unwrap();
    while !reader.0.lock().is_over() || reader.0.is_ours() {
        thread::yield_now();
    }
    broker.write_all(&delivery(1)).unwrap();
    assert!(waiting.join().unwrap() < 100);
    drop(broker);
    assert_eq!(lapin.join().unwrap(), [b"HTTP/1.1 400 Bad Request".as_slice(), &delivery(1)].concat());
}

#[test]
fn a_look_lets_lapin_see_what_came_since_and_finds_the_end() {
    let Connection { mut broker, reader, lapin } = connect();
    let arrived = reader.subscribe(1, "t");
    assert_eq!(reader.look(), None, "lapin's thread watches the socket");
    broker.write_all(&delivery(1)).unwrap();
    assert_eq!(next(&reader, &arrived), 1);
    broker.write_all(&[&HEARTBEAT[..], &delivery(2)].concat()).unwrap();
    // The loopback may take a moment.
    while !reader.0.lock().filter.has_any("t") {
        assert_eq!(reader.look(), Some(true));
    }
    assert!(!reader.0.lock().filter.has_any_for_lapin());
    drop(broker);
    // On a busy machine lapin's thread may find it first.
    while reader.look().unwrap_or_else(|| !reader.0.lock().is_over()) {
        thread::yield_now();
    }
    assert_eq!(lapin.join().unwrap(), HEARTBEAT);
}

#[test]
fn a_wait_ends_at_its_deadline_and_leaves_the_socket_to_lapin() {
    let Connection { mut broker, reader, lapin } = connect();
    for wait in [Duration::from_millis(1), 2 * OFF_SOCKET] {
        assert!(reader.wait(Instant::now() + wait, std::future::pending::<()>()).is_none());
        broker.write_all(&HEARTBEAT).unwrap();
    }
    drop(broker);
    assert_eq!(lapin.join().unwrap(), [HEARTBEAT, HEARTBEAT].concat());
}

#[test]
fn an_answer_that_a_thread_waits_for_is_read_as_soon_as_a_turn_ends() {
    let Connection { mut broker, reader, lapin } = connect();
    let arrived = reader.subscribe(1, "t");
    let io_waker = Arc::clone(&reader.0.io_waker);
    let (sender, answered) = tokio::sync::oneshot::channel();
    let asking = thread::spawn(move || io_waker.wait_for_answer(Instant::now() + LONG, answered));
    while !reader.0.io_waker.has_requests() {
        thread::yield_now();
    }
    broker.write_all(&delivery(1)).unwrap();
    assert_eq!(next(&reader, &arrived), 1);
    // No turn follows, as when PHP's thread waits for the one that asked.
    while !reader.0.is_watched.load(Ordering::SeqCst) {
        assert!(reader.0.lock().lapin_read.elapsed() < LONG);
        thread::yield_now();
    }
    sender.send(()).unwrap();
    asking.join().unwrap();
    drop(broker);
    assert_eq!(lapin.join().unwrap(), b"");
}

#[test]
fn a_second_thread_gets_what_the_first_one_reads_for_it() {
    let Connection { mut broker, reader, lapin } = connect();
    let first = thread::spawn({
        let (reader, arrived) = (reader.clone(), reader.subscribe(2, "other"));
        move || next(&reader, &arrived)
    });
    while !reader.0.is_ours() {
        thread::yield_now();
    }
    let arrived = reader.subscribe(1, "t");
    broker.write_all(&delivery(3)).unwrap();
    assert_eq!(next(&reader, &arrived), 3);
    let method =
        [1, 0, 2, 0, 0, 0, 22, 0, 60, 0, 60, 5, b'o', b't', b'h', b'e', b'r', 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 1, b'q', 0xCE];
    let header = [2, 0, 2, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xCE];
    broker.write_all(&[&method[..], &header].concat()).unwrap();
    assert_eq!(first.join().unwrap(), 4);
    drop(broker);
    assert_eq!(lapin.join().unwrap(), b"");
}

#[test]
fn lapin_hears_of_a_broker_that_sends_only_deliveries() {
    let Connection { mut broker, reader, lapin } = connect();
    let arrived = reader.subscribe(1, "t");
    reader.0.lock().lapin_read = Instant::now() - SIGN_OF_LIFE;
    broker.write_all(&delivery(1)).unwrap();
    assert_eq!(next(&reader, &arrived), 1);
    broker.write_all(&delivery(2)).unwrap();
    assert_eq!(next(&reader, &arrived), 2);
    arrived.read();
    drop(broker);
    assert_eq!(lapin.join().unwrap(), HEARTBEAT);
}
