//! What the sides of a session show each other.

use std::fmt;
use std::hint::black_box;

use crate::plugin::EarlyCall;
use crate::{Code, Plain, Status};

/// A secret by which one side of a session shows who it is. Nothing prints it: its `Debug` tells that there is one.
///
/// # Examples
///
/// ```
/// use teleport::plugins::Token;
///
/// let token = Token::from("open sesame");
/// assert!(token.matches("open sesame") && !token.matches("open barley"));
/// assert_eq!(token.as_str(), Some("open sesame"));
/// assert_eq!(format!("{token:?}"), "Token(..)");
/// ```
#[derive(Clone, Default)]
pub struct Token(Vec<u8>);

impl Token {
    /// The bytes of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The token as a text, where it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether it is the one expected. How long that takes depends on the length of the token that came and on nothing
    /// else, so that nobody finds the secret byte by byte.
    #[must_use]
    pub fn matches(&self, expected: impl AsRef<[u8]>) -> bool {
        let expected = expected.as_ref();
        let mut differ = usize::from(self.0.len() != expected.len());
        for (at, byte) in self.0.iter().enumerate() {
            // Past the end of the one expected, anything will do: they differ already.
            let other = expected.get(at).copied().unwrap_or_default();
            differ = black_box(differ | usize::from(byte ^ other));
        }
        black_box(differ) == 0
    }

    /// The token in a pull: plain, JSON or bincode; none without a body. Nothing of it gets into an error.
    pub(super) fn read(call: &EarlyCall, most: u32) -> Result<Self, Status> {
        let token = match call.codec() {
            0 => Token::default(),
            id if id == <Plain as crate::Codec>::ID => Token(call.payload().to_vec()),
            _ => call.bind::<String>().map(Token::from).map_err(|error| {
                Status::new(error.code(), "the token is to be a text, in plain, JSON or bincode")
            })?,
        };
        if token.0.len() > most as usize {
            let text = format!(
                "a token of {} bytes is over the limit of {most} (setting `Auth::max_token`)",
                token.0.len()
            );
            return Err(Status::new(Code::TOO_LARGE, text));
        }
        Ok(token)
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Token(text.into())
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Token(text.into())
    }
}

impl From<Vec<u8>> for Token {
    fn from(bytes: Vec<u8>) -> Self {
        Token(bytes)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn only_the_same_bytes_match() {
        let token = Token::from("secret");
        assert!(token.matches("secret") && token.matches(b"secret"));
        for other in ["", "secre", "secrets", "Secret", "secreT", "tecres"] {
            assert!(!token.matches(other), "{other}");
            assert!(!Token::from(other).matches("secret"), "{other}");
        }
        assert!(Token::default().matches(""));
        assert!(!Token::from(vec![0]).matches(""), "a zero is not nothing");
        assert!(!Token::default().matches([0]));
        assert!(Token::from(vec![0xff, 0]).matches([0xff, 0]));
        assert_eq!(Token::from(vec![0xff]).as_str(), None);
    }
}
