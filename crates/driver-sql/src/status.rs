//! Statuses of jobs, in a table of our own. It is made when first written, so a database without one costs a look into the catalogue
//! and no write.

use ferry_core::Result;
use ferry_core::broker::StatusStore;
use ferry_core::status::{self, Status, StatusFields, StatusUpdate};

use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::error::SqlError;
use crate::expiring::ExpiringTable;
use crate::session::{Row, Session};
use crate::values::Values;

/// Fields as a JSON object, by the id of the job. Times are milliseconds since 1970.
const TABLE: ExpiringTable = ExpiringTable {
    name: "ferry_status",
    key: "id",
    columns: "id TEXT PRIMARY KEY, expires INTEGER NOT NULL, fields TEXT NOT NULL",
};

/// Statuses go over a connection whose commits do not wait for the disk: one may be lost with the power.
impl<D: Database> StatusStore for SqlBroker<D> {
    fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
        let now = self.settings.now_ms();
        self.run(Role::Status, |session| {
            session.relax_durability()?;
            session.transaction(|session| {
                TABLE.prepare(session, now)?;
                updates.iter().try_for_each(|update| update_one(session, update, now))
            })
        })
    }

    fn find(&self, id: &str) -> Result<Option<Status>> {
        let now = self.settings.now_ms();
        self.run(Role::Status, |session| {
            if !session.has_table(TABLE.name)? {
                return Ok(None);
            }
            Ok(known_fields(session, id, now)?.and_then(|fields| Status::of(id, &fields)))
        })
    }
}

fn update_one(session: &mut impl Session, update: &StatusUpdate, now: i64) -> Result<(), SqlError> {
    let known = known_fields(session, &update.id, now)?;
    let status = known.as_ref().and_then(|fields| Status::of(&update.id, fields));
    if !update.precondition().admits(status.map(|status| (status.state, status.attempts)), update.attempts()) {
        return Ok(());
    }
    let patch = update.patch();
    if patch.removes {
        let id = Values::new().text(&update.id);
        return session.execute("DELETE FROM ferry_status WHERE id = ?1", id).map(|_| ());
    }
    let mut fields = known.unwrap_or_default();
    patch.apply(&mut fields, now);
    let expires = now.saturating_add(i64::from(update.ttl) * 1000);
    let text = status::to_json(&fields);
    let values = Values::new().text(&update.id).int(expires).text(&text);
    session.execute("INSERT OR REPLACE INTO ferry_status (id, expires, fields) VALUES (?1, ?2, ?3)", values).map(|_| ())
}

fn known_fields(session: &mut impl Session, id: &str, now: i64) -> Result<Option<StatusFields>, SqlError> {
    let values = Values::new().text(id).int(now);
    let rows = session.query("SELECT fields FROM ferry_status WHERE id = ?1 AND expires > ?2", values)?;
    // What is no JSON object of texts was not written by us.
    Ok(rows.first().and_then(|row| status::from_json(&row.bytes(0))))
}
