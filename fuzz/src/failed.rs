//! Records of failed jobs: what is written is read again, and what others wrote is read or refused.

use ferry_core::ErrorKind;
use ferry_core::failed::FailedJob;

use crate::reader::Reader;

/// Any bytes can be read as a record; any failed job can be written as one and read again.
pub fn check(bytes: &[u8]) {
    match FailedJob::from_json(bytes) {
        Ok(job) => survives(&job),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Poison, "{error}"),
    }
    survives(&made_of(bytes));
}

fn survives(job: &FailedJob) {
    let record = job.to_json();
    assert!(!record.contains(&b'\n'), "a record is one line");
    let again = FailedJob::from_json(&record).expect("our own record can be read");
    // The id that push returned is in the payload.
    assert_eq!(again, FailedJob { job_id: again.job_id.clone(), ..job.clone() });
}

fn made_of(bytes: &[u8]) -> FailedJob {
    let mut reader = Reader::new(bytes);
    FailedJob {
        id: reader.text(),
        job_id: None,
        connection: reader.text(),
        queue: reader.text(),
        reason: reader.text(),
        exception: reader.text(),
        attempts: reader.flag().then(|| reader.number() as u32),
        failed_at: reader.number(),
        payload: reader.rest().to_vec(),
    }
}
