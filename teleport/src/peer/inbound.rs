//! What happens with each packet that arrives.

mod early;
mod hooked;
mod line;
mod watch;

use std::cell::Cell;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use hooked::Seen;
use line::{Line, Parked, Turn};
use watch::Watch;

use crate::buffer;
use crate::context::{CallState, Context, refuse};
use crate::logs::CallLog;
use crate::router::{self, Inbound, Router, Started, Warm, not_found, too_late};
use crate::session::{
    Ended, FAREWELL, Generation, Handle, NOT_TAKEN, Notice, Overload, Session, Shared, now,
};
use crate::socket::{Arrival, Flow, Output};
use crate::status::{Code, Status};
use crate::travel::Travel;
use crate::wire::{
    self, Body, Features, Header, IdFormat, Kind, Packet, PacketId, PacketRef, ProtobufHeader, SuccessHead,
    WireError,
};

thread_local! {
    // Where the replies of one read and their callers are gathered; a session keeps nothing of it.
    static REPLIES: Cell<Vec<(u64, Ended)>> = const { Cell::new(Vec::new()) };
    static CALLERS: Cell<Vec<Waker>> = const { Cell::new(Vec::new()) };
}

/// What a peer is told that knows nothing of notices.
const CLOSING: &str = "the session is closing";

/// What the caller of a pull is told that is given up for others.
const STANDS: &str = "it waited for a quarter of its time in a line that is full (settings `limits.max_pulls_in`, \
                      `limits.max_held` and `limits.max_queued`)";

/// Hands packets to handlers, and replies to callers.
///
/// Replies always find their callers. Pulls and pushes wait in line while as many handlers run as may, or while too
/// many replies wait to be written; when the line is as long as it may be, the reader stops. But it does not where
/// this side waits for replies itself: two sides that each stopped until the other reads would wait for ever, and so
/// would handlers that call back. It then goes on, and refuses what comes. Only for what says so it stops, when too much of
/// that waits to be written: not for the replies of handlers, of which one may be larger than all that may wait.
/// Where the settings say so, pulls are refused before anything waits.
pub(super) struct Dispatch {
    shared: Arc<Shared>,
    handle: Weak<Handle>,
    /// Number of the connection.
    generation: Generation,
    router: Arc<Router>,
    /// The session, while packets of one read are handled.
    session: Option<Session>,
    /// Replies that came in this read, by the ids of their pulls.
    replies: Vec<(u64, Ended)>,
    /// What the other side, which closes, told in this read.
    notice: Option<Notice>,
    /// What it said why, beyond that it closes.
    reason: Option<String>,
    reading: bool,
    /// How the other side writes ids and headers, once it has begun something.
    style: Option<(IdFormat, u8)>,
    /// The other side has replied.
    replied: bool,
    /// Pulls and pushes that wait.
    line: Line,
    /// Bytes that were answered in the reader while too many waited to be written already.
    beyond: usize,
    /// A handler has got a task of its own since the last look at how many have.
    spawned: bool,
    /// As many handlers run in tasks as may, when that was looked at.
    full: bool,
    /// Packets that were dropped because their type is unknown.
    dropped: u64,
    watch: Watch,
    /// Of the handler that ran last, in this read.
    warm: Warm,
    /// Which packets plugins look at.
    seen: Seen,
    /// The session is not open yet: pulls and pushes wait for that.
    early: bool,
    /// The session will not be opened: they are answered with the reason.
    refused: bool,
    /// How many of the packets in line came before the session was open.
    came_early: usize,
}

impl Dispatch {
    pub(super) fn new(shared: Arc<Shared>, handle: Weak<Handle>, router: Arc<Router>) -> Self {
        let generation = shared.machine().generation();
        Dispatch {
            watch: Watch::default(),
            warm: Warm::default(),
            seen: Seen::new(&router),
            early: shared.early.is_some(),
            refused: false,
            came_early: 0,
            generation,
            shared,
            handle,
            router,
            session: None,
            replies: Vec::new(),
            notice: None,
            reason: None,
            reading: true,
            style: None,
            replied: false,
            line: Line::default(),
            beyond: 0,
            spawned: false,
            full: false,
            dropped: 0,
        }
    }

    /// Whether nothing more is to be read now; the driver is woken when that changes, or looks again after it wrote.
    pub(super) fn is_stopped(&self, out: &Output) -> bool {
        if !self.reading {
            return true;
        }
        let most = self.most();
        self.beyond.min(out.owed()) > most
            || ((self.line.bytes() > most || self.is_early_full()) && self.shared.machine().stop_reader())
    }

    /// Hands on what waited, as far as there is room for it now; whether there was any.
    pub(super) fn resume(&mut self, out: &mut Output) -> bool {
        self.settle_early(out);
        if out.owed() <= self.most() {
            self.beyond = 0;
        }
        if self.line.is_empty() {
            return false;
        }
        let mut any = false;
        self.session = Session::upgrade_pinned(&self.handle, self.generation);
        self.give_up_stale(out);
        while self.can_resume(out) {
            let Some(turn) = self.line.pop(now) else { break };
            match turn {
                Turn::Late(late) => self.turn_away(late, out, |header| too_late(&header.uri)),
                Turn::Run(Parked { packet, since, travel, .. }) => {
                    let (header, header_codec) = (packet.header().into_owned(), packet.header_codec());
                    self.start(&header, header_codec, out, (since, travel), || packet);
                }
            }
            self.came_early = self.came_early.saturating_sub(1);
            any = true;
        }
        self.session = None;
        self.warm.cool();
        any
    }

    /// Makes room in a line that is too long, at the cost of pulls that have lost much of their time in it. Were the reader to
    /// stop instead, what its callers send meanwhile would get old where nobody sees how old it is.
    fn give_up_stale(&mut self, out: &mut Output) {
        while self.line.bytes() > self.most()
            && let Some(stale) = self.line.pop_stale(now())
        {
            self.turn_away(stale, out, |_| Status::unavailable(STANDS));
        }
    }

    /// Answers one that has waited in line, and is not run.
    fn turn_away(
        &mut self,
        Parked { packet, since, .. }: Parked,
        out: &mut Output,
        status: impl FnOnce(&Header<'_>) -> Status,
    ) {
        let (header, header_codec) = (packet.header().into_owned(), packet.header_codec());
        let log = self.log(&header, || packet, since);
        self.refuse(log, (&header, header_codec), status(&header), out);
    }

    /// Whether a packet waits and need not.
    pub(super) fn can_resume(&mut self, out: &Output) -> bool {
        if self.line.is_empty() {
            return false;
        }
        self.spawned |= self.full;
        !self.is_congested(out)
    }

    pub(super) fn stop_reading(&mut self) {
        self.reading = false;
    }

    /// Whether the other side has said anything: a whole packet.
    pub(super) fn has_heard(&self) -> bool {
        self.replied || self.style.is_some()
    }

    pub(super) fn is_reading(&self) -> bool {
        self.reading
    }

    /// Begins with the packets of one read.
    pub(super) fn begin(&mut self) {
        self.session = Session::upgrade_pinned(&self.handle, self.generation);
        self.replies = REPLIES.take();
        self.watch.begin();
    }

    /// Ends what [`begin`](Self::begin) began: hands the replies that came to their callers, and wakes these; how many
    /// there were.
    pub(super) fn end(&mut self) -> usize {
        self.session = None;
        self.warm.cool();
        self.watch.end(&self.shared);
        let (mut replies, mut callers) = (std::mem::take(&mut self.replies), CALLERS.take());
        if !replies.is_empty() {
            self.replied = true;
            let mut machine = self.shared.machine();
            // One that gave up leaves a late reply to nobody.
            callers.extend(replies.drain(..).filter_map(|(id, ended)| machine.end_pull(id, ended)));
        }
        let count = callers.len();
        callers.drain(..).for_each(Waker::wake);
        REPLIES.set(replies);
        CALLERS.set(callers);
        if let Some(notice) = self.notice.take() {
            let reason = self.reason.take();
            self.heed(notice, reason);
        }
        count
    }

    /// Does what follows from the other side's notice, once the replies that came before it have reached their callers.
    fn heed(&self, notice: Notice, reason: Option<String>) {
        let mut closed = Notice::closed();
        if let Some(reason) = reason {
            closed.reason = format!("the other side refused the session: {reason}").into();
        }
        match notice {
            Notice::NotTaken => self.shared.hold(closed),
            Notice::Farewell => {
                // In this order, so that none begins in between.
                self.shared.drain(closed.clone());
                let mut woken = Vec::new();
                self.shared.machine().refuse_pulls(&closed, &mut woken);
                woken.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Whether notices mean something to the other side.
    fn is_heeded(&self) -> bool {
        self.shared.settings.headers.features.contains(Features::FAREWELL)
            && self.shared.is_understood(Features::FAREWELL)
    }

    /// Writes this side's last word: every pull that it took is answered. To be written when that is so.
    pub(super) fn say_farewell(&self, out: &mut Output) {
        let settings = &self.shared.settings;
        // One that has said nothing may be about to pull for the first time. If it knows nothing of this, it drops it.
        let silent = self.style.is_none() && !self.replied;
        let is_heeded = silent || self.shared.is_understood(Features::FAREWELL);
        if !is_heeded || !settings.headers.features.contains(Features::FAREWELL) {
            return;
        }
        // An id of no pull, written as the other side writes its own; one that wrote none yet has none in flight.
        let (id, codec) = match self.style {
            Some((IdFormat::Sequence, codec)) => (PacketId::Sequence(u64::MAX), codec),
            Some((_, codec)) => (PacketId::Text("farewell".into()), codec),
            None => (PacketId::Sequence(0), settings.headers.codec),
        };
        let code = Code::UNAVAILABLE.number();
        let status = self.farewell();
        let header = Header { code, status: status.into(), ..Header::new(id, Kind::REPLY, FAREWELL) };
        let written =
            wire::write(out.tail(), &settings.headers.codecs, codec, &header, Body::None, &settings.wire);
        if let Err(error) = written {
            tracing::debug!(target: "teleport", peer = %self.shared.remote(), %error, "a farewell could not be written");
        }
    }

    /// Handles one packet. Replies that are there at once are appended to `out`.
    ///
    /// # Errors
    ///
    /// A header that can't be read: what kind of packet it was, and who waits for an answer to it, is not known.
    pub(super) fn handle(&mut self, arrival: Arrival<'_>, out: &mut Output) -> Result<Flow, WireError> {
        if self.seen.arrivals && !self.is_let_in(&arrival) {
            return Ok(Flow::Continue);
        }
        let owed = out.owed();
        match arrival {
            Arrival::Borrowed(bytes, parts) => {
                if !self.seen.replies
                    && parts.header_codec == ProtobufHeader::ID
                    && let Some(head) = SuccessHead::read(&bytes[parts.header.clone()])
                {
                    let body = &bytes[parts.body];
                    let packet = Packet::success(head, parts.header_codec, body, buffer::take())
                        .with_header_len(parts.header.len());
                    self.replies.push((head.id, Ended::Reply(packet)));
                    return Ok(Flow::Continue);
                }
                let packet = PacketRef::from_parts(bytes, &parts, &self.shared.settings.headers.codecs)?;
                self.shared.learn(packet.header.features);
                let travel = self.travel(&packet.header);
                self.packet(&packet.header, packet.header_codec, out, travel, || {
                    Packet::copy_from(&packet, buffer::take()).with_header_len(parts.header.len())
                });
            }
            Arrival::Owned(bytes) => {
                let settings = &self.shared.settings;
                let (codecs, limits) = (&settings.headers.codecs, &settings.wire);
                let mut travel = None;
                if let Some((packet, _)) = wire::read(&bytes, codecs, limits)? {
                    self.shared.learn(packet.header.features);
                    travel = self.travel(&packet.header);
                }
                let packet = Packet::from_frame(bytes, codecs, limits)?;
                let header = packet.header().into_owned();
                let header_codec = packet.header_codec();
                self.packet(&header, header_codec, out, travel, || packet);
            }
            Arrival::Oversized { header_codec, header, body } => {
                let shared = self.shared.clone();
                let head = header.len();
                let header = shared.settings.headers.codecs.decode(header_codec, header)?;
                shared.learn(header.features);
                self.oversized(&header, header_codec, (head, body), out);
            }
        }
        if owed > self.most() {
            self.beyond += out.owed().saturating_sub(owed);
        }
        let congested = self.early || !self.line.is_empty() || out.owed() > self.most();
        Ok(if congested && self.is_stopped(out) { Flow::Pause } else { Flow::Continue })
    }

    /// The bound on bytes that wait, in each direction.
    fn most(&self) -> usize {
        self.shared.settings.limits.max_queued as usize
    }

    /// Whether pulls that find as many handlers as may run are refused.
    fn refuses(&self) -> bool {
        self.shared.settings.limits.overload == Overload::Refuse
    }

    /// Whether no handler is to be started now.
    fn is_congested(&mut self, out: &Output) -> bool {
        if std::mem::take(&mut self.spawned) {
            self.full = self.shared.machine().is_serving_full(&self.shared.settings);
        }
        self.full || out.owed() > self.most()
    }

    /// What a packet brings along beside what is kept of it.
    #[inline]
    fn travel(&self, header: &Header<'_>) -> Option<Arc<Travel>> {
        if header.timeout_ms == 0 && header.trace.is_none() { None } else { self.some_travel(header) }
    }

    #[cold]
    fn some_travel(&self, header: &Header<'_>) -> Option<Arc<Travel>> {
        let is_timed =
            header.timeout_ms > 0 && header.kind.is_pull() && self.shared.heeds(Features::DEADLINE);
        let after = Duration::from_millis(header.timeout_ms.into());
        let deadline = if is_timed { now().checked_add(after) } else { None };
        let trace = header.trace.as_deref().copied().filter(|_| self.shared.heeds(Features::TRACE));
        Travel::new(deadline, trace)
    }

    fn packet(
        &mut self,
        header: &Header<'_>,
        header_codec: u8,
        out: &mut Output,
        travel: Option<Arc<Travel>>,
        packet: impl FnOnce() -> Packet,
    ) {
        if header.kind.is_reply() {
            return self.reply(header, packet);
        }
        if !header.kind.is_pull() && !header.kind.is_push() {
            if header.kind == Kind::CANCEL && self.shared.heeds(Features::CANCEL) {
                return self.cancel(header);
            }
            return self.unknown_type(header);
        }
        if self.style.is_none() {
            self.style = Some((header.id.format(), header_codec));
        }
        if self.early {
            return self.packet_before_open(header, header_codec, out, travel, packet);
        }
        if !self.line.is_empty() || self.is_congested(out) {
            return self.park(header, header_codec, out, travel, packet);
        }
        self.start(header, header_codec, out, (None, travel), packet);
    }

    /// The caller of a pull has gone away: it is taken out of the line, or its handler is stopped. One that nobody knows is
    /// answered, was answered before, or runs to its end.
    fn cancel(&mut self, header: &Header<'_>) {
        let Some(pull) = header.id.number() else { return };
        if self.early {
            if let Some(early) = &self.shared.early {
                early.forget(pull);
            }
        } else if let Some(Parked { packet, since, .. }) = self.line.cancel(pull) {
            // Its log tells that nobody waited any more.
            drop(self.log(&packet.header(), || packet.clone(), since));
            buffer::give(packet.into_buf());
        } else {
            self.shared.stop_handler(pull);
        }
    }

    fn reply(&mut self, header: &Header<'_>, packet: impl FnOnce() -> Packet) {
        let notice = Notice::of(header);
        self.notice = self.notice.max(notice);
        let ended = match notice {
            Some(Notice::Farewell) => {
                let tells = header.status != CLOSING && !header.status.is_empty();
                self.reason = tells.then(|| header.status.clone().into_owned());
                return;
            }
            Some(Notice::NotTaken) => Ended::NotTaken(Notice::closed()),
            None => Ended::Reply(packet()),
        };
        if let Some(id) = header.id.number() {
            self.replies.push((id, ended));
        }
    }

    /// Puts a packet at the end of the line, or refuses it: where that is too long, or where pulls are not to wait.
    fn park(
        &mut self,
        header: &Header<'_>,
        header_codec: u8,
        out: &mut Output,
        travel: Option<Arc<Travel>>,
        packet: impl FnOnce() -> Packet,
    ) {
        if self.full && header.kind.is_pull() && self.refuses() {
            // The line, which else makes it look again, may be empty.
            self.spawned = true;
            let text = "as many handlers run as may, so further pulls are refused (settings `limits.max_pulls_in`, \
                        `limits.max_held` and `limits.overload`)";
            let log = self.log(header, packet, None);
            return refuse(log, &self.shared, (header, header_codec), &Status::unavailable(text), out);
        }
        if self.line.bytes() > self.most() {
            let text = "more pulls and pushes wait than may (settings `limits.max_pulls_in`, `limits.max_held` and \
                        `limits.max_queued`)";
            let log = self.log(header, packet, None);
            return refuse(log, &self.shared, (header, header_codec), &Status::unavailable(text), out);
        }
        let since = self.shared.settings.logs.are_wanted().then(now);
        self.line.push(Parked::new(header, packet(), since, travel));
        self.give_up_stale(out);
    }

    /// The log of a call that has come, where somebody listens; `since` then, where it had to wait.
    fn log(
        &self,
        header: &Header<'_>,
        packet: impl FnOnce() -> Packet,
        since: Option<Instant>,
    ) -> Option<CallLog> {
        self.shared.settings.logs.are_wanted().then(|| {
            let packet = packet();
            let log = self.log_of(header, &packet, since);
            buffer::give(packet.into_buf());
            log
        })
    }

    fn log_of(&self, header: &Header<'_>, packet: &Packet, since: Option<Instant>) -> CallLog {
        let (settings, remote) = (&self.shared.settings, self.shared.remote());
        let mut log = CallLog::incoming(&settings.logs, &remote, header, packet.wire_len(), since);
        if self.early {
            log = log.hide_bodies();
        }
        log.request_body(packet.body().codec(), packet.body().payload(), packet.gzip() != 0);
        log
    }

    /// Hands a pull or push to its handler.
    #[inline]
    fn start(
        &mut self,
        header: &Header<'_>,
        header_codec: u8,
        out: &mut Output,
        (since, travel): (Option<Instant>, Option<Arc<Travel>>),
        packet: impl FnOnce() -> Packet,
    ) {
        if self.shared.settings.logs.are_wanted() {
            return self.start_logged(header, header_codec, out, (since, travel), packet());
        }
        self.hand_over(header, header_codec, out, (None, travel), packet);
    }

    #[cold]
    fn start_logged(
        &mut self,
        header: &Header<'_>,
        header_codec: u8,
        out: &mut Output,
        (since, travel): (Option<Instant>, Option<Arc<Travel>>),
        packet: Packet,
    ) {
        let mut log = self.log_of(header, &packet, since);
        if let Some(trace) = travel.as_ref().and_then(|travel| travel.trace) {
            log.trace(trace);
        }
        self.hand_over(header, header_codec, out, (Some(log), travel), || packet);
    }

    #[inline]
    fn hand_over(
        &mut self,
        header: &Header<'_>,
        header_codec: u8,
        out: &mut Output,
        (log, travel): (Option<CallLog>, Option<Arc<Travel>>),
        packet: impl FnOnce() -> Packet,
    ) {
        let shared = &self.shared;
        let most = shared.settings.limits.max_uri;
        if header.uri.len() > most as usize {
            let bytes = header.uri.len();
            let text =
                format!("a uri of {bytes} bytes is over the limit of {most} (setting `limits.max_uri`)");
            return self.refuse(log, (header, header_codec), Status::bad_request(text), out);
        }
        let taken = !shared.is_ending() || self.came_in_time();
        let Some(session) = self.session.as_ref().filter(|_| taken) else {
            shared.ledger.refused();
            let status = Status::unavailable(CLOSING);
            if !self.is_heeded() {
                return self.refuse(log, (header, header_codec), status, out);
            }
            let header = Header { uri: NOT_TAKEN.into(), ..header.clone() };
            return refuse(log, shared, (&header, header_codec), &status, out);
        };
        if self.seen.calls {
            let (session, packet) = (session.clone(), packet());
            return self.start_hooked(session, header, packet, (log, travel), out);
        }
        let found = if header.kind.is_pull() {
            self.router.find_pull(&header.uri)
        } else {
            self.router.find_push(&header.uri)
        };
        match found {
            Err(error) => {
                let status = Status::bad_request(error.to_string());
                self.refuse(log, (header, header_codec), status, out);
            }
            Ok(None) => self.refuse(log, (header, header_codec), not_found(header), out),
            Ok(Some(entry)) => {
                if entry.chain().is_some() {
                    let mut cx = Context::with_call(session.clone(), packet(), CallState::logged(log));
                    cx.set_travel(travel);
                    let start = || router::start_route(self.router.chain(), entry, header, cx, out);
                    self.spawned |= hooked::caught(start) == Started::Spawned;
                    return;
                }
                let inbound = Inbound { session, packet: packet(), header, header_codec, log, travel };
                self.spawned |= entry.handler().start(inbound, &mut self.warm, out) == Started::Spawned;
            }
        }
    }

    fn oversized(
        &mut self,
        header: &Header<'_>,
        header_codec: u8,
        (head, body): (usize, u64),
        out: &mut Output,
    ) {
        if header.kind.is_reply() {
            if let Some(id) = header.id.number() {
                self.replies.push((id, Ended::Oversized(body)));
            }
            return;
        }
        let most = self.shared.settings.limits.max_body;
        let text = self.over_early_bound(body).unwrap_or_else(|| {
            format!("a body of {body} bytes is over the limit of {most} (setting `limits.max_body`)")
        });
        tracing::warn!(target: "teleport", uri = %header.uri, peer = %self.shared.remote(), "{text}");
        let logs = &self.shared.settings.logs;
        let log = logs.are_wanted().then(|| {
            let bytes = hooked::FRAME as u64 - 1 + head as u64 + body;
            CallLog::incoming(logs, &self.shared.remote(), header, bytes, None)
        });
        self.refuse(log, (header, header_codec), Status::new(Code::TOO_LARGE, text), out);
    }

    /// Never answered: two peers that both do so would answer each other for ever.
    fn unknown_type(&mut self, header: &Header<'_>) {
        self.dropped += 1;
        tracing::warn!(
            target: "teleport",
            kind = header.kind.number(),
            uri = %header.uri,
            peer = %self.shared.remote(),
            dropped = self.dropped,
            "a packet of unknown type was dropped"
        );
    }
}
