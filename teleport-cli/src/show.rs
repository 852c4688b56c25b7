//! Bodies and texts of other peers, for people.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::io::Write as _;

use serde_json::Value;
use teleport::gzip::{self, GzipError};
use teleport::{Code, Codec, Json, Plain};

use crate::options::body::CODECS;
use crate::paint::Paint;

/// Bytes in a line of a dump.
const LINE: usize = 16;

/// Text without what a terminal would obey.
pub(crate) fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_dangerous(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// JSON without what a terminal would obey: still JSON, and of the same value.
pub(crate) fn safe_json(json: &impl Display) -> String {
    let json = json.to_string();
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        // All of them are of four digits, and stand in strings only.
        if is_dangerous(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Writes a line to standard error. Where nobody reads that any more, what the program is there for goes on.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Control characters, ends of lines, and what turns the direction of writing.
fn is_dangerous(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A codec as people know it.
pub(crate) fn codec(id: u8) -> String {
    match CODECS.iter().find(|(_, known)| *known == id) {
        Some((name, _)) => (*name).to_owned(),
        None if id == 0 => "none".into(),
        None => format!("codec {id}"),
    }
}

/// A body over as many lines as it takes: JSON in colours, plain text, and anything else in hexadecimal digits.
pub(crate) fn body(id: u8, payload: &[u8], paint: Paint) -> String {
    let Ok(text) = std::str::from_utf8(payload) else { return hex(payload, paint) };
    match json_text(id, text) {
        _ if text.is_empty() => String::new(),
        Some(value) => pretty(&value, paint) + "\n",
        None if matches!(id, 0 | Json::ID | Plain::ID) => {
            text.lines().map(|line| safe(line) + "\n").collect()
        }
        None => hex(payload, paint),
    }
}

/// A body as a value of JSON, for programs: JSON as it is, text as a string; `None` for what is neither.
pub(crate) fn json(id: u8, payload: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(payload).ok()?;
    json_text(id, text).or_else(|| (id == Plain::ID).then(|| text.into()))
}

/// As [`json`], in one line.
pub(crate) fn line(id: u8, payload: &[u8]) -> Option<String> {
    json(id, payload).map(|body| safe_json(&body))
}

/// Puts a body into a line for programs: as `body`, or as `hex` where it is neither JSON nor text.
pub(crate) fn put_body(line: &mut Value, id: u8, payload: &[u8]) {
    match json(id, payload) {
        Some(body) => line["body"] = body,
        None => line["hex"] = digits(payload).into(),
    }
}

fn json_text(id: u8, text: &str) -> Option<Value> {
    if matches!(id, 0 | Json::ID) { serde_json::from_str(text).ok() } else { None }
}

/// The body as it was before it was compressed, where that is no more than `most` bytes.
pub(crate) fn inflated(level: i32, payload: &[u8], most: usize) -> Result<Cow<'_, [u8]>, GzipError> {
    if level == 0 || payload.is_empty() {
        return Ok(payload.into());
    }
    let mut body = Vec::new();
    gzip::inflate(payload, most, &mut body)?;
    Ok(body.into())
}

/// Lines that belong to the one before them.
pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// The status of a reply.
pub(crate) fn status(code: i32, text: &str, paint: Paint) -> String {
    let told = format!("{code} {}", safe(text));
    if code == Code::OK.number() { paint.good(told).to_string() } else { paint.bad(told).to_string() }
}

/// Two hexadecimal digits for each byte.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// The level of a compressed body, to be put behind its size.
pub(crate) fn in_gzip(level: i32) -> String {
    if level == 0 { String::new() } else { format!(" in gzip {level}") }
}

/// Offsets, bytes and letters.
pub(crate) fn hex(bytes: &[u8], paint: Paint) -> String {
    let mut dump = String::new();
    for (at, line) in bytes.chunks(LINE).enumerate() {
        let digits: String = line.iter().map(|byte| format!(" {byte:02x}")).collect();
        let letter = |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' };
        let letters: String = line.iter().map(letter).collect();
        let offset = paint.faint(format!("{:06x}", at * LINE));
        let _ = writeln!(dump, "{offset} {digits:<width$}  {}", paint.faint(letters), width = 3 * LINE);
    }
    dump
}

/// JSON over several lines, its names and values in colours.
fn pretty(value: &Value, paint: Paint) -> String {
    let mut text = String::new();
    write_pretty(&mut text, value, 0, paint);
    text
}

fn write_pretty(text: &mut String, value: &Value, depth: usize, paint: Paint) {
    let indent = |text: &mut String, depth: usize| text.extend(std::iter::repeat_n("  ", depth));
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push_str("[\n");
            for (at, item) in items.iter().enumerate() {
                indent(text, depth + 1);
                write_pretty(text, item, depth + 1, paint);
                text.push_str(if at + 1 < items.len() { ",\n" } else { "\n" });
            }
            indent(text, depth);
            text.push(']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            text.push_str("{\n");
            for (at, (name, field)) in fields.iter().enumerate() {
                indent(text, depth + 1);
                let _ = write!(text, "{}: ", paint.name(safe_json(&Value::from(name.as_str()))));
                write_pretty(text, field, depth + 1, paint);
                text.push_str(if at + 1 < fields.len() { ",\n" } else { "\n" });
            }
            indent(text, depth);
            text.push('}');
        }
        Value::String(_) => {
            let _ = write!(text, "{}", paint.good(safe_json(value)));
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Colour;
    use crate::paint::Paints;

    fn plain() -> Paint {
        Paints::new(Colour::Never).out
    }

    #[test]
    fn a_body_is_shown_as_what_it_is() {
        assert_eq!(
            body(Json::ID, br#"{"a":[1,"x"],"b":{}}"#, plain()),
            "{\n  \"a\": [\n    1,\n    \"x\"\n  ],\n  \"b\": {}\n}\n"
        );
        assert_eq!(body(Plain::ID, b"one\n\x1b[31mtwo", plain()), "one\n\\u{1b}[31mtwo\n");
        assert_eq!(body(b'b', b"\x01A", plain()), format!("000000  01 41{}  .A\n", " ".repeat(3 * LINE - 6)));
        assert_eq!(body(Json::ID, b"", plain()), "");
        assert!(body(Json::ID, b"\xff", plain()).starts_with("000000  ff"), "no text, whatever it says");
    }

    #[test]
    fn a_terminal_has_nothing_to_obey() {
        // What begins a command in one byte, what turns the direction, what ends a line.
        let text = "a\u{9b}31m\u{202e}b\u{2028}c";
        assert_eq!(safe(text), r"a\u{9b}31m\u{202e}b\u{2028}c");
        let json = serde_json::json!({ text: text }).to_string();
        let escaped = r#""a\u009b31m\u202eb\u2028c""#;
        assert_eq!(body(Json::ID, json.as_bytes(), plain()), format!("{{\n  {escaped}: {escaped}\n}}\n"));
        assert_eq!(line(Json::ID, json.as_bytes()), Some(format!("{{{escaped}:{escaped}}}")));
        assert_eq!(line(Plain::ID, text.as_bytes()).as_deref(), Some(escaped));
    }

    #[test]
    fn a_line_is_json() {
        assert_eq!(line(Json::ID, b"{ \"a\" : 1 }"), Some(r#"{"a":1}"#.into()));
        assert_eq!(line(Plain::ID, b"a\n"), Some(r#""a\n""#.into()));
        assert_eq!(line(b'b', b"a"), None);
    }
}
