//! One call, from its beginning to its event.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Level;
use tracing::field::debug;
use tracing::level_filters::LevelFilter;

use super::mark::Mark;
use super::options::{LogCalls, LogOptions};
use super::redact::{LogPart, Logged, Redact};
use super::text::{MOST, Sample, escaped};
use crate::error::Error;
use crate::socket::Address;
use crate::status::Status;
use crate::wire::{Header, HeaderCodec, JsonHeader, Kind, Packet, PacketId, TraceParent};

/// The target of the events.
const TARGET: &str = "teleport::calls";

/// What is logged of the calls of a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs {
    options: LogOptions,
    redact: Option<Redact>,
}

impl Logs {
    pub(crate) fn new(options: LogOptions, redact: Option<Redact>) -> Self {
        Logs { options, redact }
    }

    /// Whether somebody listens to events of calls. Where no subscriber asks for warnings it costs a load and a branch.
    #[inline]
    pub(crate) fn are_wanted(&self) -> bool {
        LevelFilter::current() >= Level::WARN && self.are_listened_to()
    }

    #[inline(never)]
    fn are_listened_to(&self) -> bool {
        let warns = || self.options.slow.is_some() && tracing::enabled!(target: TARGET, Level::WARN);
        match self.options.calls {
            LogCalls::Off => false,
            LogCalls::Slow => warns(),
            LogCalls::All => tracing::enabled!(target: TARGET, Level::INFO) || warns(),
        }
    }
}

/// On which side of a call this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// This side makes it.
    Out,
    /// This side answers it.
    In,
}

/// What is known of a call that will have an event: when it is ended, or when it is dropped before that.
pub(crate) struct CallLog(Box<Call>);

struct Call {
    logs: Arc<Logs>,
    peer: Address,
    way: Way,
    kind: Kind,
    uri: String,
    id: Option<PacketId<'static>>,
    began: Instant,
    times: Times,
    /// Of the pull or push, and of the reply.
    request: Part,
    reply: Part,
    trace: Option<TraceParent>,
    code: Option<i32>,
    error: String,
    /// Its bodies are not shown, whatever the options say.
    is_secret: bool,
    /// Its event is written.
    ended: bool,
}

/// What has happened when.
#[derive(Default)]
struct Times {
    /// The pull has left, where it is this side's.
    left: Mark,
    /// It stands in the output.
    queued: Option<Instant>,
    /// It came out of the line.
    resumed: Option<Instant>,
    /// The handler began.
    started: Option<Instant>,
    /// The handler has ended, and its answer is written as far as there is room.
    answered: Option<Instant>,
}

/// One packet of the call.
#[derive(Default)]
struct Part {
    bytes: Option<u64>,
    gzip: i32,
    body: Option<Sample>,
}

impl CallLog {
    /// A call that this side makes.
    pub(crate) fn outgoing(logs: &Arc<Logs>, peer: &Address, kind: Kind, uri: &str) -> Self {
        Self::new(logs, peer, Way::Out, kind, uri, now())
    }

    /// A call that has come, as a packet of so many bytes; `since` then, where it had to wait in line.
    pub(crate) fn incoming(
        logs: &Arc<Logs>,
        peer: &Address,
        header: &Header<'_>,
        bytes: u64,
        since: Option<Instant>,
    ) -> Self {
        let now = now();
        let mut log = Self::new(logs, peer, Way::In, header.kind, &header.uri, since.unwrap_or(now));
        let call = &mut log.0;
        call.id = Some(header.id.clone().into_owned());
        call.times.resumed = since.map(|_| now);
        call.request.bytes = Some(bytes);
        call.request.gzip = header.gzip;
        log
    }

    fn new(logs: &Arc<Logs>, peer: &Address, way: Way, kind: Kind, uri: &str, began: Instant) -> Self {
        CallLog(Box::new(Call {
            logs: logs.clone(),
            peer: peer.clone(),
            way,
            kind,
            uri: uri.to_owned(),
            id: None,
            began,
            times: Times::default(),
            request: Part::default(),
            reply: Part::default(),
            trace: None,
            code: None,
            error: String::new(),
            is_secret: false,
            ended: false,
        }))
    }

    /// Shows no bodies: what is said before a session is open is where tokens travel.
    pub(crate) fn hide_bodies(mut self) -> Self {
        self.0.is_secret = true;
        self
    }

    /// The trace that it is of.
    pub(crate) fn trace(&mut self, trace: TraceParent) {
        self.0.trace = Some(trace);
    }

    /// Keeps what is to be shown of the body of the pull or push.
    pub(crate) fn request_body(&mut self, codec: u8, payload: &[u8], compressed: bool) {
        let call = &mut self.0;
        call.request.body = call.sample(codec, payload, compressed);
    }

    /// Keeps what is to be shown of the body of the reply.
    pub(crate) fn reply_body(&mut self, codec: u8, payload: &[u8], compressed: bool) {
        let call = &mut self.0;
        call.reply.body = call.sample(codec, payload, compressed);
    }

    /// What is to be set when the packet has left.
    pub(crate) fn mark(&self) -> Mark {
        self.0.times.left.clone()
    }

    /// A call of this side goes out once more: it has not left.
    pub(crate) fn goes_again(&mut self) {
        self.0.times.left = Mark::default();
    }

    /// A call of this side stands in the output, under this id and uri, and with so many bytes.
    pub(crate) fn queued(&mut self, id: PacketId<'static>, uri: &str, gzip: i32, bytes: usize) {
        let call = &mut self.0;
        call.times.queued = Some(now());
        call.id = Some(id);
        if call.uri != uri {
            uri.clone_into(&mut call.uri);
        }
        call.request.gzip = gzip;
        call.request.bytes = Some(bytes as u64);
    }

    /// The reply of the other side is there, as it travelled.
    pub(crate) fn replied(&mut self, packet: &Packet) {
        let call = &mut self.0;
        call.code = Some(packet.code());
        if packet.code() != 200 {
            packet.status().clone_into(&mut call.error);
        }
        call.reply.gzip = packet.gzip();
        call.reply.bytes = Some(packet.wire_len());
    }

    /// The handler begins.
    pub(crate) fn started(&mut self) {
        self.0.times.started = Some(now());
    }

    /// An answer is written: what it says, its gzip level, and how many bytes it takes.
    pub(crate) fn answered(&mut self, status: Option<&Status>, gzip: i32, bytes: usize) {
        let call = &mut self.0;
        call.times.answered = Some(now());
        if let Some(status) = status {
            call.code = Some(status.code().number());
            if !status.code().is_ok() {
                status.text().clone_into(&mut call.error);
            }
        }
        if call.kind.is_pull() {
            call.reply.bytes = Some(bytes as u64);
        }
        call.reply.gzip = gzip;
    }

    /// Writes the event of a call that has come to its end.
    pub(crate) fn end(mut self) {
        self.0.write();
    }

    /// As [`end`](Self::end), for one that failed.
    pub(crate) fn fail(mut self, error: &Error) {
        let call = &mut self.0;
        call.code = call.code.or_else(|| error.code().map(|code| code.number()));
        // The text of a status is there already, where it came in a reply.
        if !error.is_status() {
            call.error = error.reason();
        }
        call.write();
    }
}

/// Whoever waited has gone away, or what ran was stopped.
impl Drop for CallLog {
    fn drop(&mut self) {
        let call = &mut self.0;
        if call.ended {
            return;
        }
        let why = match call.way {
            Way::Out => "cancelled: the caller dropped it before it had ended",
            Way::In => "cut off: its handler was stopped before it had answered",
        };
        why.clone_into(&mut call.error);
        call.write();
    }
}

impl Call {
    fn sample(&self, codec: u8, payload: &[u8], compressed: bool) -> Option<Sample> {
        let options = &self.logs.options;
        (options.bodies && !self.is_secret && codec != 0)
            .then(|| Sample::new(codec, compressed, payload, options.max_body as usize))
    }

    fn write(&mut self) {
        self.ended = true;
        let (now, times, options) = (now(), &self.times, &self.logs.options);
        let cost = now.saturating_duration_since(self.began);
        let is_slow = options.slow.is_some_and(|slow| cost >= slow);
        if !is_slow && options.calls != LogCalls::All {
            return;
        }
        let span = |from: Option<Instant>, to: Option<Instant>| {
            Some(debug(to?.saturating_duration_since(from?))) as Option<tracing::field::DebugValue<Duration>>
        };
        let (mut in_line, mut handler, mut for_reply) = (None, None, None);
        let to_write = match (self.way, self.kind.is_pull()) {
            (Way::Out, true) => {
                let left = times.left.at();
                for_reply = span(left, Some(now));
                span(Some(self.began), left.or(Some(now)))
            }
            // Nobody waits for the rest of its way.
            (Way::Out, false) => span(Some(self.began), times.queued.or(Some(now))),
            (Way::In, is_pull) => {
                in_line = span(Some(self.began), times.resumed);
                handler = span(times.started, times.answered.or(Some(now)));
                span(times.answered.filter(|_| is_pull), Some(now))
            }
        };
        let side = match self.way {
            Way::Out => "caller",
            Way::In => "handler",
        };
        let what = match (self.way, self.kind.is_pull()) {
            (Way::Out, true) => "called",
            (Way::Out, false) => "pushed",
            (Way::In, true) => "answered",
            (Way::In, false) => "took a push",
        };
        let kind = if self.kind.is_pull() { "pull" } else { "push" };
        let (sent, received) = match self.way {
            Way::Out => (self.request.bytes, self.reply.bytes),
            Way::In => (self.reply.bytes, self.request.bytes),
        };
        let uri = self.uri();
        let trace = self.trace.map(|trace| trace.to_string());
        let id = self.id.as_ref().map(|id| escaped(&id.to_string(), MOST).into_owned());
        let error = self.error(&uri);
        let header = self.header(&uri, self.kind, &self.request, 0, "");
        let reply_header = self.code.filter(|_| self.reply.bytes.is_some()).and_then(|code| {
            let status = if code == 200 { "OK" } else { error.as_deref().unwrap_or_default() };
            self.header(&uri, Kind::REPLY, &self.reply, code, status)
        });
        let body = self.body(LogPart::Body, &self.request);
        let reply_body = self.body(LogPart::ReplyBody, &self.reply);

        macro_rules! event {
            ($level:expr, $($message:tt)*) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    kind,
                    side,
                    uri = &*uri,
                    peer = %self.peer,
                    id = id.as_deref(),
                    traceparent = trace.as_deref(),
                    status = self.code,
                    error = error.as_deref(),
                    cost = debug(cost),
                    sent,
                    received,
                    waited_in_line = in_line,
                    handler,
                    waited_to_write = to_write,
                    waited_for_reply = for_reply,
                    header = header.as_deref(),
                    body = body.as_deref(),
                    reply_header = reply_header.as_deref(),
                    reply_body = reply_body.as_deref(),
                    $($message)*
                )
            };
        }
        if is_slow {
            event!(Level::WARN, "slow: {what}");
        } else {
            event!(Level::INFO, "{what}");
        }
    }

    /// What is to be shown instead of a part, where the user's function says so.
    fn instead(&self, part: LogPart, codec: u8, bytes: &[u8], text: &str) -> Option<String> {
        let logged = Logged { part, peer: &self.peer, uri: &self.uri, codec, bytes, text };
        let instead = self.logs.redact.as_ref()?.instead(&logged)?;
        Some(escaped(&instead, MOST.max(self.logs.options.max_body as usize)).into_owned())
    }

    fn uri(&self) -> Cow<'_, str> {
        let text = escaped(&self.uri, MOST);
        match self.instead(LogPart::Uri, 0, self.uri.as_bytes(), &text) {
            Some(instead) => Cow::Owned(instead),
            None => text,
        }
    }

    fn error(&self, uri: &str) -> Option<String> {
        if self.error.is_empty() {
            return None;
        }
        // Texts of errors name the uri.
        let is_hidden = self.logs.redact.is_some() && !self.uri.is_empty() && uri != self.uri;
        let error = if is_hidden { self.error.replace(&self.uri, uri) } else { self.error.clone() };
        let text = escaped(&error, MOST);
        let instead = self.instead(LogPart::Error, 0, error.as_bytes(), &text);
        Some(instead.unwrap_or_else(|| text.into_owned()))
    }

    /// A header as JSON, with what takes the place of what is hidden.
    fn header(&self, uri: &str, kind: Kind, part: &Part, code: i32, status: &str) -> Option<String> {
        let id = self.id.as_ref().filter(|_| self.logs.options.headers)?;
        let mut header = Header::new(id.clone(), kind, uri);
        (header.gzip, header.code, header.status) = (part.gzip, code, status.into());
        let mut json = Vec::new();
        JsonHeader.encode(&header, &mut json).ok()?;
        let most = 4 * MOST;
        Some(escaped(&String::from_utf8_lossy(&json), most).into_owned())
    }

    fn body(&self, part: LogPart, of: &Part) -> Option<String> {
        let sample = of.body.as_ref()?;
        let text = sample.text();
        Some(self.instead(part, sample.codec, &sample.bytes, &text).unwrap_or(text))
    }
}

/// Tokio's time, so that a paused clock pauses logs too.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
