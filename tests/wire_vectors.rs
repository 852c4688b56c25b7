//! Bytes captured from release 2.0 of the original, read and written back byte by byte.
//!
//! `TELEPORT_WIRE_VECTORS` points at another file of the same form, plain or gzipped:
//! `TELEPORT_WIRE_VECTORS=more.jsonl cargo test -p teleport-tests --test wire_vectors -- --nocapture`

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use teleport::gzip;
use teleport::wire::{self, Body, Frame, Header, HeaderCodecs, Kind, Limits, Packet, PacketId};

/// One captured packet.
#[derive(Deserialize)]
struct Vector {
    name: String,
    header_codec: String,
    body_codec: String,
    header: VectorHeader,
    header_length: u32,
    body_length: u32,
    /// `nil`, `raw` or `value`.
    body_kind: String,
    /// The payload, inflated, without its codec id; of a raw body, all of it.
    body_hex: String,
    wire_hex: String,
    stream: Option<String>,
    dir: Option<String>,
    stream_index: Option<u32>,
}

#[derive(Deserialize)]
struct VectorHeader {
    seq_str: String,
    r#type: i32,
    uri: String,
    gzip: i32,
    status_code: i32,
    status: String,
}

#[derive(Deserialize)]
struct Bug {
    name: String,
    wire_hex: Option<String>,
}

impl Vector {
    fn header_codec_id(&self) -> u8 {
        match &*self.header_codec {
            "protobuf" => b'p',
            "json" => b'j',
            other => panic!("{}: unknown header codec {other}", self.name),
        }
    }

    fn body_codec_id(&self) -> u8 {
        match &*self.body_codec {
            "protobuf" => b'p',
            "json" => b'j',
            "string" => b's',
            other => panic!("{}: unknown body codec {other:?}", self.name),
        }
    }

    fn header(&self) -> Header<'_> {
        let VectorHeader { seq_str, r#type, uri, gzip, status_code, status } = &self.header;
        Header {
            id: PacketId::Sequence(seq_str.parse().expect("a sequence is a number")),
            kind: Kind::new(*r#type),
            uri: uri.into(),
            gzip: *gzip,
            code: *status_code,
            status: status.into(),
            ..Header::default()
        }
    }

    fn payload(&self) -> Vec<u8> {
        bytes(&self.body_hex)
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "an odd number of hexadecimal digits");
    let digits = hex.as_bytes().chunks_exact(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn read_lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Vec<T> {
    let raw = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = if raw.starts_with(&[0x1f, 0x8b]) {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*raw).read_to_string(&mut text).expect("the file can be inflated");
        text
    } else {
        String::from_utf8(raw).expect("the file is text")
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).expect("a line is a vector")).collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn vectors() -> Vec<Vector> {
    // A relative path is seen from the root of the workspace, where the command is typed.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = std::env::var_os("TELEPORT_WIRE_VECTORS")
        .map_or_else(|| fixture("go-v2.0.jsonl.gz"), |path| root.join(path));
    let vectors = read_lines(&path);
    assert!(!vectors.is_empty(), "{} has no vectors", path.display());
    vectors
}

fn setup() -> (HeaderCodecs, Limits) {
    (HeaderCodecs::default(), Limits::default())
}

/// Checks one packet field by field; its payload, inflated.
fn check(vector: &Vector, packet: &wire::PacketRef<'_>) {
    let name = &vector.name;
    assert_eq!(packet.header, vector.header(), "{name}: the header");
    assert_eq!(packet.header_codec, vector.header_codec_id(), "{name}: the header codec");
    match &*vector.body_kind {
        "nil" => assert!(packet.body.is_none(), "{name}: no body"),
        // A raw body is told apart by nothing on the wire: it is the bytes themselves, never compressed.
        "raw" => assert_eq!(packet.body.as_bytes(), vector.payload(), "{name}: the raw body"),
        "value" => {
            assert_eq!(packet.body.codec(), vector.body_codec_id(), "{name}: the body codec");
            let mut payload = Vec::new();
            if packet.header.gzip == 0 {
                payload.extend_from_slice(packet.body.payload());
            } else {
                let inflated = gzip::inflate(packet.body.payload(), 1 << 20, &mut payload);
                inflated.unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            assert_eq!(payload, vector.payload(), "{name}: the payload");
        }
        other => panic!("{name}: unknown kind of body {other}"),
    }
}

#[test]
fn every_packet_is_read_and_written_back() {
    let (codecs, limits) = setup();
    let (mut decoded, mut encoded, mut round_trips) = (0, 0, 0);
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    for vector in &vectors() {
        let name = &vector.name;
        let captured = bytes(&vector.wire_hex);
        let (packet, length) = wire::read(&captured, &codecs, &limits)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .unwrap_or_else(|| panic!("{name}: incomplete"));
        assert_eq!(length, captured.len(), "{name}: the length");
        let Ok(Frame::Complete(parts)) = wire::split(&captured, &limits) else {
            panic!("{name}: incomplete")
        };
        assert_eq!(parts.header.len() + 1, vector.header_length as usize, "{name}: the header's length");
        assert_eq!(parts.body.len(), vector.body_length as usize, "{name}: the body's length");
        check(vector, &packet);
        decoded += 1;

        let header = vector.header();
        let payload = vector.payload();
        let mut written = Vec::new();
        let mut write = |body: Body<'_>| {
            written.clear();
            wire::write(&mut written, &codecs, vector.header_codec_id(), &header, body, &limits)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            written.clone()
        };
        match &*vector.body_kind {
            "nil" => assert_eq!(write(Body::None), captured, "{name}: written"),
            "raw" => assert_eq!(write(Body::Raw(&payload)), captured, "{name}: written"),
            _ if vector.header.gzip == 0 => {
                let codec = vector.body_codec_id();
                assert_eq!(write(Body::Payload { codec, payload: &payload }), captured, "{name}: written");
            }
            _ => {
                // Two compressors need not agree on bytes: ours has to be read back to the same payload, and the
                // captured body passed on has to stay as it is.
                assert_eq!(write(Body::Raw(packet.body.as_bytes())), captured, "{name}: passed on");
                let mut compressed = Vec::new();
                gzip::deflate(vector.header.gzip, &payload, &mut compressed).expect("a known level");
                let ours = write(Body::Payload { codec: vector.body_codec_id(), payload: &compressed });
                let (again, _) = wire::read(&ours, &codecs, &limits).unwrap().expect("whole");
                check(vector, &again);
                round_trips += 1;
                *skipped
                    .entry("gzip: bytes depend on the compressor, so round-tripped instead")
                    .or_default() += 1;
                continue;
            }
        }
        encoded += 1;
    }
    println!("{decoded} decoded, {encoded} encoded byte by byte, {round_trips} gzip bodies round-tripped");
    for (reason, count) in &skipped {
        println!("{count} not compared byte by byte: {reason}");
    }
    assert!(decoded > 0 && encoded + round_trips == decoded);
}

#[test]
fn packets_that_share_a_connection_are_read_from_one_stream() {
    let (codecs, limits) = setup();
    let vectors = vectors();
    let mut streams: BTreeMap<(&str, &str), Vec<&Vector>> = BTreeMap::new();
    for vector in &vectors {
        if let Some(stream) = &vector.stream {
            let direction = vector.dir.as_deref().unwrap_or_default();
            streams.entry((stream, direction)).or_default().push(vector);
        }
    }
    for (name, packets) in &mut streams {
        packets.sort_by_key(|vector| vector.stream_index.unwrap_or_default());
        let all: Vec<u8> = packets.iter().flat_map(|vector| bytes(&vector.wire_hex)).collect();
        let mut rest = &all[..];
        for vector in packets.iter() {
            let (packet, length) = wire::read(rest, &codecs, &limits).unwrap().expect("whole");
            check(vector, &packet);
            // Owned, in a buffer of its own, it says the same.
            let owned = Packet::from_frame(rest[..length].to_vec(), &codecs, &limits).unwrap();
            assert_eq!(owned.header(), packet.header);
            assert_eq!(owned.body(), packet.body);
            rest = &rest[length..];
        }
        assert!(rest.is_empty(), "{name:?}: {} bytes are left over", rest.len());

        // One byte at a time: a packet is there with its last byte, and not before.
        let (mut buffer, mut ends) = (Vec::new(), 0);
        for &byte in &all {
            buffer.push(byte);
            match wire::split(&buffer, &limits).unwrap() {
                Frame::Incomplete { total } => {
                    assert!(total > buffer.len(), "{name:?}: asks for what it has");
                }
                Frame::Complete(parts) => {
                    assert_eq!(parts.len, buffer.len());
                    ends += 1;
                    buffer.clear();
                }
            }
        }
        assert_eq!((ends, buffer.len()), (packets.len(), 0), "{name:?}");
    }
    println!("{} streams read", streams.len());
}

/// What the original writes wrongly is read as far as it can be, or refused; it neither panics nor goes on for ever.
#[test]
fn what_the_original_writes_wrongly_does_no_harm() {
    let (codecs, limits) = setup();
    let bugs: Vec<Bug> = read_lines(&fixture("go-v2.0-bugs.jsonl"));
    let mut read = 0;
    for bug in bugs.iter().filter(|bug| bug.wire_hex.is_some()) {
        let all = bytes(bug.wire_hex.as_deref().unwrap_or_default());
        let mut rest = &all[..];
        while !rest.is_empty() {
            match wire::read(rest, &codecs, &limits) {
                Ok(Some((packet, length))) => {
                    rest = &rest[length..];
                    if packet.header.gzip != 0 {
                        let mut payload = Vec::new();
                        println!(
                            "{}: {:?}",
                            bug.name,
                            gzip::inflate(packet.body.payload(), 1 << 20, &mut payload)
                        );
                    }
                }
                Ok(None) => panic!("{}: captured whole, read as incomplete", bug.name),
                Err(error) => {
                    assert!(error.is_header(), "{}: {error}", bug.name);
                    println!("{}: {error}", bug.name);
                    break;
                }
            }
        }
        read += 1;
    }
    assert_eq!(read, bugs.len() - 1, "all but the one that writes nothing");
}
