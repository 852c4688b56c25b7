//! Plugins whose allocations are counted.

use std::sync::atomic::{AtomicU64, Ordering};

use teleport::plugin::{IncomingReply, OutgoingCall, OutgoingReply, Plugin, Verdict, Written};
use teleport::{Context, PeerBuilder};

/// Looks at calls on both sides, in hooks that are ready at once.
#[derive(Default)]
struct Ready(AtomicU64);

impl Ready {
    fn seen(&self) -> std::future::Ready<Verdict> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(()))
    }
}

impl Plugin for Ready {
    fn name(&self) -> &str {
        "ready"
    }
    fn before_write_pull(&self, _: &mut OutgoingCall<'_>) -> impl Future<Output = Verdict> + Send {
        self.seen()
    }
    async fn after_read_header(&self, _: &mut Context) -> Verdict {
        self.seen().await
    }
    fn before_read_body(&self, _: &mut Context) -> impl Future<Output = Verdict> + Send {
        self.seen()
    }
    fn before_write_reply(&self, _: &mut OutgoingReply) -> impl Future<Output = Verdict> + Send {
        self.seen()
    }
    async fn after_write_reply(&self, _: &Written<'_>) {
        let _ = self.seen().await;
    }
    async fn after_read_reply_header(&self, _: &mut IncomingReply<'_>) -> Verdict {
        self.seen().await
    }
}

/// Looks at calls in hooks that may wait: their futures are allocated.
struct MayWait;

impl Plugin for MayWait {
    fn name(&self) -> &str {
        "may wait"
    }
    async fn before_read_body(&self, _: &mut Context) -> Verdict {
        Ok(())
    }
}

/// Which plugins both sides have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plugins {
    None,
    /// On the server one that has no hook for calls.
    Idle,
    Ready,
    MayWait,
}

impl Plugins {
    pub(crate) fn attach(self, builder: PeerBuilder) -> PeerBuilder {
        match self {
            Plugins::None => builder,
            Plugins::Idle => builder.plugin(Idle),
            Plugins::Ready => builder.plugin(Ready::default()),
            Plugins::MayWait => builder.plugin(MayWait),
        }
    }

    /// What they add to a call, on both sides together.
    pub(crate) fn allowed(self) -> u64 {
        match self {
            Plugins::None | Plugins::Idle => 0,
            // What is kept with a call while hooks look at it, on each side.
            Plugins::Ready => 2,
            // That on the server, the future of the hooks before its body, and that of the one.
            Plugins::MayWait => 3,
        }
    }
}

struct Idle;

impl Plugin for Idle {
    fn name(&self) -> &str {
        "idle"
    }
}
