//! Whole packets, borrowed and owned.

use std::borrow::Cow;
use std::ops::Range;

use super::error::WireError;
use super::features::Features;
use super::frame::{Frame, FrameParts, split};
use super::header::{Header, Kind};
use super::header_codec::HeaderCodecs;
use super::header_protobuf::SuccessHead;
use super::id::PacketId;
use super::limits::Limits;
use super::sealed::SealedBody;
use crate::buffer;
use crate::status::Code;

/// Body of a packet as it travels: codec id and payload, or nothing. Still compressed where the header says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawBody<'a>(&'a [u8]);

impl<'a> RawBody<'a> {
    /// A body from its bytes, codec id included.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        RawBody(bytes)
    }

    /// All bytes, codec id included.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there is no body.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0.is_empty()
    }

    /// Id of the codec; 0 where there is no body.
    #[must_use]
    pub fn codec(self) -> u8 {
        self.0.first().copied().unwrap_or_default()
    }

    /// The bytes behind the codec id.
    #[must_use]
    pub fn payload(self) -> &'a [u8] {
        self.0.get(1..).unwrap_or_default()
    }
}

/// A packet that borrows from the buffer it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketRef<'a> {
    /// The header.
    pub header: Header<'a>,
    /// Id of the codec that the header came in.
    pub header_codec: u8,
    /// The body.
    pub body: RawBody<'a>,
}

impl<'a> PacketRef<'a> {
    /// Reads the packet that [`split()`] found in `buf`.
    ///
    /// # Errors
    ///
    /// Where the header can't be read.
    ///
    /// # Panics
    ///
    /// Where `parts` are not of this buffer.
    #[inline]
    pub fn from_parts(buf: &'a [u8], parts: &FrameParts, codecs: &HeaderCodecs) -> Result<Self, WireError> {
        let header = codecs.decode(parts.header_codec, &buf[parts.header.clone()])?;
        Ok(PacketRef { header, header_codec: parts.header_codec, body: RawBody(&buf[parts.body.clone()]) })
    }
}

/// Reads the packet at the front of `buf`, and tells its length; `None` where it is not whole yet.
///
/// # Errors
///
/// Bytes that are no packet, a size over its limit, a header that can't be read.
pub fn read<'a>(
    buf: &'a [u8],
    codecs: &HeaderCodecs,
    limits: &Limits,
) -> Result<Option<(PacketRef<'a>, usize)>, WireError> {
    match split(buf, limits)? {
        Frame::Incomplete { .. } => Ok(None),
        Frame::Complete(parts) => Ok(Some((PacketRef::from_parts(buf, &parts, codecs)?, parts.len))),
    }
}

/// What length fields and the header's codec id take.
const FRAME: usize = 9;

fn saturated(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

/// A packet that owns its bytes, all in one buffer.
#[derive(Clone, Debug)]
pub struct Packet {
    buf: Vec<u8>,
    body: Range<usize>,
    id: Id,
    uri: Span,
    status: Span,
    kind: Kind,
    gzip: i32,
    code: i32,
    header_codec: u8,
    /// Bytes that the header had on its way, up to what a `u16` holds; a larger field would make the packet larger.
    header_len: u16,
}

#[derive(Clone, Copy, Debug)]
enum Id {
    Sequence(u64),
    Text(Span),
}

/// Where in the buffer a text of the header stands. Packets are moved by value and kept in tables, so each is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    const NONE: Span = Span { start: 0, end: 0 };
    /// The text `OK`, which stands nowhere.
    const OK: Span = Span { start: u32::MAX, end: 0 };

    /// Nothing where it does not fit, which only a limit of 4 GiB could allow.
    fn new(start: usize, end: usize) -> Self {
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) => Span { start, end },
            _ => Span::NONE,
        }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Packet {
    /// Takes a buffer that begins with one whole packet, without copying it.
    ///
    /// # Errors
    ///
    /// As [`read`], and where the packet is not whole.
    pub fn from_frame(mut buf: Vec<u8>, codecs: &HeaderCodecs, limits: &Limits) -> Result<Packet, WireError> {
        let Some((packet, length)) = read(&buf, codecs, limits)? else {
            return Err(WireError::frame("the packet is not whole"));
        };
        // Texts that had to be unescaped, or that the codec has from elsewhere, are put behind the packet.
        let mut unescaped = String::new();
        let end = buf.len();
        let mut place = |text: &Cow<'_, str>| {
            span_in(&buf, text.as_bytes()).unwrap_or_else(|| {
                let start = end + unescaped.len();
                unescaped.push_str(text);
                Span::new(start, start + text.len())
            })
        };
        let PacketRef { header, header_codec, body } = &packet;
        let id = match &header.id {
            PacketId::Sequence(number) => Id::Sequence(*number),
            PacketId::Text(text) => Id::Text(place(text)),
        };
        let (uri, status) = (place(&header.uri), place(&header.status));
        // The body is the packet's last part.
        let header_len = saturated(length - body.0.len() - FRAME);
        let body = length - body.0.len()..length;
        let (kind, gzip, code, header_codec) = (header.kind, header.gzip, header.code, *header_codec);
        buf.extend_from_slice(unescaped.as_bytes());
        Ok(Packet { buf, body, id, uri, status, kind, gzip, code, header_codec, header_len })
    }

    /// A successful reply, of which the texts are not kept: its status is `OK`. Its body is copied into `buf`, whose content is forgotten.
    #[inline]
    pub(crate) fn success(head: SuccessHead, header_codec: u8, body: &[u8], mut buf: Vec<u8>) -> Packet {
        buf.clear();
        buf.extend_from_slice(body);
        Packet {
            body: 0..buf.len(),
            buf,
            id: Id::Sequence(head.id),
            uri: Span::NONE,
            status: Span::OK,
            kind: Kind::REPLY,
            gzip: head.gzip,
            code: Code::OK.number(),
            header_codec,
            header_len: 0,
        }
    }

    /// Copies a packet into `buf`, whose content is forgotten; a buffer used before saves the allocation.
    #[inline]
    #[must_use]
    pub fn copy_from(packet: &PacketRef<'_>, mut buf: Vec<u8>) -> Packet {
        buf.clear();
        let mut put = |bytes: &[u8]| {
            let start = buf.len();
            buf.extend_from_slice(bytes);
            start..buf.len()
        };
        let span = |range: Range<usize>| Span::new(range.start, range.end);
        let header = &packet.header;
        let id = match &header.id {
            PacketId::Sequence(number) => Id::Sequence(*number),
            PacketId::Text(text) => Id::Text(span(put(text.as_bytes()))),
        };
        let (uri, status) = (span(put(header.uri.as_bytes())), span(put(header.status.as_bytes())));
        Packet {
            body: put(packet.body.as_bytes()),
            buf,
            id,
            uri,
            status,
            kind: header.kind,
            gzip: header.gzip,
            code: header.code,
            header_codec: packet.header_codec,
            header_len: 0,
        }
    }

    /// Notes how many bytes the header had on its way.
    #[inline]
    pub(crate) fn with_header_len(mut self, bytes: usize) -> Packet {
        self.header_len = saturated(bytes);
        self
    }

    /// Bytes of the packet on its way, where those of its header are known and its body is as it came.
    pub(crate) fn wire_len(&self) -> u64 {
        (FRAME + usize::from(self.header_len) + self.body.len()) as u64
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> PacketId<'_> {
        match self.id {
            Id::Sequence(number) => PacketId::Sequence(number),
            Id::Text(span) => PacketId::Text(self.text(span).into()),
        }
    }

    /// Pull, reply or push.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Path and query, still escaped.
    #[must_use]
    pub fn uri(&self) -> &str {
        self.text(self.uri)
    }

    /// Gzip level of the body; 0 is none.
    #[must_use]
    pub fn gzip(&self) -> i32 {
        self.gzip
    }

    /// Status code.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Status text.
    #[must_use]
    pub fn status(&self) -> &str {
        self.text(self.status)
    }

    /// Id of the codec that the header came in.
    #[must_use]
    pub fn header_codec(&self) -> u8 {
        self.header_codec
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> RawBody<'_> {
        RawBody(&self.buf[self.body.clone()])
    }

    /// The header as the specification has it: without what its sender announces, the time it has, and its trace.
    #[must_use]
    pub fn header(&self) -> Header<'_> {
        Header {
            id: self.id(),
            kind: self.kind,
            uri: self.uri().into(),
            gzip: self.gzip,
            code: self.code,
            status: self.status().into(),
            features: Features::NONE,
            timeout_ms: 0,
            trace: None,
        }
    }

    /// Puts another body in place of the one that came, such as the inflated one. The header stays.
    pub fn set_body(&mut self, codec: u8, payload: &[u8]) {
        if self.body.end == self.buf.len() {
            self.buf.truncate(self.body.start);
        }
        let start = self.buf.len();
        self.buf.push(codec);
        self.buf.extend_from_slice(payload);
        self.body = start..self.buf.len();
    }

    /// Takes the body out without copying it; the header stays, its texts copied into `buf`, whose content is forgotten.
    pub(crate) fn take_body(&mut self, mut buf: Vec<u8>) -> SealedBody {
        buf.clear();
        let mut put = |span: Span| {
            if span == Span::OK {
                return span;
            }
            let start = buf.len();
            buf.extend_from_slice(&self.buf[span.range()]);
            Span::new(start, buf.len())
        };
        if let Id::Text(span) = self.id {
            self.id = Id::Text(put(span));
        }
        (self.uri, self.status) = (put(self.uri), put(self.status));
        let end = buf.len();
        let mut bytes = std::mem::replace(&mut self.buf, buf);
        let body = std::mem::replace(&mut self.body, end..end);
        bytes.truncate(body.end);
        SealedBody::within(bytes, body.start, self.gzip)
    }

    /// The body without the header, which is forgotten.
    pub(crate) fn into_body(mut self) -> SealedBody {
        self.buf.truncate(self.body.end);
        SealedBody::within(self.buf, self.body.start, self.gzip)
    }

    /// Puts another uri in place of the one that came.
    pub fn set_uri(&mut self, uri: &str) {
        self.uri = self.append(uri);
    }

    /// Puts another status in place of the one that came.
    pub fn set_status(&mut self, code: i32, text: &str) {
        self.code = code;
        self.status = self.append(text);
    }

    /// Puts a text behind all that is there.
    fn append(&mut self, text: &str) -> Span {
        let start = self.buf.len();
        self.buf.extend_from_slice(text.as_bytes());
        Span::new(start, self.buf.len())
    }

    /// Bytes that it holds.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Bytes of the buffer that it holds, in use or not.
    pub(crate) fn held(&self) -> usize {
        self.buf.capacity()
    }

    /// Gives back room that it does not need, where it is to be kept for a while.
    pub(crate) fn fit(&mut self) {
        buffer::fit(&mut self.buf);
    }

    /// The buffer, to be used again.
    #[must_use]
    pub fn into_buf(self) -> Vec<u8> {
        self.buf
    }

    /// The buffer, to be used again; the packet is then no more than to be dropped.
    pub(crate) fn take_buf(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buf)
    }

    fn text(&self, span: Span) -> &str {
        if span == Span::OK {
            return "OK";
        }
        // It was a `str` when it was put there.
        std::str::from_utf8(&self.buf[span.range()]).unwrap_or_default()
    }
}

/// Where `part` stands in `whole`, if it is a slice of it.
fn span_in(whole: &[u8], part: &[u8]) -> Option<Span> {
    if part.is_empty() {
        return Some(Span::NONE);
    }
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start + part.len();
    (end <= whole.len()).then(|| Span::new(start, end))
}

#[cfg(test)]
mod tests {
    use super::super::{Body, write};
    use super::*;

    /// A header that needs unescaping, so that its texts stand behind the packet when it is owned.
    fn bytes(body: Body<'_>) -> Vec<u8> {
        let header = Header {
            gzip: 3,
            code: 500,
            status: "<broken>".into(),
            ..Header::new(PacketId::Text("a&b".into()), Kind::REPLY, "/uri")
        };
        let mut out = Vec::new();
        write(&mut out, &HeaderCodecs::default(), b'j', &header, body, &Limits::default()).unwrap();
        out
    }

    #[test]
    fn another_body_takes_the_place_of_the_first_and_the_header_stays() {
        let (codecs, limits) = (HeaderCodecs::default(), Limits::default());
        for body in [Body::None, Body::Payload { codec: b's', payload: b"" }, Body::Raw(b"jsome payload")] {
            let bytes = bytes(body);
            let packet = read(&bytes, &codecs, &limits).unwrap().unwrap().0;
            let copied = Packet::copy_from(&packet, Vec::new());
            let owned = Packet::from_frame(bytes.clone(), &codecs, &limits).unwrap();
            for mut owned in [copied, owned] {
                for payload in
                    [&b"longer than the first one was"[..], b"x", b"", b"long again, and different"]
                {
                    owned.set_body(b'b', payload);
                    assert_eq!((owned.body().codec(), owned.body().payload()), (b'b', payload));
                    assert_eq!(owned.header(), packet.header);
                    assert_eq!((owned.gzip(), owned.code(), owned.status()), (3, 500, "<broken>"));
                }
                assert!(owned.into_buf().len() < bytes.len() + 80, "bodies that are gone must not pile up");
            }
        }
    }

    #[test]
    fn a_body_is_taken_out_where_it_stands_and_the_header_stays() {
        let (codecs, limits) = (HeaderCodecs::default(), Limits::default());
        for body in [Body::None, Body::Payload { codec: b's', payload: b"" }, Body::Raw(b"jsome payload")] {
            let bytes = bytes(body);
            let packet = read(&bytes, &codecs, &limits).unwrap().unwrap().0;
            let copied = Packet::copy_from(&packet, Vec::new());
            let owned = Packet::from_frame(bytes.clone(), &codecs, &limits).unwrap();
            for mut owned in [copied, owned] {
                let whole = owned.clone().into_body();
                let stood = owned.body().as_bytes().as_ptr();
                let taken = owned.take_body(b"left over".to_vec());
                assert_eq!(owned.header(), packet.header);
                assert!(owned.body().is_none());
                assert_eq!((taken.raw_body(), taken.gzip()), (packet.body, 3));
                assert_eq!(taken, whole);
                assert!(taken.is_none() || taken.raw_body().as_bytes().as_ptr() == stood, "not copied");
                assert!(owned.take_body(Vec::new()).is_none());
                assert_eq!(owned.header(), packet.header);
            }
        }
    }

    #[test]
    fn a_reply_that_is_known_by_its_head_says_ok() {
        let head = SuccessHead { id: 7, gzip: 5 };
        let mut packet = Packet::success(head, b'p', b"j1", Vec::new());
        assert_eq!((packet.code(), packet.status(), packet.uri()), (200, "OK", ""));
        let body = packet.take_body(Vec::new());
        assert_eq!((body.raw_body().as_bytes(), body.gzip(), packet.status()), (&b"j1"[..], 5, "OK"));
    }

    #[test]
    fn a_packet_that_is_not_whole_is_refused() {
        let (codecs, limits) = (HeaderCodecs::default(), Limits::default());
        let bytes = bytes(Body::Raw(b"j1"));
        for end in 0..bytes.len() {
            let error = Packet::from_frame(bytes[..end].to_vec(), &codecs, &limits).unwrap_err();
            assert!(error.is_frame(), "{error}");
        }
    }

    #[test]
    fn a_header_that_can_not_be_read_is_refused() {
        let limits = Limits::default();
        for (bytes, codec) in
            [(&b"\0\0\0\x02p\xff\0\0\0\0"[..], "protobuf"), (b"\0\0\0\x02j{\0\0\0\0", "json")]
        {
            for error in [
                read(bytes, &HeaderCodecs::default(), &limits).unwrap_err(),
                Packet::from_frame(bytes.to_vec(), &HeaderCodecs::default(), &limits).unwrap_err(),
            ] {
                assert!(error.is_header() && error.to_string().contains(codec), "{error}");
            }
        }
        let error = read(b"\0\0\0\x02zx\0\0\0\0", &HeaderCodecs::default(), &limits).unwrap_err();
        assert!(error.is_codec(), "{error}");
    }

    #[test]
    fn a_copy_uses_the_buffer_it_is_given_and_forgets_what_was_in_it() {
        let bytes = bytes(Body::Raw(b"j1"));
        let (packet, _) = read(&bytes, &HeaderCodecs::default(), &Limits::default()).unwrap().unwrap();
        let mut buf = Vec::with_capacity(500);
        buf.extend_from_slice(b"left over");
        let before = buf.as_ptr();
        let buf = Packet::copy_from(&packet, buf).into_buf();
        assert_eq!(buf.as_ptr(), before);
        assert_eq!(buf, b"a&b/uri<broken>j1");
    }
}
