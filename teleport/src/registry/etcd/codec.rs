//! Protobuf messages in gRPC's frames.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Writes messages of one type, and reads those of another.
pub(super) struct Prost<M, R>(PhantomData<fn(M) -> R>);

impl<M, R> Default for Prost<M, R> {
    fn default() -> Self {
        Prost(PhantomData)
    }
}

impl<M: Message + 'static, R: Message + Default + 'static> Codec for Prost<M, R> {
    type Encode = M;
    type Decode = R;
    type Encoder = Writes<M>;
    type Decoder = Reads<R>;

    fn encoder(&mut self) -> Writes<M> {
        Writes(PhantomData)
    }

    fn decoder(&mut self) -> Reads<R> {
        Reads(PhantomData)
    }
}

pub(super) struct Writes<M>(PhantomData<fn(M)>);

impl<M: Message> Encoder for Writes<M> {
    type Item = M;
    type Error = Status;

    fn encode(&mut self, message: M, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(to).map_err(|error| Status::internal(error.to_string()))
    }
}

pub(super) struct Reads<R>(PhantomData<fn() -> R>);

impl<R: Message + Default> Decoder for Reads<R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        R::decode(from).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
