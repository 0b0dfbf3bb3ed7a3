//! Packing commands on the hot path. redis-rs's `Cmd` would copy every argument once more.

/// Begins a command of so many words, its name among them.
pub fn begin(out: &mut Vec<u8>, words: usize) {
    header(out, b'*', words);
}

/// The next word.
pub fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A whole command.
pub fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    begin(out, words.len());
    words.iter().for_each(|bytes| word(out, bytes));
}

fn header(out: &mut Vec<u8>, sign: u8, mut number: usize) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        // One decimal digit always fits a byte.
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push(sign);
    out.extend_from_slice(&digits[first..]);
    out.extend_from_slice(b"\r\n");
}
