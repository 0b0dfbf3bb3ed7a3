//! Job ids: 32 letters, as think-queue v3 mints them (`fixtures/think-queue-v3.json`, `id_shape`).

/// Length of an id in bytes.
pub const LENGTH: usize = 32;

/// Writes an id made from `random`, drawing 64 bytes at a time. 52^32 is 182 bits; each letter is equally likely.
pub fn mint<E>(mut random: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<[u8; LENGTH], E> {
    const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut id = [0; LENGTH];
    let mut filled = 0;
    while filled < LENGTH {
        let mut bytes = [0; 64];
        random(&mut bytes)?;
        for byte in bytes {
            // 208 = 4 * 52: what lies above would favour the first letters.
            if byte < 208 && filled < LENGTH {
                id[filled] = LETTERS[usize::from(byte % 52)];
                filled += 1;
            }
        }
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_letters() {
        let mut next = 0_u8;
        let id = mint::<()>(|bytes| {
            for byte in bytes {
                *byte = next;
                next = next.wrapping_add(37);
            }
            Ok(())
        })
        .unwrap();
        assert!(id.iter().all(u8::is_ascii_alphabetic));
    }
}
