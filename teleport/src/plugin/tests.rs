//! Which hooks a plugin has.

use std::future::{Ready, ready};
use std::sync::Arc;

use super::*;

struct Some;

impl Plugin for Some {
    fn name(&self) -> &str {
        "some"
    }

    async fn before_write_pull(&self, _: &mut OutgoingCall<'_>) -> Verdict {
        Ok(())
    }

    #[allow(refining_impl_trait)]
    fn before_read_body(&self, _: &mut Context) -> Ready<Verdict> {
        ready(Ok(()))
    }

    fn after_read_body(&self, _: &mut Context) -> impl Future<Output = Verdict> + Send {
        ready(Ok(()))
    }

    // Nothing is kept in it, and yet it is one.
    fn after_disconnect(&self, _: &Disconnected<'_>) -> impl Future<Output = ()> + Send {
        std::future::poll_fn(|_| std::task::Poll::Ready(()))
    }

    async fn after_write_reply(&self, _: &Written<'_>) {}
}

struct None;

impl Plugin for None {
    fn name(&self) -> &str {
        "none"
    }
}

#[test]
fn the_hooks_that_a_plugin_has_are_known_from_its_type() {
    let waits = Hooks::BEFORE_WRITE_PULL | Hooks::AFTER_DISCONNECT;
    let has = waits | Hooks::BEFORE_READ_BODY | Hooks::AFTER_READ_BODY | Hooks::AFTER_WRITE_REPLY;
    assert_eq!(erased::Erased::hooks(&Some), (has, waits));
    assert_eq!(erased::Erased::hooks(&Arc::new(Some)), (has, waits));
    assert_eq!(erased::Erased::hooks(&Arc::new(Arc::new(Some))), (has, waits));
    assert_eq!(erased::Erased::hooks(&None), (Hooks::NONE, Hooks::NONE));
    assert_eq!(erased::Erased::hooks(&Arc::new(None)), (Hooks::NONE, Hooks::NONE));
}

#[test]
fn plugins_without_hooks_make_a_chain_that_sees_nothing() {
    let (mut peer, mut own) = (Plugins::default(), Plugins::default());
    peer.push(None);
    own.push(None);
    let chain = Chain::new(&peer, &own);
    assert!(!chain.sees_inbound() && !chain.sees_arrivals() && !chain.sees_calls() && !chain.sees_ends());
    assert!(!chain.sees_begin(Side::Dialed) && !chain.sees_begin(Side::Accepted));
    own.push(Some);
    let chain = Chain::new(&peer, &own);
    assert!(chain.sees_inbound() && chain.sees_calls() && chain.sees_ends() && !chain.sees_arrivals());
    assert!(!chain.may_wait_for_bodies() && !chain.may_wait_for_answers());
}
