//! Handlers by path.

use std::sync::Arc;

use hashbrown::HashMap;

use super::handler::Handler;
use crate::error::{Error, Result};
use crate::wire::{Uri, WireError};

/// A registered handler.
#[derive(Clone)]
pub(super) struct Entry {
    /// What it is to people: `Arith::mul`, or a function at a uri.
    name: Arc<str>,
    handler: Arc<Handler>,
}

impl Entry {
    pub(super) fn new(name: &str, handler: Arc<Handler>) -> Self {
        Entry { name: name.into(), handler }
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
    pub(super) fn find(&self, uri: &str) -> std::result::Result<Option<&Arc<Handler>>, WireError> {
        // Most uris are a path and no more: found as they are, they need not be looked through.
        if !self.escaped
            && let Some(entry) = self.routes.get(uri)
        {
            return Ok(Some(&entry.handler));
        }
        let path = Uri::new(uri).decoded_path()?;
        Ok(self.routes.get(&*path).or(self.unknown.as_ref()).map(|entry| &entry.handler))
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

    pub(super) fn paths(&self) -> impl Iterator<Item = (&str, &str)> {
        self.routes.iter().map(|(path, entry)| (&**path, &*entry.name))
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
