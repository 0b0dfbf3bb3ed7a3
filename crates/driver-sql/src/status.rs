//! Statuses of jobs, in a table of our own. It is made when first written, so a database without one costs a look into the catalogue
//! and no write.

use ferry_core::Result;
use ferry_core::broker::StatusStore;
use ferry_core::status::{self, Status, StatusFields, StatusUpdate};

use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::dialect::{DatabaseKind, Dialect, OwnTable};
use crate::error::SqlError;
use crate::expiring;
use crate::schema::table_exists;
use crate::session::{Row, Session};
use crate::values::SqlValues;

/// Fields as a JSON object, by the id of the job. Times are milliseconds since 1970.
pub(crate) const TABLE: OwnTable = OwnTable {
    name: "ferry_status",
    columns: &[("id", DatabaseKind::Key), ("expires", DatabaseKind::Int), ("fields", DatabaseKind::Text)],
};

/// Statuses go over a connection whose commits do not wait for the disk: one may be lost with the power.
impl<D: Database> StatusStore for SqlBroker<D> {
    fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
        let dialect = self.database.dialect();
        self.run(Role::Status, |session| {
            session.relax_durability()?;
            session.transaction(|session| {
                let now = self.settings.now_ms(session)?;
                expiring::prepare(session, dialect, &TABLE, now)?;
                updates.iter().try_for_each(|update| update_one(session, dialect, update, now))
            })
        })
    }

    fn find(&self, id: &str) -> Result<Option<Status>> {
        self.run(Role::Status, |session| {
            if !table_exists(session, self.database.dialect(), TABLE.name)? {
                return Ok(None);
            }
            let now = self.settings.now_ms(session)?;
            Ok(known_fields(session, id, now)?.and_then(|fields| Status::of(id, &fields)))
        })
    }
}

fn update_one(session: &mut impl Session, dialect: &dyn Dialect, update: &StatusUpdate, now: i64) -> Result<(), SqlError> {
    TABLE.lock_row(session, dialect, &update.id)?;
    let known = known_fields(session, &update.id, now)?;
    if !update.is_admitted(known.as_ref()) {
        return Ok(());
    }
    let patch = update.patch();
    if patch.removes {
        return session.execute(TABLE.delete(), SqlValues::new().text(&update.id)).map(|_| ());
    }
    let mut fields = known.unwrap_or_default();
    patch.apply(&mut fields, now);
    let expires = now.saturating_add(i64::from(update.ttl) * 1000);
    let text = status::to_json(&fields);
    let values = SqlValues::new().text(&update.id).int(expires).text(&text);
    session.execute(TABLE.upsert(dialect), values).map(|_| ())
}

fn known_fields(session: &mut impl Session, id: &str, now: i64) -> Result<Option<StatusFields>, SqlError> {
    let values = SqlValues::new().text(id).int(now);
    let rows = session.query("SELECT fields FROM ferry_status WHERE id = ?1 AND expires > ?2", values)?;
    // What is no JSON object of texts was not written by us.
    Ok(rows.first().and_then(|row| status::from_json(&row.bytes(0))))
}
