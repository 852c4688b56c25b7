//! Packets out of bytes, with both header codecs.

use teleport::gzip;
use teleport::wire::{self, Body, Frame, HeaderCodecs, Limits, Packet, PacketRef, Uri};

/// Reads packets off the front of the bytes until there is none any more. The first byte chooses the limits.
pub fn run(data: &[u8]) {
    let Some((&choice, mut rest)) = data.split_first() else { return };
    let limits = match choice & 1 {
        0 => Limits::default(),
        _ => Limits::default().with_max_header(64).with_max_body(100).with_max_uri(20),
    };
    let codecs = HeaderCodecs::default();
    loop {
        let cut = wire::split(rest, &limits);
        match wire::read(rest, &codecs, &limits) {
            Ok(Some((packet, length))) => {
                let Ok(Frame::Complete(parts)) = cut else { panic!("read, and not cut: {cut:?}") };
                assert_eq!(parts.len, length);
                assert!(length <= 8 + limits.max_header as usize + limits.max_body as usize);
                check(&rest[..length], &packet, &codecs, &limits);
                rest = &rest[length..];
            }
            Ok(None) => {
                let Ok(Frame::Incomplete { total }) = cut else { panic!("not whole, and cut: {cut:?}") };
                assert!(total > rest.len(), "asks for what it has");
                assert!(total <= 8 + limits.max_header as usize + limits.max_body as usize, "waits for ever");
                return;
            }
            Err(error) => return assert!(!error.to_string().is_empty()),
        }
    }
}

fn check(bytes: &[u8], packet: &PacketRef<'_>, codecs: &HeaderCodecs, limits: &Limits) {
    // All but its last byte is no packet yet.
    assert_eq!(wire::read(&bytes[..bytes.len() - 1], codecs, limits).ok(), Some(None));

    let mut owned = Packet::from_frame(bytes.to_vec(), codecs, limits).expect("it was read");
    let copied = Packet::copy_from(packet, b"left over".to_vec());
    // What is announced is not kept with a packet.
    let kept = wire::Header { features: wire::Features::NONE, ..packet.header.clone() };
    for same in [&owned, &copied] {
        assert_eq!((same.header(), same.header_codec()), (kept.clone(), packet.header_codec));
        assert_eq!(same.body(), packet.body);
    }
    owned.set_body(b's', b"another");
    owned.set_uri("/elsewhere");
    owned.set_status(7, "seven");
    assert_eq!((owned.uri(), owned.code(), owned.status()), ("/elsewhere", 7, "seven"));
    assert_eq!((owned.id(), owned.body().payload()), (kept.id, &b"another"[..]));

    look_at(packet);
    write_back(packet, codecs);
}

/// What a peer looks at before it hands a packet on.
fn look_at(packet: &PacketRef<'_>) {
    let uri = Uri::new(&packet.header.uri);
    if let Ok(path) = uri.decoded_path() {
        assert!(path.len() <= uri.path().len());
    }
    for (name, value) in uri.query_pairs() {
        assert!(name.len() + value.len() <= 3 * packet.header.uri.len());
    }
    if let Some(number) = packet.header.id.number() {
        assert_eq!(packet.header.id.to_string(), number.to_string(), "a number is written in one way only");
    }
    if packet.header.gzip != 0 {
        let mut inflated = Vec::new();
        let _ = gzip::inflate(packet.body.payload(), 1 << 16, &mut inflated);
    }
}

/// A packet that was read can be written, and reads the same then.
fn write_back(packet: &PacketRef<'_>, codecs: &HeaderCodecs) {
    let limits = Limits::default().with_max_header(u32::MAX).with_max_body(u32::MAX).with_max_uri(u32::MAX);
    for codec in [packet.header_codec, b'p', b'j'] {
        let mut written = Vec::new();
        let body = Body::Raw(packet.body.as_bytes());
        wire::write(&mut written, codecs, codec, &packet.header, body, &limits).expect("there is room");
        let (again, length) = wire::read(&written, codecs, &limits).expect("a packet").expect("a whole one");
        assert_eq!(length, written.len());
        let expected = super::header::as_written(packet.header.clone());
        assert_eq!((again.header, again.body, again.header_codec), (expected, packet.body, codec));
    }
}
