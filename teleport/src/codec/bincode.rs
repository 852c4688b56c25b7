//! Bincode bodies. The one file that names the crate: it is unmaintained, and could be replaced here.

use bincode::Options;
use serde::{Deserialize, Serialize};

use super::guard::{Bounds, GuardSeed};
use super::{Codec, CodecError, Decode, Encode, Input};

/// Bincode 1 with variable-length integers, id `b`: any serde type that does not need to see what comes before it
/// reads it. Compact and fast; both sides must have the same types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bincode;

impl Codec for Bincode {
    const ID: u8 = b'b';
    const NAME: &'static str = "bincode";
}

impl<T: Serialize + ?Sized> Encode<T> for Bincode {
    #[inline]
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        bincode::DefaultOptions::new().serialize_into(out, value).map_err(failed)
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for Bincode {
    #[inline]
    fn decode(input: Input<'de>) -> Result<T, CodecError> {
        let bytes = input.bytes();
        bincode::DefaultOptions::new()
            .with_limit(bytes.len() as u64)
            .deserialize_seed(GuardSeed::new(&Bounds::new(input).counted_ahead()), bytes)
            .map_err(failed)
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
