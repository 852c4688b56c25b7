//! Which hooks a plugin has, and what some of them are shown.

use std::any::TypeId;
use std::fmt;
use std::future::{Future, Ready};
use std::marker::PhantomData;
use std::ops::{BitOr, BitOrAssign};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use super::Verdict;
use crate::error::{Closed, Initiator};
use crate::extensions::Extensions;
use crate::session::{Session, Shared};
use crate::socket::Address;

/// A set of hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hooks(u32);

impl Hooks {
    pub(crate) const NONE: Hooks = Hooks(0);

    pub(super) const fn one(number: u32) -> Self {
        Hooks(1 << number)
    }

    /// Whether one of `other` is in here.
    #[inline]
    pub(crate) const fn any(self, other: Hooks) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn and(self, other: Hooks) -> Self {
        Hooks(self.0 | other.0)
    }
}

impl BitOr for Hooks {
    type Output = Hooks;

    fn bitor(self, other: Hooks) -> Hooks {
        self.and(other)
    }
}

impl BitOrAssign for Hooks {
    fn bitor_assign(&mut self, other: Hooks) {
        *self = self.and(other);
    }
}

/// What hooks end with: a verdict, or nothing.
pub(super) trait Done: 'static {
    fn passed() -> Self;
    fn verdict(self) -> Verdict;
}

impl Done for Verdict {
    fn passed() -> Self {
        Ok(())
    }

    fn verdict(self) -> Verdict {
        self
    }
}

impl Done for () {
    fn passed() -> Self {}

    fn verdict(self) -> Verdict {
        Ok(())
    }
}

/// The future of a hook that a plugin does not have. Its type tells that apart from one that is written.
pub(super) struct Skipped<T>(PhantomData<fn() -> T>);

impl Skipped<Verdict> {
    pub(super) fn verdict() -> Self {
        Skipped(PhantomData)
    }
}

impl Skipped<()> {
    pub(super) fn nothing() -> Self {
        Skipped(PhantomData)
    }
}

impl<T: Done> Future for Skipped<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<T> {
        Poll::Ready(T::passed())
    }
}

/// How a hook is written, by the type of its future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Not,
    /// Always ready.
    Ready,
    MayWait,
}

/// Looks at the future that a hook would return; the hook itself is not run.
pub(super) fn written<P, A, F>(_: impl Fn(P, A) -> F) -> Written
where
    F: Future<Output: Done> + 'static,
{
    let future = TypeId::of::<F>();
    if future == TypeId::of::<Skipped<F::Output>>() {
        Written::Not
    } else if future == TypeId::of::<Ready<F::Output>>() {
        Written::Ready
    } else {
        Written::MayWait
    }
}

/// A handler that is registered.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    pub(crate) is_push: bool,
    pub(crate) path: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Route<'a> {
    /// Whether it takes pushes; else it takes pulls.
    #[must_use]
    pub fn is_push(&self) -> bool {
        self.is_push
    }

    /// The path that it stands at, unescaped.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// What it is to people, such as `Arith::mul`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }
}

/// A session that is open now.
#[derive(Debug)]
pub struct Opened<'a> {
    pub(crate) session: &'a Session,
    pub(crate) is_dialed: bool,
}

impl<'a> Opened<'a> {
    /// The session.
    #[must_use]
    pub fn session(&self) -> &'a Session {
        self.session
    }

    /// Whether this side dialed it; else it was accepted.
    #[must_use]
    pub fn is_dialed(&self) -> bool {
        self.is_dialed
    }
}

/// A packet that has come and is not read yet.
#[derive(Debug)]
pub struct Arriving<'a> {
    pub(crate) session: &'a Session,
    pub(crate) bytes: u64,
}

impl<'a> Arriving<'a> {
    /// The session that it came over.
    #[must_use]
    pub fn session(&self) -> &'a Session {
        self.session
    }

    /// Bytes of the whole packet.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A session that has ended, or the connection of one that redials.
pub struct Disconnected<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) closed: &'a Closed,
}

impl<'a> Disconnected<'a> {
    /// The id that the session had at last.
    #[must_use]
    pub fn id(&self) -> Arc<str> {
        self.shared.id()
    }

    /// Address of this end.
    #[must_use]
    pub fn local_addr(&self) -> Address {
        self.shared.local()
    }

    /// Address of the other end.
    #[must_use]
    pub fn remote_addr(&self) -> Address {
        self.shared.remote()
    }

    /// Values of the session.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        &self.shared.extensions
    }

    /// Why it ended.
    #[must_use]
    pub fn reason(&self) -> &'a str {
        &self.closed.reason
    }

    /// Whether the session dials for another connection; see [`Redial`](crate::Redial).
    #[must_use]
    pub fn redials(&self) -> bool {
        self.shared.machine().redials()
    }

    /// Who ended it.
    #[must_use]
    pub fn initiator(&self) -> Initiator {
        self.closed.initiator
    }
}

impl fmt::Debug for Disconnected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disconnected")
            .field("id", &self.id())
            .field("remote", &self.remote_addr())
            .field("reason", &self.reason())
            .finish_non_exhaustive()
    }
}
