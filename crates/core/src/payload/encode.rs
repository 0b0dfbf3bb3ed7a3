//! The envelope around data that PHP encoded.

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
        let mut out = Vec::with_capacity(self.job.len() + self.data.len() + 192);
        let mut field = |name: &str, value: &[u8]| {
            out.push(if out.is_empty() { b'{' } else { b',' });
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value);
        };
        field("job", self.job);
        if family.names_limits() {
            field("maxTries", self.limits.map_or(b"null", |limits| limits.max_tries));
            field("timeout", self.limits.map_or(b"null", |limits| limits.timeout));
            if let Some(limits) = self.limits {
                field("timeoutAt", limits.timeout_at);
            }
        }
        field("data", self.data);
        if let Some((id, attempts)) = self.counters {
            let quoted = [b"\"", id, b"\""].concat();
            field("id", &quoted);
            field("attempts", attempts.to_string().as_bytes());
        }
        out.push(b'}');
        out
    }
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
