//! Any serde type, by the codec id that its body carries.

use serde::Deserialize;
use serde::de::value::BytesDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{AnyError, Bincode, Codec, CodecError, Decode, Input, Json, Plain};

/// Reads any serde type from the codecs that need to know no more of it.
pub(crate) fn decode_untyped<'de, T: Deserialize<'de>>(codec: u8, input: Input<'de>) -> Result<T, AnyError> {
    const SUPPORTED: &[&str] = &[Json::NAME, Bincode::NAME, Plain::NAME];
    match codec {
        0 | Json::ID => Json::decode(input).map_err(AnyError::Codec),
        Bincode::ID => Bincode::decode(input).map_err(AnyError::Codec),
        Plain::ID => plain(input.bytes()).map_err(AnyError::Codec),
        id => Err(AnyError::Unsupported { id, supported: SUPPORTED }),
    }
}

fn plain<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, CodecError> {
    let decoded: Result<T, serde::de::value::Error> = match std::str::from_utf8(bytes) {
        Ok(text) => T::deserialize(PlainText(text)),
        Err(_) => T::deserialize(BytesDeserializer::new(bytes)),
    };
    decoded.map_err(|error| CodecError::new(Plain::NAME, error))
}

/// A plain text as serde sees it: a number or a truth value where one is asked for, else a string.
struct PlainText<'de>(&'de str);

macro_rules! parsed {
    ($($method:ident $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(error) => Err(Self::Error::custom(format_args!("{:?}: {error}", self.0))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for PlainText<'de> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_str(self.0)
    }

    parsed! {
        deserialize_bool visit_bool;
        deserialize_i8 visit_i8;
        deserialize_i16 visit_i16;
        deserialize_i32 visit_i32;
        deserialize_i64 visit_i64;
        deserialize_i128 visit_i128;
        deserialize_u8 visit_u8;
        deserialize_u16 visit_u16;
        deserialize_u32 visit_u32;
        deserialize_u64 visit_u64;
        deserialize_u128 visit_u128;
        deserialize_f32 visit_f32;
        deserialize_f64 visit_f64;
        deserialize_char visit_char;
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_bytes(self.0.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_empty() { visitor.visit_unit() } else { self.deserialize_any(visitor) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    // An option is none of these: a type of options alone would be asked for without end.
    forward_to_deserialize_any! {
        str string option unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{DecodeLimits, Scratch};

    fn read<T: serde::de::DeserializeOwned>(codec: u8, bytes: &[u8]) -> Result<T, String> {
        let (limits, scratch) = (DecodeLimits::default(), Scratch::default());
        decode_untyped(codec, Input::new(bytes, &limits, &scratch)).map_err(|error| error.to_string())
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Id(u64);

    #[derive(Debug, PartialEq, serde::Deserialize)]
    enum Colour {
        Red,
    }

    #[test]
    fn plain_text_is_what_is_asked_for() {
        assert_eq!(read(b's', b"17"), Ok(17u8));
        assert_eq!(read(b's', b"17"), Ok(Id(17)));
        assert_eq!(read(b's', b"-1.5"), Ok(-1.5f64));
        assert_eq!(read(b's', b"true"), Ok(true));
        assert_eq!(read(b's', "é".as_bytes()), Ok('é'));
        assert_eq!(read(b's', b"17"), Ok("17".to_owned()));
        assert_eq!(read(b's', b"Red"), Ok(Colour::Red));
        assert_eq!(read(b's', b""), Ok(()));
        assert_eq!(
            read::<u8>(b's', b"300").unwrap_err(),
            "plain: \"300\": number too large to fit in target type"
        );
        assert!(read::<()>(b's', b"x").is_err() && read::<String>(b's', b"\xff").is_err());
    }

    #[test]
    fn each_codec_by_its_id() {
        for (codec, bytes) in [(b'j', &b"\"a\""[..]), (b'b', b"\x01a"), (b's', b"a"), (0, b"\"a\"")] {
            assert_eq!(read(codec, bytes), Ok("a".to_owned()));
        }
        assert_eq!(
            read::<String>(b'p', b"").unwrap_err(),
            "the body codec 'p' (112) is not supported here; supported are json, bincode, plain"
        );
    }
}
