//! The receipt of a reserved row: its id and the attempts it was reserved with.
//!
//! Between two reservations of the same row attempts rise: in v3 with the reservation, in v1 and v2 with the release or the expiry
//! that lies between them. So somebody else's reservation has another receipt. The one exception is a row that
//! was given back: its next reservation repeats the count, so a claim must not be used after it was given back.

use std::collections::HashMap;

use ferry_core::Receipt;

/// A row as its holder knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReservedRow {
    pub id: i64,
    pub attempts: i64,
}

impl ReservedRow {
    pub(crate) fn to_receipt(self) -> Receipt {
        Receipt([self.id.to_le_bytes(), self.attempts.to_le_bytes()].concat())
    }

    /// `None` for bytes that no SQL driver wrote.
    pub(crate) fn of(receipt: &Receipt) -> Option<Self> {
        let (id, attempts) = receipt.0.split_at_checked(8)?;
        Some(Self { id: i64::from_le_bytes(id.try_into().ok()?), attempts: i64::from_le_bytes(attempts.try_into().ok()?) })
    }
}

/// The fence: which rows are reserved now, and with how many attempts.
#[derive(Debug, Default)]
pub(crate) struct Fence(HashMap<i64, i64>);

impl Fence {
    pub(crate) fn of(rows: impl IntoIterator<Item = ReservedRow>) -> Self {
        Self(rows.into_iter().map(|held| (held.id, held.attempts)).collect())
    }

    /// The row, if the reservation is still the receipt's. It passes once: a repeat in the same batch is lost.
    pub(crate) fn pass(&mut self, receipt: &Receipt) -> Option<ReservedRow> {
        let held = ReservedRow::of(receipt)?;
        (self.0.get(&held.id) == Some(&held.attempts)).then(|| {
            self.0.remove(&held.id);
            held
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_names_row_and_attempts() {
        let held = ReservedRow { id: 7, attempts: 300 };
        assert_eq!(ReservedRow::of(&held.to_receipt()), Some(held));
        for foreign in [&b""[..], b"7", b"sixteen bytes..!x"] {
            assert_eq!(ReservedRow::of(&Receipt(foreign.to_vec())), None);
        }
    }

    #[test]
    fn only_the_present_reservation_passes_and_only_once() {
        let mine = ReservedRow { id: 1, attempts: 2 };
        let mut fence = Fence::of([mine]);
        assert_eq!(fence.pass(&ReservedRow { id: 1, attempts: 1 }.to_receipt()), None);
        assert_eq!(fence.pass(&ReservedRow { id: 2, attempts: 2 }.to_receipt()), None);
        assert_eq!(fence.pass(&mine.to_receipt()), Some(mine));
        assert_eq!(fence.pass(&mine.to_receipt()), None);
    }
}
