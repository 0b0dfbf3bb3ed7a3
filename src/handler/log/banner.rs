//! What a worker says when it starts: what it was asked to do, and what an operator may have overlooked.

use std::time::Duration;

use ferry_core::config::{ConnectionConfig, FailedStore};
use ferry_core::policy::{OnReturn, Tries};
use ferry_worker::Options;
use serde_json::Value;

use super::entry::{Entry, LogLevel, Values};

/// One entry for the settings, one for each warning.
///
/// `any_class`: object jobs may make objects of any class.
pub fn entries(options: &Options, config: &ConnectionConfig, any_class: bool) -> Vec<Entry<'static>> {
    let mut settings = settings(options, config);
    if any_class {
        // A payload may name any class whose code then runs; `allowed_classes` is the answer.
        settings.push(("object_jobs", "any class".into()));
    }
    let listed: Vec<String> = settings.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect();
    let text = format!("worker {} starts: {}", std::process::id(), listed.join(", "));
    let mut entries = vec![Entry::worker(LogLevel::Notice, "starting", text, settings)];
    entries.extend(warnings(options, config).into_iter().map(|text| Entry::trouble("warning", text)));
    entries
}

fn settings(options: &Options, config: &ConnectionConfig) -> Values {
    let queues: Vec<&str> = options.queues.iter().map(|queue| queue.as_str()).collect();
    let tries = match options.tries {
        Tries::Unlimited => "unlimited".into(),
        Tries::Limit(tries) => tries.into(),
    };
    vec![
        ("connection", config.name.clone().into()),
        ("driver", config.driver.name().into()),
        ("queue", queues.join(",").into()),
        ("tries", tries),
        ("timeout", seconds(options.timeout, "none")),
        ("retry_after", seconds(options.retry_after, "never")),
        ("prefetch", options.prefetch.into()),
        ("memory", options.memory.map_or_else(|| "unlimited".into(), |bytes| format!("{} MiB", bytes >> 20).into())),
        ("on_return", if options.on_return == OnReturn::Leave { "leave" } else { "delete" }.into()),
    ]
}

fn seconds(time: Option<Duration>, none: &str) -> Value {
    time.map_or_else(|| none.into(), |time| format!("{} s", time.as_secs_f64()).into())
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What is allowed, but seldom meant.
fn warnings(options: &Options, config: &ConnectionConfig) -> Vec<String> {
    let warnings = [
        (options.retry_after.is_none(), "retry_after is never: jobs of a worker that dies do not come back"),
        (config.failed == FailedStore::Discard, "failed jobs are discarded: a job that fails for good is gone"),
        (
            options.timeout.is_none(),
            "timeout is 0: a handler that never ends holds this worker until max_lease hands its job to another",
        ),
        (
            options.stop_timeout.zip(options.timeout).is_some_and(|(stop, timeout)| stop > timeout),
            "stop_timeout is longer than timeout: a job is stopped by its own timeout first",
        ),
    ];
    warnings.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text.to_owned()).collect()
}
