//! The one error type of the public face.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::codec::{AnyError, CodecError};
use crate::status::{Code, Status};
use crate::wire::WireError;

/// Result with Teleport's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call, a push, a dial or a registration failed.
///
/// What went wrong is asked with the `is_*` questions; [`delivery`](Self::delivery) tells whether the call may
/// have run on the other side, and [`initiator`](Self::initiator) who began it. The text names the uri and the
/// peer's address where they are known.
///
/// # Examples
///
/// ```
/// # async fn f(session: teleport::Session) -> teleport::Result<()> {
/// match session.pull("/account/close").await {
///     Ok(reply) => println!("closed: {}", reply.decode::<bool>()?),
///     Err(error) if error.is_timeout() && error.may_have_run() => println!("no answer: ask before trying again"),
///     Err(error) => match error.status() {
///         Some(status) => println!("refused with {}: {}", status.code(), status.text()),
///         None => println!("{error}"),
///     },
/// }
/// # Ok(())
/// # }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    delivery: Option<Delivery>,
    uri: Option<Box<str>>,
    peer: Option<Box<str>>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// The other side answered with a status other than OK.
    Status(Status),
    /// A plugin of this side refused it.
    Refused(Refusal),
    /// No reply within the time given.
    Timeout(Duration),
    /// A bound on what is in flight held the call back until its time was up.
    NoRoom { after: Duration, pulls: u32, bytes: u32 },
    /// The session is closed, or closed before the reply came.
    Closed(Closed),
    /// The session has no connection, and dials for another: the call was not to wait for that, or waited so long.
    Down { closed: Closed, after: Option<Duration> },
    /// The session has no connection, and as many calls wait for the next one as may.
    Crowded { closed: Closed, most: u32 },
    /// A bound of this side is reached.
    Limit(Cow<'static, str>),
    /// A value could not be written by its codec.
    Encode(Cow<'static, str>),
    /// A reply could not be read.
    Decode(Cow<'static, str>),
    /// Bytes that are no packet, or a packet that can't be written.
    Wire(WireError),
    /// The operating system's answer.
    Io(std::io::Error, Cow<'static, str>),
    /// Two sides did not come to speak TLS.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nothing else makes one"))]
    Tls(Cow<'static, str>),
    /// An address, a uri or a setting that can't be used.
    Config(Cow<'static, str>),
    /// Two handlers claim one uri, or two sessions one id.
    Conflict(Cow<'static, str>),
    /// A service registry, or every instance of a service in it, can't be reached.
    Unavailable(Cow<'static, str>),
}

/// Why a session closed.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) initiator: Initiator,
    pub(crate) reason: Cow<'static, str>,
}

/// What a plugin refused with.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The plugin's name.
    pub(crate) plugin: Box<str>,
    pub(crate) status: Status,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::new(Kind::Refused(refusal))
    }
}

/// Who began what ended in an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Initiator {
    /// The program that uses Teleport: a wrong argument, a call on a session that it closed.
    User,
    /// Teleport or the machine below it: a limit, a timeout, the operating system.
    Library,
    /// The other side of the session.
    Remote,
}

/// How far a call came before its [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It has not run: nothing of it left this process, or the other side was closing and told that it did not take it.
    /// To try again is worth it after a timeout, and over a new session where [`Error::is_closed`]; what can't be encoded,
    /// is no uri or is over a limit of this side will not be sent the next time either.
    NotSent,
    /// It was handed to the connection and no reply came: it may have run.
    Unanswered,
    /// A reply came: it ran, or was refused, on the other side. Teleport itself answers before a handler begins with
    /// 400 (a uri or body that can't be read), 404, 413 (too large), 415 (a codec that is not known) and, where too much
    /// waits, 503; with 500 where the handler panicked or its reply could not be written.
    Answered,
}

impl Error {
    /// The status that the other side answered with, or that a plugin of this side refused with, where that is the error.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match &self.0.kind {
            Kind::Status(status) => Some(status),
            Kind::Refused(refusal) => Some(&refusal.status),
            _ => None,
        }
    }

    /// The code of that status.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.status().map(Status::code)
    }

    /// Whether the other side answered with a status other than OK.
    #[must_use]
    pub fn is_status(&self) -> bool {
        matches!(self.0.kind, Kind::Status(_))
    }

    /// Whether a plugin of this side refused it; the text names the plugin.
    #[must_use]
    pub fn is_plugin(&self) -> bool {
        matches!(self.0.kind, Kind::Refused(_))
    }

    /// Whether no reply, or no connection, came within the time given.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::Timeout(_) | Kind::NoRoom { .. } | Kind::Down { after: Some(_), .. })
    }

    /// Whether the session was closed, or closed before the reply came.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0.kind, Kind::Closed(_))
    }

    /// Whether the session had no connection when the call was made, and none in time, and goes on dialing: see
    /// [`Redial`](crate::Redial). Where the call waited for one it [is a timeout](Self::is_timeout) too.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self.0.kind, Kind::Down { .. } | Kind::Crowded { .. })
    }

    /// Whether a bound is reached; the text names it and its setting.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        match &self.0.kind {
            Kind::Limit(_) | Kind::NoRoom { .. } | Kind::Crowded { .. } => true,
            Kind::Wire(error) => error.is_too_large(),
            _ => false,
        }
    }

    /// Whether an argument could not be written by its codec.
    #[must_use]
    pub fn is_encode(&self) -> bool {
        matches!(self.0.kind, Kind::Encode(_))
    }

    /// Whether a reply came that could not be read as the type asked for.
    #[must_use]
    pub fn is_decode(&self) -> bool {
        matches!(self.0.kind, Kind::Decode(_))
    }

    /// Whether the operating system refused: connecting, listening, reading, writing.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self.0.kind, Kind::Io(..))
    }

    /// Whether the TLS handshake failed: over a certificate, a name, a version, or because the other side speaks no TLS;
    /// the text says which and what to do. To try again helps only when somebody has changed something.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.0.kind, Kind::Tls(_))
    }

    /// Whether an address, a uri or a setting can't be used.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config(_))
    }

    /// Whether a uri or a session id is taken already; the text names both sides.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self.0.kind, Kind::Conflict(_))
    }

    /// Whether a service registry failed, or no instance of a service in it can be reached; the text names the
    /// instances and what each said.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.0.kind, Kind::Unavailable(_))
    }

    /// How far the call came; `None` where the error is not about a call.
    #[must_use]
    pub fn delivery(&self) -> Option<Delivery> {
        self.0.delivery
    }

    /// Whether the call may have run on the other side: false only where nothing of it was sent, or taken there.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        matches!(self.0.delivery, Some(Delivery::Unanswered | Delivery::Answered))
    }

    /// Who began it.
    #[must_use]
    pub fn initiator(&self) -> Initiator {
        match &self.0.kind {
            Kind::Status(_) | Kind::Decode(_) => Initiator::Remote,
            Kind::Closed(closed) | Kind::Down { closed, .. } => closed.initiator,
            Kind::Refused(_) | Kind::Encode(_) | Kind::Config(_) | Kind::Conflict(_) => Initiator::User,
            Kind::Timeout(_)
            | Kind::NoRoom { .. }
            | Kind::Crowded { .. }
            | Kind::Limit(_)
            | Kind::Wire(_)
            | Kind::Io(..)
            | Kind::Unavailable(_)
            | Kind::Tls(_) => Initiator::Library,
        }
    }

    /// What went wrong, without what the whole text tells beside it: how far the call came, its uri and the other side's
    /// address.
    #[must_use]
    pub fn reason(&self) -> String {
        self.0.kind.to_string()
    }

    /// The uri that was called, where it is known.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.0.uri.as_deref()
    }

    /// The other side's address, where it is known.
    #[must_use]
    pub fn peer_addr(&self) -> Option<&str> {
        self.0.peer.as_deref()
    }

    /// The operating system's error, where that is the cause.
    #[must_use]
    pub fn io_error(&self) -> Option<&std::io::Error> {
        match &self.0.kind {
            Kind::Io(error, _) => Some(error),
            _ => None,
        }
    }

    pub(crate) fn new(kind: Kind) -> Self {
        Error(Box::new(Inner { kind, delivery: None, uri: None, peer: None }))
    }

    pub(crate) fn closed_by_user(reason: &'static str) -> Self {
        Self::new(Kind::Closed(Closed { initiator: Initiator::User, reason: reason.into() }))
    }

    pub(crate) fn closed(closed: Closed) -> Self {
        Self::new(Kind::Closed(closed))
    }

    pub(crate) fn config(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Config(text.into()))
    }

    pub(crate) fn conflict(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict(text.into()))
    }

    pub(crate) fn unavailable(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unavailable(text.into()))
    }

    pub(crate) fn limit(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Limit(text.into()))
    }

    pub(crate) fn io(error: std::io::Error, doing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Io(error, doing.into()))
    }

    pub(crate) fn encode(error: &dyn fmt::Display) -> Self {
        Self::new(Kind::Encode(error.to_string().into()))
    }

    pub(crate) fn decode(error: &dyn fmt::Display) -> Self {
        Self::new(Kind::Decode(error.to_string().into()))
    }

    pub(crate) fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.0.delivery = Some(delivery);
        self
    }

    pub(crate) fn with_uri(mut self, uri: &str) -> Self {
        self.0.uri = Some(uri.into());
        self
    }

    pub(crate) fn with_peer(mut self, peer: &dyn fmt::Display) -> Self {
        self.0.peer = Some(peer.to_string().into());
        self
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Status(status) => write!(f, "status {status}"),
            Kind::Refused(Refusal { plugin, status }) => {
                write!(f, "the plugin {plugin} refused it: {status}")
            }
            Kind::Timeout(after) => write!(f, "no answer within {after:?}"),
            Kind::Closed(closed) => write!(f, "closed: {}", closed.reason),
            Kind::Down { closed, after: None } => {
                let reason = &closed.reason;
                write!(f, "down, and dialing again: {reason} (the setting `redial.while_down` is \"fail\")")
            }
            Kind::Down { closed, after: Some(after) } => {
                write!(f, "no connection within {after:?}; down, and dialing again: {}", closed.reason)
            }
            Kind::Crowded { closed, most } => write!(
                f,
                "the session is down, and {most} calls wait for its next connection already (setting \
                 `redial.max_waiting`); it dials again: {}",
                closed.reason
            ),
            Kind::NoRoom { after, pulls, bytes } => write!(
                f,
                "no room within {after:?}: {pulls} pulls wait for their reply (setting `limits.max_pulls_out`), or \
                 {bytes} bytes to be written (setting `limits.max_queued`)"
            ),
            Kind::Limit(text)
            | Kind::Config(text)
            | Kind::Conflict(text)
            | Kind::Unavailable(text)
            | Kind::Tls(text) => f.write_str(text),
            Kind::Encode(text) => write!(f, "the body could not be written: {text}"),
            Kind::Decode(text) => write!(f, "the reply could not be read: {text}"),
            Kind::Wire(error) => fmt::Display::fmt(error, f),
            Kind::Io(error, doing) => write!(f, "{doing}: {error}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.kind, f)?;
        match self.0.delivery {
            Some(Delivery::NotSent) => f.write_str("; it has not run")?,
            Some(Delivery::Unanswered) => f.write_str("; sent, and may have run")?,
            _ => {}
        }
        match (&self.0.uri, &self.0.peer) {
            (Some(uri), Some(peer)) => write!(f, " ({uri} at {peer})"),
            (Some(uri), None) => write!(f, " ({uri})"),
            (None, Some(peer)) => write!(f, " ({peer})"),
            (None, None) => Ok(()),
        }
    }
}

/// The text; `{:#?}` shows the parts. So a `main` or a test that ends with one tells what happened.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        let Inner { kind, delivery, uri, peer } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("delivery", delivery)
            .field("uri", uri)
            .field("peer", peer)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            Kind::Status(status) | Kind::Refused(Refusal { status, .. }) => Some(status),
            Kind::Wire(error) => Some(error),
            Kind::Io(error, _) => Some(error),
            _ => None,
        }
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Error::new(Kind::Wire(error))
    }
}

impl From<CodecError> for Error {
    fn from(error: CodecError) -> Self {
        Error::encode(&error)
    }
}

impl From<AnyError> for Error {
    fn from(error: AnyError) -> Self {
        Error::encode(&error)
    }
}

/// What a handler answers when a call that it made itself failed: the status that it got, passed on; otherwise
/// 504 for a timeout, 502 for a closed session or a broken reply, 503 where no instance can be reached, 409 for an id that is
/// taken, without telling who has it, and 500.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = match error.0.kind {
            Kind::Status(status) | Kind::Refused(Refusal { status, .. }) => return status,
            Kind::Timeout(_) | Kind::NoRoom { .. } | Kind::Down { after: Some(_), .. } => {
                Code::GATEWAY_TIMEOUT
            }
            Kind::Closed(_) | Kind::Io(..) | Kind::Tls(_) | Kind::Decode(_) => Code::BAD_GATEWAY,
            Kind::Unavailable(_) | Kind::Down { after: None, .. } | Kind::Crowded { .. } => Code::UNAVAILABLE,
            Kind::Conflict(_) => return Status::new(Code::from(409), error.reason()),
            _ => Code::INTERNAL,
        };
        Status::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_where_and_how_far() {
        let error = Error::new(Kind::Timeout(Duration::from_millis(200)))
            .with_delivery(Delivery::Unanswered)
            .with_uri("/a/b")
            .with_peer(&"tcp://127.0.0.1:1");
        assert_eq!(
            error.to_string(),
            "no answer within 200ms; sent, and may have run (/a/b at tcp://127.0.0.1:1)"
        );
        assert_eq!(format!("{error:?}"), error.to_string());
        assert!(format!("{error:#?}").contains("delivery: Some("));
        assert!(error.is_timeout() && error.may_have_run());
        assert_eq!(error.initiator(), Initiator::Library);
    }

    #[test]
    fn an_error_becomes_the_status_that_a_gateway_would_answer() {
        let code = |kind| Status::from(Error::new(kind)).code();
        assert_eq!(code(Kind::Status(Status::new(1000, "x"))), Code::from(1000));
        assert_eq!(code(Kind::Timeout(Duration::ZERO)), Code::GATEWAY_TIMEOUT);
        let closed = Closed { initiator: Initiator::Remote, reason: "gone".into() };
        assert_eq!(code(Kind::Closed(closed)), Code::BAD_GATEWAY);
        assert_eq!(code(Kind::Limit("full".into())), Code::INTERNAL);
    }
}
