//! Body codecs: how values become the bytes of a body, and back.
//!
//! A codec is a type with an id and a name. The built-in ones are [`Json`] (`j`), [`Protobuf`] (`p`), [`Plain`]
//! (`s`) and [`Bincode`] (`b`); one of the user's own is a type that implements [`Codec`], [`Encode`] and [`Decode`],
//! and stands wherever a built-in one does.

mod bincode;
mod error;
mod guard;
pub mod gzip;
mod input;
mod json;
mod lent;
mod list;
mod plain;
mod protobuf;
mod scratch;
mod untyped;

pub use bincode::Bincode;
pub use error::{AnyError, CodecError};
pub use input::Input;
pub use json::Json;
pub use list::{CodecList, DecodeAny, EncodeAny};
pub use plain::Plain;
pub use protobuf::Protobuf;
pub use scratch::Scratch;
pub(crate) use untyped::decode_untyped;

/// A body codec: its id, which travels in front of the body, and its name.
///
/// # Examples
///
/// A codec of one's own, over serde; [`Input::deserialize`] bounds what a hostile body can do:
///
/// ```
/// use std::io::Cursor;
///
/// use serde::{Deserialize, Serialize};
/// use teleport::{Codec, CodecError, Decode, Encode, Input};
///
/// #[derive(Clone, Copy, Default)]
/// struct MessagePack;
///
/// impl Codec for MessagePack {
///     const ID: u8 = b'm';
///     const NAME: &'static str = "messagepack";
/// }
///
/// impl<T: Serialize + ?Sized> Encode<T> for MessagePack {
///     fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         rmp_serde::encode::write(out, value).map_err(|error| CodecError::new(Self::NAME, error))
///     }
/// }
///
/// impl<'de, T: Deserialize<'de>> Decode<'de, T> for MessagePack {
///     fn decode(input: Input<'de>) -> Result<T, CodecError> {
///         let mut reader = rmp_serde::Deserializer::new(Cursor::new(input.bytes()));
///         let value = input.deserialize(&mut reader).map_err(|error| CodecError::new(Self::NAME, error))?;
///         match input.bytes().len() as u64 - reader.position() {
///             0 => Ok(value),
///             rest => Err(CodecError::new(Self::NAME, format!("{rest} bytes follow the value"))),
///         }
///     }
/// }
/// ```
pub trait Codec: Copy + Default + Send + Sync + 'static {
    /// The id that travels. 0 means no body; `j`, `p`, `s` and `b` are the built-in codecs'.
    const ID: u8;
    /// The name in errors.
    const NAME: &'static str;
}

/// A codec that can write a `T`.
#[diagnostic::on_unimplemented(
    message = "`{T}` can't be written by the codec `{Self}`",
    label = "can't travel in the codec `{Self}`",
    note = "json and bincode take types that derive `serde::Serialize`, protobuf takes one that derives \
            `prost::Message`, plain takes strings, bytes and numbers; derive it, or choose another codec"
)]
pub trait Encode<T: ?Sized>: Codec {
    /// Appends the value to `out`.
    ///
    /// # Errors
    ///
    /// Where the value can't be written; `out` may hold a part of it then.
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;
}

/// A codec that can read a `T`, which may borrow from the body.
#[diagnostic::on_unimplemented(
    message = "`{T}` can't be read by the codec `{Self}`",
    label = "can't travel in the codec `{Self}`",
    note = "json and bincode take types that derive `serde::Deserialize`, protobuf takes one that derives \
            `prost::Message`, plain takes strings, bytes and numbers; derive it, or choose another codec"
)]
pub trait Decode<'de, T>: Codec {
    /// Reads a value from all bytes of the input.
    ///
    /// # Errors
    ///
    /// Where the bytes are no `T`, or more than one, or over the limits.
    fn decode(input: Input<'de>) -> Result<T, CodecError>;
}

/// Bounds on what is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// How deep values may be nested, options, newtypes and enums included. Default: 128. JSON accepts no more than 127
    /// and Protobuf exactly 100, whatever stands here.
    pub max_depth: u32,
    /// Bytes of a body when gzip is undone. Default: 64 MiB.
    pub max_inflated: u32,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        DecodeLimits { max_depth: 128, max_inflated: 64 * 1024 * 1024 }
    }
}

impl DecodeLimits {
    /// Sets [`max_depth`](Self::max_depth).
    #[must_use]
    pub fn with_max_depth(mut self, levels: u32) -> Self {
        self.max_depth = levels;
        self
    }

    /// Sets [`max_inflated`](Self::max_inflated).
    #[must_use]
    pub fn with_max_inflated(mut self, bytes: u32) -> Self {
        self.max_inflated = bytes;
        self
    }
}

#[cfg(test)]
mod tests;
