//! `Y-m-d H:i:s`, the time in a failure record. The time zone is the caller's.

const DAY: i64 = 86_400;

/// A second that is counted in local time, as text. Years of four digits.
pub fn format(local: i64) -> String {
    let (day, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
    let (year, month, day) = date_of(day);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// The local second of such a text.
pub fn parse(text: &str) -> Option<i64> {
    const SIGNS: [(usize, u8); 5] = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    let bytes = text.as_bytes();
    if bytes.len() != 19 || SIGNS.iter().any(|(at, sign)| bytes[*at] != *sign) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok().map(i64::from);
    let day = day_of(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    Some(day * DAY + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?)
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years begin in March here, so that the leap day is the
/// last one.
fn date_of(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, of_year - (153 * from_march + 2) / 5 + 1)
}

fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * from_march + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_year_is_written_and_read_back() {
        for (second, text) in [
            (0, "1970-01-01 00:00:00"),
            (1_700_000_000, "2023-11-14 22:13:20"),
            (951_782_400 + 86_399, "2000-02-29 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (253_402_300_799, "9999-12-31 23:59:59"),
        ] {
            assert_eq!((format(second).as_str(), parse(text)), (text, Some(second)));
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "soon", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14 22:13:20Z", "2023-+1-14 22:13:2x", "二〇二三-11-14 2"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
