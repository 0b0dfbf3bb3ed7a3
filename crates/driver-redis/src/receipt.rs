//! The content of a receipt: the reserved member, and how to restore the original body from it.
//!
//! `offset u32 | digits u8 | member`: where the attempts digits stand in the member (`u32::MAX` where the body was reserved
//! unchanged: poison, and every job of v1 and v2) and how many there were before they were raised.

use ferry_core::job::Receipt;
use ferry_core::payload::{AttemptsAt, find_attempts, with_attempts};
use ferry_core::{Error, ErrorKind, Result};

const HEADER: usize = 5;
const UNCHANGED: u32 = u32::MAX;

/// A reserved member, read from its receipt.
#[derive(Debug, PartialEq, Eq)]
pub struct ReservedMember<'a> {
    offset: u32,
    digits: u8,
    /// The member of the reserved set: as long as it is there, the reservation is ours.
    pub bytes: &'a [u8],
}

/// The receipt of a job reserved from `body`: raised to so many attempts, whose digits stand at an offset, or unchanged.
///
/// `None` when body, offset and attempts do not fit together.
pub fn receipt(body: &[u8], raised: Option<(usize, u32)>) -> Option<Receipt> {
    let Some((offset, attempts)) = raised else {
        return Some(Receipt(encode(UNCHANGED, 0, [body, b"", b""])));
    };
    let digits = attempts.checked_sub(1)?.to_string();
    let (before, rest) = body.split_at_checked(offset)?;
    let behind = rest.strip_prefix(digits.as_bytes())?;
    let raised = attempts.to_string();
    let member = [before, raised.as_bytes(), behind];
    Some(Receipt(encode(u32::try_from(offset).ok()?, u8::try_from(digits.len()).ok()?, member)))
}

fn encode(offset: u32, digits: u8, member: [&[u8]; 3]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + member.iter().map(|part| part.len()).sum::<usize>());
    out.extend_from_slice(&offset.to_le_bytes());
    out.push(digits);
    member.iter().for_each(|part| out.extend_from_slice(part));
    out
}

impl<'a> ReservedMember<'a> {
    /// Reads a receipt of ours.
    pub fn read(receipt: &'a Receipt) -> Result<Self> {
        let foreign = || Error::new(ErrorKind::InvalidArgument, "the receipt was not made by the Redis driver");
        let (header, member) = receipt.0.split_at_checked(HEADER).ok_or_else(foreign)?;
        let offset = u32::from_le_bytes(header[..4].try_into().map_err(|_| foreign())?);
        let member = Self { offset, digits: header[4], bytes: member };
        if member.offset == UNCHANGED || member.original_value().is_some() { Ok(member) } else { Err(foreign()) }
    }

    /// The member with one attempt more: what an unchanged one becomes when it comes back. `None` without a count.
    pub fn raised(&self) -> Option<Vec<u8>> {
        find_attempts(self.bytes).map(|at| with_attempts(self.bytes, at, at.value + 1))
    }

    /// The body as it was before it was reserved.
    pub fn original(&self) -> Vec<u8> {
        match self.original_value() {
            Some((at, value)) => with_attempts(self.bytes, at, value),
            None => self.bytes.to_vec(),
        }
    }

    /// Where the raised count stands and what it was before.
    fn original_value(&self) -> Option<(AttemptsAt, u32)> {
        let offset = usize::try_from(self.offset).ok()?;
        let digits = usize::from(self.digits);
        // Raising 9 or 99 made the count one digit longer.
        [digits, digits + 1].into_iter().find_map(|length| {
            let text = std::str::from_utf8(self.bytes.get(offset..offset.checked_add(length)?)?).ok()?;
            let value = text.parse::<u32>().ok()?.checked_sub(1)?;
            let whole = value.to_string().len() == digits && !self.bytes.get(offset + length).is_some_and(u8::is_ascii_digit);
            whole.then_some((AttemptsAt { offset, length, value: value + 1 }, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use ferry_core::payload::find_attempts;

    use super::*;

    #[test]
    fn the_original_comes_back_byte_for_byte() {
        for body in [
            &br#"{"job":"J","attempts":0}"#[..],
            br#"{"job":"J","attempts":9}"#,
            br#"{"job":"J","attempts":99,"z":1}"#,
            br#"{"attempts":98}"#,
            br#"{"attempts":999999999}"#,
            b"zzz \xff",
            b"",
        ] {
            let at = find_attempts(body);
            let receipt = receipt(body, at.map(|at| (at.offset, at.value + 1))).unwrap();
            let member = ReservedMember::read(&receipt).unwrap();
            assert_eq!(member.original(), body);
            assert_eq!(member.bytes == body, at.is_none());
        }
    }

    #[test]
    fn a_body_that_was_reserved_unchanged_is_raised_when_it_comes_back() {
        for (body, raised) in [
            (&br#"{"job":"J","attempts":1}"#[..], Some(&br#"{"job":"J","attempts":2}"#[..])),
            (br#"{"attempts":9,"z":1}"#, Some(br#"{"attempts":10,"z":1}"#)),
            (b"zzz", None),
        ] {
            let receipt = receipt(body, None).unwrap();
            let member = ReservedMember::read(&receipt).unwrap();
            assert_eq!((member.bytes, member.original().as_slice()), (body, body));
            assert_eq!(member.raised().as_deref(), raised);
        }
    }

    #[test]
    fn a_receipt_of_another_driver_is_refused() {
        for bytes in [&b""[..], b"1234", &[0, 0, 0, 0, 1, b'x'], &[9, 0, 0, 0, 1, b'1']] {
            assert_eq!(ReservedMember::read(&Receipt(bytes.to_vec())).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }
}
