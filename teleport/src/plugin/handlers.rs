//! Handlers that plugins bring along.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::context::{Context, ReplyBody};
use crate::status::Status;

type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A handler of pulls.
type PullFn = Arc<dyn Fn(Context) -> Running<Result<ReplyBody, Status>> + Send + Sync>;
/// A handler of pushes.
type PushFn = Arc<dyn Fn(Context) -> Running<()> + Send + Sync>;

/// Collects the handlers of a plugin; see [`Plugin::handlers`](super::Plugin::handlers).
#[derive(Default)]
pub struct Handlers {
    pub(crate) pulls: Vec<(String, PullFn)>,
    pub(crate) pushes: Vec<(String, PushFn)>,
}

impl Handlers {
    /// Takes the pulls to `uri`, which starts with a slash and has no query.
    pub fn pull<H, F>(&mut self, uri: &str, handler: H)
    where
        H: Fn(Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<ReplyBody, Status>> + Send + 'static,
    {
        self.pulls.push((uri.into(), Arc::new(move |cx| Box::pin(handler(cx)))));
    }

    /// Takes the pushes to `uri`.
    pub fn push<H, F>(&mut self, uri: &str, handler: H)
    where
        H: Fn(Context) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.pushes.push((uri.into(), Arc::new(move |cx| Box::pin(handler(cx)))));
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pulls: Vec<_> = self.pulls.iter().map(|(uri, _)| uri).collect();
        let pushes: Vec<_> = self.pushes.iter().map(|(uri, _)| uri).collect();
        f.debug_struct("Handlers").field("pulls", &pulls).field("pushes", &pushes).finish()
    }
}
