//! Several codecs, of which the id of a body chooses one.

use super::{AnyError, Codec, CodecError, Decode, Encode, Input};

/// The codecs that a method supports: a tuple of one to eight, of which the first is the default.
pub trait CodecList: Send + Sync + 'static {
    /// The default.
    type First: Codec;
    /// All ids.
    const IDS: &'static [u8];
    /// All names.
    const NAMES: &'static [&'static str];
}

/// A list of codecs of which each can write a `T`.
pub trait EncodeAny<T: ?Sized>: CodecList {
    /// Appends the value to `out`, in the codec of this id; 0 is the default.
    ///
    /// # Errors
    ///
    /// Where no codec of the list has the id, or it can't write the value.
    fn encode(id: u8, value: &T, out: &mut Vec<u8>) -> Result<(), AnyError>;

    /// Appends the value to `out`, in the default codec.
    ///
    /// # Errors
    ///
    /// Where the codec can't write the value.
    fn encode_first(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;
}

/// A list of codecs of which each can read a `T`.
pub trait DecodeAny<'de, T>: CodecList {
    /// Reads a value in the codec of this id; 0 is a body that is not there, for the default codec to read.
    ///
    /// # Errors
    ///
    /// Where no codec of the list has the id, or it can't read the value.
    fn decode(id: u8, input: Input<'de>) -> Result<T, AnyError>;
}

#[inline]
fn any<T>(outcome: Result<T, CodecError>) -> Result<T, AnyError> {
    match outcome {
        Ok(value) => Ok(value),
        Err(error) => Err(AnyError::Codec(error)),
    }
}

#[cold]
fn unsupported<L: CodecList>(id: u8) -> AnyError {
    AnyError::Unsupported { id, supported: L::NAMES }
}

macro_rules! lists {
    ($($First:ident $($C:ident)*;)*) => {$(
        impl<$First: Codec, $($C: Codec),*> CodecList for ($First, $($C,)*) {
            type First = $First;
            const IDS: &'static [u8] = &[$First::ID, $($C::ID),*];
            const NAMES: &'static [&'static str] = &[$First::NAME, $($C::NAME),*];
        }

        impl<T: ?Sized, $First: Encode<T>, $($C: Encode<T>),*> EncodeAny<T> for ($First, $($C,)*) {
            #[inline]
            fn encode(id: u8, value: &T, out: &mut Vec<u8>) -> Result<(), AnyError> {
                if id == $First::ID || id == 0 {
                    return any($First::encode(value, out));
                }
                $(if id == $C::ID {
                    return any($C::encode(value, out));
                })*
                Err(unsupported::<Self>(id))
            }

            #[inline]
            fn encode_first(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
                $First::encode(value, out)
            }
        }

        impl<'de, T, $First: Decode<'de, T>, $($C: Decode<'de, T>),*> DecodeAny<'de, T> for ($First, $($C,)*) {
            #[inline]
            fn decode(id: u8, input: Input<'de>) -> Result<T, AnyError> {
                if id == $First::ID || id == 0 {
                    return any($First::decode(input));
                }
                $(if id == $C::ID {
                    return any($C::decode(input));
                })*
                Err(unsupported::<Self>(id))
            }
        }
    )*};
}

lists! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}
