//! Calling a service by its name, over whatever instances of it there are.

mod core;
mod member;
mod policy;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use policy::{Candidate, LeastInFlight, Policy, RoundRobin};

use self::core::{Choice, Core, Snapshot};
use self::member::{Link, Member};
use super::erased::AnyRegistry;
use super::{Instance, Registry};
use crate::call::{Pick, Picking, Target};
use crate::error::{Error, Result};
use crate::peer::Peer;
use crate::session::{Backoff, Session};

/// A service as its callers hold it: resolves its name through a registry, keeps a session to each instance, and balances
/// calls over them.
///
/// A generated client made of it, as `ArithClient::new(&balancer)`, picks a session for each call when it is awaited. One
/// that was not sent, because the session had ended just before, goes to another instance at once; one that may have run is
/// never sent again. [`session`](Self::session) picks one by hand, for calls without a trait.
///
/// It dials every instance as soon as the registry tells of it, and again when its session has ended; an instance that
/// refuses is left out, and tried again after a pause that grows with each refusal. What the registry tells no longer is
/// left out at once, and the calls in flight on it may end.
///
/// Cheap to clone: all clones are the same balancer. When the last one is dropped, its sessions close as if the registry
/// had withdrawn all instances.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use teleport::Peer;
/// use teleport::registry::{Balancer, LeastInFlight, StaticRegistry};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// # let server = Peer::builder().pull("/ping", |_, ()| async { Ok("pong") })?.listen("127.0.0.1:0").await?;
/// # let addresses = [server.local_addr()?];
/// let registry = StaticRegistry::of("ping", addresses);
/// let balancer = Balancer::builder(&Peer::builder().build()?, registry, "ping")
///     .policy(LeastInFlight::new())
///     .wait(Duration::from_secs(1))
///     .build()?;
/// let pong: String = balancer.session().await?.pull("/ping").await?.decode()?;
/// assert_eq!(pong, "pong");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Balancer {
    core: Arc<Core>,
    _last: Arc<DropGuard>,
}

/// How a balancer goes about it.
#[derive(Clone, Copy, Debug)]
struct Settings {
    sessions: usize,
    lazy: bool,
    fail_fast: bool,
    wait: Duration,
    drain: Duration,
    backoff: Backoff,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sessions: 1,
            lazy: false,
            fail_fast: true,
            wait: Duration::from_secs(5),
            drain: Duration::from_secs(30),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
        }
    }
}

impl Balancer {
    /// A balancer over the instances of `service`, in turn. Its sessions belong to `peer`, so its handlers serve them and
    /// its limits and timeouts hold for them.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn new(peer: &Peer, registry: impl Registry, service: &str) -> Self {
        Self::builder(peer, registry, service).start()
    }

    /// Begins to build a balancer with settings of your own.
    pub fn builder(peer: &Peer, registry: impl Registry, service: &str) -> BalancerBuilder {
        BalancerBuilder {
            peer: peer.clone(),
            registry: Arc::new(registry),
            service: service.into(),
            policy: Box::new(RoundRobin::new()),
            settings: Settings::default(),
        }
    }

    /// The name of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.core.service
    }

    /// The session of the instance whose turn it is. Ask again for each call: that is what balances them.
    ///
    /// Where no instance is known yet, or the known ones are being dialed, it waits for the first one, up to
    /// [`BalancerBuilder::wait`].
    ///
    /// # Errors
    ///
    /// One that [is unavailable](Error::is_unavailable), with all instances and what each of them said: at once where all
    /// have refused, unless [`BalancerBuilder::fail_fast`] says otherwise; else when the wait is over.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this future is dropped, but the turn.
    pub async fn session(&self) -> Result<Session> {
        let (snapshot, choice) = self.choose();
        match choice {
            Choice::Session(session) => Ok(session),
            choice => self.wait_for_session(snapshot, choice, self.core.settings.wait).await,
        }
    }

    /// As [`session`](Self::session), without waiting: `None` where the instance whose turn it is can't be called now. Where
    /// instances are dialed [when they are chosen](BalancerBuilder::lazy), that begins.
    #[must_use]
    pub fn session_now(&self) -> Option<Session> {
        match self.choose().1 {
            Choice::Session(session) => return Some(session),
            Choice::Dial(member) => member.want(),
            Choice::Stale | Choice::Nobody => {}
        }
        None
    }

    fn choose(&self) -> (Arc<Snapshot>, Choice) {
        // The lock of the snapshot is not held while the policy chooses.
        let snapshot = self.core.snapshot.borrow().clone();
        let choice = self.core.choose(&snapshot);
        (snapshot, choice)
    }

    async fn wait_for_session(
        &self,
        mut snapshot: Arc<Snapshot>,
        mut choice: Choice,
        wait: Duration,
    ) -> Result<Session> {
        let core = &self.core;
        // A time too far off to be counted never comes.
        let deadline = Instant::now().checked_add(wait);
        let mut snapshots = core.snapshot.subscribe();
        loop {
            let may_change = match choice {
                Choice::Session(session) => return Ok(session),
                Choice::Dial(member) => {
                    member.want();
                    let ready = async {
                        while member.is_dialing() {
                            snapshots.changed().await.ok()?;
                        }
                        member.session()
                    };
                    // Where it refused, that is in the next snapshot.
                    match before(deadline, ready).await {
                        Some(Some(session)) => return Ok(session),
                        outcome => outcome.is_some(),
                    }
                }
                Choice::Stale => true,
                Choice::Nobody => snapshot.may_change(&core.settings),
            };
            let next = async {
                while Arc::ptr_eq(&snapshots.borrow_and_update(), &snapshot) {
                    // The sender is in the core, which is held.
                    let _ = snapshots.changed().await;
                }
            };
            if !may_change || before(deadline, next).await.is_none() {
                let last = core.snapshot.borrow().clone();
                return Err(Error::unavailable(last.why_nobody(&core.service, wait)));
            }
            snapshot = core.snapshot.borrow().clone();
            choice = core.choose(&snapshot);
        }
    }

    /// The instances as the registry last told them, in the order of their ids, and how it stands with each.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceStatus> {
        self.core.statuses()
    }

    /// Waits until the instances are as they should be, such as until three are ready; it looks at them now and whenever
    /// one of them has changed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn f(balancer: teleport::registry::Balancer) {
    /// balancer.wait_for(|instances| instances.iter().filter(|instance| instance.is_ready).count() >= 3).await;
    /// # }
    /// ```
    pub async fn wait_for(&self, mut condition: impl FnMut(&[InstanceStatus]) -> bool) {
        let mut snapshots = self.core.snapshot.subscribe();
        while !condition(&self.instances()) {
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Pick for Balancer {
    fn pick(&self, within: Option<Duration>) -> Picking<'_> {
        let (snapshot, choice) = self.choose();
        if let Choice::Session(session) = choice {
            return Picking::Now(session);
        }
        let wait = within.map_or(self.core.settings.wait, |within| within.min(self.core.settings.wait));
        Picking::Later(Box::pin(self.wait_for_session(snapshot, choice, wait)))
    }
}

impl From<&Balancer> for Target {
    fn from(balancer: &Balancer) -> Self {
        Target::pick(Arc::new(balancer.clone()))
    }
}

impl fmt::Debug for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer")
            .field("service", &self.core.service)
            .field("instances", &self.instances())
            .finish_non_exhaustive()
    }
}

/// `None` where the time is up first.
async fn before<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// How it stands with one instance of a [`Balancer`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceStatus {
    /// The instance as the registry told it.
    pub instance: Instance,
    /// Whether it has a session that takes calls.
    pub is_ready: bool,
    /// Pulls of this process that wait for its reply.
    pub in_flight: usize,
    /// Why it is left out, where its last session or dial failed and it was not tried again yet.
    pub failure: Option<String>,
}

impl InstanceStatus {
    fn of(member: &Member) -> Self {
        let (instance, links) = member.look();
        let mut status =
            InstanceStatus { instance: (*instance).clone(), is_ready: false, in_flight: 0, failure: None };
        for link in links {
            match link {
                Link::Ready(session) => {
                    status.is_ready |= session.takes_calls();
                    status.in_flight += session.pulls_in_flight();
                }
                Link::Resting(reason) => status.failure = Some(reason.to_string()),
                Link::Idle | Link::Dialing => {}
            }
        }
        status
    }
}

/// Collects what a [`Balancer`] is to be.
///
/// # Panics
///
/// [`build`](Self::build) outside of a Tokio runtime.
#[must_use]
pub struct BalancerBuilder {
    peer: Peer,
    registry: AnyRegistry,
    service: Arc<str>,
    policy: Box<dyn Policy>,
    settings: Settings,
}

impl BalancerBuilder {
    /// Which instance gets a call. Default: [`RoundRobin`].
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// Sessions to each instance; a call goes over the one with the fewest pulls in flight. Default: 1, which carries any
    /// number of calls at once. More help where one session's packets are more than one processor reads and writes.
    pub fn sessions(mut self, count: usize) -> Self {
        self.settings.sessions = count;
        self
    }

    /// Dials an instance when it is chosen for the first time, not when the registry tells of it: for a service with many
    /// instances that is called rarely.
    pub fn lazy(mut self) -> Self {
        self.settings.lazy = true;
        self
    }

    /// How long to wait for an instance where none takes calls. Default: 5 s; zero never waits.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.settings.wait = wait;
        self
    }

    /// Whether it is an error at once where all instances have refused, and none is being dialed. Default: true. With
    /// false it waits for one that comes back, up to [`wait`](Self::wait).
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.settings.fail_fast = fail_fast;
        self
    }

    /// The pause before an instance is dialed again that refused, or whose session ended within a second: `first`, then
    /// twice as long each time, up to `most`. A random part of up to a half is taken off. Default: 100 ms to 10 s. The
    /// same holds for a registry that can't be watched.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        self.settings.backoff = Backoff::new(first, most);
        self
    }

    /// How long calls in flight may take to end on an instance that was withdrawn. Default: 30 s.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.settings.drain = drain;
        self
    }

    /// The balancer. It begins to watch the registry.
    ///
    /// # Errors
    ///
    /// A config error that names the setting which can't be used.
    pub fn build(self) -> Result<Balancer> {
        let Settings { sessions, backoff, .. } = self.settings;
        if sessions == 0 {
            return Err(Error::config(
                "the setting `sessions` of a balancer is 0, so nothing could be called",
            ));
        }
        if backoff.first.is_zero() || backoff.most < backoff.first {
            return Err(Error::config(format!(
                "the setting `backoff` of a balancer is {:?} to {:?}; the first pause is more than 0, and no more than \
                 the longest",
                backoff.first, backoff.most
            )));
        }
        Ok(self.start())
    }

    fn start(self) -> Balancer {
        let core = Core::new(self.peer, self.registry, self.service, self.policy, self.settings);
        let core = Arc::new(core);
        core.start();
        let gone: CancellationToken = core.gone.clone();
        Balancer { core, _last: Arc::new(gone.drop_guard()) }
    }
}

impl fmt::Debug for BalancerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalancerBuilder")
            .field("service", &self.service)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
