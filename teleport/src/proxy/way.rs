//! One packet on its way through a proxy.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::lanes::Lanes;
use crate::call::SealedReply;
use crate::context::Context;
use crate::error::{Delivery, Error};
use crate::session::Session;
use crate::status::{Code, Status};
use crate::wire::SealedBody;

/// How long a packet may take where nobody says else.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Where packets are passed on to: in which order, how long that may take, and what is told where it fails.
pub(super) struct Way {
    lanes: Lanes,
    timeout: Option<Duration>,
    /// What stands at its end, to people.
    end: &'static str,
    name: Option<Arc<str>>,
    /// Packets that could not be passed on.
    failed: AtomicU64,
}

/// Why a packet could not be passed on.
pub(super) enum Failed {
    /// To be answered as it is.
    Status(Status),
    Error(Error),
    /// The time was up before it was sent.
    Late,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Error(error)
    }
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Failed::Status(status)
    }
}

impl Way {
    pub(super) fn new(end: &'static str, name: Option<Arc<str>>, timeout: Option<Duration>) -> Self {
        Way { lanes: Lanes::default(), timeout, end, name, failed: AtomicU64::new(0) }
    }

    /// Passes a pull on to the session that `choose` ends with, and its reply back. Where the caller's session closes
    /// meanwhile, nobody waits for it any more.
    pub(super) async fn pull(
        &self,
        cx: &Context,
        uri: &str,
        body: SealedBody,
        choose: impl Future<Output = Result<Session, Failed>>,
    ) -> Result<SealedReply, Status> {
        let until = self.until();
        let chosen = OnceLock::new();
        let answered = async {
            let departing = async {
                let session = choose.await?;
                let call = chosen.get_or_init(|| session).pull(uri).sealed(body);
                let mut call = match until {
                    Some(at) => call.untold_timeout(at.saturating_duration_since(Instant::now())),
                    None => call.no_timeout(),
                };
                call.sent().await?;
                Ok(call)
            };
            let call = self.depart(cx.session(), until, departing).await?;
            Ok(call.await?)
        };
        match while_open(cx.session(), answered).await {
            Some(answered) => answered.map_err(|failed| self.status(cx, failed)),
            None => Err(Status::new(Code::CONNECTION_CLOSED, "the caller has left")),
        }
    }

    /// Passes a push on to the session that `choose` ends with.
    pub(super) async fn push(
        &self,
        cx: &Context,
        uri: &str,
        body: SealedBody,
        choose: impl Future<Output = Result<Session, Failed>>,
    ) -> Result<(), Status> {
        let until = self.until();
        let departing = async {
            let session = choose.await?;
            let push = session.push(uri).sealed(body);
            match until {
                Some(at) => push.timeout(at.saturating_duration_since(Instant::now())).await?,
                None => push.no_timeout().await?,
            }
            Ok(())
        };
        let departed = self.depart(cx.session(), until, departing).await;
        departed.map_err(|failed| self.status(cx, failed))
    }

    /// When the time of a packet that comes now is up. A time too far off to be counted is none.
    fn until(&self) -> Option<Instant> {
        Instant::now().checked_add(self.timeout?)
    }

    async fn depart<T>(
        &self,
        session: &Session,
        until: Option<Instant>,
        departing: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        let departing = self.lanes.in_turn(session, departing);
        match until {
            Some(at) => timeout_at(at, departing).await.unwrap_or(Err(Failed::Late)),
            None => departing.await,
        }
    }

    /// What is answered, or logged of a push.
    fn status(&self, cx: &Context, failed: Failed) -> Status {
        let count = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        let status = match failed {
            Failed::Status(status) => status,
            Failed::Late => self.told(cx, Code::GATEWAY_TIMEOUT, None, &self.late(), Delivery::NotSent),
            Failed::Error(error) => self.refusal(cx, &error),
        };
        // So that an upstream that is down fills no log.
        if count.is_power_of_two() {
            tracing::warn!(
                target: "teleport",
                uri = cx.uri(),
                from = %cx.session().remote_addr(),
                %status,
                failed = count,
                "a packet could not be passed on"
            );
        }
        status
    }

    fn refusal(&self, cx: &Context, error: &Error) -> Status {
        let code = match error.delivery() {
            _ if error.is_timeout() => Code::GATEWAY_TIMEOUT,
            // No session could be had, such as where the peer has as many as it may.
            None if error.is_limit() => Code::UNAVAILABLE,
            // Too much waits for it to be reached again.
            Some(_) if error.is_limit() && error.is_down() => Code::UNAVAILABLE,
            Some(_) if error.is_limit() => Code::TOO_LARGE,
            _ => Code::BAD_GATEWAY,
        };
        let reason = match error {
            _ if error.is_timeout() && !error.is_limit() => self.late(),
            // The system's text has the address, which the name stands for.
            _ if error.is_io() && self.name.is_some() => "it can't be reached".into(),
            _ => error.reason(),
        };
        let delivery = error.delivery().unwrap_or(Delivery::NotSent);
        self.told(cx, code, error.peer_addr(), &reason, delivery)
    }

    fn late(&self) -> String {
        format!("no answer within {:?}", self.timeout.unwrap_or_default())
    }

    fn told(&self, cx: &Context, code: Code, peer: Option<&str>, reason: &str, delivery: Delivery) -> Status {
        let (uri, end) = (cx.uri(), self.end);
        let at = self.name.as_deref().or(peer);
        let at = at.map(|at| format!(" {at}")).unwrap_or_default();
        let far = match delivery {
            Delivery::NotSent => "it has not run",
            Delivery::Unanswered => "sent, and may have run",
            Delivery::Answered => "answered, and may have run",
        };
        let text = code.text().unwrap_or_default();
        Status::new(code, format!("{text}: {uri}, for the {end}{at}: {reason}; {far}"))
    }
}

/// Runs `work` until it ends, or `None` where the session is closed first.
async fn while_open<T>(session: &Session, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut closed) = (pin!(work), pin!(session.closed()));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => closed.as_mut().poll(cx).map(|()| None),
    })
    .await
}
