//! Received bytes and the replies in them.
//!
//! redis-rs's own buffer is cleared, 8 KiB, before each read, and its parser can stop and go on anywhere: half of what a push cost. Here a
//! reply is parsed once it is complete, the usual kinds without redis-rs.

use redis::Value;

use super::bounds::AnswerBounds;

/// What is read at once, and kept.
const ROOM: usize = 8 << 10;
/// So much memory is kept after a long reply.
const MOST_KEPT: usize = 1 << 20;

/// Bytes that were received and not used.
#[derive(Debug, Default)]
pub struct ReplyBuffer {
    bytes: Vec<u8>,
    /// Where the first reply begins.
    start: usize,
    /// Until where its end was looked for.
    scanned: usize,
    /// Behind the last byte.
    end: usize,
    bounds: AnswerBounds,
}

impl ReplyBuffer {
    /// Where to receive more; [`ReplyBuffer::received`] says how much came.
    pub fn room(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() {
            // Doubled, so that a long reply is copied a few times only.
            self.bytes.resize((self.bytes.len() * 2).max(ROOM), 0);
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes were received.
    pub fn received(&mut self, count: usize) {
        self.end += count;
    }

    /// The first reply, when all of it is here.
    pub fn next(&mut self) -> Result<Option<Value>, String> {
        if let Some(number) = self.next_number() {
            return Ok(Some(number));
        }
        let Some(length) = self.bounds.end_of_reply(&self.bytes[self.scanned..self.end])? else {
            self.scanned = self.end;
            return Ok(None);
        };
        let end = self.scanned + length;
        let value = parse(&self.bytes[self.start..end])?;
        self.take_until(end);
        Ok(Some(value))
    }

    /// The first reply, when it is a number that is here: that of every push and deletion.
    fn next_number(&mut self) -> Option<Value> {
        let first = &self.bytes[self.start..self.end];
        if self.start != self.scanned || first.first() != Some(&b':') {
            return None;
        }
        let (number, rest) = number(&first[1..])?;
        self.take_until(self.end - rest.len());
        Some(Value::Int(number))
    }

    fn take_until(&mut self, end: usize) {
        (self.start, self.scanned) = (end, end);
        if end == self.end {
            (self.start, self.scanned, self.end) = (0, 0, 0);
            if self.bytes.len() > MOST_KEPT {
                self.bytes = Vec::new();
            }
        }
    }
}

/// The value of a whole reply.
fn parse(reply: &[u8]) -> Result<Value, String> {
    match usual(reply, LISTS) {
        Some((value, _)) => Ok(value),
        None => redis::parse_redis_value(reply).map_err(|error| error.to_string()),
    }
}

/// How deep lists lie in one another in answers of our scripts.
const LISTS: usize = 2;

/// A number, bytes, nothing, or a list of them, with lists in it `lists` deep, and what lies behind it. `None` for all else.
fn usual(reply: &[u8], lists: usize) -> Option<(Value, &[u8])> {
    match reply.first()? {
        b':' => number(&reply[1..]).map(|(number, rest)| (Value::Int(number), rest)),
        b'$' => {
            let (length, rest) = number(&reply[1..])?;
            let Ok(length) = usize::try_from(length) else { return Some((Value::Nil, rest)) };
            let (bytes, rest) = rest.split_at_checked(length)?;
            Some((Value::BulkString(bytes.to_vec()), rest.strip_prefix(b"\r\n")?))
        }
        b'*' if lists > 0 => list(&reply[1..], lists - 1),
        _ => None,
    }
}

fn list(reply: &[u8], lists: usize) -> Option<(Value, &[u8])> {
    let (length, mut rest) = number(reply)?;
    let length = usize::try_from(length).ok()?;
    // A list that was promised only is not trusted with memory.
    let mut items = Vec::with_capacity(length.min(rest.len()));
    for _ in 0..length {
        let (item, behind) = usual(rest, lists)?;
        items.push(item);
        rest = behind;
    }
    Some((Value::Array(items), rest))
}

/// The number until the end of the line, and what lies behind that.
fn number(line: &[u8]) -> Option<(i64, &[u8])> {
    let end = line.iter().position(|byte| *byte == b'\r')?;
    let rest = line[end..].strip_prefix(b"\r\n")?;
    Some((std::str::from_utf8(&line[..end]).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of bytes that arrive in pieces of `size`.
    fn replies(bytes: &[u8], size: usize) -> Result<Vec<Value>, String> {
        let (mut buffer, mut replies) = (ReplyBuffer::default(), Vec::new());
        for piece in bytes.chunks(size) {
            receive(&mut buffer, piece);
            while let Some(reply) = buffer.next()? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    fn receive(buffer: &mut ReplyBuffer, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = buffer.room();
            let (piece, rest) = bytes.split_at(bytes.len().min(room.len()));
            room[..piece.len()].copy_from_slice(piece);
            buffer.received(piece.len());
            bytes = rest;
        }
    }

    #[test]
    fn replies_are_those_of_redis_rs_however_they_are_cut() {
        let long = format!("$100000\r\n{}\r\n", "x".repeat(100_000));
        let all: [&[u8]; 19] = [
            b":1\r\n",
            b":-9223372036854775808\r\n",
            b"+OK\r\n",
            b"+PONG\r\n",
            b"-NOSCRIPT No matching script\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"$7\r\na\r\n:1\r\n\r\n",
            long.as_bytes(),
            b"*0\r\n",
            b"*-1\r\n",
            b"*3\r\n:1\r\n$2\r\nab\r\n$-1\r\n",
            b"*2\r\n*1\r\n:1\r\n*0\r\n",
            b"*2\r\n*2\r\n*1\r\n:1\r\n$1\r\na\r\n:2\r\n",
            b"*2\r\n+OK\r\n-ERR no\r\n",
            b"%1\r\n+a\r\n:1\r\n",
            b"_\r\n",
            b"#t\r\n",
            b"=7\r\ntxt:abc\r\n",
        ];
        let expected: Vec<Value> = all.iter().map(|reply| redis::parse_redis_value(reply).unwrap()).collect();
        for size in [1, 3, 4096, ROOM] {
            assert_eq!(replies(&all.concat(), size), Ok(expected.clone()), "{size}");
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        for bytes in [&b":abc\r\n"[..], b"?\r\n", b"$x\r\n", b"$2\r\nabcd\r\n", b"*1\r\n\r\n"] {
            assert!(replies(bytes, 100).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn memory_of_a_long_reply_is_given_back() {
        let mut buffer = ReplyBuffer::default();
        let long = [b"$3000000\r\n".as_slice(), &vec![b'x'; 3_000_000], b"\r\n"].concat();
        receive(&mut buffer, &long);
        assert!(buffer.next().unwrap().is_some());
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
