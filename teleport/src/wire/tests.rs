//! What holds for any header, any body and any bytes.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

/// Texts of anything, with much of what is escaped somewhere.
pub(super) fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(
        "\"\\/&<>%?\u{2028}\u{2029}\u{2027}\u{202a}\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1b}\u{1f} \u{7f}\u{80}\u{feff}é語😀"
            .chars()
            .collect::<Vec<char>>(),
    );
    prop::collection::vec(prop_oneof![special, any::<char>()], 0..24).prop_map(String::from_iter)
}

pub(super) fn id() -> impl Strategy<Value = PacketId<'static>> {
    prop_oneof![
        any::<u64>().prop_map(PacketId::Sequence),
        prop::sample::select(vec![0, 1, 127, 128, 1 << 32, u64::MAX]).prop_map(PacketId::Sequence),
        text().prop_map(|text| PacketId::Text(text.into())),
        any::<u64>().prop_map(|number| PacketId::Text(number.to_string().into())),
    ]
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![-3..520i32, any::<i32>(), prop::sample::select(vec![i32::MIN, -1, 0, 1, i32::MAX])]
}

pub(super) fn header() -> impl Strategy<Value = Header<'static>> {
    let features = prop_oneof![3 => Just(Features::NONE), 1 => any::<u32>().prop_map(Features::new)];
    let timeout = prop_oneof![3 => Just(0), 1 => any::<u32>()];
    let trace = prop::option::of((1..u128::MAX, 1..u64::MAX, any::<bool>()));
    (id(), number(), text(), number(), number(), text(), features, (timeout, trace)).prop_map(
        |(id, kind, uri, gzip, code, status, features, (timeout_ms, trace))| Header {
            id,
            kind: Kind::new(kind),
            uri: uri.into(),
            gzip,
            code,
            status: status.into(),
            features,
            timeout_ms,
            trace: trace
                .and_then(|(trace, parent, flag)| TraceParent::new(trace, parent, flag))
                .map(Box::new),
        },
    )
}

/// The header as an owned packet has it.
fn as_owned(header: Header<'_>) -> Header<'_> {
    Header { features: Features::NONE, timeout_ms: 0, trace: None, ..header }
}

/// The header as it is read back: an empty id is left out, and then reads as the number 0.
pub(super) fn read_back(mut header: Header<'static>) -> Header<'static> {
    if header.id == PacketId::Text("".into()) {
        header.id = PacketId::Sequence(0);
    }
    header
}

#[derive(Clone, Debug)]
enum OwnedBody {
    None,
    Payload(u8, Vec<u8>),
    Raw(Vec<u8>),
}

impl OwnedBody {
    fn borrow(&self) -> Body<'_> {
        match self {
            OwnedBody::None => Body::None,
            OwnedBody::Payload(codec, payload) => Body::Payload { codec: *codec, payload },
            OwnedBody::Raw(bytes) => Body::Raw(bytes),
        }
    }

    /// All of it as it travels.
    fn as_sent(&self) -> Vec<u8> {
        match self {
            OwnedBody::None => Vec::new(),
            OwnedBody::Payload(codec, payload) => [&[*codec], &payload[..]].concat(),
            OwnedBody::Raw(bytes) => bytes.clone(),
        }
    }
}

fn body() -> impl Strategy<Value = OwnedBody> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        Just(OwnedBody::None),
        (any::<u8>(), bytes()).prop_map(|(codec, payload)| OwnedBody::Payload(codec, payload)),
        bytes().prop_map(OwnedBody::Raw),
    ]
}

fn header_codec() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![ProtobufHeader::ID, JsonHeader::ID])
}

fn written(codec: u8, header: &Header<'_>, body: Body<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, &HeaderCodecs::default(), codec, header, body, &Limits::default()).unwrap();
    out
}

/// No length asks for less than is there, and what is whole stands inside the buffer.
fn check_split(bytes: &[u8], limits: &Limits) {
    match split(bytes, limits) {
        Ok(Frame::Incomplete { total }) => assert!(total > bytes.len(), "asks for what it has"),
        Ok(Frame::Complete(parts)) => {
            assert_eq!((parts.header.start, parts.body.start), (5, parts.header.end + 4));
            assert_eq!(parts.body.end, parts.len);
            assert!(parts.len <= bytes.len());
        }
        Err(error) => assert!(error.is_frame() || error.is_too_large(), "{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_header_is_read_back_in_any_packet(codec in header_codec(), header in header(), body in body(), after in text()) {
        let (codecs, limits) = (HeaderCodecs::default(), Limits::default());
        let mut bytes = written(codec, &header, body.borrow());
        let length = bytes.len();
        let expected = read_back(header);
        bytes.extend_from_slice(after.as_bytes());
        let (packet, read_length) = read(&bytes, &codecs, &limits).unwrap().expect("it is whole");
        prop_assert_eq!(read_length, length, "what follows is not of it");
        prop_assert_eq!(&packet.header, &expected);
        prop_assert_eq!(packet.header_codec, codec);
        let sent = body.as_sent();
        prop_assert_eq!(packet.body.as_bytes(), &sent[..]);
        prop_assert_eq!(packet.body.codec(), sent.first().copied().unwrap_or(0));
        prop_assert_eq!(packet.body.payload(), sent.get(1..).unwrap_or_default());
        prop_assert_eq!(packet.body.is_none(), sent.is_empty());
        // Owned, in the same bytes or in others, it says the same.
        let copied = Packet::copy_from(&packet, b"left over".to_vec());
        let owned = Packet::from_frame(bytes.clone(), &codecs, &limits).unwrap();
        for packet in [copied, owned] {
            // What is announced is of interest once, when it is read.
            prop_assert_eq!(packet.header(), as_owned(expected.clone()));
            prop_assert_eq!(packet.header_codec(), codec);
            prop_assert_eq!(packet.body().as_bytes(), &sent[..]);
        }
    }

    #[test]
    fn a_packet_is_incomplete_up_to_its_last_byte(codec in header_codec(), header in header(), body in body()) {
        let (codecs, limits) = (HeaderCodecs::default(), Limits::default());
        let bytes = written(codec, &header, body.borrow());
        for end in 0..bytes.len() {
            prop_assert_eq!(read(&bytes[..end], &codecs, &limits), Ok(None));
            match split(&bytes[..end], &limits) {
                // Never more than the packet has: a reader that waits for as much would wait for ever.
                Ok(Frame::Incomplete { total }) => prop_assert!(total > end && total <= bytes.len()),
                other => prop_assert!(false, "{:?} at {}", other, end),
            }
        }
    }

    #[test]
    fn a_head_and_its_payload_are_the_packet(
        codec in header_codec(), header in header(), body_codec in any::<u8>(),
        payload in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut out = Vec::new();
        let (codecs, limits) = (HeaderCodecs::default(), Limits::default());
        write_head(&mut out, &codecs, codec, &header, body_codec, payload.len(), &limits).unwrap();
        out.extend_from_slice(&payload);
        prop_assert_eq!(out, written(codec, &header, Body::Payload { codec: body_codec, payload: &payload }));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let codecs = HeaderCodecs::default();
        for codec in [ProtobufHeader::ID, JsonHeader::ID] {
            // What can be read can be written, and then reads as the same.
            if let Ok(header) = codecs.decode(codec, &bytes) {
                let header = read_back(header.into_owned());
                let mut again = Vec::new();
                codecs.encode(codec, &header, &mut again).unwrap();
                prop_assert_eq!(codecs.decode(codec, &again).unwrap(), header);
            }
        }
        for limits in [Limits::default(), Limits::default().with_max_header(u32::MAX).with_max_body(u32::MAX)] {
            check_split(&bytes, &limits);
            let _ = read(&bytes, &codecs, &limits);
        }
    }

    #[test]
    fn damaged_packets_never_panic(
        codec in header_codec(), header in header(), body in body(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (codecs, limits) = (HeaderCodecs::default(), Limits::default());
        let mut bytes = written(codec, &header, body.borrow());
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let end = cut.index(bytes.len()) + 1;
        for bytes in [&bytes[..], &bytes[..end]] {
            check_split(bytes, &limits);
            if let Ok(Some((packet, _))) = read(bytes, &codecs, &limits) {
                let owned = Packet::from_frame(bytes.to_vec(), &codecs, &limits).unwrap();
                prop_assert_eq!(owned.header(), as_owned(packet.header));
                prop_assert_eq!(owned.body(), packet.body);
            }
        }
    }

    #[test]
    fn any_uri_can_be_asked(uri in text()) {
        let parts = Uri::new(&uri);
        match parts.query() {
            Some(query) => prop_assert_eq!(format!("{}?{query}", parts.path()), uri.clone()),
            None => prop_assert_eq!(parts.path(), &uri),
        }
        prop_assert!(!parts.path().contains('?'));
        prop_assert!(parts.query_pairs().count() <= uri.len());
        match parts.decoded_path() {
            Ok(path) => prop_assert_eq!(path.len() <= parts.path().len(), true),
            Err(error) => prop_assert!(error.is_uri()),
        }
    }

    #[test]
    fn an_escaped_path_is_unescaped(path in text()) {
        let escaped: String = path.bytes().map(|byte| format!("%{byte:02x}")).collect();
        prop_assert_eq!(Uri::new(&escaped).decoded_path().unwrap(), Cow::<str>::Owned(path));
    }
}
