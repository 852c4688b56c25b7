//! A registry of any type behind one pointer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{BoxError, Instance, Registry, View};

/// What a method of a registry becomes.
type Asked<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

/// [`Registry`] in a form that a `dyn` can have; its futures are boxed.
pub(super) trait ErasedRegistry: Send + Sync {
    fn announce<'a>(&'a self, service: &'a str, instance: &'a Instance, ttl: Duration) -> Asked<'a>;
    fn withdraw<'a>(&'a self, service: &'a str, instance: &'a Instance) -> Asked<'a>;
    fn watch<'a>(&'a self, service: &'a str, view: &'a View) -> Asked<'a>;
}

impl<R: Registry> ErasedRegistry for R {
    fn announce<'a>(&'a self, service: &'a str, instance: &'a Instance, ttl: Duration) -> Asked<'a> {
        Box::pin(Registry::announce(self, service, instance, ttl))
    }

    fn withdraw<'a>(&'a self, service: &'a str, instance: &'a Instance) -> Asked<'a> {
        Box::pin(Registry::withdraw(self, service, instance))
    }

    fn watch<'a>(&'a self, service: &'a str, view: &'a View) -> Asked<'a> {
        Box::pin(Registry::watch(self, service, view))
    }
}

pub(super) type AnyRegistry = Arc<dyn ErasedRegistry>;
