//! How a session that lost its connection comes to another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use crate::units;

/// How a dialed session gets another connection when it has lost its own.
///
/// With it a [`Session`](crate::Session) outlives its connection: its handle, its id, and clients over it stay as they are.
/// When the connection is lost, or the other side closes it, the session is *down*: it dials the same address again, after a
/// pause, until it is through or all [`attempts`](Self::attempts) are used up. Then the session is closed.
///
/// What happens to calls:
///
/// - **A pull that may have run is never sent twice**: it ends with an error that says
///   [`Delivery::Unanswered`](crate::Delivery::Unanswered). Only where it is marked `idempotent`, with
///   `#[pull(idempotent)]` or on the call itself, is it sent again over the next connection, within the time it has.
/// - A pull of which nothing was sent, or which the other side, closing, says that it did not take, goes out over the next
///   connection as if it were new.
/// - A pull or push that begins while the session is down waits or fails at once, as [`while_down`](Self::while_down) says.
/// - A push that was handed to the connection may be lost with it: nobody acknowledges it.
/// - Replies of handlers that were at work for the other side are dropped with the connection over which their pulls came.
///   The handlers may go on for as long as the close timeout.
///
/// # Examples
///
/// ```no_run
/// use teleport::{Peer, Redial};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let peer = Peer::builder().build()?;
/// let session = peer.dial("127.0.0.1:9090").redial(Redial::default()).await?;
/// // The server may be restarted meanwhile.
/// session.pull("/rate").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default, deny_unknown_fields)]
pub struct Redial {
    /// Whether every session that the peer dials redials. Default: false, only those whose dial says so with
    /// [`Dial::redial`](crate::Dial::redial).
    pub always: bool,
    /// The pause before the first attempt. Default: 100 ms.
    #[serde(with = "units::duration")]
    pub first_pause: Duration,
    /// How much longer each pause is than the one before. Default: 2.
    pub factor: u32,
    /// The longest pause. Default: 10 s.
    #[serde(with = "units::duration")]
    pub longest_pause: Duration,
    /// How much of each pause may be left out, at random, in percent. Default: 50, so that those that lost the same server
    /// together don't come back together; with 0 all pauses are exact.
    pub jitter: u32,
    /// Attempts that may fail in a row before the session is closed. Default: `None`, as many as it takes. An attempt has
    /// failed too where a plugin refuses the new connection, or where that ends within the longest pause and before the
    /// other side has said anything.
    #[serde(with = "units::optional_number")]
    pub attempts: Option<u32>,
    /// What becomes of calls that begin while the session is down. Default: they wait.
    pub while_down: WhileDown,
    /// Calls that may wait for the next connection at once. Default: 1 024. A further one fails.
    pub max_waiting: u32,
}

/// What becomes of a call that begins while its session is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum WhileDown {
    /// It waits for the next connection, within the time it has.
    #[default]
    Wait,
    /// It fails at once, with an error that [`is_down`](crate::Error::is_down) and has not run.
    Fail,
}

impl Default for Redial {
    fn default() -> Self {
        Redial {
            always: false,
            first_pause: Duration::from_millis(100),
            factor: 2,
            longest_pause: Duration::from_secs(10),
            jitter: 50,
            attempts: None,
            while_down: WhileDown::Wait,
            max_waiting: 1024,
        }
    }
}

impl Redial {
    /// Sets [`always`](Self::always).
    #[must_use]
    pub fn with_always(mut self, always: bool) -> Self {
        self.always = always;
        self
    }

    /// Sets [`first_pause`](Self::first_pause).
    #[must_use]
    pub fn with_first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Sets [`factor`](Self::factor).
    #[must_use]
    pub fn with_factor(mut self, factor: u32) -> Self {
        self.factor = factor;
        self
    }

    /// Sets [`longest_pause`](Self::longest_pause).
    #[must_use]
    pub fn with_longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// Sets [`jitter`](Self::jitter), in percent.
    #[must_use]
    pub fn with_jitter(mut self, percent: u32) -> Self {
        self.jitter = percent;
        self
    }

    /// Sets [`attempts`](Self::attempts).
    #[must_use]
    pub fn with_attempts(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.attempts = attempts.into();
        self
    }

    /// Sets [`while_down`](Self::while_down).
    #[must_use]
    pub fn with_while_down(mut self, while_down: WhileDown) -> Self {
        self.while_down = while_down;
        self
    }

    /// Sets [`max_waiting`](Self::max_waiting).
    #[must_use]
    pub fn with_max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = calls;
        self
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff {
            first: self.first_pause,
            factor: self.factor,
            most: self.longest_pause,
            jitter: self.jitter,
        }
    }
}
