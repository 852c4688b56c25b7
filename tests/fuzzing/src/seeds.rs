//! What fuzzing begins with: packets captured from the original, cut to what each target reads.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use teleport::gzip;
use teleport::wire::{Frame, Limits, split};

/// The captured packets, as the tests of the wire format have them.
const VECTORS: &str = "../fixtures/go-v2.0.jsonl.gz";

#[derive(Deserialize)]
struct Vector {
    wire_hex: String,
}

/// Seeds of a target.
///
/// # Panics
///
/// Where the captured packets can't be read, or there is no such target.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let packets = packets();
    let mut seeds: Vec<Vec<u8>> = match target {
        "packet" => packets.iter().map(|packet| behind(0, packet)).collect(),
        "header" => packets.iter().map(|packet| header(packet)).collect(),
        "gzip" => packets.iter().flat_map(|packet| gzipped(packet)).collect(),
        "body" => packets.iter().flat_map(|packet| bodies(packet)).chain(written()).collect(),
        "session" => packets.chunks(8).flat_map(scripts).chain(by_hand()).collect(),
        other => panic!("there is no target {other}"),
    };
    seeds.sort();
    seeds.dedup();
    seeds
}

fn packets() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(VECTORS);
    let raw = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*raw).read_to_string(&mut text).expect("the vectors can be inflated");
    let packets = text.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let vector: Vector = serde_json::from_str(line).expect("a line is a vector");
        let digits = vector.wire_hex.as_bytes().chunks_exact(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("a digit"))
            .collect()
    });
    // The largest teach nothing that the small ones don't.
    packets.filter(|packet: &Vec<u8>| packet.len() <= 4096).collect()
}

fn behind(choice: u8, bytes: &[u8]) -> Vec<u8> {
    [&[choice], bytes].concat()
}

fn parts(packet: &[u8]) -> (u8, &[u8], &[u8]) {
    let Ok(Frame::Complete(parts)) = split(packet, &Limits::default()) else { panic!("captured whole") };
    (parts.header_codec, &packet[parts.header], &packet[parts.body])
}

fn header(packet: &[u8]) -> Vec<u8> {
    let (codec, header, _) = parts(packet);
    behind(u8::from(codec == b'j'), header)
}

fn gzipped(packet: &[u8]) -> Vec<Vec<u8>> {
    let (_, _, body) = parts(packet);
    let payload = body.get(1..).unwrap_or_default();
    let mut closed = Vec::new();
    gzip::deflate(6, payload, &mut closed).expect("a known level");
    [payload, &*closed].map(|bytes| [&[9, 0xff, 0xff], bytes].concat()).into()
}

fn bodies(packet: &[u8]) -> Vec<Vec<u8>> {
    let (_, _, body) = parts(packet);
    let Some((codec, payload)) = body.split_first() else { return Vec::new() };
    let choices: &[u8] = match codec {
        b'j' => &[0, 1, 4, 7, 11, 16, 17],
        b'p' => &[96],
        _ => &[98, 100],
    };
    choices.iter().map(|choice| behind(*choice, payload)).collect()
}

/// Bodies of what the types of the target are made of.
fn written() -> Vec<Vec<u8>> {
    let json: [(u8, &[u8]); 6] = [
        (0, br#"{"Named":{"left":{"One":"Leaf"},"right":{"1":{"Many":["Leaf"]}}}}"#),
        (1, br#"{"name":"a\nb","weight":-1,"data":[1,2],"next":{"name":"","data":null,"next":null}}"#),
        (5, br#"["a\u00e9","raw","owned"]"#),
        (6, b"[1,-1,2,-2,3,-3,4,-4,5,-5]"),
        (9, b"[[1,2,3],[4,5,6],[7,8,9]]"),
        (12, br#"[1.5,-2e-300,"c",true]"#),
    ];
    let bincode: [(u8, &[u8]); 4] = [
        (32, &[3, 1, 1, 0, 1, 1, 2, 1, 0]),
        (33, &[1, b'a', 1, 1, 2, 1, 2, 0]),
        (40, &[1, 1, 1, 0]),
        (36, &[1, 1, b'k', 2, 0, 1, 2]),
    ];
    let pack: [(u8, &[u8]); 3] =
        [(67, &[0x92, 0x91, 1, 0x90]), (71, &[0x91, 0xa1, b'a']), (75, &[0xa2, b'a', b'b'])];
    json.into_iter().chain(bincode).chain(pack).map(|(choice, bytes)| behind(choice, bytes)).collect()
}

/// Scripts that send captured packets as they are, to every kind of peer.
fn scripts(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    for packet in packets.iter().filter(|packet| packet.len() < 256) {
        sent.extend_from_slice(&[0, packet.len() as u8]);
        sent.extend_from_slice(packet);
    }
    (0..4).map(|setup| behind(setup, &sent)).collect()
}

/// Scripts of packets that this crate writes: the steps are those of `session/script.rs`.
fn by_hand() -> Vec<Vec<u8>> {
    // Step, flags, id, kind, uri, codec, body.
    let pull = |uri: u8, codec: u8, body: u8| [1, 0, 7, 0, uri, codec, body];
    let mut scripts = Vec::new();
    for setup in 0..64 {
        let mut script = vec![setup];
        // The token, to whom it may concern.
        script.extend_from_slice(&pull(8, 1, 7));
        script.extend_from_slice(&[9, 15]);
        script.extend_from_slice(&pull(0, 0, 1));
        script.extend_from_slice(&pull(1, 0, 2));
        script.extend_from_slice(&[7, 40]);
        // Handlers that wait, more of them than may.
        script.extend_from_slice(&pull(2, 0, 1));
        script.extend_from_slice(&[7, 60, 9, 10]);
        // Calls of the other side, and their replies.
        script.extend_from_slice(&[12, 1, 9, 12, 0xa1, 200, 9, 5]);
        script.extend_from_slice(&[1, 0, 0, 5, 0, 0, 1, 1, 12, 1, 5, 0, 0, 0xa2, 2, b'o', b'k', 0, 1]);
        // A large body, whole, in parts, and over the limit.
        script.extend_from_slice(&[1, 8, 3, 0, 0, 0, 0xc1, 0x70, 0, 6, 3, 10, 15]);
        script.extend_from_slice(&[1, 0, 3, 0, 0, 0, 0xc1, 0xff, 0xff, 10, 15]);
        script.extend_from_slice(&[6, 0x87, 9, 3]);
        script.extend_from_slice(&[11, 2, 10, 15, 13, 2, 10, 3]);
        scripts.push(script);
        // Small pulls that wait, each in the buffer that a large push has left.
        let mut script = vec![setup];
        script.extend_from_slice(&pull(8, 1, 7));
        for _ in 0..60 {
            script.extend_from_slice(&[1, 0, 3, 3, 5, 0, 0xc1, 0x9c, 0x40, 9, 15, 9, 15]);
            script.extend_from_slice(&pull(2, 0, 1));
        }
        scripts.push(script);
        // A part that says of itself that it is far longer than any packet may be.
        scripts.push(vec![setup, 6, 0x87, 0, 9, 15]);
    }
    scripts
}
