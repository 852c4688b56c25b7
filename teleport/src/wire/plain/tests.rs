//! What is read and written in a few steps is what is read and written field by field.

use proptest::prelude::*;

use super::super::header_protobuf::{SuccessHead, decode_fields};
use super::super::tests::{header, text};
use super::super::{Body, HeaderCodec, HeaderCodecs, write};
use super::*;

fn written(header: &Header<'_>, body: Body<'_>, limits: &Limits) -> Option<Vec<u8>> {
    let mut out = b"before".to_vec();
    write(&mut out, &HeaderCodecs::default(), ProtobufHeader::ID, header, body, limits).ok()?;
    Some(out)
}

fn success_of(bytes: &[u8]) -> Option<SuccessHead> {
    let all = SuccessHead::read_fields(bytes);
    assert_eq!(SuccessHead::read(bytes), all);
    all
}

proptest! {
    #[test]
    fn any_header_is_read_as_field_by_field(header in header(), cut in any::<prop::sample::Index>(), flip in any::<u8>()) {
        let mut bytes = Vec::new();
        ProtobufHeader.encode(&header, &mut bytes).unwrap();
        prop_assert!(read(&bytes).is_none_or(|read| read == decode_fields(&bytes).unwrap()));
        success_of(&bytes);
        // Also where it is damaged.
        let at = cut.index(bytes.len().max(1));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= flip;
        }
        prop_assert!(read(&bytes).is_none_or(|read| read == decode_fields(&bytes).unwrap()));
        success_of(&bytes);
        bytes.truncate(at);
        prop_assert!(read(&bytes).is_none_or(|read| read == decode_fields(&bytes).unwrap()));
        success_of(&bytes);
    }

    #[test]
    fn usual_headers_have_the_shape(
        id in any::<u64>(),
        uri in text(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
        (max_header, max_body, max_uri) in (0..200u32, 0..400u32, 0..60u32),
    ) {
        let id = id.to_string();
        let limits = Limits::default();
        let tight = limits.clone().with_max_header(max_header).with_max_body(max_body).with_max_uri(max_uri);
        for (kind, code, status) in [(Kind::PULL, 0, ""), (Kind::PUSH, 0, ""), (Kind::REPLY, 200, "OK")] {
            let usual = Header {
                uri: uri.as_str().into(),
                code,
                status: status.into(),
                ..Header::new(PacketId::Text(id.as_str().into()), kind, "")
            };
            let body = Body::Payload { codec: b'j', payload: &payload };
            for limits in [&limits, &tight] {
                let mut out = b"before".to_vec();
                let is_plain = write_plain(&mut out, kind, (&id, &uri), (b'j', &payload), limits);
                let all = written(&usual, body, limits);
                if is_plain {
                    prop_assert_eq!(Some(out), all);
                } else {
                    // An empty uri is not written at all.
                    prop_assert!(uri.is_empty() || all.is_none());
                    prop_assert_eq!(out, b"before");
                }
            }
            let mut bytes = Vec::new();
            ProtobufHeader.encode(&usual, &mut bytes).unwrap();
            prop_assert_eq!(read(&bytes), (kind != Kind::REPLY && !uri.is_empty()).then(|| usual.clone()));
            let success = success_of(&bytes);
            prop_assert_eq!(success.map(|head| head.id.to_string()), kind.is_reply().then(|| id.clone()));
        }
    }
}

#[test]
fn a_second_type_behind_a_pull_counts() {
    let mut bytes = Vec::new();
    ProtobufHeader.encode(&Header::new(PacketId::Text("7".into()), Kind::PULL, "/a"), &mut bytes).unwrap();
    assert!(matches!(success(&bytes), Success::No));
    bytes.extend([KIND, 2]);
    bytes.extend(SUCCESS);
    assert_eq!(success_of(&bytes).map(|head| head.id), None, "fields in this order are read no further");
    assert_eq!(decode_fields(&bytes).unwrap().kind, Kind::REPLY);
    assert!(read(&bytes).is_none());
}
