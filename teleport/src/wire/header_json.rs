//! Headers as JSON objects.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::WireError;
use super::features::Features;
use super::header::{Header, Kind};
use super::header_codec::HeaderCodec;
use super::id::PacketId;
use super::trace::TraceParent;

/// Headers as JSON objects, id `j`.
///
/// Written as the original writes them: zero values left out, `&`, `<`, `>`, U+2028 and U+2029 escaped, no
/// spaces. Read with keys in any case, unknown keys skipped.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonHeader;

impl JsonHeader {
    /// The id that travels.
    pub const ID: u8 = b'j';
}

const NAME: &str = "json";

impl HeaderCodec for JsonHeader {
    fn id(&self) -> u8 {
        Self::ID
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn encode(&self, header: &Header<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
        out.push(b'{');
        let empty = out.len();
        match &header.id {
            PacketId::Sequence(number) => put_number(out, "\"seq\":", *number),
            PacketId::Text(text) => put_text(out, "\"id\":", text),
        }
        put_number(out, "\"type\":", header.kind.number());
        put_text(out, "\"uri\":", &header.uri);
        put_number(out, "\"gzip\":", header.gzip);
        put_number(out, "\"status_code\":", header.code);
        put_text(out, "\"status\":", &header.status);
        put_number(out, "\"features\":", header.features.bits());
        put_number(out, "\"timeout_ms\":", header.timeout_ms);
        if let Some(trace) = &header.trace {
            out.extend_from_slice(b"\"traceparent\":\"");
            trace.write(out);
            out.extend_from_slice(b"\",");
        }
        if out.len() > empty {
            // The comma behind the last field.
            out.pop();
        }
        out.push(b'}');
        Ok(())
    }

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Header<'a>, WireError> {
        serde_json::from_slice::<Fields<'a>>(bytes)
            .map(|fields| fields.0)
            .map_err(|error| WireError::header(NAME, error.to_string()))
    }
}

fn put_number<N: itoa::Integer + Default + PartialEq>(out: &mut Vec<u8>, key: &str, value: N) {
    if value != N::default() {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        out.push(b',');
    }
}

fn put_text(out: &mut Vec<u8>, key: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    out.extend_from_slice(key.as_bytes());
    out.push(b'"');
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let escaped = match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '&' | '<' | '>' | '\u{2028}' | '\u{2029}' => true,
            other => other < ' ',
        };
        if escaped {
            out.extend_from_slice(&text.as_bytes()[plain..at]);
            put_escaped(out, character);
            plain = at + character.len_utf8();
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.extend_from_slice(b"\",");
}

fn put_escaped(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        other => out.extend_from_slice(format!("\\u{:04x}", u32::from(other)).as_bytes()),
    }
}

struct Fields<'a>(Header<'a>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut header = Header::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let key = key.0;
            let is = |name: &str| key.eq_ignore_ascii_case(name);
            if is("id") || is("seq") {
                if let Some(id) = map.next_value::<Option<Id<'de>>>()? {
                    header.id = id.0;
                }
            } else if is("type") {
                header.kind = Kind::new(map.next_value::<Option<i32>>()?.unwrap_or_default());
            } else if is("uri") {
                header.uri = text(&mut map)?;
            } else if is("gzip") {
                header.gzip = map.next_value::<Option<i32>>()?.unwrap_or_default();
            } else if is("status_code") {
                header.code = map.next_value::<Option<i32>>()?.unwrap_or_default();
            } else if is("status") {
                header.status = text(&mut map)?;
            } else if is("features") {
                // Not of the specification: whatever else somebody writes there says nothing.
                header.features =
                    Features::new(u32::try_from(map.next_value::<Said>()?.number()).unwrap_or_default());
            } else if is("timeout_ms") {
                header.timeout_ms = u32::try_from(map.next_value::<Said>()?.number()).unwrap_or(u32::MAX);
            } else if is("traceparent") {
                if let Said::Trace(trace) = map.next_value()? {
                    header.trace = Some(Box::new(trace));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Fields(header))
    }
}

fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Cow<'de, str>, A::Error> {
    Ok(map.next_value::<Option<Text<'de>>>()?.map_or(Cow::Borrowed(""), |text| text.0))
}

/// A string, borrowed where nothing in it was escaped.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(IdVisitor)? {
            PacketId::Text(text) => Ok(Text(text)),
            PacketId::Sequence(_) => Err(de::Error::custom("a number stands where a string is expected")),
        }
    }
}

/// An id, as a number or as a string.
struct Id<'a>(PacketId<'a>);

impl<'de> Deserialize<'de> for Id<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor).map(Id)
    }
}

/// What stands where the specification has nothing: whatever else somebody writes there says nothing, and nothing of it is
/// kept.
enum Said {
    Number(u64),
    Trace(TraceParent),
    Nothing,
}

impl Said {
    fn number(&self) -> u64 {
        if let Said::Number(number) = self { *number } else { 0 }
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SaidVisitor)
    }
}

struct SaidVisitor;

impl<'de> Visitor<'de> for SaidVisitor {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Said, E> {
        Ok(Said::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Said, E> {
        Ok(Said::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Said, E> {
        Ok(Said::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Said, E> {
        Ok(Said::Nothing)
    }

    fn visit_str<E>(self, text: &str) -> Result<Said, E> {
        Ok(text.parse().map_or(Said::Nothing, Said::Trace))
    }

    fn visit_unit<E>(self) -> Result<Said, E> {
        Ok(Said::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Said, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Said::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Said::Nothing)
    }
}

struct IdVisitor;

impl<'de> Visitor<'de> for IdVisitor {
    type Value = PacketId<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or a whole number for an id")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(PacketId::Sequence(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(PacketId::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(PacketId::Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests;
