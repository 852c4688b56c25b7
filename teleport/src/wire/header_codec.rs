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

    /// All of them, the built-in ones first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn HeaderCodec> {
        let own = self.own.iter().flat_map(|own| own.iter().map(|codec| &**codec));
        [&ProtobufHeader as &dyn HeaderCodec, &JsonHeader].into_iter().chain(own)
    }

    fn known(&self, id: u8) -> Result<&dyn HeaderCodec, WireError> {
        self.get(id).ok_or_else(|| {
            let names: Vec<String> =
                self.iter().map(|codec| format!("{} ({:?})", codec.name(), char::from(codec.id()))).collect();
            WireError::codec(format!("no header codec has the id {id}; known are {}", names.join(", ")))
        })
    }
}

impl fmt::Debug for HeaderCodecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|codec| codec.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::{Body, Kind, Limits, Packet, PacketId, read, write};
    use super::*;

    /// A header of the user's own: only a uri, as it is, and a status that is always the same.
    struct UriOnly(u8, &'static str, Cow<'static, str>);

    impl HeaderCodec for UriOnly {
        fn id(&self) -> u8 {
            self.0
        }

        fn name(&self) -> &'static str {
            self.1
        }

        fn encode(&self, header: &Header<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
            out.extend_from_slice(header.uri.as_bytes());
            Ok(())
        }

        fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Header<'a>, WireError> {
            let uri =
                std::str::from_utf8(bytes).map_err(|error| WireError::header(self.1, error.to_string()))?;
            Ok(Header { status: self.2.clone(), ..Header::new(PacketId::Sequence(7), Kind::PULL, uri) })
        }
    }

    fn own() -> HeaderCodecs {
        HeaderCodecs::default().with(UriOnly(b'u', "uri only", "".into())).unwrap()
    }

    #[test]
    fn a_codec_of_the_users_own_reads_and_writes_packets() {
        let (codecs, limits) = (own(), Limits::default());
        let mut bytes = Vec::new();
        let header = Header::new(PacketId::Sequence(0), Kind::PULL, "/é");
        write(&mut bytes, &codecs, b'u', &header, Body::Raw(b"j1"), &limits).unwrap();
        assert_eq!(bytes, b"\0\0\0\x04u/\xc3\xa9\0\0\0\x02j1");
        let (packet, _) = read(&bytes, &codecs, &limits).unwrap().unwrap();
        assert_eq!((&*packet.header.uri, packet.header_codec), ("/é", b'u'));
        // The built-in ones are still there.
        for id in *b"pj" {
            bytes.clear();
            write(&mut bytes, &codecs, id, &header, Body::None, &limits).unwrap();
            assert_eq!(read(&bytes, &codecs, &limits).unwrap().unwrap().0.header, header);
        }
    }

    /// A codec may know texts that stand nowhere in the packet, and own one that is empty.
    #[test]
    fn texts_from_elsewhere_are_kept_by_an_owned_packet() {
        let (limits, header) = (Limits::default(), Header { uri: "/a".into(), ..Header::default() });
        for status in [Cow::Borrowed("fixed"), Cow::Owned("its own".to_owned()), Cow::Owned(String::new())] {
            let codecs = HeaderCodecs::default().with(UriOnly(b'u', "uri only", status.clone())).unwrap();
            let mut bytes = Vec::new();
            write(&mut bytes, &codecs, b'u', &header, Body::Raw(b"j1"), &limits).unwrap();
            let (packet, _) = read(&bytes, &codecs, &limits).unwrap().unwrap();
            let mut owned = Packet::from_frame(bytes.clone(), &codecs, &limits).unwrap();
            assert_eq!((owned.uri(), owned.status(), owned.id()), ("/a", &*status, PacketId::Sequence(7)));
            assert_eq!(owned.body(), packet.body);
            // A shorter body must not take away what stands behind the first.
            owned.set_body(b's', b"");
            assert_eq!(owned.header(), packet.header);
        }
    }

    #[test]
    fn an_unknown_id_is_told_with_the_known_ones() {
        let error = own().decode(b'x', b"").unwrap_err();
        assert!(error.is_codec());
        assert_eq!(
            error.to_string(),
            "no header codec has the id 120; known are protobuf ('p'), json ('j'), uri only ('u')"
        );
        assert_eq!(own().encode(b'x', &Header::default(), &mut Vec::new()).unwrap_err(), error);
        assert!(own().get(b'x').is_none() && own().get(0).is_none());
    }

    #[test]
    fn a_conflict_names_both() {
        for (id, other) in [(b'p', "protobuf"), (b'j', "json"), (b'u', "uri only")] {
            let error = own().with(UriOnly(id, "mine", "".into())).unwrap_err();
            assert!(error.is_codec());
            assert_eq!(
                error.to_string(),
                format!("the header codecs {other:?} and \"mine\" both have the id {id}")
            );
        }
        let error = own().with(UriOnly(0, "mine", "".into())).unwrap_err();
        assert!(error.is_codec() && error.to_string().contains("\"mine\" has the id 0"), "{error}");
    }

    #[test]
    fn several_codecs_are_each_found_and_a_clone_has_them_too() {
        let codecs = own().with(UriOnly(0xff, "last", "".into())).unwrap();
        let names: Vec<&str> =
            [b'p', b'j', b'u', 0xff].iter().map(|id| codecs.clone().get(*id).unwrap().name()).collect();
        assert_eq!(names, ["protobuf", "json", "uri only", "last"]);
        assert_eq!(format!("{codecs:?}"), r#"["protobuf", "json", "uri only", "last"]"#);
    }
}
