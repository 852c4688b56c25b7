//! One call on its way: what typed and dynamic calls have in common.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use super::handle::Session;
use super::hooks::{self, CallHooks, HookedCall, Leaving, OutgoingCall, poll_once};
use super::ledger::Direction;
use super::machine::{LARGE_BODY, Machine, Outgoing, Refused};
use super::pending::Ended;
use super::shared::{Shared, now};
use super::wait::{Need, Waiting};
use crate::buffer;
use crate::codec::gzip;
use crate::error::{Delivery, Error, Kind, Refusal, Result};
use crate::logs::CallLog;
use crate::status::{Code, Status};
use crate::travel::{self, Travel};
use crate::wire::{self, Features, IdFormat, Packet, PacketId, SealedBody, TraceParent};

/// What a call is told before it starts.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) uri: Cow<'a, str>,
    pub(crate) gzip: i32,
    pub(crate) timeout: Timeout,
    /// It may be sent again where it may have run already.
    pub(crate) idempotent: bool,
    /// Its place in a trace, where that is not the one of the call that it is made for.
    pub(crate) trace: Option<Box<TraceParent>>,
}

/// How long a call waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// As the session's settings say.
    Default,
    Never,
    After(Duration),
    /// As `After`, but as little worth telling the other side as the session's default.
    Untold(Duration),
}

impl Request<'_> {
    /// The same, without borrowing anything.
    pub(crate) fn to_owned(&self) -> Request<'static> {
        self.at(self.uri.to_string().into())
    }

    /// The same with another uri.
    fn at<'u>(&self, uri: Cow<'u, str>) -> Request<'u> {
        let Request { uri: _, gzip, timeout, idempotent, trace } = self;
        Request { uri, gzip: *gzip, timeout: *timeout, idempotent: *idempotent, trace: trace.clone() }
    }

    /// Whether its packet has nothing but an id, a uri and a body, as far as it has a say in that.
    #[inline]
    fn is_plain(&self) -> bool {
        self.gzip == 0
            && self.trace.is_none()
            && !matches!(self.timeout, Timeout::After(_))
            && !travel::is_there()
    }

    /// Appends `name=value` to the query, escaped.
    pub(crate) fn add_query(&mut self, name: &str, value: &str) {
        let uri = self.uri.to_mut();
        uri.push(if uri.contains('?') { '&' } else { '?' });
        let pair: String = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        uri.push_str(&pair);
    }
}

/// A body as its codec wrote it: codec id and payload, or none.
pub(crate) type EncodedBody = Option<(u8, Vec<u8>)>;

/// A body as it will travel: codec id, a buffer, and where in that the payload begins.
type Outbound = Option<(u8, Vec<u8>, usize)>;

/// A call on its way into the session's output: encoded on the first poll, kept while it waits for room.
enum Departure<'a> {
    New,
    /// To be passed on as it is; nothing is to be encoded.
    Sealed(SealedBody),
    /// Hooks of plugins wait.
    Hooked {
        future: HookedFuture<'a, OutgoingCall<'a>>,
        deadline: Deadline,
    },
    Encoded {
        body: Outbound,
        deadline: Deadline,
    },
    Waiting {
        body: Outbound,
        deadline: Deadline,
        room: Waiting<'a>,
    },
}

/// Hooks that wait, and what they end with.
type HookedFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What goes with a call for plugins and for the log; nothing where neither asks.
#[derive(Default)]
struct Followed {
    hooked: Option<Box<HookedCall>>,
    log: Option<CallLog>,
    inherited: Option<Box<Inherited>>,
}

/// What a call has from the one that it is made for.
struct Inherited {
    /// The time that is left, where that is less than the call's own.
    within: Option<Duration>,
    trace: Option<TraceParent>,
}

/// When the call's time is up, and how long that was.
type Deadline = Option<(Instant, Duration)>;

/// Encodes the body of a call; called once, on its first poll.
pub(crate) type Encode<'e> = &'e mut dyn FnMut() -> Result<EncodedBody>;

/// A pull that stands in the output: its id, and what it takes to send it again, where that may come.
type Departed = (u64, Option<(Outbound, Deadline)>);

/// Puts a call into the machine's output; its id, and how many bytes it has there.
type Start<'s> =
    &'s mut dyn FnMut(&mut Machine, Outgoing<'_>, Deadline, &Waker) -> Result<(u64, usize), Refused>;

impl<'a> Departure<'a> {
    /// Whether it was not polled yet.
    fn is_new(&self) -> bool {
        matches!(self, Departure::New | Departure::Sealed(_))
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        session: &'a Session,
        request: &Request<'_>,
        encode: Encode<'_>,
        (need, followed): (Need, &mut Followed),
        start: Start<'_>,
    ) -> Poll<Result<Departed>> {
        let (shared, kind) = (session.shared(), need.kind());
        // Its time has only begun.
        let is_new = self.is_new();
        loop {
            match self {
                Departure::New => {
                    let body = encode()?;
                    let deadline = followed.deadline(session, kind, request)?;
                    *self = match shared.hooks.as_ref().filter(|hooks| hooks.see(kind)) {
                        None => {
                            followed.see_body(body.as_ref());
                            Departure::Encoded { body: compress(body, request.gzip)?, deadline }
                        }
                        Some(hooks) => {
                            let body = Leaving::Encoded(body);
                            Departure::hook(hooks, session, kind, request, body, deadline, followed)?
                        }
                    };
                }
                Departure::Sealed(body) => {
                    check_uri(request)?;
                    let body = std::mem::take(body);
                    let deadline = followed.deadline(session, kind, request)?;
                    *self = match shared.hooks.as_ref().filter(|hooks| hooks.see(kind)) {
                        None => {
                            followed.see_sealed(&body);
                            Departure::Encoded { body: body.into_payload(), deadline }
                        }
                        Some(hooks) => {
                            let body = Leaving::Sealed(body);
                            Departure::hook(hooks, session, kind, request, body, deadline, followed)?
                        }
                    };
                }
                Departure::Hooked { future, deadline } => {
                    let (call, deadline) = (ready!(future.as_mut().poll(cx))?, *deadline);
                    *self = Departure::hooked(call, request, deadline, followed)?;
                }
                Departure::Waiting { body, deadline, room } => {
                    if !ready!(room.as_mut().poll(cx)) {
                        let after = deadline.map_or(Duration::ZERO, |(_, after)| after);
                        return Poll::Ready(Err(no_room(shared, after)));
                    }
                    *self = Departure::Encoded { body: body.take(), deadline: *deadline };
                }
                Departure::Encoded { body, deadline } => {
                    let (mut uri, mut gzip) = (&*request.uri, request.gzip);
                    if let Some(hooked) = &followed.hooked {
                        (uri, gzip) = (hooked.uri.as_deref().unwrap_or(uri), hooked.gzip);
                    }
                    let codec = body.as_ref().map_or(0, |(codec, ..)| *codec);
                    let keeps = kind.is_pull() && shared.keeps(request.idempotent);
                    // A large body goes to the output as it is.
                    let large = body.as_ref().filter(|(_, payload, from)| payload.len() - from >= LARGE_BODY);
                    let copy = large.filter(|_| keeps).cloned();
                    let outgoing = Outgoing {
                        uri,
                        gzip,
                        body: body.as_mut().map(|(codec, payload, start)| (*codec, payload, *start)),
                        timeout_ms: followed.timeout_ms(shared, kind, request, *deadline, is_new),
                        trace: followed.trace(request),
                    };
                    match shared.with(|machine| start(machine, outgoing, *deadline, cx.waker())) {
                        Ok((id, bytes)) => {
                            if let Some(log) = &mut followed.log {
                                let id = match shared.settings.headers.id_format {
                                    IdFormat::Sequence => PacketId::Sequence(id),
                                    IdFormat::Text => PacketId::Text(id.to_string().into()),
                                };
                                log.queued(id, uri, gzip, bytes);
                            }
                            if let (Some(hooked), Some(hooks)) = (&followed.hooked, &shared.hooks) {
                                hooked.written(&**hooks, session, kind, &request.uri, (codec, bytes));
                            }
                            let body = body.take();
                            if keeps {
                                return Poll::Ready(Ok((id, Some((copy.or(body), *deadline)))));
                            }
                            if let Some((_, payload, _)) = body {
                                buffer::give(payload);
                            }
                            return Poll::Ready(Ok((id, None)));
                        }
                        Err(Refused::Full) => {
                            let is_hook = shared.machine().is_greeted_by(session.generation());
                            let need = if is_hook { need.of_link() } else { need };
                            let room = shared.wait_for_room(need, deadline.map(|(at, _)| at));
                            *self = Departure::Waiting { body: body.take(), deadline: *deadline, room };
                        }
                        Err(Refused::Closed(closed)) => {
                            return Poll::Ready(Err(Error::new(Kind::Closed(closed))));
                        }
                        Err(Refused::Down(closed)) => {
                            return Poll::Ready(Err(Error::new(Kind::Down { closed, after: None })));
                        }
                        Err(Refused::Crowded(closed, most)) => {
                            return Poll::Ready(Err(Error::new(Kind::Crowded { closed, most })));
                        }
                        Err(Refused::Wire(error)) => return Poll::Ready(Err(error.into())),
                    }
                }
            }
        }
    }
}

impl<'a> Departure<'a> {
    /// The way of most pulls: nobody follows them, and nothing of them is compressed or kept. Where it can't be sent at
    /// once, the pull is encoded for [`poll`](Self::poll), which finds out why.
    fn start_plain(
        &mut self,
        cx: &mut Context<'_>,
        session: &Session,
        request: &Request<'_>,
        encode: Encode<'_>,
    ) -> Result<Option<u64>> {
        let Departure::New = self else { return Ok(None) };
        let shared = session.shared();
        let mut body = encode()?.map(|(codec, payload)| (codec, payload, 0));
        let deadline = request.timeout.deadline(session);
        let outgoing = Outgoing {
            uri: &request.uri,
            gzip: 0,
            body: body.as_mut().map(|(codec, payload, from)| (*codec, payload, *from)),
            timeout_ms: 0,
            trace: None,
        };
        let to = (&*shared.settings, session.generation());
        let started = shared.with(|machine| {
            let id = machine.start_pull(to, outgoing, deadline.map(|(at, _)| at), cx.waker()).ok()?;
            shared.write_in_place(machine);
            Some(id)
        });
        match (started, body) {
            (Some(_), Some((_, payload, _))) => buffer::give(payload),
            (None, body) => *self = Departure::Encoded { body, deadline },
            _ => {}
        }
        Ok(started)
    }

    /// Leads a call through the hooks before its write.
    fn hook(
        hooks: &Arc<dyn CallHooks>,
        session: &'a Session,
        kind: wire::Kind,
        request: &Request<'_>,
        body: Leaving,
        deadline: Deadline,
        followed: &mut Followed,
    ) -> Result<Self> {
        let sealed = matches!(body, Leaving::Sealed(_));
        followed.hooked = Some(Box::new(HookedCall::new(request.gzip, deadline, sealed)));
        if hooks.may_wait(kind) {
            let request = request.to_owned();
            let call = OutgoingCall::new(session, kind, request, body);
            let future = Box::pin(hooks::before_write(hooks.clone(), call, deadline));
            return Ok(Departure::Hooked { future, deadline });
        }
        let borrowed = request.at(Cow::Borrowed(&*request.uri));
        let call = OutgoingCall::new(session, kind, borrowed, body);
        let call =
            poll_once(hooks::before_write(hooks.clone(), call, deadline)).unwrap_or_else(|| Err(waited()));
        Departure::hooked(call?, request, deadline, followed)
    }

    fn hooked(
        call: OutgoingCall<'_>,
        request: &Request<'_>,
        deadline: Deadline,
        followed: &mut Followed,
    ) -> Result<Self> {
        let Some(hooked) = &mut followed.hooked else { return Err(waited()) };
        let body = hooked.take_back(call, &request.uri);
        if hooked.uri.as_ref().is_some_and(|uri| !uri.starts_with('/')) {
            return Err(no_uri());
        }
        let gzip = hooked.gzip;
        let body = match body {
            Leaving::Encoded(body) => {
                followed.see_body(body.as_ref());
                compress(body, gzip)?
            }
            Leaving::Sealed(body) => {
                followed.see_sealed(&body);
                body.into_payload()
            }
        };
        Ok(Departure::Encoded { body, deadline })
    }
}

impl Followed {
    #[inline]
    fn is_nothing(&self) -> bool {
        self.hooked.is_none() && self.log.is_none()
    }

    #[inline]
    fn see_body(&mut self, body: Option<&(u8, Vec<u8>)>) {
        if let Some(log) = &mut self.log {
            let (codec, payload) = body.map_or((0, &[][..]), |(codec, payload)| (*codec, payload));
            log.request_body(codec, payload, false);
        }
    }

    #[inline]
    fn see_sealed(&mut self, body: &SealedBody) {
        if let Some(log) = &mut self.log {
            log.request_body(body.codec(), body.payload(), body.gzip() != 0);
        }
    }

    /// When the time of a call is up that is polled for the first time.
    #[inline]
    fn deadline(&mut self, session: &Session, kind: wire::Kind, request: &Request<'_>) -> Result<Deadline> {
        let own = request.timeout.deadline(session);
        match travel::current() {
            None => Ok(own),
            Some(of) => self.inherit(kind, &of, own),
        }
    }

    /// As [`deadline`](Self::deadline), of a call that a handler makes for one that brought something.
    #[cold]
    fn inherit(&mut self, kind: wire::Kind, of: &Travel, own: Deadline) -> Result<Deadline> {
        let mut inherited = Inherited { within: None, trace: of.trace };
        let mut deadline = own;
        if let Some(at) = of.deadline.filter(|_| kind.is_pull())
            && own.is_none_or(|(own, _)| at < own)
        {
            let within = at.saturating_duration_since(now());
            if within.is_zero() {
                return Err(Error::new(Kind::Timeout(within)));
            }
            inherited.within = Some(within);
            deadline = Some((at, within));
        }
        if let (Some(log), Some(trace)) = (&mut self.log, of.trace) {
            log.trace(trace);
        }
        self.inherited = Some(Box::new(inherited));
        Ok(deadline)
    }

    /// What the other side is told of the time of a call: nothing where it is the usual one. When that is up, it is told
    /// that nobody waits any more, and until then it does not need to know.
    #[inline]
    fn timeout_ms(
        &self,
        shared: &Shared,
        kind: wire::Kind,
        request: &Request<'_>,
        deadline: Deadline,
        is_new: bool,
    ) -> u32 {
        let is_own = matches!(request.timeout, Timeout::After(_));
        let is_told = is_own || self.inherited.as_ref().is_some_and(|inherited| inherited.within.is_some());
        let Some((at, after)) = deadline.filter(|_| is_told && kind.is_pull()) else { return 0 };
        if !shared.is_understood(Features::DEADLINE) {
            return 0;
        }
        let left = if is_new { after } else { at.saturating_duration_since(now()) };
        // Up, so that the other side does not give up before this one does.
        u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1)
    }

    #[inline]
    fn trace(&self, request: &Request<'_>) -> Option<TraceParent> {
        match (&request.trace, &self.inherited) {
            (Some(own), _) => Some(**own),
            (None, Some(inherited)) => inherited.trace,
            (None, None) => None,
        }
    }

    /// Begins the log of a call that is polled for the first time, where somebody listens.
    #[inline]
    fn begin(&mut self, session: &Session, kind: wire::Kind, request: &Request<'_>) {
        let shared = session.shared();
        if shared.settings.logs.are_wanted() {
            let log = CallLog::outgoing(&shared.settings.logs, &shared.remote(), kind, &request.uri);
            let mut log = if shared.is_early() { log.hide_bodies() } else { log };
            if let Some(trace) = &request.trace {
                log.trace(**trace);
            }
            self.log = Some(log);
        }
    }
}

impl Timeout {
    fn duration(self, session: &Session) -> Option<Duration> {
        match self {
            Timeout::Default => session.shared().settings.timeouts.pull,
            Timeout::Never => None,
            Timeout::After(after) | Timeout::Untold(after) => Some(after),
        }
    }

    fn deadline(self, session: &Session) -> Deadline {
        let after = self.duration(session)?;
        // A time too far off to be counted is none.
        Some((now().checked_add(after)?, after))
    }
}

/// The place of a pull in its session, from the first poll to its reply. Dropped before that, it is cancelled.
pub(crate) struct PullFlight<'a> {
    session: &'a Session,
    progress: Progress<'a>,
    followed: Followed,
    /// It was sent before, over a connection that is lost, and may have run.
    may_have_run: bool,
}

enum Progress<'a> {
    Departing(Departure<'a>),
    Sent {
        id: u64,
        /// What it takes to send it again.
        kept: Option<(Outbound, Deadline)>,
    },
    /// Hooks of plugins look at the reply.
    Hooked(HookedFuture<'a, Packet>),
    Ended,
}

impl<'a> PullFlight<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self::departing(session, Departure::New)
    }

    /// A pull whose body is passed on as it is; what `encode` says is not asked.
    pub(crate) fn sealed(session: &'a Session, body: SealedBody) -> Self {
        Self::departing(session, Departure::Sealed(body))
    }

    fn departing(session: &'a Session, departure: Departure<'a>) -> Self {
        PullFlight {
            session,
            progress: Progress::Departing(departure),
            followed: Followed::default(),
            may_have_run: false,
        }
    }

    pub(crate) fn session(&self) -> &'a Session {
        self.session
    }

    /// Drives the pull to its reply packet, whose body is inflated; a status other than OK is an error.
    #[inline]
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        encode: Encode<'_>,
    ) -> Poll<Result<Packet>> {
        let reply = ready!(self.poll_reply(cx, request, encode));
        match &reply {
            Ok(packet) if self.followed.is_nothing() && packet.gzip() == 0 && is_ok(packet) => {
                Poll::Ready(reply)
            }
            _ => Poll::Ready(self.open(reply, request)),
        }
    }

    /// Makes of a reply packet what its caller is to see.
    fn open(&mut self, reply: Result<Packet>, request: &Request<'_>) -> Result<Packet> {
        let reply = match reply {
            Ok(packet) if !is_ok(&packet) => {
                let status = Status::new(packet.code(), packet.status().to_owned());
                buffer::give(packet.into_buf());
                let error = Error::new(Kind::Status(status)).with_delivery(Delivery::Answered);
                Err(self.name(error, request))
            }
            // Where hooks looked at it, they have seen it inflated.
            Ok(mut packet) if !self.sees_reply() => {
                match inflate(&mut packet, self.session.shared().settings.decode.max_inflated) {
                    Ok(()) => Ok(packet),
                    Err(error) => {
                        let error = Error::decode(&error).with_delivery(Delivery::Answered);
                        Err(self.name(error, request))
                    }
                }
            }
            reply => reply,
        };
        if let Some(log) = self.followed.log.take() {
            end_log(log, reply.as_ref(), false);
        }
        reply
    }

    /// Whether hooks of plugins look at the reply.
    fn sees_reply(&self) -> bool {
        self.followed.hooked.is_some()
            && self.session.shared().hooks.as_ref().is_some_and(|hooks| hooks.see_replies())
    }

    /// Drives the pull to its reply packet, whatever its status is. Its body is not inflated.
    pub(crate) fn poll_any(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        encode: Encode<'_>,
    ) -> Poll<Result<Packet>> {
        let reply = ready!(self.poll_reply(cx, request, encode));
        if let Some(log) = self.followed.log.take() {
            end_log(log, reply.as_ref(), true);
        }
        Poll::Ready(reply)
    }

    #[inline]
    fn poll_reply(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        encode: Encode<'_>,
    ) -> Poll<Result<Packet>> {
        match &mut self.progress {
            Progress::Departing(_) => match ready!(self.poll_sent(cx, request, encode)) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
            Progress::Sent { id, .. } => match self.session.shared().take_pull(*id, cx.waker()) {
                None => Poll::Pending,
                Some(Ended::Reply(packet)) if self.followed.is_nothing() => {
                    // Its slot may be another call's by now: what is dropped must not cancel that one.
                    self.progress = Progress::Ended;
                    Poll::Ready(Ok(packet))
                }
                Some(ended) => self.poll_ended(cx, request, encode, ended),
            },
            Progress::Hooked(future) => {
                let read = ready!(future.as_mut().poll(cx));
                self.progress = Progress::Ended;
                Poll::Ready(read.map_err(|error| self.name(error, request)))
            }
            Progress::Ended => panic!("a call was polled after it had ended"),
        }
    }

    /// What follows from the end of a pull that was sent, and is no longer among those that wait.
    fn poll_ended(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        encode: Encode<'_>,
        ended: Ended,
    ) -> Poll<Result<Packet>> {
        let shared = self.session.shared();
        let sent = std::mem::replace(&mut self.progress, Progress::Ended);
        let again = match &ended {
            Ended::NotTaken(_) => true,
            Ended::Closed(_) => request.idempotent,
            _ => false,
        };
        if again
            && let Progress::Sent { kept: Some((body, deadline)), .. } = sent
            && shared.machine().redials()
        {
            self.may_have_run |= matches!(ended, Ended::Closed(_));
            self.progress = Progress::Departing(Departure::Encoded { body, deadline });
            if let Some(log) = &mut self.followed.log {
                log.goes_again();
            }
            return self.poll_reply(cx, request, encode);
        }
        if matches!(ended, Ended::Closed(_)) {
            shared.ledger.cut_off(Direction::Outbound, &request.uri, &shared.remote());
        }
        if let (Some(log), Ended::Reply(packet)) = (&mut self.followed.log, &ended) {
            log.replied(packet);
        }
        match ended {
            Ended::Reply(packet) if self.sees_reply() => self.read_hooked(cx, packet, request),
            ended => {
                let outcome = self.outcome(ended, request.timeout);
                Poll::Ready(outcome.map_err(|error| self.name(error, request)))
            }
        }
    }

    /// Drives the pull into the session's output. It is ready at once where it stands there already.
    pub(crate) fn poll_sent(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        encode: Encode<'_>,
    ) -> Poll<Result<()>> {
        let (session, shared) = (self.session, self.session.shared());
        let Progress::Departing(departure) = &mut self.progress else { return Poll::Ready(Ok(())) };
        if departure.is_new() {
            self.followed.begin(session, wire::Kind::PULL, request);
            if shared.is_plain() && self.followed.is_nothing() && request.is_plain() {
                match departure.start_plain(cx, session, request, encode) {
                    Ok(Some(id)) => {
                        self.progress = Progress::Sent { id, kept: None };
                        return Poll::Ready(Ok(()));
                    }
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Err(self.not_sent(error, request))),
                }
            }
        }
        let mut mark = self.followed.log.as_ref().map(CallLog::mark);
        let start: Start<'_> = &mut |machine, outgoing, deadline, waker| {
            let before = machine.queued();
            let to = (&*shared.settings, session.generation());
            let id = machine.start_pull(to, outgoing, deadline.map(|(at, _)| at), waker)?;
            let bytes = machine.queued() - before;
            shared.write_in_place(machine);
            if let Some(mark) = mark.take() {
                machine.mark(mark);
            }
            Ok((id, bytes))
        };
        match ready!(departure.poll(cx, session, request, encode, (Need::Slot, &mut self.followed), start)) {
            Ok((id, kept)) => {
                self.progress = Progress::Sent { id, kept };
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(self.not_sent(error, request))),
        }
    }

    #[cold]
    fn not_sent(&mut self, error: Error, request: &Request<'_>) -> Error {
        self.progress = Progress::Ended;
        let error = self.name(error.with_delivery(self.unsent()), request);
        if let Some(log) = self.followed.log.take() {
            log.fail(&error);
        }
        error
    }

    /// Leads a reply through its hooks.
    fn read_hooked(
        &mut self,
        cx: &mut Context<'_>,
        packet: Packet,
        request: &Request<'_>,
    ) -> Poll<Result<Packet>> {
        let session = self.session;
        let (Some(hooks), Some(hooked)) = (session.shared().hooks.clone(), &mut self.followed.hooked) else {
            return Poll::Ready(Ok(packet));
        };
        let deadline = hooked.deadline;
        let read = if hooks.may_wait(wire::Kind::REPLY) {
            let reply = hooked.reply(session, Cow::Owned(request.uri.clone().into_owned()), packet);
            let mut future: HookedFuture<'_, Packet> = Box::pin(hooks::read_reply(hooks, reply, deadline));
            let Poll::Ready(read) = future.as_mut().poll(cx) else {
                self.progress = Progress::Hooked(future);
                return Poll::Pending;
            };
            read
        } else {
            let reply = hooked.reply(session, Cow::Borrowed(&*request.uri), packet);
            poll_once(hooks::read_reply(hooks, reply, deadline)).unwrap_or_else(|| Err(waited()))
        };
        Poll::Ready(read.map_err(|error| self.name(error, request)))
    }

    /// How far it came where it does not go out this time.
    fn unsent(&self) -> Delivery {
        if self.may_have_run { Delivery::Unanswered } else { Delivery::NotSent }
    }

    fn outcome(&self, ended: Ended, timeout: Timeout) -> Result<Packet> {
        match ended {
            Ended::Reply(packet) => Ok(packet),
            Ended::Oversized(bytes) => {
                let most = self.session.shared().settings.limits.max_body;
                let text = format!(
                    "the reply's body of {bytes} bytes is over the limit of {most} (setting `limits.max_body`)"
                );
                Err(Error::limit(text).with_delivery(Delivery::Answered))
            }
            Ended::Timeout => {
                let inherited = self.followed.inherited.as_ref().and_then(|inherited| inherited.within);
                let after = inherited.or_else(|| timeout.duration(self.session)).unwrap_or_default();
                Err(Error::new(Kind::Timeout(after)).with_delivery(Delivery::Unanswered))
            }
            Ended::Closed(closed) => {
                Err(Error::new(Kind::Closed(closed)).with_delivery(Delivery::Unanswered))
            }
            Ended::NotTaken(closed) => Err(Error::new(Kind::Closed(closed)).with_delivery(self.unsent())),
        }
    }

    fn name(&self, error: Error, request: &Request<'_>) -> Error {
        error.with_uri(&request.uri).with_peer(&self.session.remote_addr())
    }
}

impl Drop for PullFlight<'_> {
    fn drop(&mut self) {
        if let Progress::Sent { id, .. } = self.progress {
            let shared = self.session.shared();
            shared.with(|machine| machine.cancel_pull(&shared.settings, id));
            shared.pass_on_room();
        }
    }
}

/// The place of a push in its session.
pub(crate) struct PushFlight<'a> {
    session: &'a Session,
    /// Gone when it has ended.
    departure: Option<Departure<'a>>,
    followed: Followed,
}

impl<'a> PushFlight<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        PushFlight { session, departure: Some(Departure::New), followed: Followed::default() }
    }

    /// A push whose body is passed on as it is; what `encode` says is not asked.
    pub(crate) fn sealed(session: &'a Session, body: SealedBody) -> Self {
        PushFlight { session, departure: Some(Departure::Sealed(body)), followed: Followed::default() }
    }

    pub(crate) fn session(&self) -> &'a Session {
        self.session
    }

    /// Drives the push into the session's output.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        encode: Encode<'_>,
    ) -> Poll<Result<()>> {
        let session = self.session;
        let settings = &*session.shared().settings;
        let start: Start<'_> = &mut |machine, outgoing, _, _| {
            let before = machine.queued();
            let id = machine.push((settings, session.generation()), outgoing)?;
            Ok((id, machine.queued() - before))
        };
        let Some(departure) = &mut self.departure else { panic!("a push was polled after it had ended") };
        if departure.is_new() {
            self.followed.begin(self.session, wire::Kind::PUSH, request);
        }
        let need = (Need::Output, &mut self.followed);
        let pushed = ready!(departure.poll(cx, self.session, request, encode, need, start));
        self.departure = None;
        let pushed = pushed.map(drop).map_err(|error| {
            error
                .with_delivery(Delivery::NotSent)
                .with_uri(&request.uri)
                .with_peer(&self.session.remote_addr())
        });
        match (self.followed.log.take(), &pushed) {
            (None, _) => {}
            (Some(log), Ok(())) => log.end(),
            (Some(log), Err(error)) => log.fail(error),
        }
        Poll::Ready(pushed)
    }
}

fn is_ok(packet: &Packet) -> bool {
    Code::from(packet.code()).is_ok()
}

/// Writes the event of a pull. Where `sealed`, the reply's body is as it travelled.
#[cold]
fn end_log(mut log: CallLog, reply: Result<&Packet, &Error>, sealed: bool) {
    match reply {
        Ok(packet) => {
            let compressed = sealed && packet.gzip() != 0;
            log.reply_body(packet.body().codec(), packet.body().payload(), compressed);
            log.end();
        }
        Err(error) => log.fail(error),
    }
}

/// Why a call had to wait for longer than it may.
#[cold]
fn no_room(shared: &Shared, after: Duration) -> Error {
    let limits = &shared.settings.limits;
    Error::new(match shared.machine().awaits_connection() {
        Some(closed) => Kind::Down { closed: closed.clone(), after: Some(after) },
        None => Kind::NoRoom { after, pulls: limits.max_pulls_out, bytes: limits.max_queued },
    })
}

/// What is no path names no handler, and some of it means something between peers.
pub(crate) fn check_uri(request: &Request<'_>) -> Result<()> {
    if request.uri.starts_with('/') {
        return Ok(());
    }
    Err(no_uri())
}

fn no_uri() -> Error {
    Error::config("a uri starts with a slash, as /account/balance")
}

/// A hook of plugins that say of themselves that they never wait did.
fn waited() -> Error {
    let status = Status::failed_plugin("a hook that is to be through at once waits");
    Error::new(Kind::Refused(Refusal { plugin: "?".into(), status }))
}

/// Undoes the gzip of a reply's body, where it has one.
pub(crate) fn inflate(packet: &mut Packet, most: u32) -> Result<(), gzip::GzipError> {
    if packet.gzip() == 0 || packet.body().payload().is_empty() {
        return Ok(());
    }
    let mut inflated = buffer::take();
    gzip::inflate(packet.body().payload(), most as usize, &mut inflated)?;
    let codec = packet.body().codec();
    packet.set_body(codec, &inflated);
    buffer::give(inflated);
    Ok(())
}

fn compress(body: EncodedBody, level: i32) -> Result<Outbound> {
    let Some((codec, payload)) = body else { return Ok(None) };
    if level == 0 {
        return Ok(Some((codec, payload, 0)));
    }
    let mut compressed = buffer::take();
    gzip::deflate(level, &payload, &mut compressed).map_err(|error| Error::encode(&error))?;
    buffer::give(payload);
    Ok(Some((codec, compressed, 0)))
}
