//! JSON bodies.

use serde::{Deserialize, Serialize};

use super::{Codec, CodecError, Decode, Encode, Input};

/// JSON, id `j`: any serde type. The default.
///
/// A body that is not there reads as `null`, so as `()` or as an empty `Option`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    const ID: u8 = b'j';
    const NAME: &'static str = "json";
}

impl<T: Serialize + ?Sized> Encode<T> for Json {
    #[inline]
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(out, value).map_err(failed)
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for Json {
    #[inline]
    fn decode(input: Input<'de>) -> Result<T, CodecError> {
        if input.bytes().is_empty() {
            return serde_json::from_slice(b"null")
                .map_err(|_| CodecError::new(Json::NAME, "there is no body, and a value is expected"));
        }
        // serde_json's own bound counts brackets alone: a type that contains itself without one would not end.
        let mut reader = serde_json::Deserializer::from_slice(input.bytes());
        let value = input.deserialize(&mut reader).map_err(failed)?;
        reader.end().map_err(failed)?;
        Ok(value)
    }
}

#[cold]
fn failed(error: serde_json::Error) -> CodecError {
    CodecError::new(Json::NAME, error)
}
