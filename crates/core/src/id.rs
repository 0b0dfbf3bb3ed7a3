//! Job ids: 32 letters, as think-queue v3 mints them (`fixtures/think-queue-v3.json`, `id_shape`).

/// Length of an id in bytes.
pub const LENGTH: usize = 32;

/// Writes an id made from `random`, which is asked for 32 bytes and now and then for two more. 52^32 is 182 bits; each letter is
/// equally likely.
pub fn mint<E>(mut random: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<[u8; LENGTH], E> {
    const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // Two bytes make two letters: a letter from each byte would throw away every fifth, and random bytes are what an id costs.
    const PAIRS: u16 = 52 * 52;
    // What lies above would favour the first pairs.
    const FAIR: u16 = u16::MAX / PAIRS * PAIRS;

    let mut id = [0; LENGTH];
    random(&mut id)?;
    for pair in id.chunks_exact_mut(2) {
        let mut number = u16::from_ne_bytes([pair[0], pair[1]]);
        while number >= FAIR {
            random(pair)?;
            number = u16::from_ne_bytes([pair[0], pair[1]]);
        }
        pair[0] = LETTERS[usize::from(number % 52)];
        pair[1] = LETTERS[usize::from(number / 52 % 52)];
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

    #[test]
    fn bytes_that_would_favour_some_letters_are_drawn_again() {
        let mut draws = 0;
        let id = mint::<()>(|bytes| {
            bytes.fill(if draws == 0 { 0xff } else { 0 });
            draws += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((id, draws), ([b'A'; LENGTH], 17));
    }

    #[test]
    fn every_letter_is_equally_likely() {
        let mut counts = [0; 256];
        let mut next = 0_u16;
        // All numbers of two bytes, each once.
        for _ in 0..(1 << 16) / 16 {
            let id = mint::<()>(|bytes| {
                for pair in bytes.chunks_exact_mut(2) {
                    pair.copy_from_slice(&next.to_ne_bytes());
                    next = next.wrapping_add(1);
                }
                Ok(())
            })
            .unwrap();
            id.iter().for_each(|letter| counts[usize::from(*letter)] += 1);
        }
        let used: Vec<i32> = counts.into_iter().filter(|count| *count > 0).collect();
        assert_eq!(used.len(), 52);
        // Redrawing begins the numbers anew, so the first ones come once more.
        assert!(used.iter().all(|count| (count - used[0]).abs() <= 64), "{used:?}");
    }
}
