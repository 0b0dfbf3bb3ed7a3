//! The committed table of what we do otherwise than the original, on purpose: `fixtures/deviations.json`.

use serde_json::Value;

use super::case::fixture;

/// The table.
#[derive(Debug)]
pub struct Deviations(Vec<Value>);

impl Deviations {
    /// Reads the table. Every row must say which case, what we do and why.
    pub fn read() -> Self {
        let file = fixture("deviations.json");
        let rows = file["deviations"].as_array().expect("the table has rows").clone();
        for row in &rows {
            for key in ["case", "what_we_do", "why"] {
                assert!(row[key].as_str().is_some_and(|text| !text.is_empty()), "a deviation needs a `{key}`: {row}");
            }
        }
        Self(rows)
    }

    /// The row of a case: `answer` and `after` say what we do, where it differs from the recording.
    pub fn of(&self, case: &str) -> Option<&Value> {
        self.0.iter().find(|row| row["case"] == case)
    }

    /// All cases named, in order.
    pub fn cases(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|row| row["case"].as_str())
    }
}
