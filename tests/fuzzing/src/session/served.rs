//! The peer under attack.

use std::time::Duration;

use teleport::plugin::{Arriving, IncomingReply, OutgoingReply, Verdict};
use teleport::plugins::{Auth, IgnoreCase, LoadLimits, Stats, Token};
use teleport::wire::Features;
use teleport::{
    Context, IdFormat, Limits, LogOptions, Peer, PeerBuilder, Plugin, ReverseProxy, SealedReply, Status,
    Timeouts,
};

use super::meter::Meter;

pub(super) const MAX_HEADER: u32 = 1024;
pub(super) const MAX_BODY: u32 = 40 * 1024;
const MAX_INFLATED: u32 = 64 * 1024;
const MAX_PULLS: u32 = 64;
const MAX_HELD: u32 = 64 * 1024;
const MAX_QUEUED: u32 = 16 * 1024;

/// How the session is set up.
#[derive(Clone, Copy)]
pub(super) struct Setup(u8);

impl Setup {
    pub(super) fn choose(byte: u8) -> Self {
        Setup(byte)
    }

    pub(super) fn is_dialed(self) -> bool {
        self.0 & 4 != 0
    }

    pub(super) fn is_logged(self) -> bool {
        self.0 & 8 != 0
    }

    /// Whether the other side has to say who it is before anything else.
    pub(super) fn is_guarded(self) -> bool {
        self.0 & 3 == 1
    }

    fn is_proxy(self) -> bool {
        self.0 & 3 == 3
    }

    /// The most that the session may hold: what its limits say, and 64 KiB.
    pub(super) fn bound(self) -> usize {
        let [header, body, inflated, pulls, held, queued] =
            [MAX_HEADER, MAX_BODY, MAX_INFLATED, MAX_PULLS, MAX_HELD, MAX_QUEUED].map(|limit| limit as usize);
        let packet = header + body;
        // One that is being read, and one that comes in parts.
        let arriving = 2 * packet;
        // Handlers, with one packet that may go over the bound, and the one that is handled now. What each of them answers is
        // bounded by their number alone.
        let handlers = held + 2 * (header + inflated) + pulls * (3 * 1024 + packet);
        // The line, and what has come and is not looked at.
        let line = queued + packet + 64 * 1024;
        // Replies that wait, with one that may go over the bound, in buffers that may be half empty; and calls of a script.
        let output = 2 * (2 * queued + packet) + 24 * 4 * 1024;
        // What a thread keeps, for all its sessions: the buffer that it reads to, and some more of states of gzip.
        let thread = 64 * 1024 + 32 * 1024;
        let sides = if self.is_proxy() { 3 } else { 1 };
        sides * (arriving + handlers + line + output) + thread + 64 * 1024
    }

    fn builder(self) -> PeerBuilder {
        let limits = Limits::default()
            .with_max_header(MAX_HEADER)
            .with_max_body(MAX_BODY)
            .with_max_uri(300)
            .with_max_inflated(MAX_INFLATED)
            .with_max_depth(16)
            .with_max_pulls_out(MAX_PULLS)
            .with_max_pulls_in(MAX_PULLS)
            .with_max_held(MAX_HELD)
            .with_max_queued(MAX_QUEUED);
        let builder = Peer::builder()
            .limits(limits)
            .timeouts(Timeouts::default())
            .logs(LogOptions::default().with_headers(true).with_bodies(true))
            .id_format(if self.0 & 16 == 0 { IdFormat::Text } else { IdFormat::Sequence });
        if self.0 & 32 == 0 { builder } else { builder.features(Features::NONE) }
    }

    pub(super) async fn peer(self, meter: &Meter) -> Peer {
        let served = |builder| serve(builder, meter);
        let builder = match self.0 & 3 {
            0 => served(self.builder()),
            1 => {
                let check = |_, token: Token| async move {
                    tokio::task::yield_now().await;
                    if token.matches("sesame") { Ok(()) } else { Err(Status::unauthorized("no")) }
                };
                served(self.builder().plugin(Auth::new().check(check).token("mine").check_back(check)))
            }
            2 => {
                let limits = LoadLimits::new().rate_per_session(1000, 1000).in_flight_per_session(64);
                let builder = self.builder().plugin(Waits).plugin(limits).plugin(IgnoreCase::new());
                served(builder.plugin(Stats::with_max_routes(8)))
            }
            _ => {
                let upstream = served(self.builder()).build().expect("no mistake in it");
                let session = self.builder().build().expect("no mistake in it").connect(&upstream).await;
                let proxy = ReverseProxy::to(session.expect("in memory")).expect("one rule");
                self.builder().router(proxy.router()).expect("one route")
            }
        };
        builder.build().expect("no mistake in it")
    }
}

/// Has this thread make the states of gzip that it keeps, which are no session's.
pub(super) fn warm() {
    for level in [6, 9] {
        let (mut compressed, mut inflated) = (Vec::new(), Vec::new());
        teleport::gzip::deflate(level, b"text", &mut compressed).expect("a known level");
        teleport::gzip::inflate(&compressed, 4, &mut inflated).expect("it was compressed");
    }
}

fn serve(builder: PeerBuilder, meter: &Meter) -> PeerBuilder {
    let looks = [meter.clone(), meter.clone()];
    let [echo, wait] = looks;
    build(builder, echo, wait).expect("no two routes are the same")
}

fn build(builder: PeerBuilder, echo: Meter, wait: Meter) -> teleport::Result<PeerBuilder> {
    let all = (teleport::Json, teleport::Plain, teleport::Bincode);
    let builder = builder
        .pull_with("/echo", all, move |_, text: String| {
            echo.look();
            async move { Ok(text) }
        })?
        .pull("/add", |_, (a, b): (i32, i32)| async move {
            a.checked_add(b).ok_or_else(|| Status::new(1000, "overflow"))
        })?
        .pull_with("/wait", (teleport::Json, teleport::Bincode), move |cx: Context, text: Option<String>| {
            wait.look();
            async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                drop(cx);
                Ok(text)
            }
        })?
        .pull("/back", |cx: Context, ()| async move {
            let reply = cx.session().pull("/whatever").timeout(Duration::from_secs(3)).await?;
            Ok(reply.decode::<Option<String>>()?)
        })?
        .pull("/wishes", |cx: Context, level: i32| async move {
            cx.set_reply_gzip(level);
            cx.set_reply_status(Status::new(level, "as you wish"));
            Ok(())
        })?
        .push("/note", |cx: Context, _: String| async move {
            tokio::task::yield_now().await;
            let _ = cx.query("name");
        })?
        .push("/slow", |_, ()| tokio::time::sleep(Duration::from_secs(2)))?;
    Ok(builder.unknown_pull_sealed(|_, body| async move { Ok(SealedReply::ok(body)) }))
}

/// Looks at everything, and has the reader wait for it.
struct Waits;

impl Plugin for Waits {
    fn name(&self) -> &str {
        "waits"
    }

    async fn before_read_header(&self, packet: &Arriving<'_>) -> Verdict {
        let _ = format!("{packet:?}");
        Ok(())
    }

    async fn before_read_body(&self, cx: &mut Context) -> Verdict {
        if cx.query("wait").is_some() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    async fn before_write_reply(&self, reply: &mut OutgoingReply) -> Verdict {
        let _ = format!("{reply:?}");
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn after_read_reply_body(&self, reply: &mut IncomingReply<'_>) -> Verdict {
        let _ = format!("{reply:?}");
        Ok(())
    }
}

/// Writes the log of everything that happens on this thread, to nowhere.
pub(super) fn log() -> tracing::subscriber::DefaultGuard {
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::sink);
    tracing::subscriber::set_default(subscriber.finish())
}
