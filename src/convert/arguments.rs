//! Argument types of our methods. The binding crate is strict whatever the caller declares; PHP callers expect weak mode.

use ext_php_rs::convert::{FromZval, StubLiteral};
use ext_php_rs::flags::DataType;
use ext_php_rs::types::Zval;

use crate::zend::objects;

/// Any value.
pub struct Mixed<'a>(pub &'a Zval);

impl<'a> FromZval<'a> for Mixed<'a> {
    const TYPE: DataType = DataType::Mixed;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        Some(Self(value))
    }
}

/// Job data: any value; when it is left out, the empty string, as in think-queue (`redis/push-data-empty-string`).
pub struct Data<'a>(pub Option<&'a Zval>);

impl<'a> FromZval<'a> for Data<'a> {
    const TYPE: DataType = DataType::Mixed;
    const NULLABLE: bool = true;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        Some(Self(Some(value)))
    }

    fn from_missing() -> Option<Self> {
        Some(Self(None))
    }
}

impl StubLiteral for Data<'_> {
    fn stub_literal(&self) -> String {
        "''".to_owned()
    }
}

/// Any value; when it is left out, nothing.
pub struct Maybe<'a>(pub Option<&'a Zval>);

impl<'a> FromZval<'a> for Maybe<'a> {
    const TYPE: DataType = DataType::Mixed;
    const NULLABLE: bool = true;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        Some(Self(Some(value)))
    }

    fn from_missing() -> Option<Self> {
        Some(Self(None))
    }
}

/// A string of any bytes, or what PHP makes one of.
pub struct Text(pub Vec<u8>);

impl<'a> FromZval<'a> for Text {
    const TYPE: DataType = DataType::String;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        textual(value).map(Self)
    }
}

/// A string of any bytes, null or nothing.
pub struct OptionalText(pub Option<Vec<u8>>);

impl<'a> FromZval<'a> for OptionalText {
    const TYPE: DataType = DataType::String;
    const NULLABLE: bool = true;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        if value.is_null() { Some(Self(None)) } else { textual(value).map(|text| Self(Some(text))) }
    }

    fn from_missing() -> Option<Self> {
        Some(Self(None))
    }
}

impl OptionalText {
    /// The bytes, when there are any.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }

    /// The text, when it is one.
    pub fn text(&self) -> Option<String> {
        self.0.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// A whole number, or what PHP makes one of.
pub struct Number(pub i64);

impl<'a> FromZval<'a> for Number {
    const TYPE: DataType = DataType::Long;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        integer(value).map(Self)
    }
}

/// What a string parameter accepts in weak mode.
pub fn textual(value: &Zval) -> Option<Vec<u8>> {
    let scalar = value.is_string() || value.is_long() || value.is_double() || value.is_bool();
    let stringable = value.object().is_some_and(|object| object.instance_of(ext_php_rs::zend::ce::stringable()));
    if scalar || stringable { objects::to_bytes(value) } else { None }
}

/// A whole number, or what PHP makes one of in weak mode.
pub fn integer(value: &Zval) -> Option<i64> {
    if let Some(number) = value.long() {
        return Some(number);
    }
    if let Some(truth) = value.bool() {
        return Some(i64::from(truth));
    }
    let number = match value.double() {
        Some(number) => number,
        None => std::str::from_utf8(value.zend_str()?.as_bytes()).ok()?.trim().parse().ok()?,
    };
    whole(number)
}

/// A float as an integer, cut towards zero. `None` when it is not finite or too large.
pub fn whole(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (number.is_finite() && number.abs() < LIMIT).then_some(number as i64)
}

/// A truth value in weak mode. `None` for arrays and objects.
pub fn truth(value: &Zval) -> Option<bool> {
    match value.zend_str() {
        Some(text) => Some(!matches!(text.as_bytes(), b"" | b"0")),
        None if value.is_array() || value.is_object() => None,
        None => Some(
            value
                .bool()
                .unwrap_or_else(|| value.double().is_some_and(|number| number != 0.0) || value.long().is_some_and(|n| n != 0)),
        ),
    }
}

/// A whole number in weak mode.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "amqp"), allow(dead_code, reason = "only the classes of tasks take one"))]
pub struct Whole(pub i64);

impl<'a> FromZval<'a> for Whole {
    const TYPE: DataType = DataType::Long;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        integer(value).map(Self)
    }
}

impl StubLiteral for Whole {
    fn stub_literal(&self) -> String {
        self.0.to_string()
    }
}

/// An array.
#[cfg_attr(not(feature = "amqp"), allow(dead_code, reason = "only the classes of tasks take one"))]
pub struct List<'a>(pub &'a Zval);

impl<'a> FromZval<'a> for List<'a> {
    const TYPE: DataType = DataType::Array;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        value.is_array().then_some(Self(value))
    }
}

/// An array or nothing.
#[cfg_attr(not(feature = "amqp"), allow(dead_code, reason = "only the classes of tasks take one"))]
pub struct MaybeList<'a>(pub Option<&'a Zval>);

impl<'a> FromZval<'a> for MaybeList<'a> {
    const TYPE: DataType = DataType::Array;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        value.is_array().then_some(Self(Some(value)))
    }

    fn from_missing() -> Option<Self> {
        Some(Self(None))
    }
}

impl StubLiteral for MaybeList<'_> {
    fn stub_literal(&self) -> String {
        "[]".to_owned()
    }
}
