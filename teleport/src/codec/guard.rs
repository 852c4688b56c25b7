//! Between a deserializer and the type that it reads: bounds that codecs don't have of their own, and texts that last.
//!
//! Without bounds a few bytes can overflow the stack, where a type contains itself, or keep a decoder busy for ever,
//! where a sequence of values that take no bytes claims to be very long.
//!
//! A deserializer that has to change a text, as JSON does with an escape, can't lend it; what asks for a `&str` then
//! fails. Here such a text is kept in the body's [`Scratch`], which can lend it.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::input::Input;
use super::lent::{LentBytes, LentText};
use super::scratch::{Kept, Scratch};

/// Elements that any body may have, beyond one for each of its bytes.
const FREE_ELEMENTS: u64 = 4096;

/// What is left of the bounds while a body is read.
pub(super) struct Bounds<'de> {
    levels: Cell<u32>,
    elements: Cell<u64>,
    max_depth: u32,
    /// The deserializer tells beforehand how many elements a sequence or map has, and keeps to it: they are counted
    /// together, and not one by one.
    counted_ahead: bool,
    /// Where the next text is kept.
    scratch: Cell<&'de Scratch>,
}

impl<'de> Bounds<'de> {
    pub(super) fn new(input: Input<'de>) -> Self {
        let max_depth = input.limits().max_depth;
        Bounds {
            levels: Cell::new(max_depth),
            elements: Cell::new(FREE_ELEMENTS.saturating_add(input.bytes().len() as u64)),
            max_depth,
            counted_ahead: false,
            scratch: Cell::new(input.scratch()),
        }
    }

    /// For a deserializer that tells how many elements there are.
    pub(super) fn counted_ahead(mut self) -> Self {
        self.counted_ahead = true;
        self
    }

    pub(super) fn keep(&self, value: Kept) -> &'de Kept {
        let (kept, next) = self.scratch.get().keep(value);
        self.scratch.set(next);
        kept
    }

    /// One level further in, until [`leave`](Self::leave).
    #[inline]
    fn enter<E: Error>(&self) -> Result<(), E> {
        let Some(left) = self.levels.get().checked_sub(1) else {
            return Err(self.too_deep());
        };
        self.levels.set(left);
        Ok(())
    }

    #[inline]
    fn leave(&self) {
        self.levels.set(self.levels.get() + 1);
    }

    #[inline]
    fn count<E: Error>(&self, elements: u64) -> Result<(), E> {
        let Some(left) = self.elements.get().checked_sub(elements) else {
            return Err(too_many());
        };
        self.elements.set(left);
        Ok(())
    }

    #[inline]
    fn hint(&self, hint: Option<usize>) -> Option<usize> {
        hint.map(|hint| hint.min(usize::try_from(self.elements.get()).unwrap_or(usize::MAX)))
    }

    /// Counts the elements of a sequence or map together, where the deserializer has told how many there are; what is
    /// then left to ask for.
    #[inline]
    fn ahead<E: Error>(&self, asked: Asked, elements: Option<usize>) -> Result<Asked, E> {
        match elements {
            Some(elements) if self.counted_ahead && asked != Asked::Fixed => {
                self.count(elements as u64)?;
                Ok(Asked::Fixed)
            }
            _ => Ok(asked),
        }
    }

    #[cold]
    fn too_deep<E: Error>(&self) -> E {
        E::custom(format_args!(
            "values are nested deeper than {} levels (setting `limits.max_depth`)",
            self.max_depth
        ))
    }
}

#[cold]
fn too_many<E: Error>() -> E {
    E::custom("there are more elements than the bytes of the body could hold")
}

/// Any of serde's parts, within bounds.
pub(super) struct Guarded<'g, 'de, X> {
    inner: X,
    bounds: &'g Bounds<'de>,
    asked: Asked,
}

/// What the type asked its deserializer for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Any value.
    Value,
    /// As many elements as the type itself says, as a tuple does: they need no counting, and the fields of many small
    /// structs may well be more than their bytes.
    Fixed,
}

impl<'g, 'de, X> Guarded<'g, 'de, X> {
    #[inline]
    pub(super) fn new(inner: X, bounds: &'g Bounds<'de>) -> Self {
        Guarded { inner, bounds, asked: Asked::Value }
    }

    #[inline]
    fn with<Y>(&self, inner: Y) -> Guarded<'g, 'de, Y> {
        Guarded::new(inner, self.bounds)
    }

    #[inline]
    fn asking<Y>(&self, inner: Y, asked: Asked) -> Guarded<'g, 'de, Y> {
        Guarded { inner, bounds: self.bounds, asked }
    }
}

macro_rules! forward {
    ($($method:ident($($arg:ident: $T:ty),*) $($asked:ident)?;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($arg: $T,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.asking(visitor, forward!(@ $($asked)?));
            self.inner.$method($($arg,)* visitor)
        }
    )*};
    (@) => { Asked::Value };
    (@ $asked:ident) => { Asked::$asked };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guarded<'_, 'de, D> {
    type Error = D::Error;

    forward! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_string();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize) Fixed;
        deserialize_tuple_struct(name: &'static str, len: usize) Fixed;
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) Fixed;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(LentText { inner: visitor, bounds: self.bounds })
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_bytes(LentBytes { inner: visitor, bounds: self.bounds })
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($T:ty);)*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $T) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Guarded<'_, 'de, V> {
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
        visit_str(&str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_byte_buf(Vec<u8>);
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.with(deserializer);
        self.bounds.enter()?;
        let value = self.inner.visit_some(deserializer);
        self.bounds.leave();
        value
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.with(deserializer);
        self.bounds.enter()?;
        let value = self.inner.visit_newtype_struct(deserializer);
        self.bounds.leave();
        value
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        let asked = self.bounds.ahead(self.asked, seq.size_hint())?;
        let seq = self.asking(seq, asked);
        self.bounds.enter()?;
        let value = self.inner.visit_seq(seq);
        self.bounds.leave();
        value
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let asked = self.bounds.ahead(self.asked, map.size_hint())?;
        let map = self.asking(map, asked);
        self.bounds.enter()?;
        let value = self.inner.visit_map(map);
        self.bounds.leave();
        value
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        let data = self.with(data);
        self.bounds.enter()?;
        let value = self.inner.visit_enum(data);
        self.bounds.leave();
        value
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Guarded<'_, 'de, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.with(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Guarded<'_, 'de, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.with(seed);
        let element = self.inner.next_element_seed(seed)?;
        if element.is_some() && self.asked != Asked::Fixed {
            self.bounds.count(1)?;
        }
        Ok(element)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.bounds.hint(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Guarded<'_, 'de, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.with(seed);
        let key = self.inner.next_key_seed(seed)?;
        if key.is_some() && self.asked != Asked::Fixed {
            self.bounds.count(1)?;
        }
        Ok(key)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.next_value_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.bounds.hint(self.inner.size_hint())
    }
}

impl<'de, 'g, A: EnumAccess<'de>> EnumAccess<'de> for Guarded<'g, 'de, A> {
    type Error = A::Error;
    type Variant = Guarded<'g, 'de, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let seed = self.with(seed);
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((value, Guarded { inner: variant, bounds: self.bounds, asked: Asked::Value }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Guarded<'_, 'de, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.newtype_variant_seed(seed)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.asking(visitor, Asked::Fixed);
        self.inner.tuple_variant(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.asking(visitor, Asked::Fixed);
        self.inner.struct_variant(fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::lasting;
    use super::super::{Bincode, Decode, DecodeLimits, Json};

    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Chain(Option<Box<Chain>>);

    #[test]
    fn a_type_that_contains_itself_ends_at_the_depth() {
        let limits = DecodeLimits::default();
        // Each 1 is one more link.
        let deep = vec![1u8; 1_000_000];
        let error = <Bincode as Decode<'_, Chain>>::decode(lasting(&deep, &limits)).unwrap_err().to_string();
        assert!(error.contains("limits.max_depth"), "{error}");
        let mut shallow = vec![1u8; 60];
        shallow.push(0);
        assert!(<Bincode as Decode<'_, Chain>>::decode(lasting(&shallow, &limits)).is_ok());
    }

    #[test]
    fn values_of_no_bytes_can_not_go_on_for_ever() {
        // The variable-length form of 2^63.
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1u64 << 63).to_le_bytes());
        let error =
            <Bincode as Decode<'_, Vec<()>>>::decode(lasting(&bytes, &DecodeLimits::default())).unwrap_err();
        assert!(error.to_string().contains("more elements"), "{error}");
    }

    #[test]
    fn json_keeps_a_depth_below_its_own() {
        let limits = DecodeLimits::default().with_max_depth(3);
        let decode = |json: &str| {
            <Json as Decode<'_, serde_json::Value>>::decode(lasting(json.as_bytes(), &limits)).map(drop)
        };
        assert!(decode("[[[1]]]").is_ok());
        assert!(decode("[[[[1]]]]").unwrap_err().to_string().contains("limits.max_depth"));
        assert!(decode("[1] 2").is_err(), "what follows is not ignored");
    }

    #[test]
    fn borrowed_texts_stay_borrowed() {
        let bytes = bincode::Options::serialize(bincode::DefaultOptions::new(), &("text", 7u8)).unwrap();
        let (text, number): (&str, u8) = Bincode::decode(lasting(&bytes, &DecodeLimits::default())).unwrap();
        assert_eq!((text, number), ("text", 7));
        assert!(bytes.as_ptr_range().contains(&text.as_ptr()));
        let json = br#"["plain", "esc\naped", [1, 2], "\u00e9"]"#;
        let (plain, escaped, bytes, raw): (&str, &str, &[u8], &[u8]) =
            Json::decode(lasting(json, &DecodeLimits::default())).unwrap();
        assert_eq!((plain, escaped, bytes, raw), ("plain", "esc\naped", &[1, 2][..], "é".as_bytes()));
        assert!(json.as_ptr_range().contains(&plain.as_ptr()));
    }

    #[test]
    fn a_type_that_contains_itself_without_a_bracket_ends_too() {
        for json in ["1", "[1]"] {
            let error =
                <Json as Decode<'_, Chain>>::decode(lasting(json.as_bytes(), &DecodeLimits::default()));
            assert!(error.unwrap_err().to_string().contains("limits.max_depth"));
        }
    }
}
