//! What travels: the body of a call, and its codec.

use std::io::Read;
use std::str::FromStr;

use clap::Args;
use teleport::{Bincode, Codec, Json, Plain, Protobuf};

use crate::failure::{Failure, Outcome};

/// How a body that is typed, read from standard input or from a file becomes bytes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Body")]
pub(crate) struct BodyOptions {
    /// json, plain, protobuf, bincode, or the number of a codec.
    #[arg(short, long, value_name = "CODEC", default_value = "json")]
    pub(crate) codec: CodecId,
    /// The body is written in hexadecimal digits; spaces between them don't count.
    #[arg(long)]
    pub(crate) hex: bool,
    /// Compress the body: 1 (fast) to 9 (small).
    #[arg(short, long, value_name = "LEVEL", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(i32).range(0..=9))]
    pub(crate) gzip: i32,
}

/// A body codec by its id on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodecId(pub(crate) u8);

/// Those that have a name.
pub(crate) const CODECS: [(&str, u8); 4] = [
    (Json::NAME, Json::ID),
    (Plain::NAME, Plain::ID),
    (Protobuf::NAME, Protobuf::ID),
    (Bincode::NAME, Bincode::ID),
];

impl FromStr for CodecId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = CODECS.iter().find(|(name, _)| *name == text).map(|(_, id)| *id);
        named.or_else(|| text.parse().ok()).map(CodecId).ok_or_else(|| {
            let names = CODECS.map(|(name, _)| name).join(", ");
            format!("{text:?} is no codec; write {names}, or a number of 0 to 255")
        })
    }
}

/// Where a body comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// There is none.
    None,
    /// It stands there.
    Text(String),
    /// `-`
    Stdin,
    /// `@path`
    File(String),
}

impl Source {
    /// What was typed.
    pub(crate) fn new(typed: Option<&str>) -> Self {
        match typed {
            None => Source::None,
            Some("-") => Source::Stdin,
            Some(text) => match text.strip_prefix('@') {
                Some(path) => Source::File(path.to_owned()),
                None => Source::Text(text.to_owned()),
            },
        }
    }
}

impl BodyOptions {
    /// Whether bodies are typed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.codec.0 == Json::ID && !self.hex
    }

    /// The whole of it, ready to be sent; `None` where there is none.
    pub(crate) fn read(&self, source: &Source) -> Outcome<Option<Vec<u8>>> {
        let bytes = match source {
            Source::None => return Ok(None),
            Source::Text(text) => {
                if !self.hex && [Protobuf::ID, Bincode::ID].contains(&self.codec.0) {
                    return Err(Failure::usage(format_args!(
                        "a body in this codec can't be typed as text: add --hex and write {text:?} in hexadecimal digits, or \
                         give a file with its bytes as @FILE"
                    )));
                }
                text.clone().into_bytes()
            }
            Source::Stdin => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .read_to_end(&mut bytes)
                    .map_err(|error| Failure::other(format_args!("standard input can't be read: {error}")))?;
                bytes
            }
            Source::File(path) => std::fs::read(path)
                .map_err(|error| Failure::usage(format_args!("the file {path:?} can't be read: {error}")))?,
        };
        self.encode(bytes).map(Some)
    }

    /// Bytes as they were given to bytes as they travel.
    pub(crate) fn encode(&self, bytes: Vec<u8>) -> Outcome<Vec<u8>> {
        let bytes = if self.hex { unhex(&bytes)? } else { bytes };
        if self.codec.0 == Json::ID {
            serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|error| {
                Failure::usage(format_args!("the body is no JSON: {error}{}", json_hint(&bytes)))
            })?;
        }
        Ok(bytes)
    }
}

/// A word alone is what people type first.
fn json_hint(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text)
            if !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || " _-.,!?".contains(c)) =>
        {
            format!("; a text is written with quotes, as '\"{text}\"', or sent with --codec plain")
        }
        _ => String::new(),
    }
}

/// Hexadecimal digits to bytes.
pub(crate) fn unhex(text: &[u8]) -> Outcome<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()) {
        let digit = char::from(*byte).to_digit(16);
        let digit = digit.and_then(|digit| u8::try_from(digit).ok());
        digits.push(digit.ok_or_else(|| {
            Failure::usage(format_args!(
                "byte {at} of the body, {:?}, is no hexadecimal digit",
                char::from(*byte)
            ))
        })?);
    }
    if digits.len() % 2 == 1 {
        return Err(Failure::usage(format_args!(
            "the body has {} hexadecimal digits; every byte is two",
            digits.len()
        )));
    }
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_may_have_spaces() {
        assert_eq!(unhex(b"00 fF\n10").unwrap(), [0, 255, 16]);
        assert!(unhex(b"0").is_err() && unhex(b"0x").is_err());
    }

    #[test]
    fn codecs_go_by_name_or_number() {
        assert_eq!("json".parse(), Ok(CodecId(Json::ID)));
        assert_eq!("99".parse(), Ok(CodecId(99)));
        assert!("xml".parse::<CodecId>().unwrap_err().contains("json, plain, protobuf, bincode"));
    }
}
