//! The numbered parameters of our statements, `?1`, in the spelling of a server.
//!
//! Statements hold no question mark but those of parameters: names of tables are letters, digits and underscores, and data never
//! stands in the text.

/// Copies `sql`; `spell` writes what stands for the parameter of a number, counted from 1.
pub(crate) fn translate(sql: &str, mut spell: impl FnMut(&mut String, usize)) -> String {
    let mut pieces = sql.split('?');
    let mut out = String::with_capacity(sql.len() + 64);
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = piece.split_at(digits);
        spell(&mut out, number.parse().unwrap_or_default());
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_spelt_where_it_stands_as_often_as_it_does() {
        let sql = translate("a = ?1 AND b IN (?2,?12) AND c = ?1", |out, number| out.push_str(&format!("${number}")));
        assert_eq!(sql, "a = $1 AND b IN ($2,$12) AND c = $1");
        assert_eq!(translate("", |_, _| {}), "");
    }
}
