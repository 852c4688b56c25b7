//! Typed RPC over long-lived sessions: annotate a trait, and have a client and a server of it.
//!
//! Both sides of a session are equal: either may listen or dial, and either may *pull* (call and wait for the reply) or
//! *push* (send one way) at any time. On the wire it is Teleport 2.0, the format of the Go socket framework of that name.
//!
//! ```
//! use teleport::{Peer, Status};
//!
//! #[teleport::service]
//! trait Arith {
//!     async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
//! }
//!
//! struct Exact;
//!
//! impl Arith for Exact {
//!     async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
//!         a.checked_mul(b).ok_or_else(|| Status::new(1000, "overflow"))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> teleport::Result<()> {
//! let server = Peer::builder().service(ArithServer::new(Exact))?.listen("127.0.0.1:0").await?;
//!
//! let session = Peer::builder().build()?.dial(server.local_addr()?).await?;
//! assert_eq!(ArithClient::new(&session).mul(6, 7).await?, 42);
//! # Ok(()) }
//! ```
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | declare a service, and what its options are | [`service`](macro@service) |
//! | listen, dial, and set limits and timeouts | [`Peer`], [`PeerBuilder`], [`Limits`], [`Timeouts`] |
//! | read all settings from a file and the environment | [`Settings`] |
//! | call, and what may go wrong | [`PullCall`], [`PushCall`], [`Error`], [`Delivery`] |
//! | call without a trait | [`Session::pull`], [`Session::push`], [`Reply`] |
//! | handle without a trait, group, catch unknown uris | [`Router`], [`ReplyBody`] |
//! | see the packet in a handler, and call back | [`Context`] |
//! | do something with every session, call and reply | [`plugin`], [`Extensions`] |
//! | check who dials, find dead sessions, count calls, bound what peers may do, other uris for routes | [`plugins`] |
//! | see every call in the log, and which are slow | [`LogOptions`] |
//! | keep a session when its connection is lost | [`Redial`], [`SessionState`] |
//! | know what a peer can and can't do to this one | [`Limits`], [`Timeouts`], and `SECURITY.md` in the repository |
//! | ask a peer what it serves, and whether it is about to go | [`describe`] |
//! | reach many sessions | [`SessionHub`] |
//! | shut down, at a signal or by a call | [`Peer::until_signal`], [`Shutdown`] |
//! | restart without losing a call | `Restart`, on Unix |
//! | pass calls on to other peers | [`ReverseProxy`], [`Upstream`], [`SealedBody`] |
//! | announce servers, find them by name, balance over them | [`registry`] |
//! | speak TLS, and see who calls | `Tls` and `TlsInfo`, with the feature `tls` |
//! | choose or write a body codec | [`Codec`], [`Json`], [`Bincode`], [`Protobuf`], [`Plain`] |
//! | choose or write a header codec | [`HeaderCodec`] |
//! | run over a transport of your own, or in memory | [`Connection`] |
//! | read and write packets without a session | [`wire`] |
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `tls` | addresses `tls://host:port`: `Tls`, `TlsInfo`, [`PeerBuilder`]`::tls` |
//! | `prometheus` | the endpoint for Prometheus: [`plugins::Stats`]`::serve` |
//! | `etcd` | the registry in etcd v3: `registry::EtcdRegistry` |

extern crate self as teleport;

mod buffer;
mod call;
mod codec;
mod context;
pub mod describe;
mod error;
mod extensions;
mod logs;
mod method;
mod peer;
pub mod plugin;
pub mod plugins;
mod proxy;
pub mod registry;
mod router;
mod session;
mod settings;
mod socket;
mod status;
mod travel;
mod units;
pub mod wire;

pub use teleport_macros::service;

pub use call::{
    BeforeBody, BodyGiven, IntoTarget, Pull, PullCall, Push, PushCall, Reply, SealedPull, SealedPush,
    SealedReply, Target,
};
pub use codec::gzip;
pub use codec::{
    AnyError, Bincode, Codec, CodecError, CodecList, Decode, DecodeAny, DecodeLimits, Encode, EncodeAny,
    Input, Json, Plain, Protobuf, Scratch,
};
pub use context::{Context, ReplyBody, Scoped};
pub use error::{Delivery, Error, Initiator, Result};
pub use extensions::Extensions;
pub use logs::{LogCalls, LogOptions, LogPart, Logged};
pub use method::Accepts;
pub use peer::{Broadcast, Dial, Peer, PeerBuilder, SessionHub, Shutdown, ShutdownReport, UntilSignal};
#[cfg(unix)]
pub use peer::{Restart, Successor};
#[doc(inline)]
pub use plugin::Plugin;
pub use proxy::{Clients, ReverseProxy, Upstream};
pub use router::{Group, Plugged, Router, Routes, Service};
pub use session::{
    CutCall, Direction, Limits, Overload, Redial, Session, SessionState, StateChanges, Timeouts, WeakSession,
    WhileDown,
};
pub use settings::{HeaderOptions, Settings};
pub use socket::{Address, Connection, Endpoint, TcpOptions};
#[cfg(feature = "tls")]
pub use socket::{Tls, TlsInfo};
pub use status::{Code, Status};
#[doc(inline)]
pub use wire::{HeaderCodec, IdFormat, JsonHeader, PacketId, ProtobufHeader, SealedBody, TraceParent};

/// The version of rustls that [`Tls`] and [`TlsInfo`] are in terms of.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// What code generated by `#[teleport::service]` names; not for use by hand, and not stable.
#[doc(hidden)]
pub mod __private {
    pub use crate::call::{
        ClientCore, IntoTarget, PullCall, PushCall, pull_call, pull_call_empty, push_call, push_call_empty,
    };
    pub use crate::codec::{
        Bincode, Codec, CodecList, Decode, DecodeAny, Encode, EncodeAny, Json, Plain, Protobuf,
    };
    pub use crate::context::Context;
    pub use crate::method::{
        Accepts, ArgNames, Method, MethodSpec, Named, NoCodec, Read, Reads, Writes, Written,
    };
    pub use crate::router::{ReplyResult, Routes, Service, arguments};
    pub use crate::session::Session;
    pub use crate::status::Status;
}
