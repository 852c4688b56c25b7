//! Protobuf bodies.

use super::{Codec, CodecError, Decode, Encode, Input};

/// Protobuf, id `p`: one `prost::Message`. A body that is not there reads as the message of no fields.
///
/// Messages may be nested 100 deep: that is prost's own bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protobuf;

impl Codec for Protobuf {
    const ID: u8 = b'p';
    const NAME: &'static str = "protobuf";
}

impl<T: prost::Message> Encode<T> for Protobuf {
    #[inline]
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        value.encode(out).map_err(|error| CodecError::new(Protobuf::NAME, error))
    }
}

impl<T: prost::Message + Default> Decode<'_, T> for Protobuf {
    #[inline]
    fn decode(input: Input<'_>) -> Result<T, CodecError> {
        T::decode(input.bytes()).map_err(|error| CodecError::new(Protobuf::NAME, error))
    }
}
