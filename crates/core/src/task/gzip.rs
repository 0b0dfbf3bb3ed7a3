//! Large bodies made small, with a limit on the way back.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::error::{Error, ErrorKind, Result};

/// The bytes as gzip.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4 + 32), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// The bytes in a gzip, `limit` at most. [`ErrorKind::Poison`] for more, and for what is no gzip.
pub fn unpack(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes)
        .take(most)
        .read_to_end(&mut out)
        .map_err(|error| Error::new(ErrorKind::Poison, "the body says it is gzip and is not").with_source(error))?;
    if out.len() > limit {
        return Err(Error::new(ErrorKind::Poison, format!("the body is gzip of more than {limit} bytes"))
            .with_advice("raise `max_payload` if such tasks are meant"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_up_to_the_limit() {
        let text = b"task ".repeat(10_000);
        let packed = pack(&text);
        assert!(packed.len() < text.len() / 50 && packed.starts_with(&[0x1f, 0x8b]));
        assert_eq!(unpack(&packed, text.len()).unwrap(), text);
        assert!(unpack(&packed, text.len() - 1).unwrap_err().to_string().contains("more than 49999 bytes"));
        assert_eq!(unpack(b"{}", 10).unwrap_err().kind(), ErrorKind::Poison);
        assert_eq!(unpack(&packed[..packed.len() / 2], 1 << 20).unwrap_err().kind(), ErrorKind::Poison);
    }
}
