//! Routes whatever the case of the uri.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, ready};
use std::sync::OnceLock;

use super::rewrite::with_path;
use crate::plugin::{Plugin, Route, Verdict};
use crate::wire::Uri;
use crate::{Context, Status};

/// Finds the routes of a peer whatever the case of the uri that a call comes with.
///
/// ASCII letters of the path alone: other letters and the query are as they are. Handlers see the uri of the route
/// ([`Context::uri`]), replies go out under that of the caller. Routes that are written with capitals are found too. Two
/// pulls, or two pushes, that differ in nothing but case are an error of the build that names both.
///
/// Attach it to the peer, in front of the plugins that read uris. Those of an [`Alias`](super::Alias) are not routes, and
/// are matched as they are written.
///
/// # Examples
///
/// ```
/// use teleport::Peer;
/// use teleport::plugins::IgnoreCase;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let server = Peer::builder().plugin(IgnoreCase::new()).pull("/Shop/order", |_, ()| async { Ok("done") })?.build()?;
/// let session = Peer::builder().build()?.connect(&server).await?;
/// assert_eq!(session.pull("/SHOP/Order").await?.decode::<String>()?, "done");
/// # Ok(()) }
/// ```
#[must_use = "attach it with `PeerBuilder::plugin`"]
#[derive(Default)]
pub struct IgnoreCase {
    routes: OnceLock<Routes>,
}

#[derive(Default)]
struct Routes {
    /// Paths by how they look in small letters; pulls, and pushes.
    by_small: [HashMap<Box<str>, Box<str>>; 2],
}

impl IgnoreCase {
    /// The plugin, for one peer.
    pub fn new() -> Self {
        IgnoreCase::default()
    }
}

impl Plugin for IgnoreCase {
    fn name(&self) -> &str {
        "ignore-case"
    }

    fn after_register_all(&self, routes: &[Route<'_>]) -> Verdict {
        let mut known = Routes::default();
        for route in routes {
            let small = route.path().to_ascii_lowercase().into();
            let by_small = &mut known.by_small[usize::from(route.is_push())];
            if let Some(first) = by_small.insert(small, route.path().into()) {
                let kind = if route.is_push() { "pushes" } else { "pulls" };
                return Err(Status::failed_plugin(format!(
                    "the {kind} {first} and {} differ in nothing but case; give one of them another uri",
                    route.path()
                )));
            }
        }
        self.routes.set(known).map_err(|_| {
            Status::failed_plugin(
                "it belongs to another peer already; make one for each with `IgnoreCase::new`",
            )
        })
    }

    fn after_read_header(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
        if let Some(uri) = self.routes.get().and_then(|routes| routes.found(cx)) {
            cx.set_uri(&uri);
        }
        ready(Ok(()))
    }
}

impl Routes {
    /// The uri under which the call is found, where it is not the one that it came with.
    fn found(&self, cx: &Context) -> Option<String> {
        // One that can't be unescaped is answered by the router.
        let path = Uri::new(cx.uri()).decoded_path().ok()?;
        let by_small = &self.by_small[usize::from(cx.is_push())];
        let route = if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            by_small.get(&*path.to_ascii_lowercase())?
        } else {
            by_small.get(&*path)?
        };
        (**route != *path).then(|| with_path(cx.uri(), route))
    }
}

impl fmt::Debug for IgnoreCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.routes.get().map_or(0, |routes| routes.by_small.iter().map(HashMap::len).sum());
        f.debug_struct("IgnoreCase").field("routes", &routes).finish()
    }
}
