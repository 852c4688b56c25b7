//! How headers are written: two built-in codecs, and a place for others.

use std::fmt;
use std::sync::Arc;

use super::error::WireError;
use super::header::Header;
use super::header_json::JsonHeader;
use super::header_protobuf::ProtobufHeader;

/// Writes and reads headers, under an id that travels with each.
///
/// Implement it for a header format of your own, and hand it to
/// [`PeerBuilder::header_codec`](crate::PeerBuilder::header_codec). It is called while the session is locked: it must not
/// call the session itself.
pub trait HeaderCodec: Send + Sync + 'static {
    /// The id that travels; 0, `p` and `j` are taken.
    fn id(&self) -> u8;

    /// The name in logs and errors.
    fn name(&self) -> &'static str;

    /// Appends the header to `out`.
    ///
    /// # Errors
    ///
    /// [`WireError::header`] where it can't be written; `out` may hold a part of it then.
    fn encode(&self, header: &Header<'_>, out: &mut Vec<u8>) -> Result<(), WireError>;

    /// Reads a header from all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`WireError::header`] where it can't be read.
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Header<'a>, WireError>;
}

/// The header codecs that a peer knows: the built-in ones and the user's. Cheap to clone.
#[derive(Clone, Default)]
pub struct HeaderCodecs {
    own: Option<Arc<[Arc<dyn HeaderCodec>]>>,
}

impl HeaderCodecs {
    /// Adds a codec.
    ///
    /// # Errors
    ///
    /// Where its id is 0 or taken; the error names both codecs.
    pub fn with(self, codec: impl HeaderCodec) -> Result<Self, WireError> {
        let (id, name) = (codec.id(), codec.name());
        if id == 0 {
            return Err(WireError::codec(format!(
                "the header codec {name:?} has the id 0, which means none"
            )));
        }
        if let Some(other) = self.get(id) {
            let other = other.name();
            return Err(WireError::codec(format!(
                "the header codecs {other:?} and {name:?} both have the id {id}"
            )));
        }
        let mut own: Vec<Arc<dyn HeaderCodec>> =
            self.own.iter().flat_map(|own| own.iter().cloned()).collect();
        own.push(Arc::new(codec));
        Ok(HeaderCodecs { own: Some(own.into()) })
    }

    /// The codec of this id.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&dyn HeaderCodec> {
        match id {
            ProtobufHeader::ID => Some(&ProtobufHeader),
            JsonHeader::ID => Some(&JsonHeader),
            _ => self.own.as_ref()?.iter().find(|codec| codec.id() == id).map(|codec| &**codec),
        }
    }

    /// Appends a header, in the codec of this id.
    ///
    /// # Errors
    ///
    /// Where the codec is not known or can't write the header.
    #[inline]
    pub fn encode(&self, id: u8, header: &Header<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
        match id {
            ProtobufHeader::ID => ProtobufHeader.encode(header, out),
            _ => self.known(id)?.encode(header, out),
        }
    }

    /// Reads a header in the codec of this id.
    ///
    /// # Errors
    ///
    /// Where the codec is not known or the bytes are no header of it.
    #[inline]
    pub fn decode<'a>(&self, id: u8, bytes: &'a [u8]) -> Result<Header<'a>, WireError> {
        match id {
            ProtobufHeader::ID => ProtobufHeader.decode(bytes),
            _ => self.known(id)?.decode(bytes),
        }
    }

    fn known(&self, id: u8) -> Result<&dyn HeaderCodec, WireError> {
        self.get(id).ok_or_else(|| {
            let names: Vec<String> = [&ProtobufHeader as &dyn HeaderCodec, &JsonHeader]
                .into_iter()
                .chain(self.own.iter().flat_map(|own| own.iter().map(|codec| &**codec)))
                .map(|codec| format!("{} ({:?})", codec.name(), char::from(codec.id())))
                .collect();
            WireError::codec(format!("no header codec has the id {id}; known are {}", names.join(", ")))
        })
    }
}

impl fmt::Debug for HeaderCodecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(["protobuf", "json"])
            .entries(self.own.iter().flat_map(|own| own.iter().map(|codec| codec.name())))
            .finish()
    }
}
