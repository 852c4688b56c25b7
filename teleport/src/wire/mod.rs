//! The Teleport 2.0 wire format: bytes to packets and back, without I/O.
//!
//! ```text
//! HeaderLength u32 | HeaderCodecId u8 | Header | BodyLength u32 | BodyCodecId u8 | Body
//! ```
//!
//! Both lengths are big-endian and count the one byte of the codec id. A packet without a body has the length 0
//! and no codec id.
//!
//! What follows goes beyond the specification, and only between peers that both know them. The first packet of a side, and its
//! first reply, announce in an extra header field what it understands ([`Features`]); peers that don't know the field skip
//! it. And to a peer that has announced [`Features::PARTS`], a pull or reply with a large body goes in parts, packets of
//! [`Kind::PART`] with codec 0, whose bodies one after the other are the large packet; other packets may stand between them.
//! A side that closes answers a pull which came too late with status 503 and, where the caller has announced
//! [`Features::FAREWELL`], with the uri `teleport:not-taken`. When it has answered every pull that it took, it ends with a
//! reply to no pull, of status 503 and with the uri `teleport:farewell`: a pull that is not answered then was not taken. One
//! that has not heard from the other side at all sends it too: a peer of the specification drops a reply that it does not
//! wait for.
//!
//! A pull to a side that has announced [`Features::DEADLINE`] tells how long its caller waits, where that is not the caller's
//! default ([`Header::timeout_ms`]). A caller that has gone away sends a packet of [`Kind::CANCEL`] with the id of its pull to
//! one that has announced [`Features::CANCEL`]; it is not answered, and neither is the pull then, if it was not before. Pulls
//! and pushes to one that has announced [`Features::TRACE`] may have a [`TraceParent`].
//!
//! # Examples
//!
//! ```
//! use teleport::wire::{self, Body, Header, HeaderCodecs, Kind, Limits, PacketId};
//!
//! let (codecs, limits) = (HeaderCodecs::default(), Limits::default());
//! let header = Header::new(PacketId::Sequence(7), Kind::PULL, "/add");
//! let body = Body::Payload { codec: b'j', payload: b"[2,3]" };
//!
//! let mut bytes = Vec::new();
//! wire::write(&mut bytes, &codecs, b'p', &header, body, &limits)?;
//!
//! let (packet, length) = wire::read(&bytes, &codecs, &limits)?.expect("the packet is whole");
//! assert_eq!(length, bytes.len());
//! assert_eq!(packet.header, header);
//! assert_eq!(packet.body.payload(), b"[2,3]");
//! # Ok::<(), teleport::wire::WireError>(())
//! ```

mod error;
mod features;
mod foreign;
mod frame;
mod header;
mod header_codec;
mod header_json;
mod header_protobuf;
mod id;
mod limits;
mod packet;
mod part;
mod plain;
mod sealed;
mod trace;
mod uri;

pub use error::WireError;
pub use features::Features;
#[cfg(feature = "tls")]
pub(crate) use foreign::foreign;
pub use frame::{Body, Frame, FrameParts, split, write, write_head};
pub use header::{Header, Kind};
pub use header_codec::{HeaderCodec, HeaderCodecs};
pub use header_json::JsonHeader;
pub use header_protobuf::ProtobufHeader;
pub(crate) use header_protobuf::SuccessHead;
pub use id::{IdFormat, PacketId};
pub use limits::Limits;
pub use packet::{Packet, PacketRef, RawBody, read};
pub(crate) use part::{PART_HEAD, part_head, read_part_head};
pub(crate) use plain::write_plain;
pub use sealed::SealedBody;
pub use trace::{BadTraceParent, TraceParent};
pub use uri::Uri;

#[cfg(test)]
mod tests;
