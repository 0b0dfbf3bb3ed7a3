//! What an operator should know of the file.

use ferry_core::broker::Fact;

use super::file::DatabaseFile;
use super::session::SqliteSession;
use crate::error::SqlError;
use crate::session::{Row, Session};
use crate::values::SqlValues;

pub(super) fn facts(session: &mut SqliteSession, file: &DatabaseFile) -> Result<Vec<(&'static str, Fact)>, SqlError> {
    let mut facts = vec![
        ("driver", Fact::Text("sqlite".to_owned())),
        ("version", Fact::Text(text(session, "SELECT sqlite_version()")?)),
        ("path", Fact::Text(file.path.display().to_string())),
        ("journal_mode", Fact::Text(text(session, "PRAGMA journal_mode")?)),
        ("busy_timeout", Fact::Seconds(file.busy_timeout.as_secs_f64())),
    ];
    // 2 is FULL: what was committed survives the loss of power.
    facts.push(("synchronous", Fact::Text(synchronous(number(session, "PRAGMA synchronous")?).to_owned())));
    for (name, pragma) in
        [("page_size", "PRAGMA page_size"), ("page_count", "PRAGMA page_count"), ("freelist", "PRAGMA freelist_count")]
    {
        facts.push((name, Fact::Number(number(session, pragma)?)));
    }
    let system = nix::sys::statfs::statfs(&file.path).ok();
    facts.extend(
        system.and_then(|system| filesystem(system.filesystem_type())).map(|name| ("filesystem", Fact::Text(name.to_owned()))),
    );
    facts.extend(system.map(|system| {
        let free = system.blocks_available().saturating_mul(u64::try_from(system.block_size()).unwrap_or_default());
        ("disk_free", Fact::Number(i64::try_from(free).unwrap_or(i64::MAX)))
    }));
    Ok(facts)
}

/// The names of those that an operator should know: on some of them locks do not work.
fn filesystem(found: nix::sys::statfs::FsType) -> Option<&'static str> {
    use nix::sys::statfs as kinds;
    let known = [
        (kinds::EXT4_SUPER_MAGIC, "ext"),
        (kinds::XFS_SUPER_MAGIC, "xfs"),
        (kinds::BTRFS_SUPER_MAGIC, "btrfs"),
        (kinds::OVERLAYFS_SUPER_MAGIC, "overlayfs"),
        (kinds::TMPFS_MAGIC, "tmpfs"),
        (kinds::NFS_SUPER_MAGIC, "nfs"),
        (kinds::SMB_SUPER_MAGIC, "smb"),
        (kinds::FUSE_SUPER_MAGIC, "fuse"),
    ];
    known.into_iter().find(|(magic, _)| *magic == found).map(|(_, name)| name)
}

fn synchronous(level: i64) -> &'static str {
    match level {
        0 => "off",
        1 => "normal",
        2 => "full",
        _ => "extra",
    }
}

fn text(session: &mut SqliteSession, sql: &'static str) -> Result<String, SqlError> {
    Ok(session.query(sql, SqlValues::new())?.first().map_or_else(String::new, |row| row.text(0)))
}

fn number(session: &mut SqliteSession, sql: &'static str) -> Result<i64, SqlError> {
    Ok(session.query(sql, SqlValues::new())?.first().and_then(|row| row.int(0)).unwrap_or_default())
}
