//! Settings of a session, in groups; each default is a bound, never "none".

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::DecodeLimits;
use crate::logs::Logs;
use crate::units;
use crate::wire::{self, Features, HeaderCodecs, IdFormat, Kind};

/// Bounds on what one session takes from its peer and holds for it.
///
/// Past a bound on sizes the packet is refused with an error that names the bound. Past a bound on numbers the
/// session waits: calls wait for room, and the reader stops reading, so that the transport pushes back. Pulls of the other
/// side may be refused instead, by [`overload`](Self::overload).
///
/// # Examples
///
/// ```
/// use teleport::{Limits, Peer};
///
/// let limits = Limits::default().with_max_body(1024 * 1024).with_max_pulls_in(100);
/// let peer = Peer::builder().limits(limits).build()?;
/// # Ok::<(), teleport::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a header with its codec id. Default: 64 KiB. A larger one closes the session: what follows can't
    /// be trusted to be a packet.
    #[serde(with = "units::size")]
    pub max_header: u32,
    /// Bytes of a body with its codec id, as it travels. Default: 16 MiB. A pull with a larger one is answered
    /// with 413; its bytes are skipped.
    #[serde(with = "units::size")]
    pub max_body: u32,
    /// Bytes of a uri. Default: 8 KiB. A pull with a longer one is answered with 400.
    #[serde(with = "units::size")]
    pub max_uri: u32,
    /// Bytes of a body after gzip is undone. Default: 64 MiB.
    #[serde(with = "units::size")]
    pub max_inflated: u32,
    /// How deep the values of a body may be nested, options, newtypes and enums included. Default: 128. JSON accepts no
    /// more than 127 and Protobuf exactly 100, whatever stands here.
    pub max_depth: u32,
    /// Pulls of this side that wait for their reply at once. Default: 65 536. A further call waits for room.
    pub max_pulls_out: u32,
    /// Handlers of this session that run in tasks of their own at once. Default: 4 096. Past it pulls and pushes wait
    /// in line, [`max_queued`](Self::max_queued) bytes of them. Past that the session stops reading; but where it waits for
    /// replies itself, it reads on, answers further pulls with 503 and drops further pushes.
    pub max_pulls_in: u32,
    /// Bytes that these handlers hold: their packets, inflated, with the room of their buffers, and copies of the headers.
    /// Default: 256 MiB. Past it as with [`max_pulls_in`](Self::max_pulls_in); one packet may go over it. What a handler
    /// decodes and answers comes on top.
    #[serde(with = "units::size")]
    pub max_held: u32,
    /// What becomes of a pull that comes while as many handlers run as may, or hold as much. Default: it waits.
    pub overload: Overload,
    /// Bytes that wait to be written. Default: 4 MiB. Past it calls wait for room; where they are replies, pulls and
    /// pushes of the other side wait in line as with [`max_pulls_in`](Self::max_pulls_in). One packet may go over it.
    #[serde(with = "units::size")]
    pub max_queued: u32,
    /// Sessions of one peer, dialed and accepted. Default: 65 536. A further connection is closed at once.
    pub max_sessions: u32,
    /// TLS handshakes under way at each listener. Default: 512. For a further one the oldest is given up, so that those
    /// who connect and say nothing hold nobody back.
    pub max_handshakes: u32,
    /// Bytes per second with which a packet has to come, once it has taken [`Timeouts::read`]. Default: 256 B. A packet has that
    /// time and a second more for each so many of its bytes that have come; the session is cut off then. Without this bound a
    /// peer that sends a byte now and then would keep a packet open for ever. For none set [`Timeouts::read`] to `None`.
    /// Time in which this side does not read is not counted.
    #[serde(with = "units::size")]
    pub min_rate: u32,
}

/// What becomes of a pull that comes while as many handlers run as [`Limits`] allow.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use teleport::{Code, Limits, Overload, Peer};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let limits = Limits::default().with_max_pulls_in(1).with_overload(Overload::Refuse);
/// let server = Peer::builder().pull("/wait", |_, ()| std::future::pending::<Result<(), teleport::Status>>())?;
/// let server = server.limits(limits).build()?;
///
/// let session = Peer::builder().build()?.connect(&server).await?;
/// let first = session.pull("/wait").timeout(Duration::from_millis(50));
/// let (first, second) = tokio::join!(first, session.pull("/wait"));
/// assert!(first.unwrap_err().is_timeout());
/// assert_eq!(second.unwrap_err().code(), Some(Code::UNAVAILABLE));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Overload {
    /// It waits in line for its turn, and is answered late. When the line is full nothing more is read, so that the
    /// transport holds the other side back. One whose time is up meanwhile is not run.
    ///
    /// All begin in the order in which they came, as long as that serves them. Where the oldest of those that brought a time
    /// of their own (see [`Context::deadline`](crate::Context::deadline)) has waited for a quarter of it, the newest of
    /// them goes first: it has time left to be served, and who would begin with the oldest would serve each of them just too
    /// late. If the line is full as well, the oldest is answered with 503. Pushes, and pulls without such a time, keep their
    /// order and their turns.
    #[default]
    Wait,
    /// It is answered with 503 at once, and not run, so that its caller can go elsewhere. Pushes, whose senders would not be
    /// told, wait in line all the same, and so does what waits for other reasons: for replies to be written, or for the
    /// session to open.
    Refuse,
}

impl Default for Limits {
    fn default() -> Self {
        let (wire, decode) = (wire::Limits::default(), DecodeLimits::default());
        Limits {
            max_header: wire.max_header,
            max_body: wire.max_body,
            max_uri: wire.max_uri,
            max_inflated: decode.max_inflated,
            max_depth: decode.max_depth,
            max_pulls_out: 65_536,
            max_pulls_in: 4096,
            max_held: 256 * 1024 * 1024,
            overload: Overload::Wait,
            max_queued: 4 * 1024 * 1024,
            max_sessions: 65_536,
            max_handshakes: 512,
            min_rate: 256,
        }
    }
}

macro_rules! setters {
    ($($setter:ident $field:ident),* $(,)?) => {
        impl Limits {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $setter(mut self, value: u32) -> Self {
                    self.$field = value;
                    self
                }
            )*

            /// Each with its name.
            pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, u32)> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }
        }
    };
}

setters! {
    with_max_header max_header,
    with_max_body max_body,
    with_max_uri max_uri,
    with_max_inflated max_inflated,
    with_max_depth max_depth,
    with_max_pulls_out max_pulls_out,
    with_max_pulls_in max_pulls_in,
    with_max_held max_held,
    with_max_queued max_queued,
    with_max_sessions max_sessions,
    with_max_handshakes max_handshakes,
    with_min_rate min_rate,
}

impl Limits {
    /// Sets [`overload`](Self::overload).
    #[must_use]
    pub fn with_overload(mut self, overload: Overload) -> Self {
        self.overload = overload;
        self
    }
}

/// How long things may take.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use teleport::{Peer, Timeouts};
///
/// let timeouts = Timeouts::default().with_pull(Duration::from_secs(5));
/// let peer = Peer::builder().timeouts(timeouts).build()?;
/// # Ok::<(), teleport::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// From a call to its reply, for calls that say nothing else. Default: 30 s; `None` waits as long as the
    /// session lives.
    #[serde(with = "units::optional_duration")]
    pub pull: Option<Duration>,
    /// From a dial to an open session. Default: 10 s.
    #[serde(with = "units::duration")]
    pub dial: Duration,
    /// From an accepted connection to the end of its TLS handshake. Default: 10 s. It is closed then.
    #[serde(with = "units::duration")]
    pub handshake: Duration,
    /// From an accepted connection to an open session, where plugins have a say in it. Default: 10 s. A session that they
    /// have not let pass by then is closed.
    #[serde(with = "units::duration")]
    pub accept: Duration,
    /// From a close to the end of the calls in flight; what still runs then is cut off. Default: 5 s.
    #[serde(with = "units::duration")]
    pub close: Duration,
    /// From an accepted connection to the first packet on it. Default: 2 min; `None` waits for ever. A session over which
    /// neither side has said anything by then is closed. Where dialers only listen, let one side speak when the session
    /// opens, or set none.
    #[serde(with = "units::optional_duration")]
    pub first_packet: Option<Duration>,
    /// How long a packet that has begun to come may stand still, because its rest does not follow. Default: 30 s; `None`
    /// waits as long as the session lives. Every byte counts, so a large body may come slowly, within
    /// [`Limits::min_rate`]. The session is cut off then, as nothing else can come over it; one that [redials](crate::Redial) dials again. For how long there may be no packet
    /// at all is said by [`idle`](Self::idle).
    /// [`Session::set_read_timeout`](crate::Session::set_read_timeout) sets it for one session.
    #[serde(with = "units::optional_duration")]
    pub read: Option<Duration>,
    /// How long what waits to be written may stand still, because the other side does not read. Default: 30 s; `None`
    /// waits as long as the session lives. The session is cut off then, as nothing can be said to such a side; one that
    /// [redials](crate::Redial) dials again.
    /// [`Session::set_write_timeout`](crate::Session::set_write_timeout) sets it for one session.
    #[serde(with = "units::optional_duration")]
    pub write: Option<Duration>,
    /// How long nothing may be read or written while no call is in flight. Default: 1 h; `None` waits for ever. The session
    /// is closed then; one that [redials](crate::Redial) dials again. The plugin [`Heartbeat`](crate::plugins::Heartbeat) keeps it open, and finds out sooner whether the
    /// other side is there. [`Session::set_idle_timeout`](crate::Session::set_idle_timeout) sets it for one session.
    ///
    /// It is looked for this one and the three above, and [`Limits::min_rate`], now and then: each may take a quarter longer.
    #[serde(with = "units::optional_duration")]
    pub idle: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            pull: Some(Duration::from_secs(30)),
            dial: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            accept: Duration::from_secs(10),
            close: Duration::from_secs(5),
            first_packet: Some(Duration::from_secs(120)),
            read: Some(Duration::from_secs(30)),
            write: Some(Duration::from_secs(30)),
            idle: Some(Duration::from_secs(3600)),
        }
    }
}

impl Timeouts {
    /// Sets [`pull`](Self::pull).
    #[must_use]
    pub fn with_pull(mut self, pull: impl Into<Option<Duration>>) -> Self {
        self.pull = pull.into();
        self
    }

    /// Sets [`dial`](Self::dial).
    #[must_use]
    pub fn with_dial(mut self, dial: Duration) -> Self {
        self.dial = dial;
        self
    }

    /// Sets [`handshake`](Self::handshake).
    #[must_use]
    pub fn with_handshake(mut self, handshake: Duration) -> Self {
        self.handshake = handshake;
        self
    }

    /// Sets [`accept`](Self::accept).
    #[must_use]
    pub fn with_accept(mut self, accept: Duration) -> Self {
        self.accept = accept;
        self
    }

    /// Sets [`close`](Self::close).
    #[must_use]
    pub fn with_close(mut self, close: Duration) -> Self {
        self.close = close;
        self
    }

    /// Sets [`first_packet`](Self::first_packet).
    #[must_use]
    pub fn with_first_packet(mut self, first_packet: impl Into<Option<Duration>>) -> Self {
        self.first_packet = first_packet.into();
        self
    }

    /// Sets [`read`](Self::read).
    #[must_use]
    pub fn with_read(mut self, read: impl Into<Option<Duration>>) -> Self {
        self.read = read.into();
        self
    }

    /// Sets [`write`](Self::write).
    #[must_use]
    pub fn with_write(mut self, write: impl Into<Option<Duration>>) -> Self {
        self.write = write.into();
        self
    }

    /// Sets [`idle`](Self::idle).
    #[must_use]
    pub fn with_idle(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.idle = idle.into();
        self
    }
}

/// Everything a session is told when it starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) wire: wire::Limits,
    pub(crate) decode: DecodeLimits,
    pub(crate) headers: Headers,
    pub(crate) logs: Arc<Logs>,
}

/// How headers are written and read.
#[derive(Clone, Debug)]
pub(crate) struct Headers {
    /// Codec of the headers of pulls and pushes; replies mirror their pull.
    pub(crate) codec: u8,
    pub(crate) codecs: HeaderCodecs,
    pub(crate) id_format: IdFormat,
    /// The type that pushes are written as.
    pub(crate) push: Kind,
    /// What this side announces that it understands.
    pub(crate) features: Features,
}

impl Default for Headers {
    fn default() -> Self {
        Headers {
            codec: b'p',
            codecs: HeaderCodecs::default(),
            id_format: IdFormat::default(),
            push: Kind::PUSH,
            features: Features::ALL,
        }
    }
}

impl Settings {
    pub(crate) fn new(limits: Limits, timeouts: Timeouts, headers: Headers, logs: Logs) -> Self {
        let wire = wire::Limits::default()
            .with_max_header(limits.max_header)
            .with_max_body(limits.max_body)
            .with_max_uri(limits.max_uri);
        let decode =
            DecodeLimits::default().with_max_inflated(limits.max_inflated).with_max_depth(limits.max_depth);
        Settings { limits, timeouts, wire, decode, headers, logs: Arc::new(logs) }
    }
}
