//! Plugins in their order.

use std::fmt;
use std::sync::Arc;

use super::erased::{self, Erased, HookStep};
use super::{
    Arriving, Disconnected, Early, Handlers, Hooks, IncomingReply, Opened, OutgoingCall, OutgoingReply,
    Plugin, Route, Side, Written,
};
use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::session::{CallHooks, Session, Step, poll_once};
use crate::status::Status;
use crate::wire::Kind;

/// One plugin, and which hooks it has.
#[derive(Clone)]
struct Link {
    plugin: Arc<dyn Erased>,
    has: Hooks,
    waits: Hooks,
}

impl Link {
    fn new(plugin: impl Plugin) -> Self {
        let plugin: Arc<dyn Erased> = Arc::new(plugin);
        let (has, waits) = plugin.hooks();
        Link { plugin, has, waits }
    }

    /// Ends a hook that was begun.
    async fn done(&self, hook: &str, step: HookStep<'_>) -> Result<(), Refusal> {
        erased::done(self.plugin.name(), hook, step).await.map_err(|status| self.refused(status))
    }

    fn refused(&self, status: Status) -> Refusal {
        let plugin = self.plugin.name();
        tracing::debug!(target: "teleport", plugin, %status, "a plugin refused");
        Refusal { plugin: plugin.into(), status }
    }
}

/// Plugins that were attached to one place, in order.
#[derive(Clone, Default)]
pub(crate) struct Plugins(Vec<Link>);

impl Plugins {
    pub(crate) fn push(&mut self, plugin: impl Plugin) {
        self.0.push(Link::new(plugin));
    }

    /// Adds those of a place further inside.
    pub(crate) fn extend(&mut self, inner: &Plugins) {
        self.0.extend(inner.0.iter().cloned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|link| link.plugin.name())
    }

    /// The handlers that each brings along, with its name.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = Result<(&str, Handlers), Error>> {
        self.0.iter().map(|link| {
            let mut handlers = Handlers::default();
            let name = link.plugin.name();
            let given = link.plugin.handlers(&mut handlers);
            given
                .map_err(|status| Error::config(format!("the plugin {name} gave no handlers ({status})")))?;
            Ok((name, handlers))
        })
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The plugins that see one route, or all that is not a route's: those of the peer, then the route's own.
#[derive(Default)]
pub(crate) struct Chain {
    links: Box<[Link]>,
    /// How many of them are the peer's.
    of_peer: usize,
    has: Hooks,
    waits: Hooks,
}

/// Hooks of what comes in, and of its answer.
const INBOUND: Hooks = Hooks::AFTER_READ_HEADER.and(BODY).and(REPLY);
const BODY: Hooks = Hooks::BEFORE_READ_BODY.and(Hooks::AFTER_READ_BODY);
const REPLY: Hooks = Hooks::BEFORE_WRITE_REPLY.and(Hooks::AFTER_WRITE_REPLY);
const PULL: Hooks = Hooks::BEFORE_WRITE_PULL.and(Hooks::AFTER_WRITE_PULL).and(READ_REPLY);
const PUSH: Hooks = Hooks::BEFORE_WRITE_PUSH.and(Hooks::AFTER_WRITE_PUSH);
const READ_REPLY: Hooks = Hooks::AFTER_READ_REPLY_HEADER.and(READ_REPLY_BODY);
const READ_REPLY_BODY: Hooks = Hooks::BEFORE_READ_REPLY_BODY.and(Hooks::AFTER_READ_REPLY_BODY);

impl Chain {
    /// The chain of what belongs to no route, or of a route with these plugins of its own.
    pub(crate) fn new(peer: &Plugins, own: &Plugins) -> Self {
        let links: Box<[Link]> = peer.0.iter().chain(&own.0).cloned().collect();
        let (mut has, mut waits) = (Hooks::NONE, Hooks::NONE);
        for link in &links {
            has |= link.has;
            waits |= link.waits;
        }
        Chain { links, of_peer: peer.0.len(), has, waits }
    }

    /// Other paths of a route, as the plugins know them, each once and in order.
    pub(crate) fn other_uris(&self, route: &Route<'_>) -> Vec<String> {
        let mut uris: Vec<_> = self.links.iter().flat_map(|link| link.plugin.other_uris(route)).collect();
        uris.sort_unstable();
        uris.dedup();
        uris
    }

    /// Whether a hook looks at what comes in, or at its answer.
    pub(crate) fn sees_inbound(&self) -> bool {
        self.has.any(INBOUND)
    }

    pub(crate) fn sees_arrivals(&self) -> bool {
        self.has.any(Hooks::BEFORE_READ_HEADER)
    }

    pub(crate) fn may_wait_for_bodies(&self) -> bool {
        self.waits.any(BODY)
    }

    /// Whether a hook looks at replies that this side writes.
    pub(crate) fn sees_answers(&self) -> bool {
        self.has.any(REPLY)
    }

    pub(crate) fn may_wait_for_answers(&self) -> bool {
        self.waits.any(Hooks::BEFORE_WRITE_REPLY)
    }

    /// Whether a hook looks at replies that come to this side.
    pub(crate) fn sees_replies(&self) -> bool {
        self.has.any(READ_REPLY)
    }

    pub(crate) fn sees_calls(&self) -> bool {
        self.has.any(PULL | PUSH)
    }

    pub(crate) fn sees_ends(&self) -> bool {
        self.has.any(Hooks::AFTER_DISCONNECT)
    }

    pub(crate) fn sees_begin(&self, side: Side) -> bool {
        self.has.any(side.hook())
    }

    /// The least that plugins behind the first `passed` bound early bodies to, and whose bound it is.
    pub(crate) fn max_early_body(&self, side: Side, passed: usize) -> Option<(u32, &str)> {
        let bound = |link: &'_ Link| link.plugin.max_early_body(side == Side::Dialed);
        let bounds =
            self.links.iter().skip(passed).filter_map(|link| Some((bound(link)?, link.plugin.name())));
        bounds.min_by_key(|(bound, _)| *bound)
    }

    /// Tells of a session that is open.
    pub(crate) fn opened(&self, side: Side, session: &Session) {
        let opened = Opened { session, is_dialed: side == Side::Dialed };
        self.having(Hooks::AFTER_OPEN).for_each(|link| {
            // It can't refuse; what failed is logged.
            let _ = link.plugin.after_open(&opened);
        });
    }

    /// Tells of a route.
    pub(crate) fn after_register(&self, route: &Route<'_>) -> Result<(), Error> {
        for link in &self.links {
            link.plugin.after_register(route).map_err(|status| {
                let (plugin, kind) = (link.plugin.name(), if route.is_push { "push" } else { "pull" });
                Error::config(format!("the plugin {plugin} refuses the {kind} {} ({status})", route.path))
            })?;
        }
        Ok(())
    }

    /// Tells the plugins of the peer of all routes.
    pub(crate) fn after_register_all(&self, routes: &[Route<'_>]) -> Result<(), Error> {
        for link in &self.links[..self.of_peer] {
            link.plugin.after_register_all(routes).map_err(|status| {
                Error::config(format!("the plugin {} refuses the routes ({status})", link.plugin.name()))
            })?;
        }
        Ok(())
    }

    pub(crate) fn before_read_header(&self, packet: &Arriving<'_>) -> Result<(), Refusal> {
        let hook = |link: &Link| link.plugin.before_read_header(packet);
        run_at_once(self.links.iter(), Hooks::BEFORE_READ_HEADER, hook)
    }

    /// The hooks of the peer's plugins, before the handler is looked for.
    pub(crate) fn after_read_header(&self, cx: &mut Context) -> Result<(), Refusal> {
        let hook = |link: &Link| link.plugin.after_read_header(cx);
        run_at_once(self.links[..self.of_peer].iter(), Hooks::AFTER_READ_HEADER, hook)
    }

    /// Those of the route's own plugins, when it is found.
    pub(crate) fn after_read_header_of_route(&self, cx: &mut Context) -> Result<(), Refusal> {
        let hook = |link: &Link| link.plugin.after_read_header(cx);
        run_at_once(self.links[self.of_peer..].iter(), Hooks::AFTER_READ_HEADER, hook)
    }

    pub(crate) async fn before_read_body(&self, cx: &mut Context) -> Result<(), Refusal> {
        for link in self.having(Hooks::BEFORE_READ_BODY) {
            link.done("before_read_body", link.plugin.before_read_body(cx)).await?;
        }
        Ok(())
    }

    pub(crate) async fn after_read_body(&self, cx: &mut Context) -> Result<(), Refusal> {
        for link in self.having(Hooks::AFTER_READ_BODY) {
            link.done("after_read_body", link.plugin.after_read_body(cx)).await?;
        }
        Ok(())
    }

    pub(crate) async fn before_write_reply(&self, reply: &mut OutgoingReply) {
        for link in self.having(Hooks::BEFORE_WRITE_REPLY).rev() {
            let step = link.plugin.before_write_reply(reply);
            if let Err(refusal) = link.done("before_write_reply", step).await {
                return reply.set_status(refusal.status);
            }
        }
    }

    pub(crate) fn after_write_reply(&self, written: &Written<'_>) {
        self.having(Hooks::AFTER_WRITE_REPLY).rev().for_each(|link| {
            // Nothing can be refused any more; what failed is logged.
            let _ = link.plugin.after_write_reply(written);
        });
    }

    /// Leads a session that begins through its hooks; `passed` is told of each plugin that it has passed.
    pub(super) async fn begin(
        &self,
        side: Side,
        early: &mut Early<'_>,
        passed: impl Fn(),
    ) -> Result<(), Refusal> {
        for link in &self.links {
            if link.has.any(side.hook()) {
                match side {
                    Side::Dialed => link.done("after_dial", link.plugin.after_dial(early)).await?,
                    Side::Accepted => link.done("after_accept", link.plugin.after_accept(early)).await?,
                }
            }
            passed();
        }
        Ok(())
    }

    /// Tells of the end of a session that has passed so many plugins.
    pub(crate) async fn end(&self, passed: usize, session: &Disconnected<'_>) {
        for link in self.links.iter().take(passed).rev() {
            if link.has.any(Hooks::AFTER_DISCONNECT) {
                // It can't refuse; a panic is logged.
                let _ = link.done("after_disconnect", link.plugin.after_disconnect(session)).await;
            }
        }
    }

    fn having(&self, hook: Hooks) -> impl DoubleEndedIterator<Item = &Link> {
        self.links.iter().filter(move |link| link.has.any(hook))
    }

    async fn before_call(&self, call: &mut OutgoingCall<'_>, hook: Hooks) -> Result<(), Refusal> {
        for link in self.having(hook) {
            if hook == Hooks::BEFORE_WRITE_PUSH {
                link.done("before_write_push", link.plugin.before_write_push(call)).await?;
            } else {
                link.done("before_write_pull", link.plugin.before_write_pull(call)).await?;
            }
        }
        Ok(())
    }

    async fn reply_body(&self, reply: &mut IncomingReply<'_>, hook: Hooks) -> Result<(), Refusal> {
        for link in self.having(hook).rev() {
            if hook == Hooks::BEFORE_READ_REPLY_BODY {
                link.done("before_read_reply_body", link.plugin.before_read_reply_body(reply)).await?;
            } else {
                link.done("after_read_reply_body", link.plugin.after_read_reply_body(reply)).await?;
            }
        }
        Ok(())
    }

    /// Begins with hooks: through at once where none of them may wait.
    fn step<'a>(
        &self,
        hook: Hooks,
        run: impl Future<Output = Result<(), Refusal>> + Send + 'a,
    ) -> Step<'a, Refusal> {
        if !self.has.any(hook) {
            return Step::Now(Ok(()));
        }
        if self.waits.any(hook) {
            return Step::Later(Box::pin(run));
        }
        Step::Now(poll_once(run).unwrap_or_else(|| Err(waited())))
    }
}

fn run_at_once<'a>(
    links: impl Iterator<Item = &'a Link>,
    hook: Hooks,
    mut run: impl FnMut(&Link) -> super::Verdict,
) -> Result<(), Refusal> {
    links
        .filter(|link| link.has.any(hook))
        .try_for_each(|link| run(link).map_err(|status| link.refused(status)))
}

/// Hooks that say by their type that they never wait did.
pub(crate) fn waited() -> Refusal {
    Refusal { plugin: "?".into(), status: Status::failed_plugin("a hook waits where it may not") }
}

impl CallHooks for Chain {
    fn see(&self, kind: Kind) -> bool {
        self.has.any(if kind.is_push() { PUSH } else { PULL })
    }

    fn see_replies(&self) -> bool {
        self.sees_replies()
    }

    fn may_wait(&self, kind: Kind) -> bool {
        self.waits.any(match kind {
            Kind::REPLY => READ_REPLY_BODY,
            Kind::PULL => Hooks::BEFORE_WRITE_PULL,
            _ => Hooks::BEFORE_WRITE_PUSH,
        })
    }

    fn before_write<'a>(&'a self, call: &'a mut OutgoingCall<'_>) -> Step<'a, Refusal> {
        let hook = if call.is_push() { Hooks::BEFORE_WRITE_PUSH } else { Hooks::BEFORE_WRITE_PULL };
        self.step(hook, self.before_call(call, hook))
    }

    fn after_write(&self, written: &Written<'_>) {
        // Nothing can be refused any more; what failed is logged.
        if written.kind().is_push() {
            self.having(Hooks::AFTER_WRITE_PUSH).for_each(|link| drop(link.plugin.after_write_push(written)));
        } else {
            self.having(Hooks::AFTER_WRITE_PULL).for_each(|link| drop(link.plugin.after_write_pull(written)));
        }
    }

    fn after_reply_header(&self, reply: &mut IncomingReply<'_>) -> Result<(), Refusal> {
        let hook = |link: &Link| link.plugin.after_read_reply_header(reply);
        run_at_once(self.links.iter().rev(), Hooks::AFTER_READ_REPLY_HEADER, hook)
    }

    fn before_reply_body<'a>(&'a self, reply: &'a mut IncomingReply<'_>) -> Step<'a, Refusal> {
        let hook = Hooks::BEFORE_READ_REPLY_BODY;
        self.step(hook, self.reply_body(reply, hook))
    }

    fn after_reply_body<'a>(&'a self, reply: &'a mut IncomingReply<'_>) -> Step<'a, Refusal> {
        let hook = Hooks::AFTER_READ_REPLY_BODY;
        self.step(hook, self.reply_body(reply, hook))
    }
}
