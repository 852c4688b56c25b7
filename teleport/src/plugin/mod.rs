//! Plugins: what is to happen with every session, call and reply, written once and attached where it applies.
//!
//! A plugin is a type that implements [`Plugin`]: a name, and those of its hooks that it needs, as plain `async fn`.
//!
//! ```
//! use teleport::plugin::{OutgoingCall, Plugin, Verdict};
//! use teleport::{Context, Peer, Status};
//!
//! /// Knows callers by a word in the query of each pull.
//! struct Password(&'static str);
//!
//! impl Plugin for Password {
//!     fn name(&self) -> &str {
//!         "password"
//!     }
//!
//!     async fn before_write_pull(&self, call: &mut OutgoingCall<'_>) -> Verdict {
//!         call.add_query("word", self.0);
//!         Ok(())
//!     }
//!
//!     async fn before_read_body(&self, cx: &mut Context) -> Verdict {
//!         match cx.query("word") {
//!             Some(word) if word == self.0 => Ok(()),
//!             _ => Err(Status::unauthorized("say the word")),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
//! let server = Peer::builder()
//!     .plugin(Password("swordfish"))
//!     .pull("/open", |_, ()| async { Ok("it is open") })?
//!     .build()?;
//!
//! let stranger = Peer::builder().build()?.connect(&server).await?;
//! assert_eq!(stranger.pull("/open").await.unwrap_err().code(), Some(teleport::Code::UNAUTHORIZED));
//!
//! let friend = Peer::builder().plugin(Password("swordfish")).build()?.connect(&server).await?;
//! assert_eq!(friend.pull("/open").await?.decode::<String>()?, "it is open");
//! # Ok(()) }
//! ```
//!
//! # Where plugins are attached
//!
//! | with | they see |
//! |---|---|
//! | [`PeerBuilder::plugin`](crate::PeerBuilder::plugin) | the peer's sessions, all that it sends, all that comes, also to uris that nobody takes |
//! | [`Group::plugin`](crate::Group::plugin) | pulls and pushes that come to what is registered through the group from then on |
//! | [`Service::with_plugin`](crate::Service::with_plugin) | pulls and pushes that come to this service |
//!
//! Plugins of groups and services have the hooks after registration, those of inbound headers and bodies, and those of
//! the replies written to them. The other hooks belong to the peer as a whole, and run for plugins of the peer alone.
//!
//! # The hooks, in the order in which they run
//!
//! | when | hooks |
//! |---|---|
//! | the peer is built | [`handlers`](Plugin::handlers), then for each route [`after_register`](Plugin::after_register) |
//! | then once for all routes | [`after_register_all`](Plugin::after_register_all) |
//! | a session begins | [`after_dial`](Plugin::after_dial), or [`after_accept`](Plugin::after_accept); [`after_open`](Plugin::after_open) when all plugins have let it pass |
//! | this side pulls | [`before_write_pull`](Plugin::before_write_pull), [`after_write_pull`](Plugin::after_write_pull) |
//! | this side pushes | [`before_write_push`](Plugin::before_write_push), [`after_write_push`](Plugin::after_write_push) |
//! | a packet of any kind comes | [`before_read_header`](Plugin::before_read_header) |
//! | it is a pull or a push | [`after_read_header`](Plugin::after_read_header), then its handler is looked for, [`before_read_body`](Plugin::before_read_body), [`after_read_body`](Plugin::after_read_body), then the handler runs |
//! | a pull is answered, also where no handler took it | [`before_write_reply`](Plugin::before_write_reply), [`after_write_reply`](Plugin::after_write_reply) |
//! | the reply to a pull of this side comes | [`after_read_reply_header`](Plugin::after_read_reply_header), and where it is a success [`before_read_reply_body`](Plugin::before_read_reply_body), [`after_read_reply_body`](Plugin::after_read_reply_body) |
//! | a session has ended | [`after_disconnect`](Plugin::after_disconnect) |
//!
//! Of several plugins, those of the peer come first, then those of the outer group, of the inner group, of the
//! service; in each place those that were attached first. Pulls and pushes pass through them in this order, **replies in
//! the reverse order**, on the side that writes them and on the side that reads them; so the first plugin stands
//! outermost and sees a call before, and its reply after, all others. Sessions begin in this order and end in reverse.
//!
//! A plugin of a group or of a service sees a header when the handler has been found: a uri that it sets then changes
//! what handler and hooks read, but not which handler takes the call.
//!
//! # Refusing
//!
//! A hook that returns an error refuses, and the hooks behind it do not run:
//!
//! | refused by the hook | comes to |
//! |---|---|
//! | `after_register` | an error of [`PeerBuilder::build`](crate::PeerBuilder::build) that names plugin and route |
//! | `after_register_all` | an error of the build that names the plugin |
//! | `after_dial` | an error of the dial; the session is closed |
//! | `after_accept` | the session is closed; pulls that had come are answered with the status, and a peer that reads farewells is told it |
//! | before a write of a pull or push | an error of the call ([`Error::is_plugin`](crate::Error::is_plugin)); nothing was sent |
//! | `before_read_header` | the session is closed: nobody knows yet what the packet is |
//! | header or body of a pull | the pull is answered with the status |
//! | header or body of a push | the push is dropped |
//! | `before_write_reply` | the status is answered instead of what the handler said |
//! | header or body of a reply | an error of the call |
//!
//! The status is the plugin's own; [`Status::failed_plugin`](crate::Status::failed_plugin) makes one with the code that
//! stands for plugins, 424. [`Status::ok`](crate::Status::ok) takes a pull or push for the plugin itself: no handler runs,
//! and a pull is answered with success and no body. A hook that panics is logged as an error, and refuses with 424.
//!
//! A pull that is refused because too much waits already (`limits.max_pulls_in`, `limits.max_held`, `limits.max_queued`)
//! is answered without hooks.
//!
//! # Waiting
//!
//! Hooks of bodies, before writes, after dial, accept and disconnect may wait. The others run where nothing can:
//! in the task that reads the session, or in a call that has just been written. They are `async fn` too, so that a plugin
//! is written in one way; one that is not through when it is first polled is dropped, logged as an error, and refuses with
//! 424 where it can. Spawn a task there for what takes time.
//!
//! A hook that waits before a handler gets a task, so the session reads on; other calls may overtake it. The time that a
//! pull or push of this side may take covers its hooks.
//!
//! # Bodies that are passed on
//!
//! A [`SealedBody`](crate::SealedBody), as a proxy passes it on, goes through the same hooks, and through those around it
//! that read bodies, but is never opened: where it is compressed, hooks see it so. `is_sealed` of calls and replies tells.
//!
//! # What they cost
//!
//! Which hooks a plugin has is known from its type: those that it does not write itself are never called, and a peer
//! without plugins pays one comparison for each packet. A hook that may wait costs an allocation for its future; where one
//! is often run and never waits, write it without, and return [`std::future::ready`]:
//!
//! ```
//! # use std::future::{Future, ready};
//! # use teleport::plugin::{Plugin, Verdict};
//! # use teleport::{Context, Status};
//! # struct Small;
//! impl Plugin for Small {
//! #   fn name(&self) -> &str { "small" }
//!     fn before_read_body(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
//!         ready(if cx.payload().len() > 100 { Err(Status::bad_request("too long")) } else { Ok(()) })
//!     }
//! }
//! ```
//!
//! # Before a session is open
//!
//! While the hooks after dial and accept of a session run, nothing that comes over it is handed to a handler, the peer's
//! [`SessionHub`](crate::SessionHub) does not show it, and `dial` has not returned. Hooks on both sides talk to each other
//! through [`Early`]: pulls and pushes over the session as ever, and what comes is taken out of the line in which it
//! waits. [`Plugin::max_early_body`] bounds what a stranger may send until then.
//!
//! ```
//! use teleport::plugin::{Early, Plugin, Verdict};
//! use teleport::{Peer, ReplyBody, Status};
//!
//! struct Login(&'static str);
//!
//! impl Plugin for Login {
//!     fn name(&self) -> &str {
//!         "login"
//!     }
//!
//!     async fn after_dial(&self, early: &mut Early<'_>) -> Verdict {
//!         early.session().pull("/login").body(self.0).await?;
//!         Ok(())
//!     }
//!
//!     async fn after_accept(&self, early: &mut Early<'_>) -> Verdict {
//!         let call = early.receive().await?;
//!         if call.path() != "/login" || call.bind::<String>()? != self.0 {
//!             return Err(Status::unauthorized("log in first")); // answers the call too
//!         }
//!         call.answer(ReplyBody::empty());
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
//! let server = Peer::builder().plugin(Login("open sesame")).build()?;
//! let friend = Peer::builder().plugin(Login("open sesame")).build()?;
//! assert!(friend.connect(&server).await?.is_open());
//! let stranger = Peer::builder().plugin(Login("let me in")).build()?;
//! let error = stranger.connect(&server).await.unwrap_err();
//! assert_eq!(error.code(), Some(teleport::Code::UNAUTHORIZED));
//! # Ok(()) }
//! ```

mod chain;
mod early;
mod erased;
mod handlers;
mod hooks;
mod reply;

use std::future::Future;

pub(crate) use chain::{Chain, Plugins, waited};
pub use early::{Early, EarlyCall};
pub(crate) use early::{Side, welcome};
pub use handlers::Handlers;
pub(crate) use hooks::Hooks;
use hooks::Skipped;
pub use hooks::{Arriving, Disconnected, Opened, Route};
pub use reply::OutgoingReply;

use crate::context::Context;
pub use crate::session::{IncomingReply, OutgoingCall, Written};
use crate::status::Status;

/// What a hook says: go on, or a status to refuse with.
pub type Verdict = Result<(), Status>;

/// Hooks into what a peer does; see the [module](self) for their order, and for what a refusal comes to.
///
/// Write the hooks that are needed as plain `async fn`; the others do nothing and cost nothing. A plugin that is
/// shared, such as one that counts, is attached as an `Arc`.
///
/// # Examples
///
/// Counts the failed replies of a peer:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use teleport::plugin::{Plugin, Written};
/// use teleport::{Peer, Status};
///
/// #[derive(Default)]
/// struct Failures(AtomicU64);
///
/// impl Plugin for Failures {
///     fn name(&self) -> &str {
///         "failures"
///     }
///
///     async fn after_write_reply(&self, reply: &Written<'_>) {
///         if reply.status().is_some_and(|status| !status.code().is_ok()) {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let failures = Arc::new(Failures::default());
/// let server = Peer::builder().plugin(failures.clone()).build()?;
/// let session = Peer::builder().build()?.connect(&server).await?;
/// assert!(session.pull("/nowhere").await.is_err());
/// assert_eq!(failures.0.load(Ordering::Relaxed), 1);
/// # Ok(()) }
/// ```
pub trait Plugin: Send + Sync + 'static {
    /// The plugin's name in logs and errors.
    fn name(&self) -> &str;

    /// The place to bring handlers along: asked once, when the peer is built, of plugins that are attached to it. Calls
    /// to them pass through the peer's plugins like all others; for everybody else they cost nothing. A uri that is taken
    /// is an error of the build.
    fn handlers(&self, handlers: &mut Handlers) {
        let _ = handlers;
    }

    /// Paths other than its own under which this plugin takes calls to a route, for those who ask what the peer serves;
    /// see [`describe`](crate::describe). Asked once of each route, when the peer is built, of plugins that are attached to it.
    fn other_uris(&self, route: &Route<'_>) -> Vec<String> {
        let _ = route;
        Vec::new()
    }

    /// A route is registered: told of each when the peer is built, pulls before pushes, by path.
    ///
    /// # Errors
    ///
    /// A refusal becomes an error of the build.
    fn after_register(&self, route: &Route<'_>) -> Verdict {
        let _ = route;
        Ok(())
    }

    /// All routes are registered: told of them once, when the peer is built, of plugins that are attached to it.
    ///
    /// # Errors
    ///
    /// A refusal becomes an error of the build.
    fn after_register_all(&self, routes: &[Route<'_>]) -> Verdict {
        let _ = routes;
        Ok(())
    }

    /// Bytes of the largest body, codec id included, that may come over a session before this plugin has let it pass;
    /// `None`, the default, leaves it at [`Limits::max_body`](crate::Limits::max_body). The least of all plugins counts. A
    /// pull with a larger one is answered with 413, its bytes are skipped. `dialed` tells the sessions that this side dialed.
    ///
    /// A plugin that answers the other side before its hook ends, which may then send what it likes, says so first:
    /// [`Early::lift_limit`].
    fn max_early_body(&self, dialed: bool) -> Option<u32> {
        let _ = dialed;
        None
    }

    /// This side has dialed a session. May wait, within [`Timeouts::dial`](crate::Timeouts::dial). Runs for each connection of
    /// a session that [redials](crate::Redial), before the calls that wait for it; a refusal is a failed attempt then.
    fn after_dial(&self, early: &mut Early<'_>) -> impl Future<Output = Verdict> + Send {
        let _ = early;
        Skipped::verdict()
    }

    /// This side has accepted a session. May wait, within [`Timeouts::accept`](crate::Timeouts::accept).
    fn after_accept(&self, early: &mut Early<'_>) -> impl Future<Output = Verdict> + Send {
        let _ = early;
        Skipped::verdict()
    }

    /// A session opens: all plugins have let it pass. Runs once for each, before anything comes to a handler and before
    /// `dial` returns. Does not wait.
    fn after_open(&self, session: &Opened<'_>) -> impl Future<Output = ()> + Send {
        let _ = session;
        Skipped::nothing()
    }

    /// A pull is about to be written: its uri, gzip level and body can be changed. May wait.
    fn before_write_pull(&self, call: &mut OutgoingCall<'_>) -> impl Future<Output = Verdict> + Send {
        let _ = call;
        Skipped::verdict()
    }

    /// A pull stands in the session's output. Does not wait.
    fn after_write_pull(&self, call: &Written<'_>) -> impl Future<Output = ()> + Send {
        let _ = call;
        Skipped::nothing()
    }

    /// A push is about to be written: its uri, gzip level and body can be changed. May wait.
    fn before_write_push(&self, call: &mut OutgoingCall<'_>) -> impl Future<Output = Verdict> + Send {
        let _ = call;
        Skipped::verdict()
    }

    /// A push stands in the session's output. Does not wait.
    fn after_write_push(&self, call: &Written<'_>) -> impl Future<Output = ()> + Send {
        let _ = call;
        Skipped::nothing()
    }

    /// A reply is about to be written: its status, gzip level and body can be changed. May wait.
    fn before_write_reply(&self, reply: &mut OutgoingReply) -> impl Future<Output = Verdict> + Send {
        let _ = reply;
        Skipped::verdict()
    }

    /// A reply stands in the output. Does not wait.
    fn after_write_reply(&self, reply: &Written<'_>) -> impl Future<Output = ()> + Send {
        let _ = reply;
        Skipped::nothing()
    }

    /// A packet has come, of which nothing but its size is known. Does not wait.
    fn before_read_header(&self, packet: &Arriving<'_>) -> impl Future<Output = Verdict> + Send {
        let _ = packet;
        Skipped::verdict()
    }

    /// The header of a pull or push is read: the place to give it another uri ([`Context::set_uri`]). The body is as it
    /// travelled, perhaps compressed. Does not wait.
    fn after_read_header(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
        let _ = cx;
        Skipped::verdict()
    }

    /// The body of a pull or push is about to be inflated, where it is compressed. May wait.
    fn before_read_body(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
        let _ = cx;
        Skipped::verdict()
    }

    /// The body of a pull or push is inflated; the handler will decode it. May wait.
    fn after_read_body(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
        let _ = cx;
        Skipped::verdict()
    }

    /// The header of a reply to a pull of this side is read. Runs in the task of the caller; one that gave up leaves its
    /// reply to nobody. Does not wait.
    fn after_read_reply_header(&self, reply: &mut IncomingReply<'_>) -> impl Future<Output = Verdict> + Send {
        let _ = reply;
        Skipped::verdict()
    }

    /// The body of a successful reply is about to be inflated, where it is compressed. May wait.
    fn before_read_reply_body(&self, reply: &mut IncomingReply<'_>) -> impl Future<Output = Verdict> + Send {
        let _ = reply;
        Skipped::verdict()
    }

    /// The body of a successful reply is inflated; the caller will decode it. May wait.
    fn after_read_reply_body(&self, reply: &mut IncomingReply<'_>) -> impl Future<Output = Verdict> + Send {
        let _ = reply;
        Skipped::verdict()
    }

    /// A session has ended, by whatever cause. Runs once for each session that this plugin has let pass; where another
    /// plugin refused the session, for those that had let it pass before. May wait, within
    /// [`Timeouts::close`](crate::Timeouts::close). Of a session that redials it is told at the
    /// loss of each connection; [`Disconnected::redials`] says whether another is dialed.
    fn after_disconnect(&self, session: &Disconnected<'_>) -> impl Future<Output = ()> + Send {
        let _ = session;
        Skipped::nothing()
    }
}

#[cfg(test)]
mod tests;
