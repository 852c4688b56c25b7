//! The reply to a dynamic pull.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::codec::{AnyError, DecodeAny, DecodeLimits, Input, Scratch, decode_untyped};
use crate::error::{Delivery, Error, Result};
use crate::status::Status;
use crate::wire::Packet;

/// The reply to a dynamic [`Pull`](crate::Pull): its status was OK, its body is not decoded yet.
pub struct Reply {
    packet: Packet,
    limits: DecodeLimits,
    scratch: Scratch,
    uri: String,
    peer: String,
}

impl Reply {
    /// The body's codec id, as it came; 0 where there is no body.
    #[must_use]
    pub fn codec(&self) -> u8 {
        self.packet.body().codec()
    }

    /// The body without its codec id, inflated.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.packet.body().payload()
    }

    /// The body verbatim: codec id included, inflated.
    #[must_use]
    pub fn raw_body(&self) -> &[u8] {
        self.packet.body().as_bytes()
    }

    /// The uri that was called, query included.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The status: 200 `OK`, or another text where the handler has set one.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::new(self.packet.code(), self.packet.status().to_owned())
    }

    /// Gzip level that the body came with; 0 is none.
    #[must_use]
    pub fn gzip(&self) -> i32 {
        self.packet.gzip()
    }

    /// Reads the body by the codec id that it carries: JSON, bincode or plain.
    ///
    /// # Errors
    ///
    /// A decode error where the body is no `T`, or is in another codec; for those there is
    /// [`decode_as`](Self::decode_as).
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.outcome(decode_untyped(self.codec(), self.input()))
    }

    /// Reads the body by the codec id that it carries, which is to be one of the tuple `L`, such as
    /// `(Protobuf, Json)`.
    ///
    /// # Errors
    ///
    /// A decode error where the body is no `T`, or is in a codec that `L` does not list.
    pub fn decode_as<'a, L, T>(&'a self) -> Result<T>
    where
        L: DecodeAny<'a, T>,
    {
        self.outcome(L::decode(self.codec(), self.input()))
    }

    pub(super) fn new(packet: Packet, limits: DecodeLimits, uri: String, peer: String) -> Self {
        Reply { packet, limits, scratch: Scratch::default(), uri, peer }
    }

    fn input(&self) -> Input<'_> {
        Input::new(self.payload(), &self.limits, &self.scratch)
    }

    fn outcome<T>(&self, decoded: Result<T, AnyError>) -> Result<T> {
        decoded.map_err(|error| {
            Error::decode(&error).with_delivery(Delivery::Answered).with_uri(self.uri()).with_peer(&self.peer)
        })
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("uri", &self.uri())
            .field("codec", &char::from(self.codec()))
            .field("bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}
