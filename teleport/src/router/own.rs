//! Pulls that a peer answers itself, where it is built to: its routes, and its health.

use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};

use super::about::About;
use super::function;
use super::routes::Router;
use super::table::Entry;
use crate::context::Context;
use crate::describe::{HEALTH_URI, Health, HealthState, ROUTES_URI, RouteInfo, RouteKind, RouteList};
use crate::error::Result;
use crate::plugin::Route;
use crate::status::{Code, Status};

/// The list that a peer answers with, set when all routes are known.
#[derive(Clone, Default)]
pub(crate) struct ToldRoutes(Arc<OnceLock<RouteList>>);

impl ToldRoutes {
    pub(crate) fn set(&self, list: RouteList) {
        // Set once, by the builder that has made it.
        let _ = self.0.set(list);
    }
}

impl Serialize for ToldRoutes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0.get() {
            Some(list) => list.serialize(serializer),
            None => RouteList::default().serialize(serializer),
        }
    }
}

impl Router {
    /// Every route, as a peer that is [built to](crate::PeerBuilder::describe_routes) tells it others; see
    /// [`describe`](crate::describe).
    ///
    /// A router that is no peer's yet knows nothing of the handlers of its plugins, and of aliases.
    #[must_use]
    pub fn describe(&self) -> RouteList {
        let mut routes = Vec::new();
        for (kind, table) in [(RouteKind::Pull, &self.pulls), (RouteKind::Push, &self.pushes)] {
            let mut of_kind: Vec<_> =
                table.entries().map(|(path, entry)| self.info(kind, path, entry)).collect();
            of_kind.sort_unstable_by(|one, other| one.uri.cmp(&other.uri));
            routes.append(&mut of_kind);
        }
        RouteList {
            routes,
            unknown_pulls: self.pulls.unknown.is_some(),
            unknown_pushes: self.pushes.unknown.is_some(),
        }
    }

    fn info(&self, kind: RouteKind, path: &str, entry: &Entry) -> RouteInfo {
        let mut info = entry.about().info(kind, path, entry.name(), entry.handler());
        let route = Route { is_push: kind == RouteKind::Push, path, name: entry.name() };
        info.aliases = self.chain().other_uris(&route);
        info
    }

    /// Answers with what is set of the result.
    pub(crate) fn tell_routes(&mut self) -> Result<ToldRoutes> {
        let told = ToldRoutes::default();
        let list = told.clone();
        let handler = function::own_pull(move |_| std::future::ready(Ok(list.clone())));
        let about = About::own("RouteList", "Every route of this peer, and what each takes and answers.");
        let entry = Entry::new("teleport::routes", handler).with_about(about);
        self.pulls.add("pull", ROUTES_URI.into(), entry)?;
        Ok(told)
    }

    /// Answers whether the peer is about to go.
    pub(crate) fn tell_health(
        &mut self,
        is_draining: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<()> {
        let handler = function::own_pull(move |cx| std::future::ready(health(&cx, is_draining())));
        let about = About::own(
            "Health",
            "Whether this peer is serving or draining. With the query `ready`, the status 503 while it is draining.",
        );
        let entry = Entry::new("teleport::health", handler).with_about(about);
        self.pulls.add("pull", HEALTH_URI.into(), entry)
    }
}

fn health(cx: &Context, is_draining: bool) -> std::result::Result<Health, Status> {
    let health = Health::new(is_draining);
    if health.state != HealthState::Serving {
        if cx.query("ready").is_some() {
            return Err(Status::unavailable(health.state.as_str()));
        }
        cx.set_reply_status(Status::new(Code::OK, health.state.as_str()));
    }
    Ok(health)
}
