//! Plain bodies: a text or bytes, as they are.

use std::borrow::Cow;

use super::{Codec, CodecError, Decode, Encode, Input};

/// Plain text or bytes, id `s`: strings, byte slices, and numbers and truth values as their text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain;

impl Codec for Plain {
    const ID: u8 = b's';
    const NAME: &'static str = "plain";
}

macro_rules! encode_bytes {
    ($($T:ty: $bytes:ident),* $(,)?) => {$(
        impl Encode<$T> for Plain {
            #[inline]
            fn encode(value: &$T, out: &mut Vec<u8>) -> Result<(), CodecError> {
                out.extend_from_slice(value.$bytes());
                Ok(())
            }
        }
    )*};
}

encode_bytes! {
    str: as_bytes, String: as_bytes, Box<str>: as_bytes, [u8]: as_ref, Vec<u8>: as_slice, Box<[u8]>: as_ref,
}

impl<T: ?Sized> Encode<&T> for Plain
where
    Plain: Encode<T>,
{
    #[inline]
    fn encode(value: &&T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        Plain::encode(*value, out)
    }
}

impl<T: ToOwned + ?Sized> Encode<Cow<'_, T>> for Plain
where
    Plain: Encode<T>,
{
    #[inline]
    fn encode(value: &Cow<'_, T>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        Plain::encode(&**value, out)
    }
}

impl Encode<()> for Plain {
    fn encode(_: &(), _: &mut Vec<u8>) -> Result<(), CodecError> {
        Ok(())
    }
}

impl Decode<'_, ()> for Plain {
    fn decode(input: Input<'_>) -> Result<(), CodecError> {
        if input.bytes().is_empty() {
            Ok(())
        } else {
            Err(CodecError::new(Plain::NAME, "a body came where none is expected"))
        }
    }
}

impl<'de> Decode<'de, &'de str> for Plain {
    #[inline]
    fn decode(input: Input<'de>) -> Result<&'de str, CodecError> {
        std::str::from_utf8(input.bytes()).map_err(|error| CodecError::new(Plain::NAME, error))
    }
}

impl<'de> Decode<'de, &'de [u8]> for Plain {
    #[inline]
    fn decode(input: Input<'de>) -> Result<&'de [u8], CodecError> {
        Ok(input.bytes())
    }
}

macro_rules! decode_from {
    ($($Borrowed:ty => $($Owned:ty),+;)*) => {$($(
        impl<'de> Decode<'de, $Owned> for Plain {
            #[inline]
            fn decode(input: Input<'de>) -> Result<$Owned, CodecError> {
                <Plain as Decode<'de, $Borrowed>>::decode(input).map(Into::into)
            }
        }
    )+)*};
}

decode_from! {
    &'de str => String, Box<str>, Cow<'de, str>;
    &'de [u8] => Vec<u8>, Box<[u8]>, Cow<'de, [u8]>;
}

macro_rules! as_text {
    ($($T:ty),* $(,)?) => {$(
        impl Encode<$T> for Plain {
            fn encode(value: &$T, out: &mut Vec<u8>) -> Result<(), CodecError> {
                out.extend_from_slice(value.to_string().as_bytes());
                Ok(())
            }
        }

        impl<'de> Decode<'de, $T> for Plain {
            fn decode(input: Input<'de>) -> Result<$T, CodecError> {
                let text = <Plain as Decode<'de, &'de str>>::decode(input)?;
                text.parse().map_err(|error| CodecError::new(Plain::NAME, error))
            }
        }
    )*};
}

as_text!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64, bool, char);
