//! What goes in comes out.

use ferry_core::broker::QueuedJob;
use ferry_core::{Due, NewJob};

use super::Fixture;
use super::START;
use super::tools::*;

pub fn a_pushed_job_is_reserved_and_deleted(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push(&*worker, &mail, 1);
    let reserved = take_one(&*worker, &mail);
    assert_eq!((reserved.body.clone(), reserved.attempts), (job(1), Some(1)));
    delete(&*worker, &reserved);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 0));
    assert_nothing_ready(&*fixture.at(START + 3600), &mail);
}

pub fn a_job_pushed_by_one_worker_is_reserved_by_another(fixture: &Fixture) {
    let mail = queue("mail");
    push(&*fixture.worker(), &mail, 1);
    assert_eq!(numbers(&take(&*fixture.worker(), &mail, 1)), [1]);
}

pub fn push_many_keeps_order_and_counts(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let jobs: Vec<NewJob<'_>> = (0..7).map(|number| NewJob::ready(job(number))).collect();
    assert_eq!(worker.push_many(&mail, &jobs).unwrap(), 7);
    assert_sizes!(&*worker, &mail, sizes(7, 0, 0, 0));
    assert_eq!(numbers(&take(&*worker, &mail, 10)), (0..7).collect::<Vec<_>>());
}

pub fn pushing_many_of_nothing_stores_nothing(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    assert_eq!(worker.push_many(&mail, &[]).unwrap(), 0);
    assert_total!(&*worker, &mail, 0);
}

pub fn thousands_pushed_at_once_arrive_in_order(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..2_500);
    assert_sizes!(&*worker, &mail, sizes(2_500, 0, 0, 0));
    let mut seen = Vec::new();
    while seen.len() < 2_500 {
        let jobs = take(&*worker, &mail, 1_000);
        assert!(!jobs.is_empty(), "{} jobs came, then none", seen.len());
        seen.extend(numbers(&jobs));
    }
    assert_eq!(seen, (0..2_500).collect::<Vec<_>>());
}

pub fn ready_and_delayed_jobs_may_be_pushed_together(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let jobs = [
        NewJob::ready(job(1)),
        NewJob::due(job(2), Due::After(10)),
        NewJob::ready(job(3)),
        NewJob::due(job(4), Due::At(START + 20)),
    ];
    assert_eq!(worker.push_many(&mail, &jobs).unwrap(), 4);
    assert_sizes!(&*worker, &mail, sizes(2, 2, 0, 0));
    assert_eq!(numbers(&take(&*worker, &mail, 10)), [1, 3]);
    assert_eq!(numbers(&take(&*fixture.at(START + 10), &mail, 10)), [2]);
    assert_eq!(numbers(&take(&*fixture.at(START + 20), &mail, 10)), [4]);
}

fn queued(name: &str, number: u32, due: Due) -> QueuedJob<'static> {
    QueuedJob { queue: queue(name), job: NewJob::due(job(number), due) }
}

pub fn a_batch_for_several_queues_keeps_the_order_of_each(fixture: &Fixture) {
    let worker = fixture.worker();
    // The first queue takes more than one request.
    let batch: Vec<QueuedJob<'_>> =
        (0..2_400).map(|number| queued(if number % 6 == 5 { "news" } else { "mail" }, number, Due::Now)).collect();
    let pushed = worker.push_batch(&batch);
    assert!(pushed.missing.is_empty() && pushed.error.is_none(), "{pushed:?}");
    for (name, expected) in [("mail", false), ("news", true)] {
        let expected: Vec<u32> = (0..2_400).filter(|number| (number % 6 == 5) == expected).collect();
        assert_eq!(numbers(&drain(&*worker, &queue(name))), expected, "{name}");
    }
    let nothing = worker.push_batch(&[]);
    assert!(nothing.missing.is_empty() && nothing.error.is_none());
}

pub fn a_batch_may_hold_delayed_jobs(fixture: &Fixture) {
    let worker = fixture.worker();
    let batch = [
        queued("mail", 1, Due::Now),
        queued("mail", 2, Due::At(START + 10)),
        queued("news", 3, Due::At(START + 10)),
        queued("mail", 4, Due::Now),
    ];
    assert!(worker.push_batch(&batch).missing.is_empty());
    assert_sizes!(&*worker, &queue("mail"), sizes(2, 1, 0, 0));
    assert_eq!(numbers(&take(&*worker, &queue("mail"), 10)), [1, 4]);
    assert_nothing_ready(&*worker, &queue("news"));
    let later = fixture.at(START + 10);
    assert_eq!([numbers(&take(&*later, &queue("mail"), 10)), numbers(&take(&*later, &queue("news"), 10))], [[2], [3]]);
}

pub fn a_payload_arrives_byte_for_byte(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let raw = r#"{ "job" : "J" ,"data":{"o":{},"f":1.0,"e":1e2,"big":9223372036854775808,"u":"é/😀\u00e9\/"}, "attempts":0}"#;
    worker.push(&mail, NewJob::ready(raw.as_bytes())).unwrap();
    assert_eq!(String::from_utf8(take_one(&*worker, &mail).body).unwrap(), raw);
}
