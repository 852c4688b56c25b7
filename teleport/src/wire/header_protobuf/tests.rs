//! Compared with prost, which reads and writes the same messages.

use proptest::prelude::*;
use prost::Message;

use super::super::tests::{header, read_back};
use super::*;

/// The header of the specification, as prost derives it.
#[derive(Clone, PartialEq, Message)]
struct TextMessage {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(string, tag = "3")]
    uri: String,
    #[prost(int32, tag = "4")]
    gzip: i32,
    #[prost(int32, tag = "5")]
    status_code: i32,
    #[prost(string, tag = "6")]
    status: String,
    #[prost(uint32, tag = "16")]
    features: u32,
    #[prost(uint32, tag = "17")]
    timeout_ms: u32,
    #[prost(string, tag = "18")]
    traceparent: String,
}

/// The header of releases 2.0 to 2.6, as prost derives it.
#[derive(Clone, PartialEq, Message)]
struct SequenceMessage {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(string, tag = "3")]
    uri: String,
    #[prost(int32, tag = "4")]
    gzip: i32,
    #[prost(int32, tag = "5")]
    status_code: i32,
    #[prost(string, tag = "6")]
    status: String,
    #[prost(uint32, tag = "16")]
    features: u32,
    #[prost(uint32, tag = "17")]
    timeout_ms: u32,
    #[prost(string, tag = "18")]
    traceparent: String,
}

fn text_message(header: &Header<'_>) -> TextMessage {
    TextMessage {
        id: header.id.to_string(),
        kind: header.kind.number(),
        uri: header.uri.to_string(),
        gzip: header.gzip,
        status_code: header.code,
        status: header.status.to_string(),
        features: header.features.bits(),
        timeout_ms: header.timeout_ms,
        traceparent: header.trace.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn sequence_message(header: &Header<'_>) -> SequenceMessage {
    let TextMessage { kind, uri, gzip, status_code, status, features, timeout_ms, traceparent, .. } =
        text_message(header);
    SequenceMessage {
        seq: header.id.number().unwrap_or_default(),
        kind,
        uri,
        gzip,
        status_code,
        status,
        features,
        timeout_ms,
        traceparent,
    }
}

fn decode(bytes: &[u8]) -> Result<Header<'_>, WireError> {
    ProtobufHeader.decode(bytes)
}

fn refused(bytes: &[u8], why: &str) {
    let error = decode(bytes).unwrap_err();
    assert!(error.is_header(), "{error}");
    assert!(error.to_string().contains(why), "{bytes:02x?}: {error}");
}

proptest! {
    /// The short look at a reply says the same as the whole header, or nothing.
    #[test]
    fn a_successful_reply_is_known_by_its_head(
        header in header(),
        kind in prop_oneof![Just(2), Just(1), any::<i32>()],
        code in prop_oneof![Just(200), any::<i32>()],
        number in prop_oneof![Just(0), 0..1000u64, any::<u64>()],
        format in 0..3,
        ok in any::<bool>(),
    ) {
        let id = match format {
            0 => PacketId::Sequence(number),
            1 => PacketId::Text(number.to_string().into()),
            _ => header.id.clone(),
        };
        let status = if ok { "OK".into() } else { header.status.clone() };
        let header = Header { id, kind: Kind::new(kind), code, status, ..header };
        let mut bytes = Vec::new();
        ProtobufHeader.encode(&header, &mut bytes).unwrap();
        let read = decode(&bytes).unwrap();
        let whole = read.id.number().filter(|_| read.kind.is_reply() && read.code == 200);
        let is_bare = read.features.is_none() && read.timeout_ms == 0 && read.trace.is_none();
        let expected = whole.filter(|_| is_bare && read.status == "OK");
        let expected = expected.map(|id| SuccessHead { id, gzip: read.gzip });
        prop_assert_eq!(SuccessHead::read(&bytes), expected);
        for end in 0..bytes.len() {
            // Cut, it may be a header of fewer fields, or none; it must not be another's.
            if let Some(head) = SuccessHead::read(&bytes[..end]) {
                prop_assert_eq!(Some(head.id), decode(&bytes[..end]).unwrap().id.number());
            }
        }
    }

    #[test]
    fn prost_reads_and_writes_the_same_bytes(header in header()) {
        let mut ours = Vec::new();
        ProtobufHeader.encode(&header, &mut ours).unwrap();
        match &header.id {
            PacketId::Text(_) => {
                prop_assert_eq!(&ours, &text_message(&header).encode_to_vec());
                prop_assert_eq!(TextMessage::decode(&ours[..]).unwrap(), text_message(&header));
            }
            PacketId::Sequence(_) => {
                prop_assert_eq!(&ours, &sequence_message(&header).encode_to_vec());
                prop_assert_eq!(SequenceMessage::decode(&ours[..]).unwrap(), sequence_message(&header));
            }
        }
        prop_assert_eq!(decode(&ours).unwrap(), read_back(header));
    }

    #[test]
    fn fields_in_any_order_and_number_are_read_as_prost_reads_them(
        fields in prop::collection::vec(
            (1..=6u64, prop_oneof![any::<u64>(), any::<i32>().prop_map(|n| i64::from(n) as u64)], "[a-zé/]{0,5}"),
            0..10,
        ),
    ) {
        let mut bytes = Vec::new();
        for (field, number, text) in &fields {
            if matches!(field, 2 | 4 | 5) {
                put_varint(&mut bytes, field << 3 | VARINT);
                put_varint(&mut bytes, *number);
            } else {
                put_varint(&mut bytes, field << 3 | BYTES);
                put_varint(&mut bytes, text.len() as u64);
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        let theirs = TextMessage::decode(&bytes[..]).unwrap();
        let ours = decode(&bytes).unwrap();
        // The last of several counts, an empty one too.
        let id = if fields.iter().any(|(field, ..)| *field == 1) { theirs.id } else { "0".into() };
        prop_assert_eq!(ours.id.to_string(), id);
        prop_assert_eq!(
            (ours.kind.number(), &*ours.uri, ours.gzip, ours.code, &*ours.status),
            (theirs.kind, &*theirs.uri, theirs.gzip, theirs.status_code, &*theirs.status)
        );
    }
}

#[test]
fn zero_values_are_left_out() {
    let mut out = Vec::new();
    ProtobufHeader.encode(&Header::default(), &mut out).unwrap();
    assert!(out.is_empty());
    assert_eq!(decode(&[]).unwrap(), Header::default());
}

#[test]
fn a_negative_number_is_ten_bytes() {
    let header = Header { gzip: -2, ..Header::default() };
    let mut out = Vec::new();
    ProtobufHeader.encode(&header, &mut out).unwrap();
    assert_eq!(out, [0x20, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    assert_eq!(decode(&out).unwrap(), header);
    // Of five bytes, as careless writers make it, it is the same number.
    assert_eq!(decode(&[0x20, 0xfe, 0xff, 0xff, 0xff, 0x0f]).unwrap(), header);
}

#[test]
fn a_number_may_be_longer_than_it_has_to_be_and_no_longer_than_ten_bytes() {
    for length in 2..=12 {
        // 4, and zeros up to the length.
        let number = [&[0x84][..], &vec![0x80; length - 2], &[0]].concat();
        let bytes = [&[0x10][..], &number].concat();
        if length <= LONGEST_VARINT {
            assert_eq!(decode(&bytes).unwrap().kind, Kind::PUSH, "{length} bytes");
        } else {
            refused(&bytes, "more than 10 bytes");
        }
    }
    refused(&[&[0x10][..], &[0xff; 10], &[1]].concat(), "more than 10 bytes");
    // A key may be too long as well.
    refused(&[0xff; 11], "more than 10 bytes");
}

#[test]
fn a_header_cut_inside_a_field_is_refused() {
    let header = Header {
        gzip: -1,
        code: 1_000_000,
        status: "text".into(),
        ..Header::new(PacketId::Sequence(u64::MAX), Kind::PULL, "/uri")
    };
    let mut out = Vec::new();
    ProtobufHeader.encode(&header, &mut out).unwrap();
    // Where a field ends, a shorter header ends.
    let mut ends = vec![0];
    let mut reader = Reader { bytes: &out, at: 0, text: None };
    while reader.at < out.len() {
        match reader.varint().unwrap() & 7 {
            VARINT => drop(reader.varint().unwrap()),
            _ => drop(reader.bytes().unwrap()),
        }
        ends.push(reader.at);
    }
    assert_eq!(ends.len(), 7);
    for cut in 0..out.len() {
        if ends.contains(&cut) {
            assert!(decode(&out[..cut]).is_ok(), "cut at {cut}");
        } else {
            refused(&out[..cut], "it ends inside the field");
        }
    }
    // A length far beyond the header, up to the longest there is.
    refused(&[0x1a, 5, b'/'], "it ends inside the field");
    refused(&[&[0x1a][..], &[0xff; 9], &[1]].concat(), "it ends inside the field");
}

#[test]
fn unknown_fields_are_skipped() {
    for field in [7, 15, 19, 2047, 2048, (1 << 29) - 1] {
        let mut values = [
            (VARINT, vec![0x80, 1]),
            (VARINT, vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            (FIXED64, vec![0xff; 8]),
            (BYTES, vec![0]),
            (BYTES, vec![3, 0xff, 0xfe, 0xfd]),
            (FIXED32, vec![0xff; 4]),
        ];
        for (wire_type, value) in &mut values {
            let mut bytes = vec![0x10, 1];
            put_varint(&mut bytes, field << 3 | *wire_type);
            bytes.append(value);
            bytes.extend_from_slice(&[0x1a, 2, b'/', b'a']);
            let header = decode(&bytes).unwrap_or_else(|error| panic!("field {field}: {error}"));
            assert_eq!(header, Header::new(PacketId::Sequence(0), Kind::PULL, "/a"));
            // It may not be cut either.
            let end = bytes.len() - 5;
            refused(&bytes[..end], "it ends inside the field");
        }
    }
}

#[test]
fn what_an_announcement_holds_beside_a_number_says_nothing() {
    assert_eq!(decode(&[0x80, 1, 5]).unwrap().features, Features::new(5));
    for other in [&[0x82, 1, 2, 1, 1][..], &[0x85, 1, 1, 0, 0, 0], &[0x81, 1, 1, 0, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(decode(other).unwrap(), Header::default());
    }
}

#[test]
fn time_and_trace_are_read_where_they_are_some() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let bytes = [&[0x88, 1, 0xfa, 1, 0x92, 1, 55][..], trace.as_bytes()].concat();
    let header =
        Header { timeout_ms: 250, trace: Some(Box::new(trace.parse().unwrap())), ..Header::default() };
    assert_eq!(decode(&bytes).unwrap(), header);
    let mut ours = Vec::new();
    ProtobufHeader.encode(&header, &mut ours).unwrap();
    assert_eq!(ours, bytes);
    // More than fits is as long as there is; other wire types and other texts say nothing.
    assert_eq!(decode(&[0x88, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).unwrap().timeout_ms, u32::MAX);
    for other in [&[0x8a, 1, 1, b'5'][..], &[0x92, 1, 0], &[0x92, 1, 2, 0xff, 0xff], &[0x90, 1, 7]] {
        assert_eq!(decode(other).unwrap(), Header::default());
    }
}

#[test]
fn groups_and_numbers_that_are_no_wire_type_are_refused() {
    for wire_type in [3, 4, 6, 7] {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 16 << 3 | wire_type);
        refused(&bytes, &format!("field 16 at byte 0 has the wire type {wire_type}"));
    }
    refused(&[0x10, 1, 0, 1], "a field at byte 2 has the number 0");
}

#[test]
fn a_known_field_of_another_wire_type_is_refused() {
    for field in 1..=6u8 {
        for wire_type in [0, 1, 2, 5] {
            let is_known = match field {
                1 => matches!(wire_type, 0 | 2),
                2 | 4 | 5 => wire_type == 0,
                _ => wire_type == 2,
            };
            let bytes = [&[field << 3 | wire_type][..], &[0; 8]].concat();
            let bytes = if is_known { &bytes[..2] } else { &bytes[..] };
            if is_known {
                assert!(decode(bytes).is_ok(), "field {field}, wire type {wire_type}");
            } else {
                refused(bytes, &format!("field {field} at byte 0 has the wire type {wire_type}"));
            }
        }
    }
}

#[test]
fn a_text_that_is_not_utf8_is_refused_by_its_name() {
    for (field, name) in [(1u8, "id"), (3, "uri"), (6, "status")] {
        refused(&[field << 3 | 2, 3, b'a', b'b', 0xff], &format!("the {name} is not UTF-8 after 2 bytes"));
    }
}

#[test]
fn the_last_id_of_either_format_counts() {
    assert_eq!(decode(&[0x08, 7, 0x0a, 1, b'x']).unwrap().id, PacketId::Text("x".into()));
    assert_eq!(decode(&[0x0a, 1, b'x', 0x08, 7]).unwrap().id, PacketId::Sequence(7));
}

#[test]
fn texts_are_borrowed() {
    let bytes = [0x0a, 1, b'x', 0x1a, 2, b'/', b'a', 0x32, 1, b's'];
    let header = decode(&bytes).unwrap();
    assert!(matches!(header.id, PacketId::Text(Cow::Borrowed("x"))));
    assert!(matches!((header.uri, header.status), (Cow::Borrowed("/a"), Cow::Borrowed("s"))));
}
