//! The options of workers and consumers: from a PHP array to checked values.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use ext_php_rs::exception::{PhpException, PhpResult};
use ext_php_rs::types::Zval;
use ferry_client::Handle;
use ferry_core::backoff::Backoff;
use ferry_core::config::{SettleMode, nearest};
use ferry_core::dialect::Family;
use ferry_core::policy::{OnReturn, Tries};
use ferry_core::queue::QueueName;
use ferry_worker::Options;

use crate::classes::connection::PhpConnection;
use crate::classes::exceptions::{self, Class};
use crate::convert::arguments::{integer, textual, truth};
use crate::convert::control::Control;
use crate::convert::errors::{exception, invalid};
use crate::convert::{backoff, delay};
use crate::handler::{HandlerOptions, Log, LogLevel, Resolver, Sink};
use crate::request;
use crate::zend::objects::{self, PropertyKey};

/// The names of all options, as `docs/worker.md` lists them.
const NAMES: [&str; 32] = [
    "connection",
    "queue",
    "tries",
    "delay",
    "backoff",
    "timeout",
    "warn_before",
    "grace",
    "stop_timeout",
    "sleep",
    "memory",
    "once",
    "max_jobs",
    "max_time",
    "stop_when_empty",
    "max_lease",
    "max_outage",
    "health_file",
    "prefetch",
    "settle",
    "on_return",
    "log",
    "log_level",
    "status",
    "parent",
    "handler",
    "container",
    "job",
    "namespace",
    "handlers",
    "strict",
    "allowed_classes",
];

/// Whose the options are that stand in a configuration.
const CONFIGURATION: &str = "configuration";

/// What a worker was asked to do.
pub struct WorkerOptions {
    /// The connection.
    pub handle: Rc<Handle>,
    /// What the loop reads.
    pub options: Options,
    /// How handlers are found.
    pub resolver: Resolver,
    /// Where lines go.
    pub log: Log,
    /// Where the flags of the fleet are.
    pub control: Control,
    /// The process to work for; 0 for none.
    pub parent: i32,
}

/// Reads the array. Every option may be missing.
pub fn options(array: Option<&Zval>) -> PhpResult<WorkerOptions> {
    let given = Given::read("worker", &NAMES, array)?;
    let handle = given.connection()?;
    let config = handle.config();
    if config.retry_after == Some(1) {
        return Err(invalid(
            "a worker needs a retry_after of at least 2: leases are counted in whole seconds, and one of 1 s may be over at once",
        ));
    }
    let queues = given.get("queue").map_or_else(
        || Ok(vec![config.queue.clone()]),
        |queues| QueueName::list(&queue_names(&given, queues)?, &config.queue).map_err(|error| exception(&error)),
    )?;
    queues.iter().try_for_each(|queue| config.family.check_queue(queue)).map_err(|error| exception(&error))?;
    let defaults = Options::new(config.name.clone(), queues);
    let options = Options {
        tries: given.number("tries", 0, i64::MAX)?.map_or(defaults.tries, Tries::from_number),
        family: config.family,
        exhaustion: config.family.verdict(),
        backoff: given.backoff(config.family)?,
        sleep: given.duration("sleep")?.unwrap_or(defaults.sleep),
        once: given.truth("once")?,
        max_jobs: given.limit("max_jobs")?,
        prefetch: given.number("prefetch", 1, 10_000)?.map_or(config.prefetch, |most| usize::try_from(most).unwrap_or(1)),
        settle: given
            .choice("settle", &[("pipelined", SettleMode::Pipelined), ("immediate", SettleMode::Immediate)])?
            .unwrap_or(config.settle),
        on_return: given
            .choice("on_return", &[("leave", OnReturn::Leave), ("delete", OnReturn::Delete)])?
            .unwrap_or(config.family.on_return()),
        retry_after: config.retry_after.map(|seconds| Duration::from_secs(seconds.into())),
        max_lease: given.duration("max_lease")?.filter(|time| !time.is_zero()).unwrap_or(defaults.max_lease),
        ..given.loop_options(defaults)?
    };
    let log = given.log()?;
    let resolver = given.resolver(config.family)?;
    let control = Control::of(config)?;
    let parent = given.parent()?;
    Ok(WorkerOptions { resolver, log, options, handle, control, parent })
}

/// The given options, each known by name.
pub struct Given {
    /// Whose they are: of a `worker`, a `consumer` or the `configuration`.
    whose: &'static str,
    values: Vec<(&'static str, Zval)>,
}

impl Given {
    /// Reads an array whose keys must be among `names`.
    pub fn read(whose: &'static str, names: &'static [&'static str], array: Option<&Zval>) -> PhpResult<Self> {
        let Some(value) = array.filter(|value| !value.is_null()) else { return Ok(Self { whose, values: Vec::new() }) };
        if !value.is_array() {
            return Err(invalid(format!("the options of a {whose} are an array")));
        }
        let mut values = Vec::new();
        objects::each(value, |key, value| {
            let name = match key {
                PropertyKey::Index(index) => index.to_string(),
                PropertyKey::Name(name) => String::from_utf8_lossy(name).into_owned(),
            };
            let Some(known) = names.iter().find(|known| **known == name) else { return Err(unknown(whose, names, &name)) };
            if !value.is_null() {
                values.push((*known, value.shallow_clone()));
            }
            PhpResult::Ok(())
        })?;
        Ok(Self { whose, values })
    }

    /// Reads the options for handlers out of a whole configuration, whose other keys are not looked at.
    pub fn of_configuration(array: &Zval) -> Self {
        let given = |name| {
            let value = array.dereference().array()?.get(name)?.dereference();
            (!value.is_null()).then(|| (name, value.shallow_clone()))
        };
        Self {
            whose: CONFIGURATION,
            values: ["handler", "container", "job", "namespace"].into_iter().filter_map(given).collect(),
        }
    }

    /// What was given for an option.
    pub fn get(&self, name: &str) -> Option<&Zval> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn connection(&self) -> PhpResult<Rc<Handle>> {
        let Some(value) = self.get("connection") else { return request::connection(None).map_err(|error| exception(&error)) };
        if let Some(connection) = value.extract::<&PhpConnection>() {
            return Ok(connection.handle());
        }
        match value.string() {
            Some(name) => request::connection(Some(&name)).map_err(|error| exception(&error)),
            None => Err(self.wrong("connection", "the name of a connection or a Ferry\\Connection")),
        }
    }

    /// A whole number within bounds.
    pub fn number(&self, name: &str, least: i64, most: i64) -> PhpResult<Option<i64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match integer(value).filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None if most == i64::MAX => Err(self.wrong(name, &format!("a whole number from {least}"))),
            None => Err(self.wrong(name, &format!("a whole number from {least} to {most}"))),
        }
    }

    /// A limit, where 0 means none.
    pub fn limit(&self, name: &str) -> PhpResult<Option<u64>> {
        Ok(self.number(name, 0, i64::MAX)?.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0))
    }

    /// `backoff`, else think-queue's `delay`, else the standard one.
    fn backoff(&self, family: Family) -> PhpResult<Backoff> {
        if let Some(value) = self.get("backoff") {
            let wanted = "seconds, a list of seconds, or ['base' => seconds, 'cap' => seconds, 'jitter' => 0.0 to 1.0]";
            return backoff::of(value).ok_or_else(|| self.wrong("backoff", wanted));
        }
        match self.get("delay") {
            Some(delay) => Ok(Backoff::Fixed(delay::seconds(delay, family)?.max(0))),
            None => Ok(family.backoff()),
        }
    }

    /// What the loop of workers and consumers reads.
    pub fn loop_options(&self, defaults: Options) -> PhpResult<Options> {
        let mebibytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        let is_set = |time: &Duration| !time.is_zero();
        Ok(Options {
            timeout: self.duration("timeout")?.map_or(defaults.timeout, |timeout| Some(timeout).filter(is_set)),
            warning: self.duration("warn_before")?.filter(is_set),
            grace: self.duration("grace")?.unwrap_or(defaults.grace),
            stop_timeout: self.duration("stop_timeout")?,
            status: self.duration("status")?.filter(is_set),
            stop_when_empty: self.truth("stop_when_empty")?,
            max_time: self.duration("max_time")?.filter(is_set),
            memory: self.limit("memory")?.map(mebibytes),
            max_outage: self.duration("max_outage")?.map_or(defaults.max_outage, |most| Some(most).filter(is_set)),
            health_file: self.path("health_file")?,
            ..defaults
        })
    }

    /// Where lines go, and which.
    pub fn log(&self) -> PhpResult<Log> {
        let level = self.choice("log_level", &LogLevel::ALL.map(|level| (level.name(), level)))?;
        Ok(Log::new(self.sink()?, level.unwrap_or(LogLevel::Info)))
    }

    /// The process to work for; 0 for none.
    pub fn parent(&self) -> PhpResult<i32> {
        Ok(self.number("parent", 1, i64::from(i32::MAX))?.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0))
    }

    /// The error about an option with a wrong value.
    pub fn wrong(&self, name: &str, wanted: &str) -> PhpException {
        let message = format!("the {} option `{name}` must be {wanted}", self.whose);
        if self.whose == CONFIGURATION { exceptions::make(Class::Config, message) } else { invalid(message) }
    }

    fn duration(&self, name: &str) -> PhpResult<Option<Duration>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let seconds = value.double().or_else(|| value.long().map(|seconds| seconds as f64));
        let seconds = seconds.or_else(|| value.string().and_then(|text| text.trim().parse().ok()));
        let duration = seconds.and_then(ferry_core::clock::duration);
        duration.map(Some).ok_or_else(|| self.wrong(name, "a number of seconds, 0 or more"))
    }

    /// `plain`, `json`, `none` or a PSR-3 logger.
    fn sink(&self) -> PhpResult<Sink> {
        let words = [("plain", 0), ("json", 1), ("none", 2)];
        match self.get("log") {
            Some(value) if value.object().is_some_and(|object| objects::has_method(object, "log")) => {
                Ok(Sink::Psr(value.shallow_clone()))
            }
            Some(value) if value.is_bool() && self.whose == "consumer" => {
                Ok(if value.bool() == Some(true) { Sink::Plain } else { Sink::None })
            }
            Some(value) if value.string().is_none_or(|text| words.iter().all(|(word, _)| *word != text)) => {
                Err(self.wrong("log", "`plain`, `json`, `none` or a PSR-3 logger, which is an object with a method log()"))
            }
            _ => Ok(match self.choice("log", &words)?.unwrap_or(0) {
                0 => Sink::Plain,
                1 => Sink::Json,
                _ => Sink::None,
            }),
        }
    }

    fn path(&self, name: &str) -> PhpResult<Option<PathBuf>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let bytes = value.zend_str().map(|text| text.as_bytes()).filter(|bytes| !bytes.is_empty() && !bytes.contains(&0));
        bytes.map(|bytes| Some(PathBuf::from(OsStr::from_bytes(bytes)))).ok_or_else(|| self.wrong(name, "the path of a file"))
    }

    /// True or false; false when it is not given.
    pub fn truth(&self, name: &str) -> PhpResult<bool> {
        self.get(name).map_or(Ok(false), |value| truth(value).ok_or_else(|| self.wrong(name, "true or false")))
    }

    fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> PhpResult<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let chosen = value.string().and_then(|text| choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice));
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        chosen.map(Some).ok_or_else(|| self.wrong(name, &format!("one of {}", words.join(", "))))
    }

    fn callable(&self, name: &str) -> PhpResult<Option<Zval>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) if value.is_callable() => Ok(Some(value.shallow_clone())),
            Some(_) => Err(self.wrong(name, "callable")),
        }
    }

    /// Of PSR-11; which interface it implements does not matter.
    fn container(&self) -> PhpResult<Option<Zval>> {
        let Some(value) = self.get("container") else { return Ok(None) };
        let is_container =
            value.object().is_some_and(|object| ["has", "get"].iter().all(|name| objects::has_method(object, name)));
        let wanted = "a PSR-11 container, which is an object with the methods has() and get()";
        if is_container { Ok(Some(value.shallow_clone())) } else { Err(self.wrong("container", wanted)) }
    }

    fn resolver(&self, family: Family) -> PhpResult<Resolver> {
        let handlers = match self.get("handlers") {
            None => Vec::new(),
            Some(map) => Resolver::handlers_of(map).ok_or_else(|| self.wrong("handlers", "an array of name => class"))?,
        };
        let strict = self.truth("strict")?;
        if strict && handlers.is_empty() {
            return Err(invalid("the worker option `strict` needs `handlers`: without a list no job could run"));
        }
        let allowed_classes = match self.get("allowed_classes") {
            None => None,
            Some(list) if list.is_array() => Some(list.shallow_clone()),
            Some(_) => return Err(self.wrong("allowed_classes", "a list of class names")),
        };
        let options = self.handlers()?.or(request::handlers());
        Ok(Resolver { family, options, handlers, strict, allowed_classes })
    }

    /// What is said of all handlers.
    pub fn handlers(&self) -> PhpResult<HandlerOptions> {
        let job = match self.get("job") {
            None => None,
            Some(value) if value.is_string() || value.is_callable() => Some(value.shallow_clone()),
            Some(_) => return Err(self.wrong("job", "a class name or callable")),
        };
        let namespace = match self.get("namespace") {
            None => None,
            Some(value) => Some(value.string().ok_or_else(|| self.wrong("namespace", "a string"))?.trim_matches('\\').to_owned()),
        };
        let (factory, container) = (self.callable("handler")?, self.container()?);
        Ok(HandlerOptions { factory, container, job, namespace })
    }
}

/// `'high,low'`, or a list of names.
fn queue_names(given: &Given, value: &Zval) -> PhpResult<Vec<u8>> {
    if !value.is_array() {
        return textual(value).ok_or_else(|| given.wrong("queue", "queue names between commas, or a list of them"));
    }
    let mut names: Vec<Vec<u8>> = Vec::new();
    objects::each(value, |_, name| {
        names.push(name.zend_str().map(|name| name.as_bytes().to_vec()).ok_or_else(|| given.wrong("queue", "a list of names"))?);
        PhpResult::Ok(())
    })?;
    Ok(names.join(&b','))
}

fn unknown(whose: &str, names: &[&'static str], name: &str) -> PhpException {
    let near = nearest(name, names.iter().copied()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    invalid(format!("there is no {whose} option `{name}`{near}"))
}
