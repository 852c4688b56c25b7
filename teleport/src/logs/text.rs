//! What a peer sent, as text that is safe in a log: bounded, and on one line.

use std::borrow::Cow;
use std::fmt::Write;

use crate::codec::{Bincode, Codec, Json, Plain, Protobuf};

/// Bytes of a uri, an id or an error that are shown.
pub(super) const MOST: usize = 1024;

/// What is kept of a body until its event is written.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) codec: u8,
    /// It is shown as it travels, and that is compressed.
    pub(super) compressed: bool,
    pub(super) bytes: Vec<u8>,
    /// Bytes that were left away.
    pub(super) more: usize,
}

impl Sample {
    pub(super) fn new(codec: u8, compressed: bool, payload: &[u8], most: usize) -> Self {
        let kept = &payload[..payload.len().min(most)];
        Sample { codec, compressed, bytes: kept.to_vec(), more: payload.len() - kept.len() }
    }

    /// The body as JSON: one of JSON as it is, a text as a string, others as an object with their bytes in hex.
    pub(super) fn text(&self) -> String {
        let mut text = match self.codec {
            Json::ID if !self.compressed => one_line(&self.lossy()),
            Plain::ID if !self.compressed => {
                let quoted = serde_json::to_string(&*self.lossy()).unwrap_or_default();
                escaped(&quoted, usize::MAX).into_owned()
            }
            _ => self.hex(),
        };
        if self.more > 0 {
            // Writing to a string does not fail.
            let _ = write!(text, " … and {} bytes more", self.more);
        }
        text
    }

    /// Without the half of a character that may stand at the end where the body was cut.
    fn lossy(&self) -> Cow<'_, str> {
        let bytes = match std::str::from_utf8(&self.bytes) {
            Err(error) if self.more > 0 && error.error_len().is_none() => &self.bytes[..error.valid_up_to()],
            _ => &self.bytes,
        };
        String::from_utf8_lossy(bytes)
    }

    fn hex(&self) -> String {
        let name = match self.codec {
            Json::ID => Json::NAME.into(),
            Plain::ID => Plain::NAME.into(),
            Bincode::ID => Bincode::NAME.into(),
            Protobuf::ID => Protobuf::NAME.into(),
            other if other.is_ascii_alphanumeric() => char::from(other).to_string(),
            other => other.to_string(),
        };
        let gzip = if self.compressed { ",\"gzip\":true" } else { "" };
        let mut text = format!("{{\"codec\":\"{name}\"{gzip},\"hex\":\"");
        for byte in &self.bytes {
            let _ = write!(text, "{byte:02x}");
        }
        text.push_str("\"}");
        text
    }
}

/// JSON on one line: where it is JSON, characters that end lines stand between its values only.
fn one_line(json: &str) -> String {
    let spaced: String =
        json.chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c }).collect();
    escaped(&spaced, usize::MAX).into_owned()
}

/// The first `most` bytes, with what could pretend to be another line, or hide what stands there, as `\u000a`.
pub(super) fn escaped(text: &str, most: usize) -> Cow<'_, str> {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = &text[..end];
    if kept.len() == text.len() && !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(kept.len() + 16);
    for c in kept.chars() {
        if is_dangerous(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    if kept.len() < text.len() {
        let _ = write!(safe, "… and {} bytes more", text.len() - kept.len());
    }
    Cow::Owned(safe)
}

/// Control characters, ends of lines, and what turns the direction of writing.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
