//! What is counted by route, without a lock.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::histogram::Histogram;
use super::snapshot::{Latency, RouteStats};
use crate::Code;

/// Codes that are counted apart; others are one, so that what the other side answers can't make it grow.
const CODES: [Code; 15] = [
    Code::OK,
    Code::WRITE_FAILED,
    Code::CONNECTION_CLOSED,
    Code::BAD_REQUEST,
    Code::UNAUTHORIZED,
    Code::NOT_FOUND,
    Code::UNSUPPORTED_TYPE,
    Code::TOO_LARGE,
    Code::UNSUPPORTED_CODEC,
    Code::FAILED_PLUGIN,
    Code::INTERNAL,
    Code::NOT_IMPLEMENTED,
    Code::BAD_GATEWAY,
    Code::UNAVAILABLE,
    Code::GATEWAY_TIMEOUT,
];

/// What is counted of one route.
pub(super) struct RouteCounts {
    is_push: bool,
    path: Box<str>,
    /// Calls that came or were sent.
    pub(super) begun: AtomicU64,
    codes: [AtomicU64; CODES.len()],
    other_codes: AtomicU64,
    pub(super) latency: Histogram,
}

impl RouteCounts {
    fn new(is_push: bool, path: &str) -> Self {
        RouteCounts {
            is_push,
            path: path.into(),
            begun: AtomicU64::new(0),
            codes: [const { AtomicU64::new(0) }; CODES.len()],
            other_codes: AtomicU64::new(0),
            latency: Histogram::default(),
        }
    }

    pub(super) fn code(&self, code: Code) -> &AtomicU64 {
        CODES.iter().position(|known| *known == code).map_or(&self.other_codes, |at| &self.codes[at])
    }

    fn snapshot(&self) -> RouteStats {
        let named = CODES.iter().map(|code| code.number().to_string()).zip(&self.codes);
        let codes = named.chain([("other".to_owned(), &self.other_codes)]);
        let codes = codes.map(|(code, count)| (code, count.load(Ordering::Relaxed)));
        RouteStats {
            route: self.path.to_string(),
            is_push: self.is_push,
            calls: self.begun.load(Ordering::Relaxed),
            codes: codes.filter(|(_, count)| *count > 0).collect(),
            latency: Latency::new(self.latency.read()),
        }
    }
}

/// A table of routes that only grows, up to a bound. Its places are filled once and never emptied, so reading takes no lock.
pub(super) struct Table {
    /// Twice as many as may be filled, so that looking for one ends soon.
    places: Box<[OnceLock<Box<RouteCounts>>]>,
    hasher: RandomState,
    filled: AtomicUsize,
    most: usize,
    /// Pulls, and pushes, of routes that have no place.
    rest: [RouteCounts; 2],
}

impl Table {
    pub(super) fn new(most: usize, rest: &str) -> Self {
        // No machine has memory for more.
        let most = most.clamp(1, 1 << 24);
        let places = (0..(2 * most).next_power_of_two()).map(|_| OnceLock::new()).collect();
        let rest = [false, true].map(|is_push| RouteCounts::new(is_push, rest));
        Table { places, hasher: RandomState::new(), filled: AtomicUsize::new(0), most, rest }
    }

    /// What has no place.
    pub(super) fn rest(&self, is_push: bool) -> &RouteCounts {
        &self.rest[usize::from(is_push)]
    }

    pub(super) fn find(&self, is_push: bool, path: &str) -> Option<&RouteCounts> {
        self.way(is_push, path)
            .map_while(OnceLock::get)
            .map(|route| &**route)
            .find(|route| route.is(is_push, path))
    }

    /// The route; where there is no place left for it, the rest.
    pub(super) fn find_or_add(&self, is_push: bool, path: &str) -> &RouteCounts {
        for place in self.way(is_push, path) {
            let route = match place.get() {
                Some(route) => route,
                None => {
                    if !self.has_place() {
                        return self.rest(is_push);
                    }
                    let mut added = false;
                    let route = place.get_or_init(|| {
                        added = true;
                        Box::new(RouteCounts::new(is_push, path))
                    });
                    if !added {
                        self.filled.fetch_sub(1, Ordering::Relaxed);
                    }
                    route
                }
            };
            if route.is(is_push, path) {
                return route;
            }
        }
        self.rest(is_push)
    }

    /// Takes one of the places that may be filled.
    fn has_place(&self) -> bool {
        let more = |filled: usize| (filled < self.most).then_some(filled + 1);
        self.filled.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// The places where a route may be, in order.
    fn way(&self, is_push: bool, path: &str) -> impl Iterator<Item = &OnceLock<Box<RouteCounts>>> {
        let last = self.places.len() - 1;
        let first = self.hasher.hash_one((is_push, path)) as usize & last;
        (0..self.places.len()).map(move |step| &self.places[(first + step) & last])
    }

    /// By path, pulls before pushes; the rest last, where there is any.
    pub(super) fn snapshot(&self) -> Vec<RouteStats> {
        let filled = self.places.iter().filter_map(OnceLock::get);
        let mut routes: Vec<_> = filled.map(|route| route.snapshot()).collect();
        routes.sort_by(|a, b| (a.is_push, &a.route).cmp(&(b.is_push, &b.route)));
        let rest = self.rest.iter().map(RouteCounts::snapshot);
        routes.extend(rest.filter(|rest| rest.calls > 0 || !rest.codes.is_empty()));
        routes
    }
}

impl RouteCounts {
    fn is(&self, is_push: bool, path: &str) -> bool {
        self.is_push == is_push && *self.path == *path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_the_bound_is_one_route() {
        let table = Table::new(2, "other");
        for path in ["/a", "/b", "/c", "/d", "/a"] {
            table.find_or_add(false, path).begun.fetch_add(1, Ordering::Relaxed);
        }
        let counted: Vec<_> = table.snapshot().into_iter().map(|route| (route.route, route.calls)).collect();
        assert_eq!(counted, [("/a".into(), 2), ("/b".into(), 1), ("other".into(), 2)]);
        assert!(table.find(false, "/c").is_none() && table.find(true, "/a").is_none());
    }

    #[test]
    fn threads_that_add_the_same_routes_find_the_same() {
        let table = Table::new(128, "other");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..64 {
                        table.find_or_add(false, &format!("/{n}")).begun.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let routes = table.snapshot();
        assert_eq!(routes.len(), 64);
        assert!(routes.iter().all(|route| route.calls == 4));
    }
}
