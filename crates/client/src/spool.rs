//! The spool: a file for jobs that no broker took at the end of a request. `ferry spool` of the console reads it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferry_core::broker::QueuedJob;
use ferry_core::job::Due;
use serde::Serialize;

/// Of the format of a line.
const VERSION: u8 = 1;

/// One line. The keys of the payload are those of the console's other records.
#[derive(Serialize)]
struct SpooledJob<'a> {
    v: u8,
    connection: &'a str,
    queue: &'a str,
    /// The unix second of a delayed job; null when it is ready.
    due: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Appends jobs of one connection: all, or none. The data is on the disk afterwards.
pub(crate) fn append(path: &Path, connection: &str, jobs: &[QueuedJob<'_>]) -> io::Result<()> {
    if !path.is_absolute() {
        return Err(io::Error::other("the path is not absolute"));
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    check_private(&file)?;
    // A replay that empties the file holds it too; closing the file lets go of it.
    file.lock()?;
    let before = file.metadata()?.len();
    let mut text = if ends_in_line(&mut file, before)? { Vec::new() } else { b"\n".to_vec() };
    for job in jobs {
        serde_json::to_writer(&mut text, &line(connection, job))?;
        text.push(b'\n');
    }
    let written = file.write_all(&text).and_then(|()| file.sync_data());
    written.inspect_err(|_| {
        // A part of a line would hide the next one. When even this fails, the writer after us ends the line.
        let _ = file.set_len(before);
    })
}

/// Payloads may hold what no other user should read, and whoever can write here can have jobs run.
fn check_private(file: &File) -> io::Result<()> {
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if about.mode() & 0o077 != 0 {
        return Err(io::Error::other("other users may open it; its mode must be 0600"));
    }
    Ok(())
}

/// Whether what is there ends with a line end. A machine that lost power may leave a part of a line.
fn ends_in_line(file: &mut File, length: u64) -> io::Result<bool> {
    if length == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn line<'a>(connection: &'a str, QueuedJob { queue, job }: &'a QueuedJob<'_>) -> SpooledJob<'a> {
    let text = std::str::from_utf8(&job.payload).ok();
    SpooledJob {
        v: VERSION,
        connection,
        queue: queue.as_str(),
        // Buffered jobs have a due second or are ready.
        due: if let Due::At(second) = job.due { Some(second) } else { None },
        payload: text,
        payload_base64: text.is_none().then(|| STANDARD.encode(&job.payload)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use ferry_core::QueueName;
    use ferry_core::job::NewJob;
    use ferry_testkit::TempDir;

    use super::*;

    fn job(payload: &[u8], due: Due) -> QueuedJob<'_> {
        QueuedJob { queue: QueueName::new("邮件 \"1\"".as_bytes()).unwrap(), job: NewJob::due(payload, due) }
    }

    fn ready() -> [QueuedJob<'static>; 1] {
        [job(b"{}", Due::Now)]
    }

    #[test]
    fn a_spooled_job_is_a_line_with_its_connection_queue_due_second_and_payload() {
        let folder = TempDir::new();
        let path = folder.path().join("spool");
        append(&path, "redis", &[job(b"{\"job\":\"J\"}", Due::Now), job(b"a\n\xff", Due::At(1_700_000_000))]).unwrap();
        append(&path, "other", &ready()).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            concat!(
                r#"{"v":1,"connection":"redis","queue":"邮件 \"1\"","due":null,"payload":"{\"job\":\"J\"}"}"#,
                "\n",
                r#"{"v":1,"connection":"redis","queue":"邮件 \"1\"","due":1700000000,"payload_base64":"YQr/"}"#,
                "\n",
                r#"{"v":1,"connection":"other","queue":"邮件 \"1\"","due":null,"payload":"{}"}"#,
                "\n",
            )
        );
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_part_of_a_line_does_not_hide_the_next() {
        let folder = TempDir::new();
        let path = folder.path().join("spool");
        append(&path, "a", &ready()).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"v\":1,").unwrap();
        append(&path, "a", &ready()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{whole}{{\"v\":1,\n{whole}"));
    }

    #[test]
    fn a_file_that_others_may_open_and_a_relative_path_are_refused() {
        let folder = TempDir::new();
        let path = folder.path().join("spool");
        fs::write(&path, "").unwrap();
        for mode in [0o644, 0o660, 0o602] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(append(&path, "a", &ready()).unwrap_err().to_string().contains("0600"), "{mode:o}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert!(append(Path::new("spool"), "a", &ready()).unwrap_err().to_string().contains("absolute"));
        assert!(append(Path::new("/dev/null"), "a", &ready()).is_err());
        assert!(append(&folder.path().join("none/spool"), "a", &ready()).is_err());
    }

    #[test]
    fn writers_at_the_same_time_mix_no_lines() {
        let folder = TempDir::new();
        let path = folder.path().join("spool");
        let many: Vec<QueuedJob<'_>> = (0..50).map(|_| job(&[b'x'; 10_000], Due::Now)).collect();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| append(&path, "a", &many).unwrap());
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 400);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }
}
