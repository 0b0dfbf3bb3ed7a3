//! Claims of work, in a table of our own. It is made when first written.

use ferry_core::Result;
use ferry_core::broker::IdempotencyStore;
use ferry_core::idempotency::{ClaimOutcome, ClaimRecord, ClaimTtl};

use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::dialect::{DatabaseKind, Dialect, OwnTable};
use crate::error::SqlError;
use crate::expiring;
use crate::schema::table_exists;
use crate::session::{Row, Session};
use crate::values::SqlValues;

/// Claims by the key of the work.
pub(crate) const TABLE: OwnTable = OwnTable {
    name: "ferry_once",
    columns: &[
        ("name", DatabaseKind::Key),
        ("token", DatabaseKind::Text),
        ("until", DatabaseKind::Int),
        ("done", DatabaseKind::Int),
        ("expires", DatabaseKind::Int),
        ("result", DatabaseKind::OptionalText),
    ],
};

/// Claims go over a connection whose commits wait for the disk.
impl<D: Database> IdempotencyStore for SqlBroker<D> {
    fn claim(&self, key: &str, token: &str, ttl: ClaimTtl) -> Result<ClaimOutcome> {
        self.change(key, |session, now| {
            let answer = ClaimRecord::answer(known(session, key)?.as_ref(), token, now);
            if answer == ClaimOutcome::Yours {
                store(session, self.database.dialect(), key, &ClaimRecord::claimed(token, ttl, now))?;
            }
            Ok(answer)
        })
    }

    fn complete(&self, key: &str, token: &str, result: Option<&str>, ttl: u32) -> Result<bool> {
        self.change(key, |session, now| {
            let may = ClaimRecord::may_complete(known(session, key)?.as_ref(), token, now);
            if may {
                store(session, self.database.dialect(), key, &ClaimRecord::completed(token, result, ttl, now))?;
            }
            Ok(may)
        })
    }

    fn release(&self, key: &str, token: &str) -> Result<bool> {
        self.change(key, |session, now| {
            let may = ClaimRecord::may_release(known(session, key)?.as_ref(), token, now);
            if may {
                remove(session, key)?;
            }
            Ok(may)
        })
    }

    fn is_done(&self, key: &str) -> Result<bool> {
        self.run(Role::Query, |session| {
            let now = self.settings.now_ms(session)?;
            Ok(table_exists(session, self.database.dialect(), TABLE.name)?
                && ClaimRecord::is_done(known(session, key)?.as_ref(), now))
        })
    }

    fn forget(&self, key: &str) -> Result<bool> {
        self.change(key, |session, now| {
            let known = known(session, key)?.is_some_and(|record| record.expires > now);
            remove(session, key)?;
            Ok(known)
        })
    }
}

impl<D: Database> SqlBroker<D> {
    /// One change of a claim in one transaction, and the table for it.
    fn change<T>(&self, key: &str, mut work: impl FnMut(&mut D::Session, i64) -> Result<T, SqlError>) -> Result<T> {
        self.run(Role::Query, |session| {
            session.transaction(|session| {
                let now = self.settings.now_ms(session)?;
                expiring::prepare(session, self.database.dialect(), &TABLE, now)?;
                TABLE.lock_row(session, self.database.dialect(), key)?;
                work(session, now)
            })
        })
    }
}

fn known(session: &mut impl Session, key: &str) -> Result<Option<ClaimRecord>, SqlError> {
    let sql =
        "SELECT token, until, done, CASE WHEN result IS NULL THEN 0 ELSE 1 END, result, expires FROM ferry_once WHERE name = ?1";
    let rows = session.query(sql, SqlValues::new().text(key))?;
    Ok(rows.first().map(|row| ClaimRecord {
        token: row.text(0),
        until: row.int(1).unwrap_or_default(),
        done: row.int(2) == Some(1),
        result: (row.int(3) == Some(1)).then(|| row.text(4)),
        expires: row.int(5).unwrap_or_default(),
    }))
}

fn store(session: &mut impl Session, dialect: &dyn Dialect, key: &str, record: &ClaimRecord) -> Result<(), SqlError> {
    let values = SqlValues::new()
        .text(key)
        .text(&record.token)
        .int(record.until)
        .int(i64::from(record.done))
        .int(record.expires)
        .optional_text(record.result.as_deref());
    session.execute(TABLE.upsert(dialect), values).map(|_| ())
}

fn remove(session: &mut impl Session, key: &str) -> Result<(), SqlError> {
    session.execute(TABLE.delete(), SqlValues::new().text(key)).map(|_| ())
}
