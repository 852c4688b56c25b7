//! What a registry reports into while it is watched.

use std::fmt;

use super::Instance;

/// Instances of a service that are taken of a registry; the others are passed over, with a warning. Each costs its watcher
/// a session, so a registry that lists more has something wrong in it.
const MOST: usize = 10_000;

/// Where a [`Registry`](super::Registry) tells which instances there are.
///
/// # Examples
///
/// To look on, without a balancer:
///
/// ```
/// use teleport::registry::{Instance, Registry, StaticRegistry, View};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let registry = StaticRegistry::new();
/// registry.add("arith", Instance::new("a", "127.0.0.1:9090"));
/// let (seen, mut instances) = tokio::sync::mpsc::unbounded_channel();
/// let view = View::new(move |instances| drop(seen.send(instances)));
/// tokio::select! {
///     _ = registry.watch("arith", &view) => unreachable!("it goes on"),
///     instances = instances.recv() => assert_eq!(instances.unwrap()[0].id, "a"),
/// }
/// # }
/// ```
pub struct View {
    tell: Box<dyn Fn(Vec<Instance>) + Send + Sync>,
}

impl View {
    /// A view that calls a function with all instances whenever the registry tells them.
    pub fn new(tell: impl Fn(Vec<Instance>) + Send + Sync + 'static) -> Self {
        View { tell: Box::new(tell) }
    }

    /// Tells all instances that there are now; those told before are forgotten. Of several with the same id the last
    /// counts.
    pub fn set(&self, instances: impl IntoIterator<Item = Instance>) {
        let mut instances = instances.into_iter();
        let taken = instances.by_ref().take(MOST).collect();
        let more = instances.count();
        if more > 0 {
            tracing::warn!(target: "teleport", taken = MOST, more, "a registry lists too many instances of a service");
        }
        (self.tell)(taken);
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}
