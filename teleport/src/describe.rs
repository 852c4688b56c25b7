//! What a peer tells of itself to those who ask: its routes, and whether it is about to go.
//!
//! Neither is told unless the peer is built so, with [`PeerBuilder::describe_routes`](crate::PeerBuilder::describe_routes)
//! and [`PeerBuilder::health`](crate::PeerBuilder::health). Both are pulls as any other: the peer's plugins guard them, limits
//! bound what they answer, and they stand in the list themselves. They read no body, and answer in JSON, or in bincode where
//! the pull came in it.
//!
//! # Routes
//!
//! The pull at [`ROUTES_URI`] answers with a [`RouteList`]; [`Router::describe`](crate::Router::describe) makes the same
//! without a call.
//!
//! ```
//! use teleport::describe::{BodyLayout, ROUTES_URI, RouteList};
//! use teleport::{Peer, Status};
//!
//! #[teleport::service]
//! trait Arith {
//!     /// Multiplies.
//!     #[pull(timeout = "5s")]
//!     async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
//! }
//!
//! struct Wrapping;
//!
//! impl Arith for Wrapping {
//!     async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
//!         Ok(a.wrapping_mul(b))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
//! let server = Peer::builder().service(ArithServer::new(Wrapping))?.describe_routes().build()?;
//! let session = Peer::builder().build()?.connect(&server).await?;
//!
//! let list: RouteList = session.pull(ROUTES_URI).await?.decode()?;
//! assert_eq!(list, server.router().describe());
//! let mul = &list.routes[0];
//! assert_eq!((&*mul.uri, &*mul.name, &*mul.doc), ("/arith/mul", "Arith::mul", "Multiplies."));
//! assert_eq!((mul.layout, mul.args[1].name.as_deref(), &*mul.args[1].type_name), (BodyLayout::Named, Some("b"), "i64"));
//! assert_eq!(mul.reply.as_deref(), Some("i64"));
//! # Ok(()) }
//! ```
//!
//! In JSON, such as for those who don't have these types, the answer to that is, beside the pull of the list itself:
//!
//! ```json
#![doc = include_str!("../docs/routes.json")]
//! ```
//!
//! JSON is for peers of other versions: fields may be added. Bincode has no names, so both sides need the same version of
//! Teleport.
//!
//! # Health
//!
//! The pull at [`HEALTH_URI`] answers with a [`Health`], and always successfully, so that the body can be read in each state:
//! `{"state":"serving"}`, or `{"state":"draining"}`, where the status has the text `draining` too. For a check that knows
//! success and failure only there is [`READY_URI`]: while the peer drains it is answered with the status 503 `draining`,
//! without a body.
//!
//! A peer is draining from the moment when its [shutdown](crate::Peer::shutdown) begins, or a program has said so with
//! [`Peer::set_draining`](crate::Peer::set_draining). A shutdown soon refuses whatever comes; so that others see the word
//! before that, give it a [notice](crate::Shutdown::notice) of a few of their intervals.
//!
//! ```
//! use teleport::describe::{HEALTH_URI, Health, HealthState, READY_URI};
//! use teleport::{Code, Peer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
//! let server = Peer::builder().health().build()?;
//! let session = Peer::builder().build()?.connect(&server).await?;
//! assert!(session.pull(READY_URI).await.is_ok());
//!
//! server.set_draining(true);
//! let health: Health = session.pull(HEALTH_URI).await?.decode()?;
//! assert_eq!(health.state, HealthState::Draining);
//! assert_eq!(session.pull(READY_URI).await.unwrap_err().code(), Some(Code::UNAVAILABLE));
//! # Ok(()) }
//! ```

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a peer answers with its [`RouteList`], if it is built to.
pub const ROUTES_URI: &str = "/teleport/routes";

/// Where a peer answers with its [`Health`], if it is built to.
pub const HEALTH_URI: &str = "/teleport/health";

/// [`HEALTH_URI`], for those who know success and failure only: a peer that drains answers with the status 503.
pub const READY_URI: &str = "/teleport/health?ready";

/// All that a peer serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RouteList {
    /// Pulls before pushes, each by uri.
    pub routes: Vec<RouteInfo>,
    /// Whether a handler takes pulls to uris that are not in the list.
    pub unknown_pulls: bool,
    /// Whether a handler takes pushes to uris that are not in the list.
    pub unknown_pushes: bool,
}

/// One route of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RouteInfo {
    /// Whether it is answered.
    pub kind: RouteKind,
    /// The path that is called, prefixes of groups included, unescaped.
    pub uri: String,
    /// Other paths that lead here: those of the plugins that know of some, such as [`Alias`](crate::plugins::Alias).
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What it is to people: `Arith::mul`, `a function at /add`, `the plugin auth`.
    #[serde(default)]
    pub name: String,
    /// How its arguments stand in a body.
    #[serde(default)]
    pub layout: BodyLayout,
    /// Its arguments, in order.
    #[serde(default)]
    pub args: Vec<ArgumentInfo>,
    /// The type of what it answers: of a service as it is written there, without the `Result` around it where that is one
    /// of two types; of a function as [`std::any::type_name`] has it. None for a push, and where the handler alone knows.
    #[serde(default)]
    pub reply: Option<String>,
    /// Codecs that it takes and answers in, its default first; none where the handler alone knows.
    #[serde(default)]
    pub codecs: Vec<CodecInfo>,
    /// The doc comment of the method, without its indentation; empty for functions.
    #[serde(default)]
    pub doc: String,
    /// Gzip level that generated clients send at, 0 for none. Any other level is taken too.
    #[serde(default)]
    pub gzip: i32,
    /// How long generated clients wait for it, in microseconds, where the service says so.
    #[serde(default)]
    pub timeout_us: Option<u64>,
    /// Whether a call may run more than once.
    #[serde(default)]
    pub idempotent: bool,
    /// Whether a handler that has begun runs to its end, also where its caller has gone away.
    #[serde(default)]
    pub no_cancel: bool,
}

impl RouteInfo {
    /// How long generated clients wait for it, where the service says so.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_us.map(Duration::from_micros)
    }
}

/// An argument of a [route](RouteInfo).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ArgumentInfo {
    /// Its name; none for functions.
    #[serde(default)]
    pub name: Option<String>,
    /// Its type: of a service as it is written there, of a function as [`std::any::type_name`] has it.
    pub type_name: String,
}

/// A codec of a [route](RouteInfo).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CodecInfo {
    /// The id that travels, such as 106 (`j`).
    pub id: u8,
    /// The name, such as `json`.
    pub name: String,
}

/// Whether a [route](RouteInfo) is answered: `"pull"` or `"push"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RouteKind {
    /// It is.
    Pull,
    /// It is one way.
    Push,
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RouteKind::Pull => "pull",
            RouteKind::Push => "push",
        })
    }
}

/// How the arguments of a [route](RouteInfo) stand in a body; the name in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BodyLayout {
    /// There are none, and no body.
    Empty,
    /// One, as it is.
    Bare,
    /// Several, as an object with their names; in order where a codec has no names.
    Named,
    /// Several, as an array.
    Tuple,
    /// The handler reads the body as it likes.
    #[default]
    Raw,
}

/// What a peer answers at [`HEALTH_URI`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether it should get more calls.
    pub state: HealthState,
}

impl Health {
    pub(crate) fn new(is_draining: bool) -> Self {
        Health { state: if is_draining { HealthState::Draining } else { HealthState::Serving } }
    }
}

/// Whether a peer should get more calls: `"serving"` or `"draining"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HealthState {
    /// It should.
    Serving,
    /// It still answers, and is about to go: send new calls to others.
    Draining,
}

impl HealthState {
    /// The state in lower case, as it is in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HealthState::Serving => "serving",
            HealthState::Draining => "draining",
        }
    }
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
