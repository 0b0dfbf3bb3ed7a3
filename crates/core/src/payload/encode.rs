//! The envelope around data that PHP encoded.

use std::io::Write;

use crate::dialect::Family;

/// A payload to be written. Every field but the id is JSON text already; nothing is escaped here.
///
/// Field order is wire format (`fixtures/think-queue-v3.json`, `redis/push-*`): `job, maxTries, timeout, [timeoutAt,] data, id,
/// attempts`; v1 and v2 know no limits: `job, data, id, attempts` (`fixtures/think-queue-v1.json`). A table keeps `id` and
/// `attempts` in columns, so its payloads end after `data` (`sqlite/push-*`).
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// JSON string: `Class`, `Class@method` or a short name.
    pub job: &'a [u8],
    /// Limits of an object job; plain jobs have none.
    pub limits: Option<Limits<'a>>,
    /// JSON text of the data.
    pub data: &'a [u8],
    /// Id and fresh attempts, where the payload carries them.
    pub counters: Option<(&'a [u8], u32)>,
}

/// What an object job says of itself, each as JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Its `tries`.
    pub max_tries: &'a [u8],
    /// Its `timeout`.
    pub timeout: &'a [u8],
    /// Its `timeoutAt` or `retryUntil()` as unix second.
    pub timeout_at: &'a [u8],
}

impl Envelope<'_> {
    /// The finished payload, as `family` writes it.
    pub fn to_bytes(&self, family: Family) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.most_bytes());
        self.append_to(&mut out, family);
        out
    }

    /// At least as many bytes as the finished payload has.
    pub fn most_bytes(&self) -> usize {
        let limits = self.limits.map_or(0, |limits| limits.max_tries.len() + limits.timeout.len() + limits.timeout_at.len());
        self.job.len() + self.data.len() + limits + self.counters.map_or(0, |(id, _)| id.len()) + 128
    }

    /// Writes the finished payload behind what is there.
    pub fn append_to(&self, out: &mut Vec<u8>, family: Family) {
        out.extend_from_slice(b"{\"job\":");
        out.extend_from_slice(self.job);
        if family.names_limits() {
            match self.limits {
                None => out.extend_from_slice(b",\"maxTries\":null,\"timeout\":null"),
                Some(limits) => {
                    let fields = [("maxTries", limits.max_tries), ("timeout", limits.timeout), ("timeoutAt", limits.timeout_at)];
                    fields.into_iter().for_each(|(name, value)| append_field(out, name, value));
                }
            }
        }
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(self.data);
        if let Some((id, attempts)) = self.counters {
            out.extend_from_slice(b",\"id\":\"");
            out.extend_from_slice(id);
            out.extend_from_slice(b"\",\"attempts\":");
            // Writing to a vector cannot fail.
            let _ = write!(out, "{attempts}");
        }
        out.push(b'}');
    }
}

fn append_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value);
}

/// The JSON text of a name that needs no more than its backslashes and slashes escaped, byte for byte as PHP's encoder writes it. `None` for any
/// other text, which is PHP's to encode: a class name costs as much there as all data of a small job.
pub fn json_of_name(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len() + 10);
    out.push(b'"');
    for byte in name {
        match byte {
            b'\\' | b'/' => out.extend_from_slice(&[b'\\', *byte]),
            byte if byte.is_ascii_alphanumeric() || b"_@.:-".contains(byte) => out.push(*byte),
            _ => return None,
        }
    }
    out.push(b'"');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_job_is_written_as_recorded() {
        let envelope = Envelope { job: br#""Job1""#, limits: None, data: br#"{"a":1,"b":"x"}"#, counters: Some((b"ID", 0)) };
        assert_eq!(
            envelope.to_bytes(Family::Think3),
            br#"{"job":"Job1","maxTries":null,"timeout":null,"data":{"a":1,"b":"x"},"id":"ID","attempts":0}"#
        );
    }

    #[test]
    fn a_payload_is_written_behind_what_is_there_and_is_no_longer_than_promised() {
        let limits = Limits { max_tries: b"1234567890", timeout: b"30", timeout_at: b"1700003600" };
        let envelope = Envelope { job: b"\"J\"", limits: Some(limits), data: b"{}", counters: Some((&[b'A'; 32], u32::MAX)) };
        let mut out = b"before".to_vec();
        envelope.append_to(&mut out, Family::Think3);
        assert_eq!(out, [b"before".as_slice(), &envelope.to_bytes(Family::Think3)].concat());
        assert!(out.len() - 6 <= envelope.most_bytes());
    }

    #[test]
    fn a_class_name_is_encoded_as_php_does_and_other_text_is_left_to_it() {
        let json = |name: &str| json_of_name(name.as_bytes()).map(|json| String::from_utf8(json).unwrap());
        for name in ["App\\Job\\Send_2", "app\\Job@fire", "module/Name", "a.b:c-d", ""] {
            assert_eq!(json(name).unwrap(), serde_json::to_string(name).unwrap().replace('/', "\\/"));
        }
        for name in ["a b", "\u{e9}", "a\"", "a\n", "\u{7f}", "<a>", "a'"] {
            assert_eq!(json(name), None, "{name}");
        }
    }

    #[test]
    fn an_object_job_has_a_deadline_and_a_table_has_no_counters() {
        let limits = Limits { max_tries: b"5", timeout: b"30", timeout_at: b"1700003600" };
        let envelope =
            Envelope { job: br#""think\\queue\\CallQueuedHandler@call""#, limits: Some(limits), data: b"{}", counters: None };
        assert_eq!(
            envelope.to_bytes(Family::Think3),
            br#"{"job":"think\\queue\\CallQueuedHandler@call","maxTries":5,"timeout":30,"timeoutAt":1700003600,"data":{}}"#
        );
        assert_eq!(envelope.to_bytes(Family::Think1), br#"{"job":"think\\queue\\CallQueuedHandler@call","data":{}}"#);
    }
}
