//! The task of a session: its connections, one after the other, and what follows when it is over.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::dial::Way;
use super::driver::{Driver, runtime_is_gone};
use crate::error::{Closed, Initiator, Result};
use crate::plugin::{Disconnected, Side, welcome};
use crate::router::Router;
use crate::session::{Handle, Link, Redial, Session, Shared};
use crate::socket::{Connection, PacketReader};

/// What it takes to run a session.
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) handle: Weak<Handle>,
    pub(super) router: Arc<Router>,
}

/// What came of the attempts so far.
#[derive(Default)]
struct Failures {
    /// Attempts that failed in a row.
    count: u32,
    /// How many pauses there were since a connection stood for long.
    pauses: u32,
}

/// A connection of the session, and the hooks that look at it.
struct Next {
    driver: Box<Driver>,
    hooks: Option<JoinHandle<Result<()>>>,
}

impl Next {
    /// Runs the connection to its end, and notes what it was: a success where plugins let it pass, and the other side has
    /// said something, or it stood for as long as `long`.
    async fn run(self, long: Duration, failures: &mut Failures) {
        let began = Instant::now();
        let heard = self.driver.await;
        let mut passed = true;
        if let Some(hooks) = self.hooks {
            // They have nothing left to look at; and what they say now must not be said of the next connection.
            hooks.abort();
            passed = matches!(hooks.await, Ok(Ok(())));
        }
        let stood = began.elapsed() >= long;
        if passed && (heard || stood) {
            failures.count = 0;
        } else {
            failures.count += 1;
        }
        // One that ended soon is no reason to hurry.
        if passed && stood {
            failures.pauses = 0;
        }
    }
}

/// A session whose task runs. Dropped with its runtime while there is no driver that would end it, it ends here.
struct Unended<'a>(&'a Run);

impl Drop for Unended<'_> {
    fn drop(&mut self) {
        if !self.0.shared.machine().is_closed() {
            self.0.end(runtime_is_gone());
        }
    }
}

impl Run {
    /// Runs the session to its end, over as many connections as it gets, and what has to follow that.
    pub(super) async fn run(&self, first: Box<Driver>, way: Option<Way>) {
        let unended = Unended(self);
        first.await;
        // Boxed, so that it takes its room when it comes and not for as long as the session lives.
        Box::pin(self.go_on(way, unended)).await;
    }

    /// What follows the end of the first connection.
    async fn go_on(&self, way: Option<Way>, unended: Unended<'_>) {
        let mut failures = Failures::default();
        self.disconnected().await;
        if let (Some(way), Some(redial)) = (&way, &self.shared.redial) {
            while let Some(next) = self.redial(redial, way, &mut failures).await {
                next.run(redial.longest_pause, &mut failures).await;
                self.disconnected().await;
            }
        }
        self.end_as_told();
        drop(unended);
        if let Some(closed) = self.shared.machine().closed() {
            let peer = self.shared.remote();
            tracing::debug!(target: "teleport", %peer, reason = %closed.reason, "session closed");
        }
        // Handlers outlive a lost connection for as long as they would a close, and no longer: a peer that comes
        // back again and again must not pile them up.
        self.shared.settle().await;
    }

    /// Tells plugins that a connection has ended.
    async fn disconnected(&self) {
        let (shared, chain) = (&self.shared, self.router.chain());
        let closed = shared.machine().closed().cloned();
        let Some(closed) = closed.filter(|_| chain.sees_ends()) else { return };
        let passed = match &shared.early {
            None => usize::MAX,
            Some(early) => early.passed().await,
        };
        let over = Disconnected { shared, closed: &closed };
        let mut hooks = pin!(tokio::time::timeout(shared.settings.timeouts.close, chain.end(passed, &over)));
        let told = match shared.quit.run_until_cancelled(hooks.as_mut()).await {
            Some(told) => told,
            None => {
                // Whoever ends a session that is down does not wait for them.
                self.end_as_told();
                hooks.await
            }
        };
        if told.is_err() {
            tracing::warn!(
                target: "teleport",
                peer = %shared.remote(),
                "hooks after a disconnect took longer than a close may (setting `timeouts.close`)"
            );
        }
    }

    /// Dials until there is a connection, or the session is over.
    async fn redial(&self, redial: &Redial, way: &Way, failures: &mut Failures) -> Option<Next> {
        let (shared, address) = (&self.shared, &way.endpoint);
        let mut why = {
            let machine = shared.machine();
            if !machine.is_down() {
                return None;
            }
            machine.closed().map(|closed| closed.reason.to_string()).unwrap_or_default()
        };
        loop {
            if redial.attempts.is_some_and(|attempts| failures.count >= attempts.max(1)) {
                self.give_up(failures.count, address, &why);
                return None;
            }
            failures.pauses = failures.pauses.saturating_add(1);
            let pause = redial.backoff().pause(failures.pauses);
            let attempt = failures.count + 1;
            tracing::warn!(target: "teleport", %address, attempt, ?pause, reason = %why, "a session is down and dials again");
            let next = shared.quit.run_until_cancelled(async {
                tokio::time::sleep(pause).await;
                way.connect().await
            });
            why = match next.await? {
                Ok((connection, left)) => return self.open(connection, left, attempt),
                Err(error) => error.reason(),
            };
            failures.count += 1;
        }
    }

    /// Puts the session on a new connection. `left` is the time for hooks.
    fn open(&self, connection: Connection, left: Duration, attempt: u32) -> Option<Next> {
        let (shared, chain) = (&self.shared, self.router.chain());
        let link = Link::new(&connection);
        let remote = link.remote.clone();
        let (reader, writer) = (PacketReader::new(connection.reader), connection.writer);
        shared.relink(link, writer.clone())?;
        if let Some(early) = &shared.early {
            early.bound(chain.max_early_body(Side::Dialed, 0));
        }
        let parts = (reader, writer);
        let driver = Box::new(Driver::new(shared.clone(), self.handle.clone(), parts, self.router.clone()));
        let session = Session::upgrade(&self.handle)?;
        if !chain.sees_begin(Side::Dialed) {
            chain.opened(Side::Dialed, &session);
            tracing::info!(target: "teleport", peer = %remote, attempt, "a session is open again");
            shared.reopen();
            return Some(Next { driver, hooks: None });
        }
        let chain = chain.clone();
        // Where it fails, the connection is given up, and the driver ends.
        let welcome = welcome(chain, &session, (Side::Dialed, left), |_| {});
        let hooks = tokio::spawn(async move {
            let welcomed = welcome.await;
            match &welcomed {
                Ok(()) => {
                    tracing::info!(target: "teleport", peer = %remote, attempt, "a session is open again");
                    session.shared().reopen();
                }
                Err(error) => {
                    tracing::warn!(target: "teleport", peer = %remote, attempt, %error, "a session was not let in again");
                }
            }
            welcomed
        });
        Some(Next { driver, hooks: Some(hooks) })
    }

    /// Closes a session that is down.
    fn give_up(&self, attempts: u32, address: &impl std::fmt::Display, why: &str) {
        let times = if attempts == 1 { "once".into() } else { format!("{attempts} times") };
        let reason =
            format!("dialed {address} {times} in vain (setting `redial.attempts`), and at last: {why}");
        tracing::warn!(target: "teleport", %reason, "a session is given up");
        self.end(Closed { initiator: Initiator::Library, reason: reason.into() });
    }

    /// Closes a session that was ended while it was down: whoever did has left the reason.
    fn end_as_told(&self) {
        let ended = self.shared.machine().closed().cloned();
        if let Some(closed) = ended.filter(|_| !self.shared.machine().is_closed()) {
            self.end(closed);
        }
    }

    /// Closes a session that is down. It leaves its peer first, so that whoever is told of the end finds it gone.
    fn end(&self, closed: Closed) {
        if let Some(session) = Session::upgrade(&self.handle) {
            session.leave();
        }
        self.shared.close(closed);
    }
}
