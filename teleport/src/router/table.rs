//! Handlers by path.

use std::sync::Arc;

use hashbrown::HashMap;

use super::about::About;
use super::handler::Handler;
use crate::error::{Error, Result};
use crate::plugin::{Chain, Plugins, Route};
use crate::wire::{Uri, WireError};

/// A registered handler.
#[derive(Clone)]
pub(crate) struct Entry {
    /// What it is to people: `Arith::mul`, or a function at a uri.
    name: Arc<str>,
    handler: Arc<Handler>,
    about: About,
    /// Plugins of the groups and the service that it belongs to.
    plugins: Plugins,
    /// These behind those of the peer; only where there are any.
    chain: Option<Arc<Chain>>,
}

impl Entry {
    pub(super) fn new(name: &str, handler: Arc<Handler>) -> Self {
        Entry {
            name: name.into(),
            handler,
            about: About::default(),
            plugins: Plugins::default(),
            chain: None,
        }
    }

    pub(super) fn with_plugins(mut self, plugins: Plugins) -> Self {
        self.plugins = plugins;
        self
    }

    pub(super) fn with_about(mut self, about: About) -> Self {
        self.about = about;
        self
    }

    pub(super) fn about(&self) -> &About {
        &self.about
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn handler(&self) -> &Arc<Handler> {
        &self.handler
    }

    /// The plugins that look at what comes to this route, where it has some of its own.
    pub(crate) fn chain(&self) -> Option<&Arc<Chain>> {
        self.chain.as_ref()
    }
}

/// Handlers of one kind, pulls or pushes.
#[derive(Default, Clone)]
pub(super) struct Table {
    // Seeded at random: the keys that are looked up come from the other side.
    routes: HashMap<Box<str>, Entry, foldhash::fast::RandomState>,
    /// Whether a path has a `?` or a `%` in it, so that it is not what it looks like in a uri.
    escaped: bool,
    pub(super) unknown: Option<Entry>,
}

impl Table {
    /// The handler for the path of this uri, else the one for unknown uris.
    pub(super) fn find(&self, uri: &str) -> std::result::Result<Option<&Entry>, WireError> {
        // Most uris are a path and no more: found as they are, they need not be looked through.
        if !self.escaped
            && let Some(entry) = self.routes.get(uri)
        {
            return Ok(Some(entry));
        }
        let path = Uri::new(uri).decoded_path()?;
        Ok(self.routes.get(&*path).or(self.unknown.as_ref()))
    }

    pub(super) fn add(&mut self, kind: &str, path: String, entry: Entry) -> Result<()> {
        self.check(kind, &path, &entry)?;
        self.escaped |= path.contains(['?', '%']);
        self.routes.insert(path.into(), entry);
        Ok(())
    }

    /// Whether all of `other` could be added.
    pub(super) fn check_all(&self, kind: &str, other: &Table) -> Result<()> {
        other.routes.iter().try_for_each(|(path, entry)| self.check(kind, path, entry))
    }

    pub(super) fn extend(&mut self, other: Table) {
        self.routes.extend(other.routes);
        self.escaped |= other.escaped;
        self.unknown = other.unknown.or(self.unknown.take());
    }

    /// Puts the plugins of the peer before those of each route, and tells them of it.
    pub(super) fn finish(&mut self, is_push: bool, peer: &Plugins, all: &Chain) -> Result<()> {
        let mut routes: Vec<_> = self.routes.iter_mut().collect();
        routes.sort_unstable_by_key(|(path, _)| *path);
        for (path, entry) in routes {
            if !entry.plugins.is_empty() {
                entry.chain = Some(Arc::new(Chain::new(peer, &entry.plugins)));
            }
            let route = Route { is_push, path, name: &entry.name };
            entry.chain.as_deref().unwrap_or(all).after_register(&route)?;
        }
        Ok(())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.routes.iter().map(|(path, entry)| (&**path, entry))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().map(|(path, entry)| (path, &*entry.name))
    }

    fn check(&self, kind: &str, path: &str, entry: &Entry) -> Result<()> {
        match self.routes.get(path) {
            None => Ok(()),
            Some(first) => Err(Error::conflict(format!(
                "the {kind} {path} is taken by {}, so {} can't have it; give one of them another uri or a group \
                 with a prefix",
                first.name, entry.name
            ))),
        }
    }
}
