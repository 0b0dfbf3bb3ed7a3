//! The states of a job, and its status as a caller sees it.

use super::update::StatusFields;

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It waits for a worker, or for its due time.
    #[default]
    Queued,
    /// Its handler runs, or its worker died.
    Running,
    /// An attempt failed, or put it off; it waits for the next.
    Retrying,
    /// It is done.
    Succeeded,
    /// It failed for good.
    Failed,
    /// Its tries or its deadline were over before it could start.
    Expired,
}

impl State {
    /// All of them.
    pub const ALL: [State; 6] = [State::Queued, State::Running, State::Retrying, State::Succeeded, State::Failed, State::Expired];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Running => "running",
            State::Retrying => "retrying",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Expired => "expired",
        }
    }

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more will happen by itself.
    pub fn is_finished(self) -> bool {
        match self {
            State::Queued | State::Running | State::Retrying => false,
            State::Succeeded | State::Failed | State::Expired => true,
        }
    }
}

/// What is known of a job. Times are milliseconds since 1970, by the clock of the place that keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The id in its payload.
    pub id: String,
    /// Where it is.
    pub state: State,
    /// `Class`, `Class@method` or a short name.
    pub job: String,
    /// Its queue.
    pub queue: String,
    /// The name of its connection.
    pub connection: String,
    /// The number of the last attempt; 0 before the first.
    pub attempts: u32,
    /// Percent, as its handler said; 100 when it succeeded.
    pub progress: u8,
    /// What its handler said to it.
    pub message: Option<String>,
    /// JSON text that its handler left.
    pub result: Option<String>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it was pushed.
    pub queued_at: Option<i64>,
    /// When the last attempt began.
    pub started_at: Option<i64>,
    /// When it was over.
    pub finished_at: Option<i64>,
    /// When something was last said of it.
    pub updated_at: i64,
}

impl Status {
    /// Reads stored fields. Names that mean nothing to us are a newer version's. `None` when there is no state that we know.
    pub fn of(id: &str, fields: &StatusFields) -> Option<Self> {
        let text = |name: &str| fields.get(name).cloned();
        let number = |name: &str| fields.get(name).and_then(|text| text.parse::<i64>().ok());
        Some(Self {
            id: id.to_owned(),
            state: State::named(fields.get("state")?)?,
            job: text("job").unwrap_or_default(),
            queue: text("queue").unwrap_or_default(),
            connection: text("connection").unwrap_or_default(),
            attempts: number("attempts").and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
            progress: number("progress").and_then(|percent| u8::try_from(percent).ok()).unwrap_or_default().min(100),
            message: text("message"),
            result: text("result"),
            error: text("error"),
            queued_at: number("queued_at"),
            started_at: number("started_at"),
            finished_at: number("finished_at"),
            updated_at: number("updated_at").unwrap_or_default(),
        })
    }
}
