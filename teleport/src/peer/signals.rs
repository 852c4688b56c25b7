//! Serving until a signal comes.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

#[cfg(unix)]
use super::Restart;
use super::{Peer, ShutdownReport};
use crate::error::{Error, Result};

/// Serving until the process is told to end: set options, then `.await` it for the [`ShutdownReport`].
///
/// Signals are caught from the call of [`Peer::until_signal`] on:
///
/// | signal | what it does |
/// |---|---|
/// | `SIGTERM`, `SIGINT`; ctrl-c on Windows | [shuts down](Peer::shutdown): calls in flight end, up to the deadline |
/// | the same once more | cuts off what still runs |
/// | `SIGUSR2`, after [`restart`](Self::restart) | starts a successor, and shuts down when that is ready |
///
/// A restart that fails is logged as an error, and this process serves on. While a successor is being started, `SIGTERM`
/// gives it up and shuts down, and another `SIGUSR2` is refused with a warning in the log.
///
/// # Errors
///
/// An I/O error where the system does not let the process catch signals.
///
/// # Cancel safety
///
/// Dropped, the peer serves on. Tokio goes on catching the signals, so they no longer end the process.
///
/// # Examples
///
/// ```no_run
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let server = teleport::Peer::builder().listen("127.0.0.1:9090").await?;
/// let report = server.until_signal().within(Duration::from_secs(20)).await?;
/// eprintln!("{report}");
/// # Ok(()) }
/// ```
#[must_use = "signals are not acted on until it is awaited"]
pub struct UntilSignal {
    peers: Vec<Peer>,
    within: Option<Duration>,
    notice: Duration,
    signals: io::Result<Signals>,
    #[cfg(unix)]
    restart: Option<Restart>,
}

impl UntilSignal {
    pub(super) fn new(peer: &Peer) -> Self {
        UntilSignal {
            peers: vec![peer.clone()],
            within: None,
            notice: Duration::ZERO,
            signals: Signals::new(),
            #[cfg(unix)]
            restart: None,
        }
    }

    /// Another peer of this process, to be shut down and restarted together with the first.
    pub fn and(mut self, peer: &Peer) -> Self {
        self.peers.push(peer.clone());
        self
    }

    /// How long calls in flight may take to end, once nothing more is taken. Default: [`Timeouts::close`](crate::Timeouts::close),
    /// 5 s.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// How long the peers go on to serve first, after a signal to stop; see [`Shutdown::notice`](crate::Shutdown::notice).
    /// Default: none. A second signal ends it. A restart needs none, as a successor takes over at once.
    pub fn notice(mut self, time: Duration) -> Self {
        self.notice = time;
        self
    }

    /// Restarts the process on `SIGUSR2`; see [`Restart`].
    #[cfg(unix)]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.signals = self.signals.and_then(Signals::with_restart);
        self.restart = Some(restart);
        self
    }

    async fn run(self) -> Result<ShutdownReport> {
        let mut signals = self.signals.map_err(|error| Error::io(error, "can't catch signals"))?;
        let mut notice = self.notice;
        loop {
            match signals.next().await {
                Signal::Stop => break,
                #[cfg(unix)]
                Signal::Restart => {
                    let Some(restart) = &self.restart else { continue };
                    match unless_stopped(restart.hand_over(&self.peers), &mut signals).await {
                        Some(Err(error)) => {
                            tracing::error!(target: "teleport", %error, "the restart failed");
                        }
                        Some(Ok(_)) => {
                            notice = Duration::ZERO;
                            break;
                        }
                        None => break,
                    }
                }
            }
        }
        let begin = |within, notice| {
            self.peers.iter().map(|peer| peer.begin_shutdown(within, notice)).collect::<Vec<_>>()
        };
        let ongoing = begin(self.within, notice);
        let ended = async {
            let mut report = ShutdownReport::default();
            for one in ongoing {
                report = report.merge(one.ended().await);
            }
            report
        };
        let mut ended = pin!(ended);
        if let Some(report) = unless_stopped(ended.as_mut(), &mut signals).await {
            return Ok(report);
        }
        tracing::warn!(target: "teleport", "a second signal: what still runs is cut off");
        begin(Some(Duration::ZERO), Duration::ZERO);
        Ok(ended.await)
    }
}

/// What comes of a future, or `None` where a signal to stop comes first.
async fn unless_stopped<F: Future>(future: F, signals: &mut Signals) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        loop {
            match signals.poll_next(cx) {
                Poll::Ready(Signal::Stop) => return Poll::Ready(None),
                #[cfg(unix)]
                Poll::Ready(Signal::Restart) => {
                    tracing::warn!(target: "teleport", "a restart or shutdown is under way; SIGUSR2 is not heeded");
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

impl IntoFuture for UntilSignal {
    type Output = Result<ShutdownReport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<ShutdownReport>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for UntilSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilSignal")
            .field("peers", &self.peers)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Stop,
    #[cfg(unix)]
    Restart,
}

#[cfg(unix)]
struct Signals {
    stop: [tokio::signal::unix::Signal; 2],
    restart: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let stop = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        Ok(Signals { stop, restart: None })
    }

    fn with_restart(mut self) -> io::Result<Self> {
        self.restart = Some(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined2())?);
        Ok(self)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        // `None` means that no more can come, which is as good as none yet.
        if self.stop.iter_mut().any(|signal| matches!(signal.poll_recv(cx), Poll::Ready(Some(())))) {
            return Poll::Ready(Signal::Stop);
        }
        match self.restart.as_mut().map(|signal| signal.poll_recv(cx)) {
            Some(Poll::Ready(Some(()))) => Poll::Ready(Signal::Restart),
            _ => Poll::Pending,
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Signals)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        match self.0.poll_recv(cx) {
            Poll::Ready(Some(())) => Poll::Ready(Signal::Stop),
            _ => Poll::Pending,
        }
    }
}

impl Signals {
    async fn next(&mut self) -> Signal {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}
