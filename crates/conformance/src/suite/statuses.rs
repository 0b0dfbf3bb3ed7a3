//! Statuses of jobs and claims of work, on brokers that have a place for them.

use ferry_core::idempotency::{ClaimOutcome, ClaimTtl};
use ferry_core::status::{Ending, JobRef, MOST_ERROR, MOST_RESULT, State, Status, StatusChange, StatusUpdate};
use ferry_core::{Broker, IdempotencyStore, StatusStore};

use super::tools::*;
use super::{Fixture, START};

/// Both stores of one worker.
#[derive(Clone, Copy)]
struct Stores<'a> {
    statuses: &'a dyn StatusStore,
    claims: &'a dyn IdempotencyStore,
}

/// The stores of a broker that has both.
fn stores(worker: &dyn Broker) -> Stores<'_> {
    let without = "a driver without is not asked";
    Stores { statuses: worker.status().expect(without), claims: worker.idempotency().expect(without) }
}

/// Seconds that a status is kept in these behaviours.
const TTL: u32 = 100;
const TERMS: ClaimTtl = ClaimTtl { lease: 30, ttl: 100 };

fn note(id: &str, change: StatusChange) -> StatusUpdate {
    let about = JobRef { job: "App\\Job@run".into(), queue: "mail:a".into(), connection: "main".into() };
    StatusUpdate { id: id.to_owned(), job: about, change, ttl: TTL }
}

fn ended(attempts: u32, state: State) -> StatusChange {
    StatusChange::ended(attempts, Ending { state, error: None, result: None })
}

fn say(stores: Stores<'_>, change: &[StatusChange]) {
    let notes: Vec<StatusUpdate> = change.iter().map(|change| note("x", change.clone())).collect();
    stores.statuses.update(&notes).expect("note");
}

fn status(stores: Stores<'_>) -> Option<Status> {
    stores.statuses.find("x").expect("status")
}

fn known(stores: Stores<'_>) -> Option<(State, u32)> {
    status(stores).map(|status| (status.state, status.attempts))
}

/// The same store in a later second: time passes by asking for it.
macro_rules! later {
    ($name:ident, $fixture:expr, $second:expr) => {
        let worker = $fixture.at($second);
        let $name = stores(&*worker);
    };
}

const fn running(attempts: u32) -> StatusChange {
    StatusChange::Running { attempts }
}

pub fn nothing_is_known_of_a_job_that_nobody_spoke_of(fixture: &Fixture) {
    let worker = fixture.worker();
    let stores = stores(&*worker);
    assert_eq!(stores.statuses.find("x").unwrap(), None);
    stores.statuses.update(&[]).unwrap();
    say(stores, &[StatusChange::TakenBack, StatusChange::GivenBack { attempts: 1 }]);
    assert_eq!(status(stores), None);
}

pub fn a_job_is_followed_from_its_push_to_its_end(fixture: &Fixture) {
    let producer = fixture.worker();
    let pushes = stores(&*producer);
    say(pushes, &[StatusChange::Queued]);
    let expected = Status {
        id: "x".into(),
        state: State::Queued,
        job: "App\\Job@run".into(),
        queue: "mail:a".into(),
        connection: "main".into(),
        queued_at: Some(START * 1000),
        updated_at: START * 1000,
        ..Status::default()
    };
    assert_eq!(status(pushes), Some(expected.clone()));

    later!(works, fixture, START + 5);
    say(works, &[running(1), StatusChange::Progress { attempts: 1, percent: 40, message: Some("half ü \n".into()) }]);
    let expected = Status {
        state: State::Running,
        attempts: 1,
        progress: 40,
        message: Some("half ü \n".into()),
        started_at: Some((START + 5) * 1000),
        updated_at: (START + 5) * 1000,
        ..expected
    };
    assert_eq!(status(pushes), Some(expected.clone()));

    let result = Some(r#"{"a":[1,"ü"]}"#.to_owned());
    let ending = Ending { state: State::Succeeded, error: None, result: result.clone() };
    later!(ends, fixture, START + 9);
    say(ends, &[StatusChange::ended(1, ending)]);
    let expected = Status {
        state: State::Succeeded,
        progress: 100,
        result,
        finished_at: Some((START + 9) * 1000),
        updated_at: (START + 9) * 1000,
        ..expected
    };
    assert_eq!(status(pushes), Some(expected));
}

/// Every state that can be known, and every word that can come then: the store decides as the rule does.
pub fn every_word_is_admitted_as_the_rule_says(fixture: &Fixture) {
    let worker = fixture.worker();
    let stores = stores(&*worker);
    let lives: Vec<Vec<StatusChange>> = [None, Some(running(2))]
        .into_iter()
        .flat_map(|begin| {
            let ends = [State::Retrying, State::Succeeded, State::Failed, State::Expired].map(|state| Some(ended(2, state)));
            [None, Some(StatusChange::Queued), Some(StatusChange::GivenBack { attempts: 2 })]
                .into_iter()
                .chain(ends)
                .map(move |end| begin.clone().into_iter().chain(end).collect())
        })
        .collect();
    let words: Vec<StatusChange> = [StatusChange::Queued, StatusChange::TakenBack, StatusChange::QueuedAgain]
        .into_iter()
        .chain((1..=3).flat_map(|attempts| {
            let progress = StatusChange::Progress { attempts, percent: 7, message: None };
            [running(attempts), progress, StatusChange::GivenBack { attempts }, ended(attempts, State::Failed)]
        }))
        .collect();
    for (number, (life, word)) in lives.iter().flat_map(|life| words.iter().map(move |word| (life, word))).enumerate() {
        let id = format!("job-{number}");
        let speak = |change: &StatusChange| stores.statuses.update(&[note(&id, change.clone())]).unwrap();
        life.iter().for_each(&speak);
        let before = stores.statuses.find(&id).unwrap();
        speak(word);
        let after = stores.statuses.find(&id).unwrap();
        let change = note(&id, word.clone());
        let admitted =
            change.precondition().admits(before.as_ref().map(|status| (status.state, status.attempts)), change.attempts());
        let mut fields = before.as_ref().map(fields_of).unwrap_or_default();
        let expected = if admitted {
            let edit = change.patch();
            edit.apply(&mut fields, START * 1000);
            (!edit.removes).then(|| Status::of(&id, &fields)).flatten()
        } else {
            before
        };
        assert_eq!(after, expected, "{word:?} after {life:?}");
    }
}

fn fields_of(status: &Status) -> ferry_core::status::StatusFields {
    let texts = [
        ("state", Some(status.state.name().to_owned())),
        ("job", Some(status.job.clone())),
        ("queue", Some(status.queue.clone())),
        ("connection", Some(status.connection.clone())),
        ("attempts", Some(status.attempts.to_string())),
        ("progress", Some(status.progress.to_string())),
        ("message", status.message.clone()),
        ("result", status.result.clone()),
        ("error", status.error.clone()),
        ("queued_at", status.queued_at.map(|at| at.to_string())),
        ("started_at", status.started_at.map(|at| at.to_string())),
        ("finished_at", status.finished_at.map(|at| at.to_string())),
        ("updated_at", Some(status.updated_at.to_string())),
    ];
    texts.into_iter().filter_map(|(name, text)| text.map(|text| (name.to_owned(), text))).collect()
}

pub fn a_late_word_changes_nothing(fixture: &Fixture) {
    let worker = fixture.worker();
    let stale = stores(&*worker);
    say(stale, &[StatusChange::Queued, running(1)]);
    later!(fresh, fixture, START + 70);
    say(fresh, &[running(2)]);
    say(
        stale,
        &[StatusChange::Progress { attempts: 1, percent: 90, message: None }, ended(1, State::Succeeded), StatusChange::Queued],
    );
    assert_eq!(known(fresh), Some((State::Running, 2)));
    assert_eq!(status(fresh).unwrap().progress, 0);
    say(fresh, &[ended(2, State::Succeeded)]);
    say(stale, &[StatusChange::Queued, running(1), ended(1, State::Failed), StatusChange::TakenBack]);
    assert_eq!(known(fresh), Some((State::Succeeded, 2)));
}

pub fn a_status_goes_after_its_time_and_every_word_begins_it_anew(fixture: &Fixture) {
    let (worker, ttl) = (fixture.worker(), i64::from(TTL));
    let first = stores(&*worker);
    say(first, &[StatusChange::Queued]);
    later!(second, fixture, START + ttl - 1);
    assert_eq!(known(second), Some((State::Queued, 0)));
    say(second, &[running(1)]);
    later!(third, fixture, START + 2 * ttl - 2);
    assert_eq!(known(third), Some((State::Running, 1)));
    later!(last, fixture, START + 2 * ttl - 1);
    assert_eq!(known(last), None);
    // A word about a job of which nothing is known any more tells what there is to tell.
    say(last, &[StatusChange::Progress { attempts: 1, percent: 50, message: None }]);
    assert_eq!(known(last), None);
    say(last, &[ended(1, State::Succeeded)]);
    let status = status(last).unwrap();
    assert_eq!((status.state, status.job.as_str(), status.queued_at), (State::Succeeded, "App\\Job@run", None));
}

pub fn thousands_of_words_arrive_together_and_in_order(fixture: &Fixture) {
    let worker = fixture.worker();
    let stores = stores(&*worker);
    let ids: Vec<String> = (0..1200).map(|number| format!("job-{number}")).collect();
    let notes: Vec<StatusUpdate> = ids
        .iter()
        .flat_map(|id| [StatusChange::Queued, running(1), ended(1, State::Succeeded)].map(|change| note(id, change)))
        .collect();
    stores.statuses.update(&notes).unwrap();
    // Twice is as good as once.
    stores.statuses.update(&notes).unwrap();
    for id in [&ids[0], &ids[600], &ids[1199]] {
        assert_eq!(stores.statuses.find(id).unwrap().map(|status| status.state), Some(State::Succeeded));
    }
}

pub fn texts_of_every_kind_and_of_the_longest_length_are_kept(fixture: &Fixture) {
    let worker = fixture.worker();
    let stores = stores(&*worker);
    let result = format!("\"{}\"", "x".repeat(MOST_RESULT - 2));
    let error = format!("{}\u{1F980}'\"\\\r\n{}", "ü".repeat(100), "e".repeat(MOST_ERROR));
    let ending = Ending { state: State::Failed, error: Some(error.clone()), result: Some(result.clone()) };
    say(stores, &[running(1), StatusChange::ended(1, ending)]);
    let status = status(stores).unwrap();
    assert_eq!(status.result, Some(result));
    let kept = status.error.unwrap();
    assert!(kept.len() == MOST_ERROR && error.starts_with(&kept), "{} bytes", kept.len());

    let awkward = "a b'c\"d:{x}\u{fc}";
    stores.statuses.update(&[note(awkward, StatusChange::Queued)]).unwrap();
    assert_eq!(stores.statuses.find(awkward).unwrap().unwrap().id, awkward);
}

pub fn statuses_are_no_jobs(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let stores = stores(&*worker);
    say(stores, &[StatusChange::Queued]);
    assert_eq!(stores.claims.claim("x", "a", TERMS).unwrap(), ClaimOutcome::Yours);
    assert_nothing_ready(&*worker, &mail);
    push(&*worker, &mail, 1);
    assert_eq!(worker.admin().expect("admin").clear(&mail).unwrap(), 1);
    assert_eq!(known(stores), Some((State::Queued, 0)), "clearing a queue leaves statuses alone");
    assert!(stores.claims.complete("x", "a", None, 9).unwrap(), "and claims");
}

pub fn work_is_claimed_once_and_done_once(fixture: &Fixture) {
    let worker = fixture.worker();
    let mine = stores(&*worker);
    assert!(!mine.claims.is_done("k").unwrap());
    assert_eq!(mine.claims.claim("k", "a", TERMS).unwrap(), ClaimOutcome::Yours);
    assert_eq!(mine.claims.claim("k", "a", TERMS).unwrap(), ClaimOutcome::Yours, "asked again after a lost answer");
    later!(theirs, fixture, START + 1);
    assert_eq!(theirs.claims.claim("k", "b", TERMS).unwrap(), ClaimOutcome::Held { left: 29_000 });
    assert_eq!(theirs.claims.claim("another", "b", TERMS).unwrap(), ClaimOutcome::Yours);
    assert!(!theirs.claims.complete("k", "b", None, 100).unwrap());
    assert!(!theirs.claims.is_done("k").unwrap());
    assert!(mine.claims.complete("k", "a", Some(r#"{"n":1}"#), 100).unwrap());
    assert!(mine.claims.complete("k", "a", Some(r#"{"n":1}"#), 100).unwrap(), "said again after a lost answer");
    assert!(theirs.claims.is_done("k").unwrap());
    assert_eq!(theirs.claims.claim("k", "b", TERMS).unwrap(), ClaimOutcome::Done(Some(r#"{"n":1}"#.into())));
    assert!(!mine.claims.release("k", "a").unwrap(), "what is done is not given up");
}

pub fn work_done_without_a_result_or_with_an_empty_one_is_told_apart(fixture: &Fixture) {
    let worker = fixture.worker();
    let stores = stores(&*worker);
    for (key, result) in [("none", None), ("empty", Some("")), ("null", Some("null")), ("digits", Some("007"))] {
        stores.claims.claim(key, "a", TERMS).unwrap();
        assert!(stores.claims.complete(key, "a", result, 100).unwrap());
        assert_eq!(stores.claims.claim(key, "b", TERMS).unwrap(), ClaimOutcome::Done(result.map(str::to_owned)), "{key}");
    }
}

pub fn a_claim_lapses_with_its_lease_and_not_before(fixture: &Fixture) {
    let worker = fixture.worker();
    let first = stores(&*worker);
    assert_eq!(first.claims.claim("k", "dead", TERMS).unwrap(), ClaimOutcome::Yours);
    later!(early, fixture, START + 29);
    assert_eq!(early.claims.claim("k", "b", TERMS).unwrap(), ClaimOutcome::Held { left: 1000 });
    later!(late, fixture, START + 30);
    assert_eq!(late.claims.claim("k", "b", TERMS).unwrap(), ClaimOutcome::Yours);
    assert!(!first.claims.complete("k", "dead", None, 100).unwrap(), "another has claimed it since");
    assert!(!first.claims.release("k", "dead").unwrap());
    assert!(!late.claims.is_done("k").unwrap());
    assert!(late.claims.complete("k", "b", None, 100).unwrap());
}

pub fn a_late_completion_counts_while_nobody_else_claimed_the_work(fixture: &Fixture) {
    let worker = fixture.worker();
    let first = stores(&*worker);
    assert_eq!(first.claims.claim("k", "slow", TERMS).unwrap(), ClaimOutcome::Yours);
    later!(late, fixture, START + 60);
    assert!(late.claims.complete("k", "slow", None, 100).unwrap());
    assert_eq!(late.claims.claim("k", "b", TERMS).unwrap(), ClaimOutcome::Done(None));
}

pub fn work_that_was_given_up_or_forgotten_is_claimed_again(fixture: &Fixture) {
    let worker = fixture.worker();
    let stores = stores(&*worker);
    assert!(!stores.claims.forget("k").unwrap());
    assert!(!stores.claims.release("k", "a").unwrap());
    stores.claims.claim("k", "a", TERMS).unwrap();
    assert!(!stores.claims.release("k", "b").unwrap());
    assert!(stores.claims.release("k", "a").unwrap());
    assert_eq!(stores.claims.claim("k", "b", TERMS).unwrap(), ClaimOutcome::Yours);
    assert!(stores.claims.complete("k", "b", Some("1"), 100).unwrap());
    assert!(stores.claims.forget("k").unwrap());
    assert!(!stores.claims.complete("k", "b", None, 100).unwrap());
    assert_eq!(stores.claims.claim("k", "c", TERMS).unwrap(), ClaimOutcome::Yours);
    assert!(stores.claims.forget("k").unwrap(), "a claim is forgotten too");
}

pub fn what_is_done_is_remembered_for_its_time(fixture: &Fixture) {
    let worker = fixture.worker();
    let first = stores(&*worker);
    first.claims.claim("k", "a", TERMS).unwrap();
    assert!(first.claims.complete("k", "a", Some("1"), 100).unwrap());
    later!(early, fixture, START + 99);
    assert!(early.claims.is_done("k").unwrap());
    later!(late, fixture, START + 100);
    assert!(!late.claims.is_done("k").unwrap());
    assert!(!late.claims.complete("k", "a", None, 100).unwrap());
    assert_eq!(late.claims.claim("k", "b", TERMS).unwrap(), ClaimOutcome::Yours);
}

pub fn of_many_who_claim_at_once_one_gets_the_work(fixture: &Fixture) {
    let workers: Vec<_> = (0..8).map(|_| fixture.worker()).collect();
    for round in 0..10 {
        let key = format!("k{round}");
        let winners = std::thread::scope(|scope| {
            let claims: Vec<_> = workers
                .iter()
                .enumerate()
                .map(|(number, worker)| {
                    let (key, token) = (&key, format!("t{number}"));
                    scope.spawn(move || {
                        worker.idempotency().expect("a place for claims").claim(key, &token, TERMS).expect("claim")
                    })
                })
                .collect();
            claims.into_iter().map(|claim| claim.join().expect("no panic")).filter(|c| *c == ClaimOutcome::Yours).count()
        });
        assert_eq!(winners, 1);
    }
}

pub fn without_a_fixed_second_statuses_and_claims_follow_the_brokers_clock(fixture: &Fixture) {
    let worker = fixture.worker_with(super::Terms { now: None, ..super::Terms::at(START) });
    let stores = stores(&*worker);
    say(stores, &[StatusChange::Queued]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let queued = status(stores).unwrap().queued_at.unwrap();
    assert!(now.abs_diff(queued as u128) < 60_000, "{queued} is about {now}");
    assert_eq!(stores.claims.claim("k", "a", TERMS).unwrap(), ClaimOutcome::Yours);
    assert!(matches!(stores.claims.claim("k", "b", TERMS).unwrap(), ClaimOutcome::Held { left: 1..=30_000 }));
    assert!(stores.claims.complete("k", "a", None, 100).unwrap() && stores.claims.is_done("k").unwrap());
}

pub fn statuses_and_claims_outlast_killed_connections(fixture: &Fixture) {
    let worker = fixture.worker();
    let stores = stores(&*worker);
    say(stores, &[StatusChange::Queued]);
    assert_eq!(stores.claims.claim("k", "a", TERMS).unwrap(), ClaimOutcome::Yours);
    fixture.kill_connections();
    say(stores, &[running(1)]);
    assert_eq!(known(stores), Some((State::Running, 1)));
    fixture.kill_connections();
    assert!(stores.claims.complete("k", "a", None, 100).unwrap());
    worker.close();
    assert!(stores.claims.is_done("k").unwrap());
}
