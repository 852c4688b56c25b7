//! `teleport dump`.

use teleport::gzip;
use teleport::wire::{self, Body, Features, Header, HeaderCodecs, Kind, Limits, PacketId};

use crate::common::{Ran, failed, printed, teleport_fed};

fn packet(codec: u8, header: &Header<'_>, body: Body<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    wire::write(&mut out, &HeaderCodecs::default(), codec, header, body, &Limits::default()).unwrap();
    out
}

fn json(payload: &[u8]) -> Body<'_> {
    Body::Payload { codec: b'j', payload }
}

fn pull() -> Vec<u8> {
    packet(b'p', &Header::new(PacketId::Text("1".into()), Kind::PULL, "/arith/mul"), json(b"{\"a\":6}"))
}

fn reply() -> Vec<u8> {
    let header = Header {
        code: 200,
        status: "OK".into(),
        ..Header::new(PacketId::Text("1".into()), Kind::REPLY, "/arith/mul")
    };
    packet(b'j', &header, json(b"42"))
}

fn zipped() -> Vec<u8> {
    let mut body = Vec::new();
    gzip::deflate(6, b"in gzip", &mut body).unwrap();
    let header = Header { gzip: 6, ..Header::new(PacketId::Sequence(7), Kind::PUSH, "/log") };
    packet(b'p', &header, Body::Payload { codec: b's', payload: &body })
}

/// A capture of the pull and its reply, the pull in two segments that came in the other order.
fn capture() -> Vec<u8> {
    let (client, server) = (([127, 0, 0, 1], 40_000u16), ([127, 0, 0, 1], 9090u16));
    let frame = |from: ([u8; 4], u16), to: ([u8; 4], u16), number: u32, payload: &[u8]| {
        let mut frame = vec![0x45, 0];
        frame.extend(((40 + payload.len()) as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(from.0.iter().chain(&to.0));
        frame.extend(from.1.to_be_bytes().iter().chain(&to.1.to_be_bytes()).chain(&number.to_be_bytes()));
        frame.extend([0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
        frame.extend(payload);
        frame
    };
    let (first, second) = (pull()[..10].to_vec(), pull()[10..].to_vec());
    let frames = [
        frame(client, server, 100, b""),
        frame(client, server, 110, &second),
        frame(client, server, 100, &first),
        frame(server, client, 5, &reply()),
    ];
    let mut file =
        vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0];
    for (at, frame) in frames.iter().enumerate() {
        for number in [3, 250 * at as u32, frame.len() as u32, frame.len() as u32] {
            file.extend(number.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

#[tokio::test]
async fn each_packet_is_printed() {
    let stream = [pull(), reply(), zipped()].concat();
    let expected = "\
000000 pull /arith/mul  id 1  protobuf header  body json, 7 B  packet 34 B
    {
      \"a\": 6
    }
000022 reply /arith/mul  id 1  status 200 OK  json header  body json, 2 B  packet 82 B
    42
000074 push /log  id 7  protobuf header  body plain, 27 B in gzip 6  packet 49 B
    in gzip
";
    assert_eq!(teleport_fed(&["dump"], &stream).await, printed(expected));
    let digits: String = stream.iter().map(|byte| format!("{byte:02x}\n")).collect();
    assert_eq!(teleport_fed(&["dump", "--hex"], digits.as_bytes()).await, printed(expected));
}

#[tokio::test]
async fn programs_get_a_line_of_json_for_each() {
    let ran = teleport_fed(&["dump", "--json"], &reply()).await;
    let line = r#"{"body":42,"body_bytes":2,"bytes":82,"codec":"json","gzip":0,"header_codec":"json","id":"1","kind":"reply","offset":0,"status":{"code":200,"text":"OK"},"type":2,"uri":"/arith/mul"}"#;
    assert_eq!(ran, printed(&format!("{line}\n")));
}

#[tokio::test]
async fn bytes_that_are_no_packet_are_shown_and_reading_goes_on() {
    let mut broken = pull();
    broken[4] = b'?';
    let stream = [&b"GET / HTTP/1.1\r\n"[..], &pull(), &broken, &pull()[..20]].concat();
    let Ran { code, out, err } = teleport_fed(&["dump"], &stream).await;
    let places: Vec<&str> = out.lines().filter(|line| !line.starts_with(' ')).collect();
    let [http, whole, header, end] = places[..] else { panic!("{out}") };
    assert!(http.starts_with("000000 16 bytes: ") && http.contains("HTTP"), "{http}");
    assert!(whole.starts_with("000010 pull /arith/mul  "), "{whole}");
    assert!(header.starts_with("000032 34 bytes: ") && header.contains("codec"), "{header}");
    assert!(end.starts_with("000054 20 bytes: ") && end.contains("the bytes end inside a packet"), "{end}");
    assert!(out.contains("    000000  47 45 54 20 2f"), "{out}");
    assert_eq!((code, err.as_str()), (5, "teleport: there are bytes that are no packet, in 3 places\n"));
}

#[tokio::test]
async fn a_capture_is_shown_in_the_order_of_time() {
    let expected = "\
> is from 127.0.0.1:40000 to 127.0.0.1:9090
< is from 127.0.0.1:9090 to 127.0.0.1:40000
  0.000500 > 000000 pull /arith/mul  id 1  protobuf header  body json, 7 B  packet 34 B
    {
      \"a\": 6
    }
  0.000750 < 000000 reply /arith/mul  id 1  status 200 OK  json header  body json, 2 B  packet 82 B
    42
";
    assert_eq!(teleport_fed(&["dump", "--port", "9090"], &capture()).await, printed(expected));
    assert_eq!(
        teleport_fed(&["dump", "--port", "1"], &capture()).await,
        failed(2, "-: there is no TCP connection over the port 1 in it")
    );
    assert_eq!(teleport_fed(&["dump", "--port", "9090"], &pull()).await, failed(2, "-: it is no capture"));
}

/// The same frames as Wireshark writes them.
fn next_generation() -> Vec<u8> {
    fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = (padded as u32 + 12).to_le_bytes();
        file.extend([&kind.to_le_bytes()[..], &length, body].concat());
        file.resize(file.len() + padded - body.len(), 0);
        file.extend(length);
    }
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let (mut file, capture) = (Vec::new(), capture());
    block(&mut file, 0x0a0d_0d0a, &[&0x1a2b_3c4du32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    block(&mut file, 1, &[101, 0, 0, 0, 0, 0, 0, 0]);
    let mut rest = &capture[24..];
    while !rest.is_empty() {
        let (length, micros) = (number(&rest[8..12]), number(&rest[..4]) * 1_000_000 + number(&rest[4..8]));
        let head: Vec<u8> = [0, 0, micros, length, length].into_iter().flat_map(u32::to_le_bytes).collect();
        block(&mut file, 6, &[&head[..], &rest[16..][..length as usize]].concat());
        rest = &rest[16 + length as usize..];
    }
    file
}

#[tokio::test]
async fn a_capture_by_wireshark_is_read_as_well() {
    let expected = teleport_fed(&["dump"], &capture()).await;
    assert!(expected.out.contains("  0.000500 > 000000 pull /arith/mul"), "{expected:?}");
    assert_eq!(teleport_fed(&["dump"], &next_generation()).await, expected);
}

#[tokio::test]
async fn no_more_is_read_than_was_allowed() {
    let (pull, length) = (pull(), pull().len());
    let limit = format!("{length} B");
    assert_eq!(teleport_fed(&["dump", "--limit", &limit], &pull).await.code, 0);
    let problem = format!("- has more than {} bytes; read more with --limit, or capture less", length - 1);
    let limit = format!("{} B", length - 1);
    assert_eq!(teleport_fed(&["dump", "--limit", &limit], &pull).await, failed(2, &problem));
}

#[tokio::test]
async fn what_goes_beyond_the_specification_is_named_and_parts_are_put_together() {
    let header = Header {
        features: Features::PARTS | Features::CANCEL | Features::new(1 << 30),
        timeout_ms: 250,
        ..Header::new(PacketId::Text("3".into()), Kind::PULL, "/large")
    };
    let large = packet(b'p', &header, Body::Payload { codec: b's', payload: b"in parts" });
    let part = |content| {
        let header = Header::new(PacketId::Sequence(0), Kind::PART, "");
        packet(b'p', &header, Body::Payload { codec: 0, payload: content })
    };
    let cancel = packet(b'p', &Header::new(PacketId::Text("3".into()), Kind::CANCEL, ""), Body::None);
    let stream = [&part(&large[..20])[..], &pull(), &part(&large[20..]), &cancel].concat();
    let length = large.len();
    let expected = format!(
        "\
000000 part  id 0  protobuf header  body none, 20 B  packet 32 B
000020 pull /arith/mul  id 1  protobuf header  body json, 7 B  packet 34 B
    {{
      \"a\": 6
    }}
000042 part  id 0  protobuf header  body none, {rest} B  packet {part} B
000042 pull /large  id 3  timeout 250 ms  understands parts, cancel, 0x40000000  protobuf header  body plain, 8 B  packet {length} B  came in 2 parts
    in parts
{cancelled:06x} cancel  id 3  protobuf header  body none, 0 B  packet 14 B
",
        rest = length - 20,
        part = length - 8,
        cancelled = 0x42 + length - 8,
    );
    assert_eq!(teleport_fed(&["dump"], &stream).await, printed(&expected));
    let ran = teleport_fed(&["dump", "--json"], &stream).await;
    let joined = ran.out.lines().nth(3).unwrap_or_else(|| panic!("{ran:?}"));
    for said in [r#""parts":2"#, r#""understands":["parts","cancel","0x40000000"]"#, r#""body":"in parts""#] {
        assert!(joined.contains(said), "{joined}");
    }
    // Behind what is no packet, a cancel is found as well.
    let Ran { out, .. } = teleport_fed(&["dump"], &[b"GET / HTTP", &cancel[..]].concat()).await;
    assert!(out.contains("00000a cancel"), "{out}");
}

#[tokio::test]
async fn parts_without_their_last_are_told() {
    let header = Header::new(PacketId::Sequence(0), Kind::PART, "");
    let part = packet(b'p', &header, Body::Payload { codec: 0, payload: &pull()[..20] });
    let Ran { code, out, .. } = teleport_fed(&["dump"], &part).await;
    assert!(out.contains("the bytes end before the last part of a packet"), "{out}");
    assert_eq!(code, 5);
    let Ran { code, out, .. } = teleport_fed(&["dump"], &[&part[..], b"GET / HTTP", &pull()].concat()).await;
    assert!(out.contains("the packet whose parts came before is not whole"), "{out}");
    assert!(out.contains("pull /arith/mul"), "{out}");
    assert_eq!(code, 5);
}

#[tokio::test]
async fn all_that_the_original_wrote_is_read() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/go-v2.0.jsonl.gz");
    let mut lines = Vec::new();
    gzip::inflate(&std::fs::read(file).unwrap(), 64 << 20, &mut lines).unwrap();
    let mut stream = Vec::new();
    let mut raw = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let vector: serde_json::Value = serde_json::from_slice(line).unwrap();
        let digits = vector["wire_hex"].as_str().unwrap().as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        stream.extend(digits.chunks(2).map(byte));
        raw.push(vector["body_kind"] == "raw");
    }
    let Ran { code, out, err } = teleport_fed(&["dump", "--json"], &stream).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out.lines().count(), raw.len());
    for (line, raw) in out.lines().zip(raw) {
        // A raw body is no gzip, whatever its header says.
        assert!(raw || !line.contains("\"problem\""), "{line}");
    }
}
