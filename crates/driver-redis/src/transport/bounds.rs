//! Where a reply ends, and bounds for what a server sends: one that lies never ends a line.

/// The longest line: headers are short, and errors of scripts quote a little code.
const LINE: usize = 16 << 10;
/// The longest byte string. Twice what Redis takes unless it is configured otherwise (`proto-max-bulk-len`).
const BULK: u64 = 1 << 30;
/// The most items of a list. A reserve call answers with 30,000 at most, a page of failed jobs with 200.
const ITEMS: u64 = 10_000_000;

/// Follows a stream of replies and knows where its lines are. It understands as little of the protocol as that takes.
#[derive(Debug)]
pub struct AnswerBounds {
    /// The beginning of the current line: kind and number.
    head: Vec<u8>,
    /// The length of the current line so far.
    line: usize,
    /// Bytes of the current byte string that are still to come, with the line end behind it.
    bulk: u64,
    /// Values of the reply that have not ended.
    values: u64,
}

impl Default for AnswerBounds {
    fn default() -> Self {
        Self { head: Vec::new(), line: 0, bulk: 0, values: 1 }
    }
}

impl AnswerBounds {
    /// Where the reply ends in the next bytes, when it ends there; the bytes behind it are to be given again. An error says which bound they
    /// pass.
    pub fn end_of_reply(&mut self, bytes: &[u8]) -> Result<Option<usize>, &'static str> {
        let mut at = 0;
        while at < bytes.len() {
            at += if self.bulk > 0 { self.skip_bulk(&bytes[at..]) } else { self.read_line(&bytes[at..])? };
            if self.values == 0 {
                self.values = 1;
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn skip_bulk(&mut self, bytes: &[u8]) -> usize {
        let skipped = usize::try_from(self.bulk).map_or(bytes.len(), |bulk| bulk.min(bytes.len()));
        self.bulk -= skipped as u64;
        if self.bulk == 0 {
            self.values -= 1;
        }
        skipped
    }

    fn read_line(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        const HEAD: usize = 24;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let line = &bytes[..end.map_or(bytes.len(), |end| end + 1)];
        self.line += line.len();
        if self.line > LINE {
            return Err("a line is longer than 16 KiB");
        }
        self.head.extend_from_slice(&line[..line.len().min(HEAD.saturating_sub(self.head.len()))]);
        if end.is_some() {
            self.end_line()?;
        }
        Ok(line.len())
    }

    fn end_line(&mut self) -> Result<(), &'static str> {
        let number = || std::str::from_utf8(self.head.get(1..)?).ok()?.trim_end().parse::<u64>().ok();
        let items = match self.head.first() {
            Some(b'$' | b'=' | b'!') => match number() {
                Some(length) if length > BULK => return Err("a byte string is longer than 1 GiB"),
                // Nil has the length -1, and nothing behind it.
                Some(length) => {
                    self.bulk = length + 2;
                    1
                }
                None => 0,
            },
            Some(b'*' | b'~' | b'>') => number().unwrap_or(0),
            Some(b'%') => number().unwrap_or(0).saturating_mul(2),
            Some(b'|') => number().unwrap_or(0).saturating_mul(2).saturating_add(1),
            _ => 0,
        };
        if items > ITEMS {
            return Err("a list has more than 10,000,000 items");
        }
        self.values = self.values - 1 + items;
        self.head.clear();
        self.line = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]]) -> Result<(), &'static str> {
        let mut bounds = AnswerBounds::default();
        chunks.iter().try_for_each(|chunk| {
            let mut left = *chunk;
            while let Some(end) = bounds.end_of_reply(left)? {
                left = &left[end..];
            }
            Ok(())
        })
    }

    #[test]
    fn ordinary_answers_pass_however_they_are_cut() {
        let payload = vec![b'x'; 100_000];
        let answer = [b"*3\r\n:1\r\n$100000\r\n".as_slice(), &payload, b"\r\n$-1\r\n-ERR no\r\n+OK\r\n"].concat();
        assert_eq!(check(&[&answer]), Ok(()));
        for size in [1, 2, 7, 4096] {
            assert_eq!(check(&answer.chunks(size).collect::<Vec<_>>()), Ok(()), "{size}");
        }
    }

    #[test]
    fn a_line_that_does_not_end_is_refused() {
        let endless = vec![b'x'; LINE];
        assert_eq!(check(&[b"+", &endless]), Err("a line is longer than 16 KiB"));
        assert_eq!(check(&[b"$5\r\nhello\r\n", b":", &endless]), Err("a line is longer than 16 KiB"));
        assert_eq!(check(&[&endless]), Ok(()));
    }

    #[test]
    fn lengths_that_nobody_means_are_refused() {
        assert_eq!(check(&[b"$1073741825\r\n"]), Err("a byte string is longer than 1 GiB"));
        assert_eq!(check(&[b"$1073741824\r\n"]), Ok(()));
        assert_eq!(check(&[b"*10000001\r\n"]), Err("a list has more than 10,000,000 items"));
        assert_eq!(check(&[b"*", b"10000000\r\n"]), Ok(()));
    }
}
