//! A plugin without its type.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use super::hooks::{Done, Hooks, written};
use super::{
    Arriving, Disconnected, Early, Handlers, IncomingReply, Opened, OutgoingCall, OutgoingReply, Plugin,
    Route, Verdict, Written, hooks,
};
use crate::context::Context;
use crate::session::Step;
use crate::status::Status;

/// What became of one hook of one plugin.
pub(super) type HookStep<'a> = Step<'a, Status>;

macro_rules! erase {
    (
        waiting { $($waiting:ident $WAITING:ident $wait:literal ($($wait_mut:tt)?) ($WaitArg:ty) ($WaitStatic:ty) -> $Wait:ty;)* }
        at_once { $($at_once:ident $AT_ONCE:ident $once:literal ($($once_mut:tt)?) ($OnceArg:ty) ($OnceStatic:ty) -> $Once:ty;)* }
    ) => {
        impl Hooks {
            $(pub(crate) const $WAITING: Hooks = Hooks::one($wait);)*
            $(pub(crate) const $AT_ONCE: Hooks = Hooks::one($once);)*
        }

        /// [`Plugin`] without its futures. No method of it panics; a future that it returns may, see [`done`].
        pub(super) trait Erased: Send + Sync {
            fn name(&self) -> &str;
            fn handlers(&self, handlers: &mut Handlers) -> Verdict;
            fn other_uris(&self, route: &Route<'_>) -> Vec<String>;
            fn after_register(&self, route: &Route<'_>) -> Verdict;
            fn max_early_body(&self, dialed: bool) -> Option<u32>;
            fn after_register_all(&self, routes: &[Route<'_>]) -> Verdict;
            /// The hooks that it has, and those of them that may wait.
            fn hooks(&self) -> (Hooks, Hooks);
            $(fn $waiting<'a>(&'a self, arg: &'a $($wait_mut)? $WaitArg) -> HookStep<'a>;)*
            $(fn $at_once<'a>(&'a self, arg: &'a $($once_mut)? $OnceArg) -> Verdict;)*
        }

        impl<P: Plugin> Erased for P {
            fn name(&self) -> &str {
                Plugin::name(self)
            }

            fn handlers(&self, handlers: &mut Handlers) -> Verdict {
                let given = catch_unwind(AssertUnwindSafe(|| Plugin::handlers(self, handlers)));
                given.map_err(|panic| panicked(Erased::name(self), "handlers", &*panic))
            }

            fn other_uris(&self, route: &Route<'_>) -> Vec<String> {
                let asked = catch_unwind(AssertUnwindSafe(|| Plugin::other_uris(self, route)));
                asked.unwrap_or_else(|panic| {
                    panicked(Erased::name(self), "other_uris", &*panic);
                    Vec::new()
                })
            }

            fn max_early_body(&self, dialed: bool) -> Option<u32> {
                let asked = catch_unwind(AssertUnwindSafe(|| Plugin::max_early_body(self, dialed)));
                // One that can't say is trusted with nothing.
                asked.unwrap_or_else(|panic| {
                    panicked(Erased::name(self), "max_early_body", &*panic);
                    Some(0)
                })
            }

            fn after_register(&self, route: &Route<'_>) -> Verdict {
                let registered = catch_unwind(AssertUnwindSafe(|| Plugin::after_register(self, route)));
                registered.unwrap_or_else(|panic| Err(panicked(Erased::name(self), "after_register", &*panic)))
            }

            fn after_register_all(&self, routes: &[Route<'_>]) -> Verdict {
                let told = catch_unwind(AssertUnwindSafe(|| Plugin::after_register_all(self, routes)));
                told.unwrap_or_else(|panic| Err(panicked(Erased::name(self), "after_register_all", &*panic)))
            }

            fn hooks(&self) -> (Hooks, Hooks) {
                let (mut has, mut waits) = (Hooks::NONE, Hooks::NONE);
                $(match written(|plugin: &'static P, arg: &'static $($wait_mut)? $WaitStatic| Plugin::$waiting(plugin, arg)) {
                    hooks::Written::Not => {}
                    hooks::Written::Ready => has |= Hooks::$WAITING,
                    hooks::Written::MayWait => {
                        has |= Hooks::$WAITING;
                        waits |= Hooks::$WAITING;
                    }
                })*
                $(match written(|plugin: &'static P, arg: &'static $($once_mut)? $OnceStatic| Plugin::$at_once(plugin, arg)) {
                    hooks::Written::Not => {}
                    _ => has |= Hooks::$AT_ONCE,
                })*
                (has, waits)
            }

            $(fn $waiting<'a>(&'a self, arg: &'a $($wait_mut)? $WaitArg) -> HookStep<'a> {
                let how = written(|plugin: &'static P, arg: &'static $($wait_mut)? $WaitStatic| Plugin::$waiting(plugin, arg));
                if how != hooks::Written::MayWait {
                    let name = Erased::name(self);
                    return Step::Now(at_once(name, stringify!($waiting), || Plugin::$waiting(self, arg)));
                }
                Step::Later(Box::pin(async move { <$Wait as Done>::verdict(Plugin::$waiting(self, arg).await) }))
            })*

            $(fn $at_once<'a>(&'a self, arg: &'a $($once_mut)? $OnceArg) -> Verdict {
                at_once(Erased::name(self), stringify!($at_once), || Plugin::$at_once(self, arg))
            })*
        }

        /// A plugin that others hold as well.
        impl<P: Plugin> Plugin for Arc<P> {
            fn name(&self) -> &str {
                Plugin::name(&**self)
            }

            fn handlers(&self, handlers: &mut Handlers) {
                Plugin::handlers(&**self, handlers);
            }

            fn other_uris(&self, route: &Route<'_>) -> Vec<String> {
                Plugin::other_uris(&**self, route)
            }

            fn after_register(&self, route: &Route<'_>) -> Verdict {
                Plugin::after_register(&**self, route)
            }

            fn after_register_all(&self, routes: &[Route<'_>]) -> Verdict {
                Plugin::after_register_all(&**self, routes)
            }

            fn max_early_body(&self, dialed: bool) -> Option<u32> {
                Plugin::max_early_body(&**self, dialed)
            }

            $(fn $waiting(&self, arg: &$($wait_mut)? $WaitArg) -> impl Future<Output = $Wait> + Send {
                Plugin::$waiting(&**self, arg)
            })*
            $(fn $at_once(&self, arg: &$($once_mut)? $OnceArg) -> impl Future<Output = $Once> + Send {
                Plugin::$at_once(&**self, arg)
            })*
        }
    };
}

erase! {
    waiting {
        after_dial AFTER_DIAL 0 (mut) (Early<'_>) (Early<'static>) -> Verdict;
        after_accept AFTER_ACCEPT 1 (mut) (Early<'_>) (Early<'static>) -> Verdict;
        before_write_pull BEFORE_WRITE_PULL 2 (mut) (OutgoingCall<'_>) (OutgoingCall<'static>) -> Verdict;
        before_write_push BEFORE_WRITE_PUSH 3 (mut) (OutgoingCall<'_>) (OutgoingCall<'static>) -> Verdict;
        before_write_reply BEFORE_WRITE_REPLY 4 (mut) (OutgoingReply) (OutgoingReply) -> Verdict;
        before_read_body BEFORE_READ_BODY 5 (mut) (Context) (Context) -> Verdict;
        after_read_body AFTER_READ_BODY 6 (mut) (Context) (Context) -> Verdict;
        before_read_reply_body BEFORE_READ_REPLY_BODY 7 (mut) (IncomingReply<'_>) (IncomingReply<'static>) -> Verdict;
        after_read_reply_body AFTER_READ_REPLY_BODY 8 (mut) (IncomingReply<'_>) (IncomingReply<'static>) -> Verdict;
        after_disconnect AFTER_DISCONNECT 9 () (Disconnected<'_>) (Disconnected<'static>) -> ();
    }
    at_once {
        after_write_pull AFTER_WRITE_PULL 10 () (Written<'_>) (Written<'static>) -> ();
        after_write_push AFTER_WRITE_PUSH 11 () (Written<'_>) (Written<'static>) -> ();
        after_write_reply AFTER_WRITE_REPLY 12 () (Written<'_>) (Written<'static>) -> ();
        before_read_header BEFORE_READ_HEADER 13 () (Arriving<'_>) (Arriving<'static>) -> Verdict;
        after_read_header AFTER_READ_HEADER 14 (mut) (Context) (Context) -> Verdict;
        after_read_reply_header AFTER_READ_REPLY_HEADER 15 (mut) (IncomingReply<'_>) (IncomingReply<'static>) -> Verdict;
        after_open AFTER_OPEN 16 () (Opened<'_>) (Opened<'static>) -> ();
    }
}

/// Runs a hook that is to be through when it is polled once.
fn at_once<F: Future<Output: Done>>(name: &str, hook: &str, start: impl FnOnce() -> F) -> Verdict {
    let polled =
        catch_unwind(AssertUnwindSafe(|| pin!(start()).poll(&mut TaskContext::from_waker(Waker::noop()))));
    match polled {
        Ok(Poll::Ready(done)) => done.verdict(),
        Ok(Poll::Pending) => {
            tracing::error!(
                target: "teleport",
                plugin = name,
                hook,
                "a hook that may not wait was not through at once, and is dropped; spawn a task for what takes time"
            );
            Err(Status::failed_plugin(format!("the plugin {name} waits where it may not")))
        }
        Err(panic) => Err(panicked(name, hook, &*panic)),
    }
}

type HookFuture<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Ends a hook that was begun; where it panics, it refuses.
pub(super) async fn done(name: &str, hook: &str, step: HookStep<'_>) -> Verdict {
    match step {
        Step::Now(verdict) => verdict,
        Step::Later(future) => Caught { name, hook, future: Some(future) }.await,
    }
}

struct Caught<'a> {
    name: &'a str,
    hook: &'a str,
    /// Gone when it has ended.
    future: Option<HookFuture<'a>>,
}

impl Future for Caught<'_> {
    type Output = Verdict;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Verdict> {
        let this = self.get_mut();
        let Some(future) = &mut this.future else { return Poll::Pending };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        let done = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(verdict)) => verdict,
            Err(panic) => Err(panicked(this.name, this.hook, &*panic)),
        };
        // What is left of a future may panic when it is dropped.
        let left = this.future.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(left)));
        Poll::Ready(done)
    }
}

fn panicked(name: &str, hook: &str, panic: &(dyn Any + Send)) -> Status {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    tracing::error!(target: "teleport", plugin = name, hook, panic = text, "a hook of a plugin panicked");
    Status::failed_plugin(format!("the plugin {name} panicked"))
}
