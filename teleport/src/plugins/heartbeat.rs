//! Whether the other side is still there.

mod pulse;
mod watch;

use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

pub use pulse::Pulse;

use pulse::Plan;
use watch::Watch;

use crate::plugin::{Disconnected, Handlers, Opened, Plugin};
use crate::{Context, ReplyBody, Session};

/// Where pings go. That of the original.
const PATH: &str = "/heartbeat";
/// Names the seconds between pings in the query. That of the original.
const SECONDS: &str = "hb_";
/// Below it there is more heartbeat than anything else.
const SHORTEST: Duration = Duration::from_millis(10);
/// Twice in a row may be bad luck; a third time it is not.
const TOLERATED: u32 = 3;
/// Enough to spread the pings of those who came at once, and that two sides hardly ever ping at once.
const JITTER: f64 = 0.1;

/// Finds sessions whose other side is gone, and measures how long a round trip takes.
///
/// A session over which nothing came for the interval gets a ping: a pull without a body. Whatever comes then is a sign
/// of life: the answer, a refusal, another packet, a part of one. Where nothing does, for as many intervals as are
/// [tolerated](Self::tolerate), the session is closed; the errors of its calls say why, and
/// [`Initiator::Library`](crate::Initiator::Library) as after a lost connection. Sessions that are busy cost nothing.
///
/// The other side need not know of it: a peer without this plugin answers 404, which does just as well. Where both sides
/// have it, the ping of one is a sign of life to the other, so one of them pings.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use teleport::Peer;
/// use teleport::plugins::Heartbeat;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> teleport::Result<()> {
/// let server = Peer::builder().build()?;
/// let client = Peer::builder().plugin(Heartbeat::every(Duration::from_secs(30))).build()?;
/// let session = client.connect(&server).await?;
///
/// tokio::time::sleep(Duration::from_secs(3600)).await;
/// assert!(session.is_open());
/// assert!(Heartbeat::rtt(&session).is_some());
/// # Ok(()) }
/// ```
///
/// # When it closes a session
///
/// With an interval of 30 s and 3 tolerated ones: pings leave when nothing came for 30 s and 60 s, each up to a tenth of the
/// interval later ([`jitter`](Self::jitter)); when it has been 90 s, or up to a fiftieth of the interval before, the session
/// is closed. A process that was suspended pings first.
/// Not counted is the time in which this side itself reads nothing, as too many of its handlers run, and output that the
/// other side takes slowly is a sign of life; see [`Session::idle`](crate::Session::idle).
///
/// # What it costs
///
/// One task for each `Heartbeat`, which looks at a session about once in an interval, and a short one for each ping; no
/// timer and no task for a session that is idle. Nothing for each packet but the time when it came.
///
/// # On the wire
///
/// A pull to `/heartbeat?hb_=30`, with the interval in whole seconds, rounded up, answered with success and no body. These
/// are the packets of the original's heartbeat plugin: its listeners close what is silent for twice the interval, and its
/// pings, pulls or pushes, are answered. It needs an answer to each, so attach [`answering`](Self::answering) where its
/// peers dial.
#[derive(Clone)]
#[must_use = "attach it with `PeerBuilder::plugin`"]
pub struct Heartbeat {
    interval: Option<Duration>,
    tolerated: u32,
    jitter: f64,
    path: Arc<str>,
    watch: Arc<Watch>,
}

impl Heartbeat {
    /// Pings sessions over which nothing came for this long; less than 10 ms counts as 10 ms.
    pub fn every(interval: Duration) -> Self {
        Heartbeat { interval: Some(interval.max(SHORTEST)), ..Self::answering() }
    }

    /// Only answers pings. A session whose other side has told its interval with them, and from which nothing came for one
    /// and a half of these, is pinged and closed as [`every`](Self::every) does.
    pub fn answering() -> Self {
        let watch = Arc::default();
        Heartbeat { interval: None, tolerated: TOLERATED, jitter: JITTER, path: PATH.into(), watch }
    }

    /// How many intervals without a sign of life close a session: 2 or more, fewer counts as 2. Default: 3.
    pub fn tolerate(mut self, intervals: u32) -> Self {
        self.tolerated = intervals.max(2);
        self
    }

    /// The part of the interval by which a ping may be late, at random, so that those who came at once do not ping at once:
    /// 0 to 0.5; what is outside counts as the nearer end. Default: 0.1. Without any, two sides that both ping at the same
    /// interval may do so at the same time.
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = if part.is_nan() { 0.0 } else { part.clamp(0.0, 0.5) };
        self
    }

    /// The path of the pings, the same on both sides. Default: `/heartbeat`, that of the original.
    pub fn at(mut self, path: impl Into<Arc<str>>) -> Self {
        self.path = path.into();
        self
    }

    /// How long a ping and its answer take over this session, smoothed; `None` before the first answer, and where the
    /// session's peer has no heartbeat.
    #[must_use]
    pub fn rtt(session: &Session) -> Option<Duration> {
        Heartbeat::pulse(session)?.rtt()
    }

    /// What is known of the other side; `None` where the session's peer has no heartbeat.
    #[must_use]
    pub fn pulse(session: &Session) -> Option<Arc<Pulse>> {
        session.extensions().get()
    }
}

impl Plugin for Heartbeat {
    fn name(&self) -> &str {
        "heartbeat"
    }

    fn handlers(&self, handlers: &mut Handlers) {
        let watch = self.watch.clone();
        handlers.pull(&self.path, move |cx| {
            pinged(&watch, &cx);
            async { Ok(ReplyBody::empty()) }
        });
        let watch = self.watch.clone();
        handlers.push(&self.path, move |cx| {
            pinged(&watch, &cx);
            async {}
        });
    }

    async fn after_open(&self, opened: &Opened<'_>) {
        let plan = Plan {
            interval: self.interval,
            tolerated: self.tolerated,
            jitter: self.jitter,
            is_dialed: opened.is_dialed(),
            path: self.path.clone(),
        };
        let session = opened.session();
        let pulse = session.extensions().get_or_insert_with(|| Pulse::new(plan));
        self.watch.begin(session, &pulse);
    }

    fn after_disconnect(&self, session: &Disconnected<'_>) -> impl Future<Output = ()> + Send {
        if let Some(pulse) = session.extensions().get::<Pulse>() {
            self.watch.end(&pulse);
        }
        ready(())
    }
}

/// Notes the interval that the other side tells with its ping.
fn pinged(watch: &Arc<Watch>, cx: &Context) {
    let seconds = cx.query(SECONDS).and_then(|seconds| seconds.parse().ok());
    if let Some(pulse) = Heartbeat::pulse(cx.session())
        && let Some(seconds) = seconds
        && pulse.announce(seconds)
    {
        watch.begin(cx.session(), &pulse);
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat")
            .field("interval", &self.interval)
            .field("tolerated", &self.tolerated)
            .field("jitter", &self.jitter)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
