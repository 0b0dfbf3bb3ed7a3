//! Plays every case on a driver and compares answer and store with the recording, or with the table of deviations.
//!
//! An answer is JSON: `"stored"`, `{"stored": n}`, `{"size": n}`, `"nothing"`, `{"reserved": {"body", "attempts"}}`,
//! `{"settled": ["Applied" | "Lost", ..]}` or `{"error": kind}`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ferry_core::broker::{Settle, Settlement};
use ferry_core::{Broker, Claim, Error, NewJob, Result};
use serde_json::{Value, json};

use super::{Case, Deviations, NOW, Recording};

/// A driver with a store that can be filled and read behind its back.
pub trait Stage {
    /// Makes the store equal to `state`.
    fn load(&self, state: &Value);

    /// The store, as the recordings write it.
    fn state(&self) -> Value;

    /// A worker, warm: its connections are open. The store is as it was.
    fn worker(&self, now: i64, retry_after: Option<u32>) -> Arc<dyn Broker>;

    /// Runs a recorded command as another client.
    fn run(&self, command: &Value);

    /// Arms the fault of a case; it strikes at the next request of a worker.
    fn break_link(&self, case: Case<'_>);

    /// Whether a fault that was armed never struck.
    fn is_link_armed(&self) -> bool;

    /// Reserves the job that a case settles, by our own means. Leaves the store equal to the case's `before`.
    fn hold(&self, case: Case<'_>) -> Held;
}

/// A reserved job and the worker that settles it.
pub struct Held {
    /// The worker, in the second of the settlement.
    pub worker: Arc<dyn Broker>,
    /// Its claim.
    pub claim: Claim,
}

/// Plays all cases of a recording and of the drivers named. Fails when one is neither equal nor listed, or listed and yet equal.
pub fn replay_all(stage: &dyn Stage, recording: &Recording, drivers: &[&str]) {
    let deviations = Deviations::read();
    let cases = recording.cases(drivers);
    let (mut equal, mut deviating, mut unsent, mut wrong) = (0, 0, 0, String::new());
    for case in &cases {
        let verdict = judge(stage, *case, deviations.of(&case.citation()));
        match verdict {
            Ok(Verdict::Equal) => equal += 1,
            Ok(Verdict::Deviates) => deviating += 1,
            Ok(Verdict::Unsent) => unsent += 1,
            Err(why) => writeln!(wrong, "\n{}: {why}", case.name()).expect("a String takes all"),
        }
    }
    // Past the test harness, which shows nothing of a test that passes.
    let _ = writeln!(
        std::io::stderr(),
        "{} {drivers:?}: {} cases, {equal} replayed equal, {deviating} deviate as listed, {unsent} are refused before anything is sent",
        recording.age(),
        cases.len()
    );
    assert!(!cases.is_empty(), "no recorded case for {drivers:?}");
    assert!(wrong.is_empty(), "{wrong}");
}

enum Verdict {
    Equal,
    Deviates,
    Unsent,
}

fn judge(stage: &dyn Stage, case: Case<'_>, deviation: Option<&Value>) -> Result<Verdict, String> {
    if case.was_refused_unsent() {
        return if case.before() == case.after() { Ok(Verdict::Unsent) } else { Err("nothing was sent, yet it changed".into()) };
    }
    let answer = play(stage, case);
    if stage.is_link_armed() {
        return Err("the fault never struck".into());
    }
    let after = stage.state();
    let (recorded_answer, recorded_after) = (case.expected_answer(), case.after());
    let Some(deviation) = deviation else {
        both_equal((&answer, &recorded_answer), (&after, recorded_after))?;
        return Ok(Verdict::Equal);
    };
    if answer == recorded_answer && after == *recorded_after {
        return Err("is listed in deviations.json, yet we do what the original does".into());
    }
    let expected_answer = deviation.get("answer").unwrap_or(&recorded_answer);
    both_equal((&answer, expected_answer), (&after, deviation.get("after").unwrap_or(recorded_after)))?;
    Ok(Verdict::Deviates)
}

/// Ours and expected, of answer and store.
fn both_equal(answer: (&Value, &Value), store: (&Value, &Value)) -> Result<(), String> {
    let mut wrong = String::new();
    for (what, (ours, expected)) in [("answer", answer), ("store", store)] {
        if ours != expected {
            write!(wrong, "\n  our {what}: {ours}\n  expected: {expected}").expect("a String takes all");
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn play(stage: &dyn Stage, case: Case<'_>) -> Value {
    match case.operation() {
        "push" | "pushRaw" | "pushOn" | "later" | "laterOn" => on_loaded(stage, case, push),
        "bulk" => on_loaded(stage, case, push_many),
        "pop" => on_loaded(stage, case, reserve),
        "size" => on_loaded(stage, case, size),
        "job.delete" => settle(stage, case, &[Settlement::Delete]),
        "job.release" => settle(stage, case, &releases(case)),
        "job.delete+release" => settle(stage, case, &[Settlement::Delete, Settlement::Release { delay: 0 }]),
        "job.release+pop" => {
            settle(stage, case, &releases(case));
            reserve(&*stage.worker(NOW, case.retry_after()), case)
        }
        other => panic!("{}: nobody taught this test to play `{other}`", case.name()),
    }
}

fn on_loaded(stage: &dyn Stage, case: Case<'_>, word: fn(&dyn Broker, Case<'_>) -> Value) -> Value {
    let worker = stage.worker(NOW, case.retry_after());
    stage.load(case.before());
    case.other_clients_commands().into_iter().for_each(|command| stage.run(command));
    stage.break_link(case);
    word(&*worker, case)
}

fn push(worker: &dyn Broker, case: Case<'_>) -> Value {
    let pushed = case.pushed();
    assert_eq!(pushed.len().max(1), 1, "{} pushes one job", case.name());
    // A push that the server refused has no row after it, but its command was recorded.
    let payload = pushed.first().expect("a push sends a payload");
    shown(worker.push(&case.queue(), NewJob::due(payload.as_bytes(), case.due())), |_| json!("stored"))
}

fn push_many(worker: &dyn Broker, case: Case<'_>) -> Value {
    let jobs: Vec<NewJob<'_>> = case.pushed().into_iter().map(|payload| NewJob::ready(payload.as_bytes())).collect();
    shown(worker.push_many(&case.queue(), &jobs), |stored| json!({ "stored": stored }))
}

fn reserve(worker: &dyn Broker, case: Case<'_>) -> Value {
    let wait = Duration::from_secs(case.argument("block_for").as_u64().unwrap_or(0));
    shown(worker.reserve(&[case.queue()], 1, wait), |jobs| match jobs.first() {
        None => json!("nothing"),
        Some(job) => json!({ "reserved": { "body": String::from_utf8_lossy(&job.body), "attempts": job.attempts } }),
    })
}

fn size(worker: &dyn Broker, case: Case<'_>) -> Value {
    shown(worker.size(&case.queue()), |sizes| json!({ "size": sizes.total() }))
}

fn releases(case: Case<'_>) -> Vec<Settlement> {
    if case.argument("times") == 2 {
        // `redis/release-twice`: the recorded commands hold the two delays.
        return vec![Settlement::Release { delay: 5 }, Settlement::Release { delay: 9 }];
    }
    vec![Settlement::Release { delay: case.argument("delay").as_i64().expect("a release has a delay") }]
}

fn settle(stage: &dyn Stage, case: Case<'_>, hows: &[Settlement]) -> Value {
    let Held { worker, claim } = stage.hold(case);
    stage.break_link(case);
    let mut settled = Vec::new();
    for how in hows {
        match worker.settle(&[Settle { claim: claim.clone(), settlement: how.clone() }]) {
            Ok(answers) => settled.extend(answers.into_iter().map(|answer| format!("{answer:?}"))),
            Err(error) => return show_error(&error),
        }
    }
    json!({ "settled": settled })
}

fn shown<T>(result: Result<T>, show: impl FnOnce(T) -> Value) -> Value {
    result.map_or_else(|error| show_error(&error), show)
}

/// An error as an answer: what a caller can do about it.
pub fn show_error(error: &Error) -> Value {
    json!({ "error": format!("{:?}", error.kind()) })
}
