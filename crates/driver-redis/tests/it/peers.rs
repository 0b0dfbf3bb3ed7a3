//! A server that is not Redis: it gives fixed answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
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
