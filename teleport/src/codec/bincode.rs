//! Bincode bodies. The one file that names the crate: it is unmaintained, and could be replaced here.

use std::io;

use bincode::{BincodeRead, DefaultOptions, Deserializer, Serializer};
use serde::de::Visitor;
use serde::{Deserialize, Serialize};

use super::guard::{Bounds, Guarded};
use super::{Codec, CodecError, Decode, Encode, Input};

/// Bincode 1 with variable-length integers, id `b`: any serde type that does not need to see what comes before it
/// reads it. Compact and fast; both sides must have the same types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bincode;

impl Codec for Bincode {
    const ID: u8 = b'b';
    const NAME: &'static str = "bincode";
}

// What bincode offers for both has a copy of its checks for every type; without it there is one.

impl<T: Serialize + ?Sized> Encode<T> for Bincode {
    #[inline]
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match value.serialize(&mut Serializer::new(out, DefaultOptions::new())) {
            Ok(()) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for Bincode {
    #[inline]
    fn decode(input: Input<'de>) -> Result<T, CodecError> {
        let bounds = Bounds::new(input).counted_ahead();
        let mut reader = Reader(input.bytes());
        let mut deserializer = Deserializer::with_bincode_read(&mut reader, DefaultOptions::new());
        match T::deserialize(Guarded::new(&mut deserializer, &bounds)) {
            Ok(value) if reader.0.is_empty() => Ok(value),
            Ok(_) => Err(reader.left_over()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// The bytes that are still to be read. Bincode's own does not tell how many that are.
struct Reader<'de>(&'de [u8]);

impl<'de> Reader<'de> {
    #[inline]
    fn take(&mut self, length: usize) -> bincode::Result<&'de [u8]> {
        let Some((bytes, rest)) = self.0.split_at_checked(length) else { return Err(ended().into()) };
        self.0 = rest;
        Ok(bytes)
    }

    #[cold]
    fn left_over(&self) -> CodecError {
        let bytes = self.0.len();
        let text = format!("bytes are left behind the value ({bytes}); do both sides have the same types?");
        CodecError::new(Bincode::NAME, text)
    }
}

#[cold]
fn ended() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

impl io::Read for Reader<'_> {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.read_exact(out).map(|()| out.len())
    }

    #[inline]
    fn read_exact(&mut self, out: &mut [u8]) -> io::Result<()> {
        let Some((bytes, rest)) = self.0.split_at_checked(out.len()) else { return Err(ended()) };
        self.0 = rest;
        out.copy_from_slice(bytes);
        Ok(())
    }
}

impl<'de> BincodeRead<'de> for &mut Reader<'de> {
    #[inline]
    fn forward_read_str<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> bincode::Result<V::Value> {
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => visitor.visit_borrowed_str(text),
            Err(error) => Err(bincode::ErrorKind::InvalidUtf8Encoding(error).into()),
        }
    }

    #[inline]
    fn get_byte_buffer(&mut self, length: usize) -> bincode::Result<Vec<u8>> {
        self.take(length).map(Vec::from)
    }

    #[inline]
    fn forward_read_bytes<V: Visitor<'de>>(
        &mut self,
        length: usize,
        visitor: V,
    ) -> bincode::Result<V::Value> {
        visitor.visit_borrowed_bytes(self.take(length)?)
    }
}

#[cold]
fn failed(error: bincode::Error) -> CodecError {
    match &*error {
        bincode::ErrorKind::Io(_) | bincode::ErrorKind::SizeLimit => {
            CodecError::new(Bincode::NAME, "the bytes end inside a value; do both sides have the same types?")
        }
        _ => CodecError::new(Bincode::NAME, error),
    }
}
