//! Properties and headers of messages, read and written. Bodies are left alone.

use ferry_core::failed::{FailedJob, Failure};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

/// The header for attempts used so far. Absent means none.
const ATTEMPTS: &str = "x-ferry-attempts";
/// The header for the unix second before which the job may not run.
const DUE: &str = "x-ferry-due";
/// The header for attempts that were counted because a worker died, although it may not have started the job. Absent means none.
const PRESUMED: &str = "x-ferry-presumed";
const REASON: &str = "x-ferry-reason";
const EXCEPTION: &str = "x-ferry-exception";
const FAILED_AT: &str = "x-ferry-failed-at";
const CONNECTION: &str = "x-ferry-connection";
const QUEUE: &str = "x-ferry-queue";

/// The longest exception text that is kept, in bytes. All headers must fit into one frame, by default 128 KiB.
const LONGEST_EXCEPTION: usize = 64 * 1024;

/// Headers that the broker writes while it routes a message. They are stale once the message is published again.
const BROKER_HEADERS: [&str; 3] = ["x-death", "x-delivery-count", "x-acquired-count"];

/// Common to all messages of jobs: persistent, JSON.
fn job_properties() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2).with_content_type("application/json".into())
}

/// The properties of a pushed job.
pub fn pushed(priority: Option<u8>) -> BasicProperties {
    match priority {
        Some(priority) => job_properties().with_priority(priority),
        None => job_properties(),
    }
}

/// The original properties with another count of attempts, for a job that is published again.
///
/// Dropped are the expiration, which could delete the job, and the user id, which the broker compares with ours.
pub fn with_attempts(original: &BasicProperties, attempts: u32) -> BasicProperties {
    let mut headers = foreign_headers(original);
    if attempts > 0 {
        headers.insert(ATTEMPTS.into(), number(i64::from(attempts)));
    }
    with_original(original, headers)
}

/// The properties with the number of attempts that are only presumed.
pub fn with_presumed(properties: BasicProperties, presumed: u32) -> BasicProperties {
    if presumed == 0 {
        return properties;
    }
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(PRESUMED.into(), number(i64::from(presumed)));
    properties.with_headers(headers)
}

/// The properties with the unix second before which the job may not run.
pub fn due_at(properties: BasicProperties, second: i64) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(DUE.into(), number(second));
    properties.with_headers(headers)
}

/// The properties of a job in the failed store.
pub fn buried(original: &BasicProperties, failure: &Failure, id: &str, queue: &str, now: i64) -> BasicProperties {
    let mut headers = foreign_headers(original);
    headers.insert(ATTEMPTS.into(), number(i64::from(failure.attempts)));
    headers.insert(REASON.into(), text(failure.reason.as_str()));
    headers.insert(EXCEPTION.into(), text(&shortened(&failure.exception)));
    headers.insert(FAILED_AT.into(), number(now));
    headers.insert(CONNECTION.into(), text(&failure.connection));
    headers.insert(QUEUE.into(), text(queue));
    with_original(original, headers).with_message_id(id.into())
}

/// The properties of a failed job that becomes ready again.
pub fn revived(failed: &BasicProperties) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (key, value) in foreign_headers(failed).inner() {
        if ![REASON, EXCEPTION, FAILED_AT, CONNECTION, QUEUE].contains(&key.as_str()) {
            headers.insert(key.clone(), value.clone());
        }
    }
    with_original(failed, headers)
}

/// Attempts among those used so far that are only presumed.
pub fn presumed(properties: &BasicProperties) -> u32 {
    integer(properties, PRESUMED).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// Attempts used so far.
pub fn attempts(properties: &BasicProperties) -> u32 {
    integer(properties, ATTEMPTS).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// The unix second before which the job may not run.
pub fn due(properties: &BasicProperties) -> Option<i64> {
    integer(properties, DUE)
}

/// A message of the failed store as a record.
pub fn record(properties: &BasicProperties, body: &[u8], queue: &str) -> FailedJob {
    let header = |key| header_text(properties, key).unwrap_or_default();
    let original_queue = header_text(properties, QUEUE).unwrap_or_else(|| queue.to_owned());
    let job = FailedJob {
        id: id_of(properties, body),
        job_id: ferry_core::payload::id_in(body).map(|id| id.to_string()),
        connection: header(CONNECTION),
        queue: original_queue,
        payload: body.to_vec(),
        reason: header(REASON),
        exception: header(EXCEPTION),
        attempts: integer(properties, ATTEMPTS).and_then(|number| u32::try_from(number).ok()),
        failed_at: integer(properties, FAILED_AT).unwrap_or_default(),
    };
    job.named_by_job()
}

/// The id of a failed job: its message id, or a hash of the body of a message that another program put there.
pub fn id_of(properties: &BasicProperties, body: &[u8]) -> String {
    match properties.message_id() {
        Some(id) if !id.as_str().is_empty() => id.as_str().to_owned(),
        _ => {
            // FNV-1a: the same in every version, and few messages need it.
            let hash = body
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
            format!("{hash:016x}")
        }
    }
}

fn with_original(original: &BasicProperties, headers: FieldTable) -> BasicProperties {
    let mut properties = job_properties().with_headers(headers);
    if let Some(kind) = original.content_type() {
        properties = properties.with_content_type(kind.clone());
    }
    if let Some(encoding) = original.content_encoding() {
        properties = properties.with_content_encoding(encoding.clone());
    }
    if let Some(priority) = original.priority() {
        properties = properties.with_priority(*priority);
    }
    if let Some(id) = original.correlation_id() {
        properties = properties.with_correlation_id(id.clone());
    }
    if let Some(address) = original.reply_to() {
        properties = properties.with_reply_to(address.clone());
    }
    if let Some(id) = original.message_id() {
        properties = properties.with_message_id(id.clone());
    }
    if let Some(timestamp) = original.timestamp() {
        properties = properties.with_timestamp(*timestamp);
    }
    if let Some(kind) = original.kind() {
        properties = properties.with_type(kind.clone());
    }
    if let Some(app) = original.app_id() {
        properties = properties.with_app_id(app.clone());
    }
    properties
}

/// Headers written neither by the broker nor as our counters.
pub fn foreign_headers(properties: &BasicProperties) -> FieldTable {
    let mut kept = FieldTable::default();
    let ours = |key: &str| key == ATTEMPTS || key == PRESUMED || key == DUE;
    let brokers =
        |key: &str| BROKER_HEADERS.contains(&key) || key.starts_with("x-first-death-") || key.starts_with("x-last-death-");
    for (key, value) in properties.headers().iter().flat_map(|headers| headers.inner()) {
        if !ours(key.as_str()) && !brokers(key.as_str()) {
            kept.insert(key.clone(), value.clone());
        }
    }
    kept
}

fn header<'a>(properties: &'a BasicProperties, key: &str) -> Option<&'a AMQPValue> {
    let key: ShortString = key.into();
    properties.headers().as_ref()?.inner().get(&key)
}

/// The unix second at which the broker dead-lettered the message first.
pub fn first_death(properties: &BasicProperties) -> Option<i64> {
    let AMQPValue::FieldArray(deaths) = header(properties, "x-death")? else { return None };
    let time = |death: &AMQPValue| match death {
        AMQPValue::FieldTable(death) => match death.inner().get("time")? {
            AMQPValue::Timestamp(second) => i64::try_from(*second).ok(),
            _ => None,
        },
        _ => None,
    };
    deaths.as_slice().iter().filter_map(time).min()
}

fn integer(properties: &BasicProperties, key: &str) -> Option<i64> {
    whole(header(properties, key)?)
}

/// A header value that is a whole number.
pub fn whole(value: &AMQPValue) -> Option<i64> {
    Some(match value {
        AMQPValue::ShortShortInt(number) => i64::from(*number),
        AMQPValue::ShortShortUInt(number) => i64::from(*number),
        AMQPValue::ShortInt(number) => i64::from(*number),
        AMQPValue::ShortUInt(number) => i64::from(*number),
        AMQPValue::LongInt(number) => i64::from(*number),
        AMQPValue::LongUInt(number) => i64::from(*number),
        AMQPValue::LongLongInt(number) => *number,
        AMQPValue::Timestamp(number) => i64::try_from(*number).ok()?,
        _ => return None,
    })
}

/// The text of a header.
pub fn header_text(properties: &BasicProperties, key: &str) -> Option<String> {
    match header(properties, key)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

fn number(value: i64) -> AMQPValue {
    AMQPValue::LongLongInt(value)
}

/// A header value that holds text.
pub fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn shortened(exception: &str) -> String {
    if exception.len() <= LONGEST_EXCEPTION {
        return exception.to_owned();
    }
    let mut end = LONGEST_EXCEPTION;
    while !exception.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\n... ({} bytes more)", &exception[..end], exception.len() - end)
}

#[cfg(test)]
mod tests {
    use ferry_core::failed::Reason;

    use super::*;

    #[test]
    fn attempts_are_none_without_a_header_and_no_other_header_is_lost() {
        assert_eq!(attempts(&job_properties()), 0);
        let mut headers = FieldTable::default();
        headers.insert("x-mine".into(), text("kept"));
        headers.insert("x-death".into(), text("the broker's"));
        headers.insert(DUE.into(), number(9));
        let again = with_attempts(&job_properties().with_headers(headers).with_priority(3).with_expiration("1".into()), 2);
        assert_eq!((attempts(&again), due(&again), *again.priority()), (2, None, Some(3)));
        assert_eq!(header_text(&again, "x-mine").as_deref(), Some("kept"));
        assert!(header(&again, "x-death").is_none() && again.expiration().is_none());
    }

    #[test]
    fn the_first_death_is_the_earliest_that_the_broker_noted() {
        let death = |second| {
            let mut table = FieldTable::default();
            table.insert("time".into(), AMQPValue::Timestamp(second));
            AMQPValue::FieldTable(table)
        };
        let with = |value| {
            let mut headers = FieldTable::default();
            headers.insert("x-death".into(), value);
            job_properties().with_headers(headers)
        };
        let deaths = lapin::types::FieldArray::from(vec![death(90), text("odd"), death(70)]);
        assert_eq!(first_death(&with(AMQPValue::FieldArray(deaths))), Some(70));
        assert_eq!((first_death(&with(text("odd"))), first_death(&job_properties())), (None, None));
    }

    #[test]
    fn a_failed_job_keeps_its_record_in_headers_and_a_revived_one_none() {
        let failure = Failure {
            connection: "amqp".into(),
            payload: b"{}".to_vec(),
            reason: Reason::Exception,
            exception: "订单".repeat(20_000),
            attempts: 3,
        };
        let properties = buried(&job_properties(), &failure, "id", "mail", 77);
        let job = record(&properties, b"{}", "mail");
        assert_eq!((job.id.as_str(), job.reason.as_str(), job.attempts, job.failed_at), ("id", "exception", Some(3), 77));
        assert!(job.exception.len() < LONGEST_EXCEPTION + 40 && job.exception.ends_with("bytes more)"));
        assert_eq!(attempts(&revived(&properties)), 0);
        assert!(header(&revived(&properties), EXCEPTION).is_none());
    }
}
