//! Texts and bytes to borrow, where the deserializer can't lend them.
//!
//! What a type asks its deserializer for by `deserialize_str` and `deserialize_bytes` it need not own, so perhaps it borrows.

use std::fmt;

use serde::de::{Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

use super::guard::{Bounds, Guarded};
use super::scratch::Kept;

/// The visitor of a type that has asked for a text that it does not need to own.
pub(super) struct LentText<'g, 'de, V> {
    pub(super) inner: V,
    pub(super) bounds: &'g Bounds<'de>,
}

/// The visitor of a type that has asked for bytes that it does not need to own.
pub(super) struct LentBytes<'g, 'de, V> {
    pub(super) inner: V,
    pub(super) bounds: &'g Bounds<'de>,
}

macro_rules! visit {
    ($($method:ident($T:ty);)*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $T) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

macro_rules! visit_within {
    ($($method:ident<$A:ident: $Access:ident>;)*) => {$(
        #[inline]
        fn $method<$A: $Access<'de>>(self, value: $A) -> Result<V::Value, $A::Error> {
            Guarded::new(self.inner, self.bounds).$method(value)
        }
    )*};
}

macro_rules! visit_others {
    () => {
        type Value = V::Value;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.inner.expecting(f)
        }

        visit! {
            visit_bool(bool);
            visit_i8(i8);
            visit_i16(i16);
            visit_i32(i32);
            visit_i64(i64);
            visit_i128(i128);
            visit_u8(u8);
            visit_u16(u16);
            visit_u32(u32);
            visit_u64(u64);
            visit_u128(u128);
            visit_f32(f32);
            visit_f64(f64);
            visit_char(char);
            visit_borrowed_str(&'de str);
            visit_borrowed_bytes(&'de [u8]);
        }

        visit_within! {
            visit_some<D: Deserializer>;
            visit_newtype_struct<D: Deserializer>;
            visit_map<A: MapAccess>;
            visit_enum<A: EnumAccess>;
        }

        #[inline]
        fn visit_none<E: Error>(self) -> Result<V::Value, E> {
            self.inner.visit_none()
        }

        #[inline]
        fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
            self.inner.visit_unit()
        }
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for LentText<'_, 'de, V> {
    visit_others!();

    visit! {
        visit_bytes(&[u8]);
        visit_byte_buf(Vec<u8>);
    }

    visit_within! {
        visit_seq<A: SeqAccess>;
    }

    #[inline]
    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        self.visit_string(text.into())
    }

    #[cold]
    fn visit_string<E: Error>(self, text: String) -> Result<V::Value, E> {
        match self.bounds.keep(Kept::Text(text.into())) {
            Kept::Text(text) => self.inner.visit_borrowed_str(text),
            Kept::Bytes(bytes) => self.inner.visit_borrowed_bytes(bytes),
        }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for LentBytes<'_, 'de, V> {
    visit_others!();

    visit! {
        visit_str(&str);
        visit_string(String);
    }

    #[inline]
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<V::Value, E> {
        self.visit_byte_buf(bytes.into())
    }

    #[cold]
    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<V::Value, E> {
        match self.bounds.keep(Kept::Bytes(bytes.into())) {
            Kept::Text(text) => self.inner.visit_borrowed_str(text),
            Kept::Bytes(bytes) => self.inner.visit_borrowed_bytes(bytes),
        }
    }

    /// Bytes in a codec that has none of their own, such as JSON: an array of numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        let mut seq = Guarded::new(seq, self.bounds);
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element::<u8>()? {
            bytes.push(byte);
        }
        self.visit_byte_buf(bytes)
    }
}
