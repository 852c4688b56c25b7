//! Limits at, below and above their bounds, and what is left behind where something can not be written.

use super::super::{HeaderCodec, Kind, PacketId, read};
use super::*;

/// Writes a little and then fails.
struct Failing;

impl HeaderCodec for Failing {
    fn id(&self) -> u8 {
        b'f'
    }

    fn name(&self) -> &'static str {
        "failing"
    }

    fn encode(&self, _: &Header<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
        out.extend_from_slice(b"some of it");
        Err(WireError::header("failing", "on purpose"))
    }

    fn decode<'a>(&self, _: &'a [u8]) -> Result<Header<'a>, WireError> {
        Err(WireError::header("failing", "on purpose"))
    }
}

fn codecs() -> HeaderCodecs {
    HeaderCodecs::default().with(Failing).unwrap()
}

fn header(uri: &str) -> Header<'_> {
    Header::new(PacketId::Sequence(300), Kind::PULL, uri)
}

/// What is written behind other bytes, which have to stay; on an error nothing may follow them.
fn put(codec: u8, uri: &str, body: Body<'_>, limits: &Limits) -> Result<Vec<u8>, WireError> {
    let mut out = b"before".to_vec();
    let written = write(&mut out, &codecs(), codec, &header(uri), body, limits);
    if let Err(error) = written {
        assert_eq!(out, b"before", "{error}");
        return Err(error);
    }
    Ok(out.strip_prefix(b"before").expect("what was there stays").to_vec())
}

fn passes(error: &WireError, what: &str, setting: &str) {
    assert!(error.is_too_large() && error.setting() == Some(setting), "{error}");
    assert!(error.to_string().starts_with(&format!("a {what} of ")), "{error}");
    assert!(error.to_string().ends_with(&format!("(setting `{setting}`)")), "{error}");
}

#[test]
fn a_header_up_to_its_limit_is_written_and_read() {
    for codec in *b"pj" {
        let bytes = put(codec, "/uri", Body::None, &Limits::default()).unwrap();
        let size = u32::from_be_bytes(*bytes.first_chunk().unwrap());
        for (limit, fits) in [(size - 1, false), (size, true), (size + 1, true)] {
            let limits = Limits::default().with_max_header(limit);
            let (written, read) = (put(codec, "/uri", Body::None, &limits), split(&bytes, &limits));
            assert_eq!((written.is_ok(), read.is_ok()), (fits, fits), "{limit} for {size}");
            if !fits {
                passes(&written.unwrap_err(), "header", "limits.max_header");
                passes(&read.unwrap_err(), "header", "limits.max_header");
                // The length alone is enough to refuse it.
                passes(&split(&bytes[..4], &limits).unwrap_err(), "header", "limits.max_header");
            }
        }
    }
}

#[test]
fn a_body_up_to_its_limit_is_written_and_read() {
    let payload = [7; 9];
    for body in [Body::Payload { codec: b's', payload: &payload }, Body::Raw(&[7; 10])] {
        let bytes = put(b'p', "/uri", body, &Limits::default()).unwrap();
        for (limit, fits) in [(9, false), (10, true), (11, true)] {
            let limits = Limits::default().with_max_body(limit);
            let (written, read) = (put(b'p', "/uri", body, &limits), split(&bytes, &limits));
            assert_eq!((written.is_ok(), read.is_ok()), (fits, fits), "{limit}");
            if !fits {
                passes(&written.unwrap_err(), "body", "limits.max_body");
                passes(&read.unwrap_err(), "body", "limits.max_body");
                let length_only = bytes.len() - 10;
                passes(&split(&bytes[..length_only], &limits).unwrap_err(), "body", "limits.max_body");
            }
        }
    }
    // No body passes any limit; an empty payload is one byte.
    let none = Limits::default().with_max_body(0);
    assert!(put(b'p', "/uri", Body::None, &none).is_ok());
    assert!(put(b'p', "/uri", Body::Raw(&[]), &none).is_ok());
    passes(
        &put(b'p', "/uri", Body::Payload { codec: b's', payload: &[] }, &none).unwrap_err(),
        "body",
        "limits.max_body",
    );
}

/// A reader gets a longer one whole, so that it can be answered.
#[test]
fn a_uri_up_to_its_limit_is_written() {
    let bytes = put(b'p', "/uri", Body::None, &Limits::default()).unwrap();
    for (limit, fits) in [(3, false), (4, true), (5, true)] {
        let limits = Limits::default().with_max_uri(limit);
        let written = put(b'p', "/uri", Body::None, &limits);
        assert_eq!(written.is_ok(), fits, "{limit}");
        if let Err(error) = written {
            passes(&error, "uri", "limits.max_uri");
        }
        let (packet, _) = read(&bytes, &codecs(), &limits).unwrap().expect("it is whole");
        assert_eq!(packet.header.uri, "/uri");
    }
}

#[test]
fn a_payload_longer_than_a_length_can_say_is_refused() {
    let limits = Limits::default().with_max_body(u32::MAX);
    let head = |payload_len| {
        let mut out = Vec::new();
        let written = write_head(&mut out, &codecs(), b'p', &header("/uri"), b's', payload_len, &limits);
        assert_eq!(out.is_empty(), written.is_err());
        written.map(|()| out)
    };
    let most = u32::MAX as usize - 1;
    let out = head(most).unwrap();
    assert_eq!(out[out.len() - 5..], [0xff, 0xff, 0xff, 0xff, b's']);
    assert_eq!(split(&out, &limits), Ok(Frame::Incomplete { total: out.len() + most }));
    for payload_len in [most + 1, most + 2, usize::MAX] {
        passes(&head(payload_len).unwrap_err(), "body", "limits.max_body");
    }
}

#[test]
fn a_header_that_can_not_be_written_leaves_nothing_behind() {
    let limits = Limits::default();
    let body = Body::Payload { codec: b'j', payload: b"1" };
    assert!(put(b'f', "/uri", body, &limits).unwrap_err().is_header());
    assert!(put(b'x', "/uri", body, &limits).unwrap_err().is_codec());
    assert!(put(0, "/uri", body, &limits).unwrap_err().is_codec());
}

#[test]
fn a_body_that_is_not_there_has_no_codec_id() {
    let limits = Limits::default();
    let tail = |body| {
        let bytes = put(b'p', "/u", body, &limits).unwrap();
        bytes[bytes.iter().position(|byte| *byte == b'u').unwrap() + 1..].to_vec()
    };
    assert_eq!(tail(Body::None), [0, 0, 0, 0]);
    assert_eq!(tail(Body::Raw(&[])), [0, 0, 0, 0]);
    assert_eq!(tail(Body::Payload { codec: b's', payload: &[] }), [0, 0, 0, 1, b's']);
    assert_eq!(tail(Body::Payload { codec: b's', payload: b"x" }), [0, 0, 0, 2, b's', b'x']);
    assert_eq!(tail(Body::Raw(b"sx")), [0, 0, 0, 2, b's', b'x']);
}

#[test]
fn a_header_of_no_bytes_is_refused_and_one_of_its_codec_alone_is_not() {
    let limits = Limits::default();
    assert!(split(&[0, 0, 0, 0], &limits).unwrap_err().is_frame());
    let smallest = [0, 0, 0, 1, b'p', 0, 0, 0, 0];
    let parts = FrameParts { header_codec: b'p', header: 5..5, body: 9..9, len: 9 };
    assert_eq!(split(&smallest, &limits), Ok(Frame::Complete(parts)));
    for end in 0..smallest.len() {
        let total = if end < 4 { 4 } else { 9 };
        assert_eq!(split(&smallest[..end], &limits), Ok(Frame::Incomplete { total }), "{end}");
    }
}

#[test]
fn another_protocol_is_named() {
    let limits = Limits::default();
    for (bytes, name) in [
        (&b"GET / HTTP/1.1"[..], "HTTP"),
        (b"POST /", "HTTP"),
        (b"PUT /", "HTTP"),
        (b"HEAD /", "HTTP"),
        (b"HTTP/1.1 400", "HTTP"),
        (b"PRI * HTTP/2.0", "HTTP"),
        (b"SSH-2.0-OpenSSH", "SSH"),
        (&[0x16, 3, 1, 2], "TLS"),
        (&[0x15, 3, 3, 0], "TLS"),
    ] {
        let error = split(bytes, &limits).unwrap_err();
        assert!(error.is_frame(), "{error}");
        assert!(error.to_string().contains(&format!("they begin like {name},")), "{error}");
    }
    passes(&split(b"DELETE", &limits).unwrap_err(), "header", "limits.max_header");
}
