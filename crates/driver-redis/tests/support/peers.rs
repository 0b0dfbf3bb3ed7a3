//! Servers that are not Redis: one with fixed answers, one that stands between us and Redis and may swallow an answer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

/// Answers each read with the next of `answers`, on every connection anew; silent after the last one.
pub fn with_fixed_answers(answers: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap(), answers));
        }
    });
    port
}

fn answer(mut stream: TcpStream, answers: &[&str]) {
    let mut buffer = [0; 65536];
    let mut answers = answers.iter();
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
        if let Some(answer) = answers.next() {
            stream.write_all(answer.as_bytes()).unwrap();
        }
    }
}

/// A door to a Redis server.
pub struct Proxy {
    pub port: u16,
    pub connections: Arc<AtomicU32>,
    swallows: Arc<AtomicBool>,
}

impl Proxy {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), connections: Arc::default(), swallows: Arc::default() };
        let (connections, swallows) = (Arc::clone(&proxy.connections), Arc::clone(&proxy.swallows));
        thread::spawn(move || {
            for client in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || forward(from, to, &AtomicBool::new(false)));
                let swallows = Arc::clone(&swallows);
                thread::spawn(move || forward(server, client, &swallows));
            }
        });
        proxy
    }

    /// The next answer is not passed on; both sides are closed in its place.
    pub fn swallow_the_next_answer(&self) {
        self.swallows.store(true, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, swallows: &AtomicBool) {
    let mut buffer = [0; 65536];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || swallows.swap(false, Ordering::SeqCst) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
