//! Why a value could not be written or read.

use std::fmt;

/// A value that a codec could not write, or bytes that it could not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError {
    codec: &'static str,
    problem: Box<str>,
}

impl CodecError {
    /// An error of the codec of this name; for codecs of the user's own.
    #[cold]
    pub fn new(codec: &'static str, problem: impl fmt::Display) -> Self {
        CodecError { codec, problem: problem.to_string().into() }
    }

    /// Name of the codec.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        self.codec
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.codec, self.problem)
    }
}

impl std::error::Error for CodecError {}

/// Why a body could not be written or read with one of several codecs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnyError {
    /// The body is in a codec that is not among those.
    Unsupported {
        /// The id that the body came with.
        id: u8,
        /// Names of the codecs that could be read.
        supported: &'static [&'static str],
    },
    /// The codec failed.
    Codec(CodecError),
}

impl From<CodecError> for AnyError {
    fn from(error: CodecError) -> Self {
        AnyError::Codec(error)
    }
}

impl fmt::Display for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnyError::Unsupported { id, supported } => {
                let id = char::from(*id);
                write!(
                    f,
                    "the body codec {id:?} ({}) is not supported here; supported are {}",
                    u32::from(id),
                    supported.join(", ")
                )
            }
            AnyError::Codec(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for AnyError {}
