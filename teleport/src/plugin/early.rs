//! Sessions that have begun and are not open yet.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::{Chain, Hooks, OutgoingReply};
use crate::context::{Answer, CallState, Context, ReplyBody};
use crate::error::{Error, Refusal, Result};
use crate::logs::CallLog;
use crate::session::{Session, inflate};
use crate::socket::Output;
use crate::status::Status;
use crate::wire::Uri;

/// Which side began a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Dialed,
    Accepted,
}

impl Side {
    pub(super) fn hook(self) -> Hooks {
        match self {
            Side::Dialed => Hooks::AFTER_DIAL,
            Side::Accepted => Hooks::AFTER_ACCEPT,
        }
    }
}

/// A session that has been dialed or accepted and is not open yet.
///
/// Pulls and pushes over [`session`](Self::session) go out at once, and replies come back. Pulls and pushes of the other
/// side wait in a line of 64 KiB, past which the session stops reading; [`receive`](Self::receive) takes them out. Those
/// that are left go to their handlers when the last hook has let the session pass.
pub struct Early<'a> {
    session: &'a Session,
    chain: &'a Chain,
    side: Side,
}

impl Early<'_> {
    /// The session. Closing it here ends the hooks too.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.session
    }

    /// Ends what the plugins up to the one whose hook calls this bound by
    /// [`Plugin::max_early_body`](super::Plugin::max_early_body): for a hook that is about to answer the other side, which
    /// may then send what it likes. It ends with the hook anyway.
    pub fn lift_limit(&mut self) {
        if let Some(early) = &self.session.shared().early {
            early.bound(self.chain.max_early_body(self.side, early.passed_so_far() + 1));
        }
    }

    /// The next pull or push that has come, taken out of the line; waits for one.
    ///
    /// # Errors
    ///
    /// A closed error where the session ends, a decode error where the body can't be inflated.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, nothing is taken out.
    pub async fn receive(&mut self) -> Result<EarlyCall> {
        self.receive_if(&|_| true).await
    }

    /// The next pull or push to this path, taken out of the line; those to others stay.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, nothing is taken out.
    pub async fn receive_at(&mut self, path: &str) -> Result<EarlyCall> {
        self.receive_if(&|uri| Uri::new(uri).decoded_path().is_ok_and(|decoded| decoded == path)).await
    }

    async fn receive_if(&mut self, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Result<EarlyCall> {
        let shared = self.session.shared();
        let mut packet = shared.take_early(wanted).await?;
        let most = shared.settings.decode.max_inflated;
        // What is bounded as it travels is not to grow here.
        let bound = shared.early.as_ref().and_then(|early| early.max_body(most));
        let logs = &shared.settings.logs;
        let log = logs.are_wanted().then(|| {
            let (header, bytes) = (packet.header(), packet.wire_len());
            CallLog::incoming(logs, &shared.remote(), &header, bytes, None).hide_bodies()
        });
        let inflated = inflate(&mut packet, bound.unwrap_or(most));
        let state = CallState::logged(log);
        let call = EarlyCall(Some(Context::with_call(self.session.clone(), packet, state)));
        match inflated {
            Ok(()) => Ok(call),
            Err(error) => {
                call.refuse(Status::bad_request(error.to_string()));
                Err(Error::decode(&error))
            }
        }
    }
}

impl fmt::Debug for Early<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Early").field(self.session).finish()
    }
}

/// A pull or push that came before the session was open, and that a plugin took.
///
/// It reads like a [`Context`]. A pull is to be answered; one that is dropped is answered with 424, or, where the session
/// is being refused, with the status of the refusal.
#[must_use = "the other side waits for an answer"]
pub struct EarlyCall(Option<Context>);

impl EarlyCall {
    /// Answers the pull; a push is done with.
    pub fn answer(self, body: ReplyBody) {
        self.finish(body.into_answer());
    }

    /// Answers the pull with a status other than OK.
    pub fn refuse(self, status: Status) {
        self.finish(Answer::Failed(status));
    }

    fn finish(mut self, answer: Answer) {
        if let Some(cx) = self.0.take() {
            send(cx, answer);
        }
    }
}

fn send(cx: Context, answer: Answer) {
    if cx.is_push() {
        if let Some(log) = cx.take_log() {
            log.end();
        }
        return;
    }
    let session = cx.session().clone();
    let mut out = Output::default();
    OutgoingReply::new(cx, answer).write(&mut out, |_| {});
    session.shared().append(session.generation(), &mut out);
}

impl Deref for EarlyCall {
    type Target = Context;

    fn deref(&self) -> &Context {
        self.0.as_ref().expect("it is there until it is answered, which takes the call")
    }
}

impl Drop for EarlyCall {
    fn drop(&mut self) {
        let Some(cx) = self.0.take() else { return };
        if cx.is_push() {
            return send(cx, Answer::Nothing);
        }
        // The hook may be about to refuse the session: its status is the better answer.
        let session = cx.session().clone();
        let is_gone = session.shared().machine().is_gone(session.generation());
        match session.shared().early.as_ref() {
            _ if is_gone => {}
            Some(early) if early.outcome().is_none() => {
                early.leave(cx.original_header().into_owned(), cx.header_codec(), cx.take_log());
            }
            _ => send(
                cx,
                Answer::Failed(Status::failed_plugin("a plugin took the call and did not answer it")),
            ),
        }
    }
}

impl fmt::Debug for EarlyCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EarlyCall").field(&**self).finish()
    }
}

/// Leads a session that has begun through the hooks of its side. When they are through, `enter` is called to enter it
/// among the open ones, and what waited goes to its handlers; where one refuses, the session is closed.
///
/// To be run in a task of its own: dropped before its end, also where it was never polled, it ends the session.
pub(crate) fn welcome(
    chain: Arc<Chain>,
    session: &Session,
    sided: (Side, Duration),
    enter: impl FnOnce(&Session) + Send + 'static,
) -> impl Future<Output = Result<()>> + Send + 'static {
    // What the hooks take and answer belongs to this connection.
    let session = session.pinned(session.shared().machine().generation());
    lead(chain, Unsettled { session, refused: None }, sided, enter)
}

async fn lead(
    chain: Arc<Chain>,
    mut unsettled: Unsettled,
    (side, limit): (Side, Duration),
    enter: impl FnOnce(&Session) + Send + 'static,
) -> Result<()> {
    let session = unsettled.session.clone();
    let shared = session.shared();
    let mut early = Early { session: &session, chain: &chain, side };
    let passed = || {
        if let Some(early) = &shared.early {
            early.pass();
            early.bound(chain.max_early_body(side, early.passed_so_far()));
        }
    };
    let over = || {
        let closed = shared.machine().closed().cloned();
        let error = closed.map_or_else(|| Error::closed_by_user("the session is over"), Error::closed);
        error.with_peer(&session.remote_addr())
    };
    let hooks = tokio::time::timeout(limit, chain.begin(side, &mut early, passed));
    let refusal = match shared.over.run_until_cancelled(hooks).await {
        Some(Ok(Ok(()))) => {
            chain.opened(side, &session);
            enter(&session);
            shared.settle_early(Ok(()));
            return if shared.is_let_in() { Ok(()) } else { Err(over()) };
        }
        Some(Ok(Err(refusal))) => refusal,
        Some(Err(_)) => {
            let setting = if side == Side::Dialed { "dial" } else { "accept" };
            let text = format!("the hooks were not through within {limit:?} (setting `timeouts.{setting}`)");
            Refusal { plugin: "that let it wait".into(), status: Status::failed_plugin(text) }
        }
        None => return Err(over()),
    };
    unsettled.refused = Some(refusal.clone());
    drop(unsettled);
    Err(Error::from(refusal).with_peer(&session.remote_addr()))
}

/// A session whose hooks are not through. Dropped, it is not let in.
struct Unsettled {
    session: Session,
    refused: Option<Refusal>,
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        let shared = self.session.shared();
        match self.refused.take() {
            Some(Refusal { plugin, status }) => {
                let reason = format!("the plugin {plugin} refused the session: {status}");
                shared.settle_early(Err(status));
                if shared.is_early() {
                    self.session.start_close_with(reason.into());
                } else {
                    shared.give_up_connection(reason);
                }
            }
            None if !shared.is_let_in() => {
                shared.settle_early(Err(Status::unavailable("the session is closing")));
                if shared.is_early() {
                    self.session.abort();
                } else {
                    shared.give_up_connection("the hooks of its plugins were stopped");
                }
            }
            None => {}
        }
    }
}
