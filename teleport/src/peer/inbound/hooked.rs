//! Packets that plugins look at.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Dispatch;
use crate::context::{Answer, CallState, Context, refuse};
use crate::logs::CallLog;
use crate::plugin::Arriving;
use crate::router::{self, Router, Started};
use crate::session::Session;
use crate::socket::{Arrival, Output};
use crate::status::Status;
use crate::travel::Travel;
use crate::wire::{Header, Packet};

/// What length fields and codec ids of a packet take.
pub(super) const FRAME: usize = 10;

/// Which packets the plugins of the peer look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// All of them, before they are read.
    pub(super) arrivals: bool,
    /// Pulls, pushes and what they are answered with.
    pub(super) calls: bool,
    /// Replies to pulls of this side: they have to be read whole.
    pub(super) replies: bool,
}

impl Seen {
    pub(super) fn new(router: &Router) -> Self {
        let chain = router.chain();
        Seen { arrivals: chain.sees_arrivals(), calls: chain.sees_inbound(), replies: chain.sees_replies() }
    }
}

impl Dispatch {
    /// Asks the plugins whether a packet is to be read; else the session is closed.
    pub(super) fn is_let_in(&self, arrival: &Arrival<'_>) -> bool {
        let Some(session) = &self.session else { return true };
        let bytes = match arrival {
            Arrival::Borrowed(bytes, _) => bytes.len() as u64,
            Arrival::Owned(bytes) => bytes.len() as u64,
            Arrival::Oversized { header, body, .. } => (FRAME + header.len()) as u64 + body.saturating_sub(1),
        };
        match self.router.chain().before_read_header(&Arriving { session, bytes }) {
            Ok(()) => true,
            Err(refusal) => {
                let reason = format!("the plugin {} refused a packet: {}", refusal.plugin, refusal.status);
                session.start_close_with(reason.into());
                false
            }
        }
    }

    /// Leads a packet through the plugins to its handler.
    pub(super) fn start_hooked(
        &mut self,
        session: Session,
        header: &Header<'_>,
        packet: Packet,
        (log, travel): (Option<CallLog>, Option<Arc<Travel>>),
        out: &mut Output,
    ) {
        let mut cx = Context::with_call(session, packet, CallState::logged(log));
        cx.set_travel(travel);
        let start = || router::start(&self.router, header, cx, out);
        self.spawned |= caught(start) == Started::Spawned;
    }

    /// Answers a pull that comes to no handler; a push is dropped.
    pub(super) fn refuse(
        &mut self,
        log: Option<CallLog>,
        (header, header_codec): (&Header<'_>, u8),
        status: Status,
        out: &mut Output,
    ) {
        let chain = self.router.chain();
        match &self.session {
            Some(session) if chain.sees_answers() => {
                let cx = Context::of_header(session.clone(), header, header_codec, CallState::logged(log));
                let answer = || router::answer(chain, cx, Answer::Failed(status), out);
                self.spawned |= caught(answer) == Started::Spawned;
            }
            _ => refuse(log, &self.shared, (header, header_codec), &status, out),
        }
    }
}

/// Hooks and handlers catch their own panics; what plugins keep with a call may panic when it is dropped.
pub(super) fn caught(run: impl FnOnce() -> Started) -> Started {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        tracing::error!(target: "teleport", "a value that a plugin kept with a call panicked when it was dropped");
        Started::Ended
    })
}
