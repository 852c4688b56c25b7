//! Other uris for routes.

use std::future::{Future, ready};

use super::rewrite::with_path;
use crate::plugin::{Plugin, Route, Verdict};
use crate::wire::Uri;
use crate::{Context, Status};

/// Takes calls under other uris than those of the routes, such as old ones.
///
/// The path of a pull or push that comes is rewritten before its handler is looked for; the query stays. Handlers see the
/// new uri ([`Context::uri`], [`Context::original_uri`]), the reply goes out under the one of the caller. An exact alias
/// goes before a prefix, and a longer prefix before a shorter one. What an alias leads to may be an alias again.
///
/// Paths are written unescaped and compared so. Attach it to the peer: in a group the handler is found before the plugin
/// sees the call.
///
/// # Errors of the build
///
/// One that names both sides of the alias: where a route stands at its uri or below its prefix, which it would hide;
/// where no route stands where it leads; where aliases may lead in a circle, as a prefix to its own parent; where a uri has two; where a path does not start
/// with a slash or has a query.
///
/// # Examples
///
/// ```
/// use teleport::Peer;
/// use teleport::plugins::Alias;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let alias = Alias::new().to("/hello", "/greeter/greet").prefix("/v1", "/greeter");
/// let server = Peer::builder().plugin(alias).pull("/greeter/greet", |_, ()| async { Ok("hi") })?.build()?;
/// let session = Peer::builder().build()?.connect(&server).await?;
/// for uri in ["/greeter/greet", "/hello", "/v1/greet"] {
///     assert_eq!(session.pull(uri).await?.decode::<String>()?, "hi");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "attach it with `PeerBuilder::plugin`"]
pub struct Alias {
    /// In the order in which they are tried: exact ones, then longer prefixes before shorter ones.
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    from: String,
    to: String,
    is_prefix: bool,
}

impl Alias {
    /// The plugin, without an alias yet.
    pub fn new() -> Self {
        Alias::default()
    }

    /// Takes calls to the path `from` at the route `to`.
    pub fn to(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.with(Rule { from: from.into(), to: to.into(), is_prefix: false })
    }

    /// Takes calls to the path `from`, and to all below it, at the same place below `to`. Whole parts of a path:
    /// `/v1` has `/v1/a` below it, and not `/v10`.
    pub fn prefix(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        let trimmed = |path: String| {
            let path = path.trim_end_matches('/');
            if path.is_empty() { "/".to_owned() } else { path.to_owned() }
        };
        self.with(Rule { from: trimmed(from.into()), to: trimmed(to.into()), is_prefix: true })
    }

    fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self.rules.sort_by_key(|rule| (rule.is_prefix, std::cmp::Reverse(rule.from.len())));
        self
    }

    /// The path after all aliases, where one applies.
    fn resolve(&self, path: &str) -> Option<String> {
        let mut found: Option<String> = None;
        // Each applies once at most, as none leads back to itself.
        for _ in 0..self.rules.len() {
            let current = found.as_deref().unwrap_or(path);
            match self.rules.iter().find_map(|rule| rule.apply(current)) {
                Some(next) => found = Some(next),
                None => break,
            }
        }
        found
    }

    /// Paths that may lead to this one, through one alias or several.
    fn names_of(&self, path: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut ends = vec![path.to_owned()];
        // No alias leads back to itself, so no way is longer than their number.
        for _ in 0..self.rules.len() {
            ends = ends.iter().flat_map(|end| self.rules.iter().filter_map(|rule| rule.undo(end))).collect();
            names.extend_from_slice(&ends);
        }
        names
    }

    fn check(&self, routes: &[Route<'_>]) -> Result<(), String> {
        for (at, rule) in self.rules.iter().enumerate() {
            for path in [&rule.from, &rule.to] {
                if !path.starts_with('/') {
                    return Err(format!("{rule}: {path:?} does not start with a slash; write \"/{path}\""));
                }
                if path.contains('?') {
                    return Err(format!(
                        "{rule}: {path:?} has a query; write the path alone, the query is kept"
                    ));
                }
            }
            let same = |other: &&Rule| other.from == rule.from && other.is_prefix == rule.is_prefix;
            if let Some(other) = self.rules[at + 1..].iter().find(same) {
                return Err(format!("{rule} and {other} are of the same uri; leave one out"));
            }
            if let Some(route) = routes.iter().find(|route| rule.takes(route.path())) {
                return Err(format!(
                    "{rule} would hide the route {} ({}); give one of them another uri",
                    route.path(),
                    route.name()
                ));
            }
        }
        for at in 0..self.rules.len() {
            self.check_circle(at, &mut Vec::new())?;
        }
        self.rules.iter().try_for_each(|rule| self.check_target(rule, routes))
    }

    /// Follows an alias to all that it may lead to.
    fn check_circle(&self, at: usize, way: &mut Vec<usize>) -> Result<(), String> {
        if let Some(first) = way.iter().position(|seen| *seen == at) {
            let circle: Vec<_> = way[first..].iter().map(|at| self.rules[*at].to_string()).collect();
            return Err(format!("{} lead in a circle", circle.join(", ")));
        }
        way.push(at);
        for next in (0..self.rules.len()).filter(|next| self.rules[at].may_lead_to(&self.rules[*next])) {
            self.check_circle(next, way)?;
        }
        way.pop();
        Ok(())
    }

    fn check_target(&self, rule: &Rule, routes: &[Route<'_>]) -> Result<(), String> {
        let target = self.resolve(&rule.to).unwrap_or_else(|| rule.to.clone());
        let leads = |path: &str| if rule.is_prefix { is_below(path, &target) } else { path == target };
        let aliased = || rule.is_prefix && self.rules.iter().any(|other| rule.may_lead_to(other));
        if routes.iter().any(|route| leads(route.path())) || aliased() {
            return Ok(());
        }
        let place = if rule.is_prefix { "at or below" } else { "at" };
        Err(format!("{rule} leads nowhere: no route stands {place} {target}"))
    }
}

impl Rule {
    fn takes(&self, path: &str) -> bool {
        if self.is_prefix { is_below(path, &self.from) } else { path == self.from }
    }

    fn apply(&self, path: &str) -> Option<String> {
        if !self.takes(path) {
            return None;
        }
        if !self.is_prefix {
            return Some(self.to.clone());
        }
        let rest = path[self.from.len()..].trim_start_matches('/');
        if rest.is_empty() {
            return Some(self.to.clone());
        }
        Some(format!("{}/{rest}", self.to.trim_end_matches('/')))
    }

    /// The path of which this one makes `path`, where it may.
    fn undo(&self, path: &str) -> Option<String> {
        if !self.is_prefix {
            return (path == self.to).then(|| self.from.clone());
        }
        let rest = path.strip_prefix(self.to.trim_end_matches('/'))?;
        match rest.strip_prefix('/') {
            None if !rest.is_empty() => None,
            None | Some("") => Some(self.from.clone()),
            Some(rest) => Some(format!("{}/{rest}", self.from.trim_end_matches('/'))),
        }
    }

    /// Whether a path that this one makes may be taken by the other.
    fn may_lead_to(&self, other: &Rule) -> bool {
        other.takes(&self.to) || (self.is_prefix && is_below(&other.from, &self.to))
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_prefix { "prefix" } else { "alias" };
        write!(f, "the {kind} {} to {}", self.from, self.to)
    }
}

/// Whether a path is this one or has it as its first parts.
fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Plugin for Alias {
    fn name(&self) -> &str {
        "alias"
    }

    fn other_uris(&self, route: &Route<'_>) -> Vec<String> {
        let leads_here = |path: &String| self.resolve(path).as_deref() == Some(route.path());
        self.names_of(route.path()).into_iter().filter(leads_here).collect()
    }

    fn after_register_all(&self, routes: &[Route<'_>]) -> Verdict {
        self.check(routes).map_err(Status::failed_plugin)
    }

    fn after_read_header(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
        // A path that can't be unescaped is answered by the router.
        let path = Uri::new(cx.uri()).decoded_path();
        let found = path.ok().and_then(|path| self.resolve(&path));
        if let Some(path) = found {
            let uri = with_path(cx.uri(), &path);
            cx.set_uri(&uri);
        }
        ready(Ok(()))
    }
}
