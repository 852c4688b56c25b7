//! Status of a reply: a code and a text, as they travel in the header.

use std::borrow::Cow;
use std::fmt;

/// Number that tells how a pull ended.
///
/// The named constants are those of the wire format; any other number is kept as it is, so services may use
/// numbers of their own (the original's convention is to start at 1000).
///
/// # Examples
///
/// ```
/// use teleport::Code;
///
/// assert_eq!(Code::NOT_FOUND.number(), 404);
/// assert_eq!(Code::from(404), Code::NOT_FOUND);
/// assert_eq!(Code::NOT_FOUND, 404);
/// assert_eq!(Code::NOT_FOUND.text(), Some("Not Found"));
/// assert_eq!(Code::from(1000).text(), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(i32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Code = Code($number);)*

            /// The text that the wire format gives to this number, if it knows it.
            #[must_use]
            pub const fn text(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }

        impl fmt::Debug for Code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($number => f.write_str(stringify!($name)),)*
                    other => write!(f, "Code({other})"),
                }
            }
        }
    };
}

codes! {
    /// The packet could not be written to the connection.
    WRITE_FAILED = 100 "Write Failed";
    /// The connection closed before the reply came.
    CONNECTION_CLOSED = 101 "Connection Closed";
    /// Success.
    OK = 200 "OK";
    /// The uri or the body could not be read.
    BAD_REQUEST = 400 "Bad Request";
    /// The caller has not proved who it is.
    UNAUTHORIZED = 401 "Unauthorized";
    /// No handler is registered at the uri.
    NOT_FOUND = 404 "Not Found";
    /// The type of the packet is neither pull, reply nor push.
    UNSUPPORTED_TYPE = 410 "Unsupported transaction type";
    /// The body is larger than the receiver accepts. Not a number of the original's.
    TOO_LARGE = 413 "Payload Too Large";
    /// The body's codec is not one that the handler reads.
    UNSUPPORTED_CODEC = 415 "Unsupported codec type";
    /// A plugin refused the packet.
    FAILED_PLUGIN = 424 "Failed Plugin";
    /// The handler failed in a way that it did not foresee.
    INTERNAL = 500 "Internal Server Error";
    /// The handler exists but does nothing yet.
    NOT_IMPLEMENTED = 501 "Not Implemented";
    /// A peer further on failed.
    BAD_GATEWAY = 502 "Bad Gateway";
    /// The peer can't take the call now.
    UNAVAILABLE = 503 "Service Unavailable";
    /// A peer further on did not answer in time.
    GATEWAY_TIMEOUT = 504 "Gateway Timeout";
    /// As in HTTP.
    VARIANT_ALSO_NEGOTIATES = 506 "Variant Also Negotiates";
    /// As in HTTP.
    INSUFFICIENT_STORAGE = 507 "Insufficient Storage";
    /// As in HTTP.
    LOOP_DETECTED = 508 "Loop Detected";
    /// As in HTTP.
    NOT_EXTENDED = 510 "Not Extended";
    /// As in HTTP.
    NETWORK_AUTHENTICATION_REQUIRED = 511 "Network Authentication Required";
}

impl Code {
    /// The number as it travels.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Whether this is [`Code::OK`].
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == Self::OK.0
    }
}

impl From<i32> for Code {
    fn from(number: i32) -> Self {
        Code(number)
    }
}

impl From<Code> for i32 {
    fn from(code: Code) -> Self {
        code.0
    }
}

impl PartialEq<i32> for Code {
    fn eq(&self, number: &i32) -> bool {
        self.0 == *number
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How a pull ended: a [`Code`] and a text for people.
///
/// A handler returns one as the error of its `Result`; the caller finds it in
/// [`Error::status`](crate::Error::status).
///
/// # Examples
///
/// ```
/// use teleport::{Code, Status};
///
/// fn divide(a: i64, b: i64) -> Result<i64, Status> {
///     a.checked_div(b).ok_or_else(|| Status::new(1000, "division by zero"))
/// }
///
/// assert_eq!(divide(1, 0), Err(Status::new(1000, "division by zero")));
/// assert_eq!(Status::from(Code::NOT_FOUND).to_string(), "404 Not Found");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    code: Code,
    text: Cow<'static, str>,
}

impl Status {
    /// A status of any number and text.
    pub fn new(code: impl Into<Code>, text: impl Into<Cow<'static, str>>) -> Self {
        Status { code: code.into(), text: text.into() }
    }

    /// 200 `OK`: what a reply carries when its handler succeeded.
    #[must_use]
    pub const fn ok() -> Self {
        Status { code: Code::OK, text: Cow::Borrowed("OK") }
    }

    /// 400 with this text: the caller sent what can't be used.
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BAD_REQUEST, text)
    }

    /// 401 with this text: the caller has to prove who it is.
    pub fn unauthorized(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::UNAUTHORIZED, text)
    }

    /// 404 with this text.
    pub fn not_found(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NOT_FOUND, text)
    }

    /// 424 with this text: what a plugin refuses with.
    pub fn failed_plugin(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::FAILED_PLUGIN, text)
    }

    /// 500 with this text.
    pub fn internal(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::INTERNAL, text)
    }

    /// 503 with this text: the caller may try again later.
    pub fn unavailable(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::UNAVAILABLE, text)
    }

    /// The number.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The text for people.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            return write!(f, "{}", self.code);
        }
        write!(f, "{} {}", self.code, self.text)
    }
}

impl std::error::Error for Status {}

impl From<Code> for Status {
    fn from(code: Code) -> Self {
        Status { code, text: Cow::Borrowed(code.text().unwrap_or_default()) }
    }
}
