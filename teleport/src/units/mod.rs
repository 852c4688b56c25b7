//! Sizes and durations as a user writes them in a file or a variable.
//!
//! Each module here is for serde's `with`; what it writes, it reads back as the same value.

pub(crate) mod duration;
pub(crate) mod optional_duration;
pub(crate) mod optional_number;
pub(crate) mod size;

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Unexpected, Visitor};

/// Reads a value from its text, or from a number where the format has numbers.
fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    text: fn(&str) -> Result<T, String>,
    null: Option<T>,
) -> Result<T, D::Error> {
    let written = Written { expected, text, null };
    // A format that is not for people says nothing of its types, and has a text here.
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(written)
    } else {
        deserializer.deserialize_str(written)
    }
}

struct Written<T> {
    expected: &'static str,
    text: fn(&str) -> Result<T, String>,
    /// What the format's own "nothing" stands for, if it may stand here.
    null: Option<T>,
}

impl<T> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        match self.null {
            Some(value) => Ok(value),
            None => Err(E::invalid_type(Unexpected::Unit, &self.expected)),
        }
    }
}

/// The digits that a text begins with, and the rest without the spaces between.
fn number_first(text: &str) -> (&str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    (number, rest.trim_start())
}
