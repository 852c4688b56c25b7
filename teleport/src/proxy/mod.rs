//! The reverse proxy: unknown pulls and pushes passed on to other peers, unopened.

mod clients;
mod lanes;
mod upstream;
mod uri;
mod way;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use clients::Clients;
pub use upstream::Upstream;

use clients::Pairs;
use upstream::Target;
use uri::Pattern;
use way::{Failed, Way};

use crate::call::SealedReply;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::router::Router;
use crate::session::Session;
use crate::status::{Code, Status};
use crate::wire::{SealedBody, Uri};

/// Passes the pulls and pushes that no handler of its peer takes on to other peers.
#[doc = include_str!("../../docs/proxy.md")]
#[derive(Default)]
#[must_use = "a proxy does nothing before its `router` is given to a peer"]
pub struct ReverseProxy {
    /// The narrowest first.
    rules: Vec<Rule>,
    address: Option<ClientAddress>,
    hops: Option<(Arc<str>, u32)>,
}

struct Rule {
    pattern: Pattern,
    /// The path in place of the pattern's own.
    target: Option<String>,
    upstream: Target,
}

/// The query parameter that tells where a client is.
struct ClientAddress {
    name: Arc<str>,
    /// One that is there already stays.
    trusted: bool,
}

impl ReverseProxy {
    /// A proxy that passes nothing on yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A proxy that passes everything on to one upstream.
    ///
    /// # Errors
    ///
    /// As [`route`](Self::route).
    pub fn to(upstream: impl Into<Upstream>) -> Result<Self> {
        Self::new().otherwise(upstream)
    }

    /// Passes on what the pattern takes: a path, as `/status`, or one and all below it, as `/users/**`. Of several that
    /// take a uri, the longest counts.
    ///
    /// # Errors
    ///
    /// A config error where the pattern or the upstream's address can't be read, or a setting of the upstream's peer can't
    /// be used; a conflict where the proxy has the pattern already.
    pub fn route(self, pattern: &str, upstream: impl Into<Upstream>) -> Result<Self> {
        self.rule(Pattern::parse(pattern)?, None, upstream.into())
    }

    /// As [`route`](Self::route), with another path in place of the pattern's: from `/shop/**` to `/**` cuts `/shop` off,
    /// from `/users/**` to `/v2/users/**` puts `/v2` in front. The query stays, and so does the uri in the reply.
    ///
    /// # Errors
    ///
    /// As [`route`](Self::route), and where one of both patterns ends with `/**` and the other does not.
    pub fn rewrite(self, pattern: &str, to: &str, upstream: impl Into<Upstream>) -> Result<Self> {
        let pattern = Pattern::parse(pattern)?;
        let target = pattern.target(to)?;
        self.rule(pattern, Some(target), upstream.into())
    }

    /// Passes on whatever no pattern takes; without it, that is answered 404.
    ///
    /// # Errors
    ///
    /// As [`route`](Self::route).
    pub fn otherwise(self, upstream: impl Into<Upstream>) -> Result<Self> {
        self.route("/**", upstream)
    }

    /// Tells upstreams where the client is: puts `name=<address>` at the front of the query, and takes out what the client
    /// itself put there under this name. Of a TCP client it is address and port. The original's name for it is `X-Real-IP`.
    ///
    /// Off by default, as it changes the uri; one who does not know it does not look at it.
    pub fn client_address(mut self, name: &str) -> Self {
        self.address = Some(ClientAddress { name: name.into(), trusted: false });
        self
    }

    /// As [`client_address`](Self::client_address), but an address that is there already stays: for a proxy that only other
    /// proxies can reach.
    pub fn trusted_client_address(mut self, name: &str) -> Self {
        self.address = Some(ClientAddress { name: name.into(), trusted: true });
        self
    }

    /// Counts the proxies that a packet went through, in the query under `name`, and refuses with 508 what went through
    /// `most` already.
    ///
    /// For proxies that might pass packets on to each other: a push that goes in circles is ended by nothing else. Off by
    /// default, as it changes the uri. All of them are to have the same name.
    pub fn max_hops(mut self, name: &str, most: u32) -> Self {
        self.hops = Some((name.into(), most));
        self
    }

    /// The router to give to a peer, with [`PeerBuilder::router`](crate::PeerBuilder::router): it takes all unknown pulls
    /// and pushes. Handlers of the peer's own come first.
    #[must_use]
    pub fn router(self) -> Router {
        router(Arc::new(self))
    }

    fn rule(mut self, pattern: Pattern, target: Option<String>, upstream: Upstream) -> Result<Self> {
        if self.rules.iter().any(|rule| rule.pattern == pattern) {
            return Err(Error::conflict(format!(
                "the proxy has an upstream for {pattern:?} already; give one of them another pattern"
            )));
        }
        self.rules.push(Rule { pattern, target, upstream: upstream.build()? });
        self.rules.sort_by_key(|rule| rule.pattern.breadth());
        Ok(self)
    }

    /// The pairs that the query is to have in front.
    fn marks<'a>(&'a self, cx: &'a Context, upstream: &'a Target) -> Result<Vec<Mark<'a>>, Status> {
        let mut marks: Vec<Mark<'a>> = Vec::new();
        if let Some(ClientAddress { name, trusted }) = &self.address
            && !(*trusted && cx.query(name).is_some())
        {
            let address = cx.session().remote_addr();
            let address = address.tcp().map_or_else(|| address.to_string(), |address| address.to_string());
            marks.push((name, address.into()));
        }
        if let Some((name, most)) = &self.hops {
            let hops = cx.query(name).and_then(|hops| hops.parse::<u32>().ok()).unwrap_or(0);
            if hops >= *most {
                let text = format!(
                    "Loop Detected: {} went through {hops} proxies, and {most} are allowed (`max_hops`); it has not run",
                    cx.uri()
                );
                return Err(Status::new(Code::LOOP_DETECTED, text));
            }
            marks.push((name, (hops + 1).to_string().into()));
        }
        if let Some(clients) = &upstream.clients {
            marks.push((clients.name(), clients.id(cx.session()).to_string().into()));
        }
        Ok(marks)
    }
}

/// Name and value of a query parameter.
type Mark<'a> = (&'a str, Cow<'a, str>);

impl fmt::Debug for ReverseProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rules.iter().map(|rule| &rule.pattern)).finish()
    }
}

impl Forward for ReverseProxy {
    fn hop<'a>(&'a self, cx: &'a Context) -> Result<Hop<'a>, Status> {
        let path = Uri::new(cx.uri()).path();
        let found = self.rules.iter().find_map(|rule| Some((rule, rule.pattern.rest(path)?)));
        let Some((rule, rest)) = found else {
            let kind = if cx.is_push() { "push" } else { "pull" };
            return Err(Status::not_found(format!("Not Found: nothing takes the {kind} {}", cx.uri())));
        };
        let mut uri = Cow::Borrowed(cx.uri());
        if let Some(target) = &rule.target {
            uri = uri::rewritten(&uri, target, rest).into();
        }
        let marks = self.marks(cx, &rule.upstream)?;
        if !marks.is_empty() {
            uri = uri::with_pairs(&uri, &marks).into();
        }
        Ok(Hop { uri, way: &rule.upstream.way, to: To::Target(&rule.upstream) })
    }
}

/// Who knows where a packet goes.
trait Forward: Send + Sync + 'static {
    fn hop<'a>(&'a self, cx: &'a Context) -> Result<Hop<'a>, Status>;
}

/// Where a packet goes, and under which uri.
struct Hop<'a> {
    uri: Cow<'a, str>,
    way: &'a Way,
    to: To<'a>,
}

/// Where the session comes from that a packet goes to.
enum To<'a> {
    Target(&'a Target),
    Session(Session),
    /// The one that belongs to the session it came over.
    Client(&'a Pairs),
}

impl To<'_> {
    async fn session(self, cx: &Context) -> Result<Session, Failed> {
        match self {
            To::Target(target) => target.session(cx).await,
            To::Session(session) => Ok(session),
            To::Client(pairs) => pairs.client(cx.session()).await,
        }
    }
}

/// A router that passes everything on.
fn router(forward: Arc<impl Forward>) -> Router {
    let mut router = Router::new();
    let pulls = forward.clone();
    router.unknown_pull_sealed(move |cx: Context, body: SealedBody| {
        let forward = pulls.clone();
        async move { pull(&*forward, &cx, body).await }
    });
    router.unknown_push_sealed(move |cx: Context, body: SealedBody| {
        let forward = forward.clone();
        async move { push(&*forward, &cx, body).await }
    });
    router
}

/// What begins with no slash is no path, and some of it means something between peers: it is not passed on.
fn check(cx: &Context) -> Result<(), Status> {
    if cx.uri().starts_with('/') {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "the uri {:?} does not start with a slash, and is not passed on",
        cx.uri()
    )))
}

async fn pull(forward: &impl Forward, cx: &Context, body: SealedBody) -> Result<SealedReply, Status> {
    check(cx)?;
    let Hop { uri, way, to } = forward.hop(cx)?;
    way.pull(cx, &uri, body, to.session(cx)).await
}

async fn push(forward: &impl Forward, cx: &Context, body: SealedBody) -> Result<(), Status> {
    check(cx)?;
    let Hop { uri, way, to } = forward.hop(cx)?;
    way.push(cx, &uri, body, to.session(cx)).await
}
