//! Header codecs, beside what prost and serde_json read in the same bytes.

use std::borrow::Cow;
use std::fmt;

use prost::bytes::Buf;
use prost::encoding::{self, DecodeContext, WireType};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use teleport::TraceParent;
use teleport::wire::{Features, Header, HeaderCodecs, Kind, PacketId};

/// Reads the bytes as a header: with one codec or the other, as the first byte says, and with the other library.
pub fn run(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let (codec, reference) = match choice & 1 {
        0 => (b'p', by_prost(bytes)),
        _ => (b'j', by_serde_json(bytes)),
    };
    let codecs = HeaderCodecs::default();
    let ours = codecs.decode(codec, bytes);
    match (&ours, &reference) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "two readings"),
        (Ok(ours), Err(Refused::Wrong(why))) => panic!("read as {ours:?}, refused elsewhere: {why}"),
        (Err(error), Ok(theirs)) => panic!("refused: {error}; read elsewhere as {theirs:?}"),
        (_, Err(_)) => {}
    }
    let Ok(header) = ours else { return };
    let expected = as_written(header.clone());
    for codec in *b"pj" {
        let mut written = Vec::new();
        codecs.encode(codec, &header, &mut written).expect("a header can be written");
        assert_eq!(codecs.decode(codec, &written).expect("what was written reads"), expected);
        let theirs = if codec == b'p' { by_prost(&written) } else { by_serde_json(&written) };
        let theirs = theirs.unwrap_or_else(|refused| panic!("what was written is refused: {refused:?}"));
        assert_eq!(theirs, expected, "what was written");
    }
}

/// The header as it reads when it was written: an empty text id leaves no trace.
pub(crate) fn as_written(header: Header<'_>) -> Header<'_> {
    match &header.id {
        PacketId::Text(text) if text.is_empty() => Header { id: PacketId::Sequence(0), ..header },
        _ => header,
    }
}

/// Why there is no reading to compare with.
#[derive(Debug)]
enum Refused {
    /// Nobody should read it.
    Wrong(String),
    /// The specification lets it be read or refused, and the two differ on purpose.
    Open,
}

impl From<prost::DecodeError> for Refused {
    fn from(error: prost::DecodeError) -> Self {
        Refused::Wrong(error.to_string())
    }
}

/// A number of ten bytes whose last has more than its one bit stands next: prost refuses it, others drop these bits.
fn is_over_full(bytes: &[u8]) -> bool {
    bytes.len() >= 10 && bytes[..9].iter().all(|byte| *byte >= 0x80) && (2..0x80).contains(&bytes[9])
}

/// The numbers that stand next in the bytes are each read by prost; those that it alone refuses are left open.
fn open_number(bytes: &[u8]) -> Result<(), Refused> {
    if is_over_full(bytes) { Err(Refused::Open) } else { Ok(()) }
}

fn by_prost(mut bytes: &[u8]) -> Result<Header<'static>, Refused> {
    let mut header = Header::default();
    while bytes.has_remaining() {
        open_number(bytes)?;
        let mut ahead = bytes;
        let key = encoding::decode_varint(&mut ahead)?;
        if key > u64::from(u32::MAX) {
            return Err(Refused::Open);
        }
        let (field, wire_type) = encoding::decode_key(&mut bytes)?;
        if matches!(wire_type, WireType::StartGroup | WireType::EndGroup) {
            // Long gone from the language, and refused here.
            return Err(Refused::Open);
        }
        if matches!(wire_type, WireType::Varint | WireType::LengthDelimited) {
            open_number(bytes)?;
        }
        let text = |bytes: &mut &[u8]| -> Result<Cow<'static, str>, Refused> {
            let mut text = String::new();
            encoding::string::merge(wire_type, &mut text, bytes, DecodeContext::default())?;
            Ok(text.into())
        };
        let number = |bytes: &mut &[u8]| -> Result<i32, Refused> {
            let mut number = 0;
            encoding::int32::merge(wire_type, &mut number, bytes, DecodeContext::default())?;
            Ok(number)
        };
        match (field, wire_type) {
            (1, WireType::Varint) => header.id = PacketId::Sequence(encoding::decode_varint(&mut bytes)?),
            (1, _) => header.id = PacketId::Text(text(&mut bytes)?),
            (2, _) => header.kind = Kind::new(number(&mut bytes)?),
            (3, _) => header.uri = text(&mut bytes)?,
            (4, _) => header.gzip = number(&mut bytes)?,
            (5, _) => header.code = number(&mut bytes)?,
            (6, _) => header.status = text(&mut bytes)?,
            (16, WireType::Varint) => {
                let mut bits = 0;
                encoding::uint32::merge(wire_type, &mut bits, &mut bytes, DecodeContext::default())?;
                header.features = Features::new(bits);
            }
            (17, WireType::Varint) => header.timeout_ms = saturated(encoding::decode_varint(&mut bytes)?),
            (18, WireType::LengthDelimited) => {
                let mut text = Vec::new();
                encoding::bytes::merge(wire_type, &mut text, &mut bytes, DecodeContext::default())?;
                header.trace = std::str::from_utf8(&text).ok().and_then(trace);
            }
            _ => encoding::skip_field(wire_type, field, &mut bytes, DecodeContext::default())?,
        }
    }
    Ok(header)
}

fn saturated(after: u64) -> u32 {
    u32::try_from(after).unwrap_or(u32::MAX)
}

fn trace(text: &str) -> Option<Box<TraceParent>> {
    text.parse().ok().map(Box::new)
}

fn by_serde_json(bytes: &[u8]) -> Result<Header<'static>, Refused> {
    let Fields(fields) = serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        if text.contains(OPEN) { Refused::Open } else { Refused::Wrong(text) }
    })?;
    let mut header = Header::default();
    let wrong = |value: &Value| Refused::Wrong(value.to_string());
    let text = |value: Value| match value {
        Value::Null => Ok(Cow::Borrowed("")),
        Value::String(text) => Ok(text.into()),
        other => Err(wrong(&other)),
    };
    let number = |value: Value| match &value {
        Value::Null => Ok(0),
        _ => value.as_i64().and_then(|number| i32::try_from(number).ok()).ok_or_else(|| wrong(&value)),
    };
    for (key, value) in fields {
        match &*key {
            "id" | "seq" => match value {
                Value::Null => {}
                Value::String(text) => header.id = PacketId::Text(text.into()),
                other => header.id = PacketId::Sequence(other.as_u64().ok_or_else(|| wrong(&other))?),
            },
            "type" => header.kind = Kind::new(number(value)?),
            "uri" => header.uri = text(value)?,
            "gzip" => header.gzip = number(value)?,
            "status_code" => header.code = number(value)?,
            "status" => header.status = text(value)?,
            "timeout_ms" => header.timeout_ms = saturated(value.as_u64().unwrap_or_default()),
            "traceparent" => header.trace = value.as_str().and_then(trace).or(header.trace),
            _ => {
                let bits = value.as_u64().and_then(|bits| u32::try_from(bits).ok());
                header.features = Features::new(bits.unwrap_or_default());
            }
        }
    }
    Ok(header)
}

/// The known fields of an object as they come, their keys in lower case.
struct Fields(Vec<(String, Value)>);

const KNOWN: [&str; 7] = ["id", "seq", "type", "uri", "gzip", "status_code", "status"];
/// Those that are not of the specification.
const SAID: [&str; 3] = ["features", "timeout_ms", "traceparent"];
/// What the error says where the reading is left open.
const OPEN: &str = "left open";

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let key = key.to_ascii_lowercase();
                    if SAID.contains(&&*key) {
                        // What is no number there is skipped, and need not be right in all that it says.
                        let value = map.next_value().map_err(|_| serde::de::Error::custom(OPEN))?;
                        fields.push((key, value));
                    } else if KNOWN.contains(&&*key) {
                        fields.push((key, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}
